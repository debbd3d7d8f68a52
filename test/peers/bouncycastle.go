package peers

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/internal/mtarig"
	"mailseal/test/rig"
)

// bouncyCastle is one run of testdata/BouncyCastle.java.
type bouncyCastle struct {
	version string
	pantry  Pantry
	certs   map[string]*x509.Certificate
	missing map[string]error // identities that it refuses

	mu  sync.Mutex
	in  io.Writer
	out *bufio.Reader
}

// Jars is where test/tools.sh unpacks Bouncy Castle.
func Jars(t testing.TB) string {
	t.Helper()
	tree := os.Getenv("MAILSEAL_MTA")
	if tree == "" {
		tree = filepath.Join(rig.Root(t), "build", "mta")
	}
	return filepath.Join(tree, "usr", "share", "java")
}

// BouncyCastleCook returns Bouncy Castle in a Java machine that ends with the
// test. Where there is no Java the test is skipped, and that is no missing
// tool: Java is not asked of anybody.
func BouncyCastleCook(t testing.TB, p Pantry) Cook {
	t.Helper()
	for _, program := range []string{"java", "javac"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s here, so Bouncy Castle is not asked", program)
		}
	}
	var jars []string
	for _, name := range []string{"bcpkix", "bcutil", "bcprov"} {
		jar := filepath.Join(p.Jars, name+".jar")
		if _, err := filepath.EvalSymlinks(jar); err != nil {
			rig.Missing(t, fmt.Errorf("%w: %s; run test/tools.sh as root", mtarig.ErrMissing, jar))
		}
		jars = append(jars, jar)
	}
	classes, path := t.TempDir(), strings.Join(jars, ":")
	source := filepath.Join(rig.Root(t), "test", "peers", "testdata", "BouncyCastle.java")
	tool{name: "javac"}.must(t, nil, "-nowarn", "-d", classes, "-cp", path, source)
	b := &bouncyCastle{pantry: p, certs: map[string]*x509.Certificate{}, missing: map[string]error{}}
	b.start(t, "java", "-XX:TieredStopAtLevel=1", "-cp", classes+":"+path, "BouncyCastle")
	v, err := b.ask("version")
	if err != nil {
		t.Fatal(err)
	}
	b.version = string(v)
	for name, id := range p.Identities {
		b.certs[name] = p.certificate(t, name)
		_, b.missing[name] = b.ask("identity", "name="+name, octets("certificate", b.certs[name].Raw), octets("key", bareSeed(der(t, id.Key))))
	}
	return b
}

// bareSeed makes of a private key of ML-KEM or ML-DSA, in PKCS #8 with seed and
// expanded key (RFC 9935 section 6, RFC 9881 section 6), what Bouncy Castle 1.80
// knows from a draft: the seed alone, without a tag of its own. Other keys
// stay.
func bareSeed(pkcs8 []byte) []byte {
	var algorithm, inner, key, both cryptobyte.String
	var version int
	var seed []byte
	in := cryptobyte.String(pkcs8)
	if !in.ReadASN1(&inner, asn1.SEQUENCE) || !inner.ReadASN1Integer(&version) || !inner.ReadASN1Element(&algorithm, asn1.SEQUENCE) ||
		!inner.ReadASN1(&key, asn1.OCTET_STRING) || !key.ReadASN1(&both, asn1.SEQUENCE) ||
		!both.ReadASN1Bytes(&seed, asn1.OCTET_STRING) || !both.SkipASN1(asn1.OCTET_STRING) || !both.Empty() {
		return pkcs8
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddBytes(algorithm)
		b.AddASN1OctetString(seed)
	})
	if short, err := b.Bytes(); err == nil {
		return short
	}
	return pkcs8
}

func (b *bouncyCastle) start(t testing.TB, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b.in, b.out = in, bufio.NewReader(out)
	t.Cleanup(func() {
		in.Close() // it then ends by itself
		if err := cmd.Wait(); err != nil {
			t.Errorf("bouncy castle: %v", err)
		}
	})
}

func octets(name string, b []byte) string {
	return name + "=" + base64.StdEncoding.EncodeToString(b)
}

// ask sends a request and waits for its answer.
func (b *bouncyCastle) ask(words ...string) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, err := io.WriteString(b.in, strings.Join(words, " ")+"\n"); err != nil {
		return nil, err
	}
	line, err := b.out.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("bouncy castle does not answer: %w", err)
	}
	answer, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "ok ")
	if !ok {
		return nil, errors.New("bouncy castle: " + strings.TrimPrefix(answer, "no "))
	}
	return base64.StdEncoding.DecodeString(answer)
}

func (b *bouncyCastle) Name() string    { return "Bouncy Castle" }
func (b *bouncyCastle) Version() string { return b.version }

func (b *bouncyCastle) Make(r Recipe, mail []byte) ([]byte, error) {
	inner, err := Entity(mail)
	if err != nil {
		return nil, err
	}
	var words []string
	switch r.Type {
	case Signed:
		words, err = b.signing(r)
	case Encrypted:
		words, err = b.encrypting(r)
	case Compressed:
		words = []string{"compress"}
	case CertsOnly:
		words = []string{"certs-only"}
		for _, s := range r.Signers {
			words = append(words, "name="+s.Who)
		}
	default:
		err = fmt.Errorf("bouncy castle %w make such an object: it has no class for it", ErrCannot)
	}
	if err != nil {
		return nil, err
	}
	if r.BER {
		words = append(words, "ber=")
	}
	cms, err := b.ask(append(words, octets("content", inner))...)
	if err != nil {
		return nil, err
	}
	return Mail(r, mail, cms)
}

func (b *bouncyCastle) signing(r Recipe) ([]string, error) {
	words := []string{"sign"}
	for option, wanted := range map[string]bool{"detached=": r.Detached, "nocerts=": r.NoCertificates} {
		if wanted {
			words = append(words, option)
		}
	}
	for _, s := range r.Signers {
		if err := b.missing[s.Who]; err != nil {
			return nil, err
		}
		word := "signer=" + s.Who + "," + b.algorithm(s)
		if s.KeyID {
			word += ",keyid"
		}
		if r.Bare {
			word += ",direct"
		}
		words = append(words, word)
	}
	return words, nil
}

// algorithm is the signature's name in Java.
func (b *bouncyCastle) algorithm(s Signer) string {
	digest := s.Digest
	if !strings.HasPrefix(digest, "SHA3") {
		digest = strings.ReplaceAll(digest, "-", "")
	}
	switch b.certs[s.Who].PublicKey.(type) {
	case *rsa.PublicKey:
		if s.PSS {
			return digest + "withRSAandMGF1"
		}
		return digest + "withRSA"
	case *ecdsa.PublicKey:
		return digest + "withECDSA"
	}
	name := map[string]string{"ed25519": "Ed25519", "dsa": digest + "withDSA",
		"mldsa44": "ML-DSA-44", "mldsa65": "ML-DSA-65", "mldsa87": "ML-DSA-87"}[s.Who]
	if s.Digest == "SHA-512" {
		name += ",sha512"
	}
	return name
}

// ciphers are what Bouncy Castle has for constants, and ChaCha20-Poly1305 of
// RFC 8103, for which it has none.
var ciphers = map[string]string{
	"AES-128-CBC": "2.16.840.1.101.3.4.1.2", "AES-192-CBC": "2.16.840.1.101.3.4.1.22", "AES-256-CBC": "2.16.840.1.101.3.4.1.42",
	"AES-128-GCM": "2.16.840.1.101.3.4.1.6", "AES-192-GCM": "2.16.840.1.101.3.4.1.26", "AES-256-GCM": "2.16.840.1.101.3.4.1.46",
	"AES-128-CCM": "2.16.840.1.101.3.4.1.7", "AES-192-CCM": "2.16.840.1.101.3.4.1.27", "AES-256-CCM": "2.16.840.1.101.3.4.1.47",
	"3DES-CBC": "1.2.840.113549.3.7", "ChaCha20-Poly1305": "1.2.840.113549.1.9.16.3.18",
}

func (b *bouncyCastle) encrypting(r Recipe) ([]string, error) {
	words := []string{"encrypt", "cipher=" + ciphers[r.Cipher]}
	if r.Misplaced {
		words = append(words, "misplaced=")
	}
	for _, to := range r.To {
		if to.Password != "" {
			words = append(words, "to="+to.Password+",pwri")
			continue
		}
		if err := b.missing[to.Who]; err != nil {
			return nil, err
		}
		if to.Cofactor {
			return nil, fmt.Errorf("bouncy castle %w ask for the cofactor: its class has no way", ErrCannot)
		}
		word := "to=" + to.Who + "," + b.transport(to)
		if to.KeyID {
			word += ",keyid"
		}
		words = append(words, word)
	}
	return words, nil
}

func (b *bouncyCastle) transport(to Recipient) string {
	switch k := b.certs[to.Who].PublicKey.(type) {
	case *rsa.PublicKey:
		if to.OAEP != "" {
			return "oaep," + to.OAEP + "," + to.MGF
		}
		return "ktri"
	case *ecdsa.PublicKey:
		kdf := map[elliptic.Curve]string{elliptic.P256(): "SHA256", elliptic.P384(): "SHA384", elliptic.P521(): "SHA512"}[k.Curve]
		if to.KDF != "" {
			kdf = strings.ReplaceAll(to.KDF, "-", "")
		}
		return "kari," + kdf
	}
	if to.Who == "x25519" {
		return "kari,XDH"
	}
	return "kemri"
}

func (b *bouncyCastle) Open(r Recipe, mail []byte, with Recipient) ([]byte, error) {
	s, err := split(mail)
	if err != nil {
		return nil, err
	}
	words := []string{octets("cms", s.cms)}
	switch r.Type {
	case Signed:
		words = append(words, fmt.Sprintf("signers=%d", len(r.Signers)))
		if !s.opaque {
			words = append(words, octets("content", s.content))
		}
		return b.ask(append([]string{"verify"}, words...)...)
	case Encrypted:
		as := with.Who + ",key"
		if with.Password != "" {
			as = with.Password + ",pwri"
		} else if err := b.missing[with.Who]; err != nil {
			return nil, err
		}
		return b.ask(append([]string{"decrypt", "as=" + as}, words...)...)
	case Compressed:
		return b.ask(append([]string{"expand"}, words...)...)
	case CertsOnly:
		return b.ask(append([]string{"certificates"}, words...)...)
	}
	return b.ask(append([]string{"check-digest"}, words...)...)
}
