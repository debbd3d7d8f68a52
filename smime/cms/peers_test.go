package cms

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	mldsax509 "filippo.io/mldsa/x509"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/internal/x509key"
	"mailseal/smime/cms/syntax"
)

// Real peers, in both directions. Those that are not installed are skipped.

func needTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
}

// run runs a command and returns its standard output; error output is in the error.
func run(dir string, args ...string) ([]byte, error) {
	var out, complaint bytes.Buffer
	c := exec.Command(args[0], args[1:]...)
	c.Dir, c.Stdout, c.Stderr = dir, &out, &complaint
	c.Stdin = strings.NewReader("x\n") // the password, for who asks
	c.Env = append(os.Environ(), "LC_ALL=C", "GNUPGHOME="+dir, "HOME="+dir)
	if err := c.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, complaint.Bytes())
	}
	return out.Bytes(), nil
}

func write(t *testing.T, dir, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func keyPEM(k crypto.Signer) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(mldsax509.MarshalPKCS8PrivateKey(k))})
}

// peerFolder holds root.pem, NAME.pem, NAME.key and the content.
func peerFolder(t *testing.T, content []byte) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "root.pem", certPEM(root().cert))
	write(t, dir, "content", content)
	for name, id := range everyone {
		write(t, dir, name+".pem", certPEM(id().cert))
		write(t, dir, name+".key", keyPEM(id().key))
	}
	return dir
}

var mail = []byte("Content-Type: text/plain\r\n\r\nhello\r\n")

// ours are signatures in all the ways we have. OpenSSL 3.0 and the others know no Ed25519.
func ours(t *testing.T, f func(name string, outside, inside []byte)) {
	for _, name := range []string{"rsa", "p256", "p384", "p521"} {
		for _, digest := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			s := everyone[name]().signer()
			s.Digest = digest
			f(fmt.Sprint(name, " ", digest), detached(t, mail, s), opaque(t, mail, s))
		}
	}
	pss := rsa2048().signer()
	pss.PSS = true
	f("rsa PSS", detached(t, mail, pss), opaque(t, mail, pss))
	named := p256().signer()
	named.KeyID = true
	f("p256 by key identifier", detached(t, mail, named), opaque(t, mail, named))
	f("rsa and p256", detached(t, mail, rsa2048().signer(), p256().signer()), opaque(t, mail, rsa2048().signer(), p256().signer()))
}

func TestOpenSSLReadsOurs(t *testing.T) {
	needTool(t, "openssl")
	dir := peerFolder(t, mail)
	verify := []string{"openssl", "cms", "-verify", "-cades", "-inform", "DER", "-CAfile", "root.pem", "-purpose", "smimesign", "-binary"}
	ours(t, func(name string, outside, inside []byte) {
		write(t, dir, "sig", outside)
		out, err := run(dir, append(verify, "-in", "sig", "-content", "content")...)
		if err != nil || !bytes.Equal(out, mail) {
			t.Errorf("%s, detached: %q, %v", name, out, err)
		}
		write(t, dir, "sig", inside)
		out, err = run(dir, append(verify, "-in", "sig")...)
		if err != nil || !bytes.Equal(out, mail) {
			t.Errorf("%s, opaque: %q, %v", name, out, err)
		}
		write(t, dir, "sig", outside)
		write(t, dir, "other", append([]byte("x"), mail...))
		if _, err = run(dir, append(verify, "-in", "sig", "-content", "other")...); err == nil {
			t.Errorf("%s: other content passes", name)
		}
	})
}

func TestWeReadOpenSSL(t *testing.T) {
	needTool(t, "openssl")
	dir := peerFolder(t, mail)
	for _, test := range []struct {
		name, options string
		want          error
	}{
		{"default", "-signer rsa.pem -inkey rsa.key", nil},
		{"opaque", "-signer rsa.pem -inkey rsa.key -nodetach", nil},
		{"opaque stream", "-signer rsa.pem -inkey rsa.key -nodetach -stream", nil},
		{"no attributes", "-signer rsa.pem -inkey rsa.key -noattr", nil},
		{"no attributes, opaque stream", "-signer rsa.pem -inkey rsa.key -noattr -nodetach -stream", nil},
		{"no attributes, P-256", "-signer p256.pem -inkey p256.key -noattr", nil},
		{"key identifier", "-signer rsa.pem -inkey rsa.key -keyid", nil},
		{"cades", "-signer rsa.pem -inkey rsa.key -cades", nil},
		{"cades, SHA-512", "-signer rsa.pem -inkey rsa.key -cades -md sha512", nil},
		{"no certificates", "-signer rsa.pem -inkey rsa.key -nocerts", ErrNoCertificate},
		{"more certificates", "-signer rsa.pem -inkey rsa.key -certfile root.pem", nil},
		{"no capabilities", "-signer rsa.pem -inkey rsa.key -nosmimecap", nil},
		{"receipt request", "-signer rsa.pem -inkey rsa.key -receipt_request_all -receipt_request_to a@example.jp", nil},
		{"other content type", "-signer rsa.pem -inkey rsa.key -nodetach -econtent_type 1.2.3.4", nil},
		{"PSS", "-signer rsa.pem -inkey rsa.key -keyopt rsa_padding_mode:pss", nil},
		{"PSS, SHA-512", "-signer rsa.pem -inkey rsa.key -md sha512 -keyopt rsa_padding_mode:pss", nil},
		{"PSS, short salt", "-signer rsa.pem -inkey rsa.key -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:20", nil},
		{"PSS, longest salt", "-signer rsa.pem -inkey rsa.key -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:max", nil},
		{"PSS, no salt", "-signer rsa.pem -inkey rsa.key -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:0", nil},
		{"PSS, other MGF", "-signer rsa.pem -inkey rsa.key -keyopt rsa_padding_mode:pss -keyopt rsa_mgf1_md:sha512", nil},
		{"PSS, MGF with SHA-1", "-signer rsa.pem -inkey rsa.key -keyopt rsa_padding_mode:pss -keyopt rsa_mgf1_md:sha1", nil},
		{"SHA-1", "-signer rsa.pem -inkey rsa.key -md sha1", ErrWeak},
		{"SHA-1, PSS", "-signer rsa.pem -inkey rsa.key -md sha1 -keyopt rsa_padding_mode:pss", ErrWeak},
		{"SHA-224", "-signer rsa.pem -inkey rsa.key -md sha224", nil},
		{"SHA-384", "-signer p384.pem -inkey p384.key -md sha384", nil},
		{"SHA-512", "-signer p521.pem -inkey p521.key -md sha512", nil},
		{"SHA-512 on P-256", "-signer p256.pem -inkey p256.key -md sha512 -nodetach -stream", nil},
		{"SHA3-256", "-signer rsa.pem -inkey rsa.key -md sha3-256", nil},
		{"SHA3-384, key identifier", "-signer rsa.pem -inkey rsa.key -md sha3-384 -keyid", nil}, // with EC keys and PSS 3.0 cannot
		{"SHA3-512, opaque stream", "-signer rsa.pem -inkey rsa.key -md sha3-512 -nodetach -stream", nil},
		{"MD5", "-signer rsa.pem -inkey rsa.key -md md5", ErrUnsupported},
		{"two signers", "-signer rsa.pem -inkey rsa.key -signer p256.pem -inkey p256.key", nil},
		{"two signers, opaque stream", "-signer rsa.pem -inkey rsa.key -signer p256.pem -inkey p256.key -nodetach -stream", nil},
	} {
		args := append(strings.Fields("openssl cms -sign -binary -outform DER -in content -out sig"), strings.Fields(test.options)...)
		if _, err := run(dir, args...); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		var content []byte
		if !strings.Contains(test.options, "-nodetach") {
			content = mail
		}
		_, results := read(t, must(os.ReadFile(filepath.Join(dir, "sig"))), content)
		if want := 1 + strings.Count(test.options, "p256.pem -inkey p256.key")*strings.Count(test.options, "rsa.pem"); len(results) != want {
			t.Errorf("%s: %d signers, want %d", test.name, len(results), want)
		}
		for _, r := range results {
			wantErr(t, test.name, r.Err, test.want)
		}
		if content != nil && test.want == nil {
			_, results = read(t, must(os.ReadFile(filepath.Join(dir, "sig"))), append([]byte("x"), mail...))
			if err := results[0].Err; !errors.Is(err, ErrDigest) && !errors.Is(err, ErrSignature) {
				t.Errorf("%s: other content is told as %v", test.name, err)
			}
		}
	}
}

// A certificate whose key is for RSA-PSS alone (RFC 4055 section 1.2), with and without parameters.
func TestWeReadPSSKeys(t *testing.T) {
	needTool(t, "openssl")
	dir := peerFolder(t, mail)
	for _, test := range []struct {
		name, key, sign string
		want            error
	}{
		{"free", "", "-md sha384", nil},
		{"bound", "-pkeyopt rsa_pss_keygen_md:sha256 -pkeyopt rsa_pss_keygen_mgf1_md:sha256 -pkeyopt rsa_pss_keygen_saltlen:32", "-md sha256", nil},
	} {
		for _, command := range []string{
			"openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out pss.key " + test.key,
			"openssl req -x509 -new -key pss.key -subj /CN=PSS -days 30 -sha256 -out pss.pem",
			"openssl cms -sign -binary -outform DER -in content -signer pss.pem -inkey pss.key -out sig -keyopt rsa_padding_mode:pss " + test.sign,
		} {
			if _, err := run(dir, strings.Fields(command)...); err != nil {
				t.Fatal(err)
			}
		}
		_, results := read(t, must(os.ReadFile(filepath.Join(dir, "sig"))), mail)
		wantErr(t, test.name, results[0].Err, test.want)

		// What we make with such a key is RSASSA-PSS, unasked.
		p, _ := pem.Decode(must(os.ReadFile(filepath.Join(dir, "pss.pem"))))
		k, _ := pem.Decode(must(os.ReadFile(filepath.Join(dir, "pss.key"))))
		s := Signer{Certificate: must(x509.ParseCertificate(p.Bytes)), Key: must(x509key.ParsePKCS8(k.Bytes)).(crypto.Signer)}
		write(t, dir, "sig", detached(t, mail, s))
		if _, err := run(dir, strings.Fields("openssl cms -verify -binary -inform DER -in sig -content content -CAfile pss.pem -purpose any")...); err != nil {
			t.Errorf("%s: ours: %v", test.name, err)
		}
		s.Digest = crypto.SHA512
		if _, err := SignDetached(bytes.NewReader(mail), s); (err != nil) != (test.key != "") {
			t.Errorf("%s: SHA-512: %v", test.name, err)
		}
	}
	// A signature with a shorter salt than the key's parameters allow.
	block, _ := pem.Decode(must(os.ReadFile(filepath.Join(dir, "pss.pem"))))
	c := must(x509.ParseCertificate(block.Bytes))
	restriction, _ := x509key.PSSOnly(c)
	for name, p := range map[string]pssParameters{
		"short salt": {crypto.SHA256, crypto.SHA256, 20}, "other mask": {crypto.SHA256, crypto.SHA1, 32}, "other hash": {crypto.SHA384, crypto.SHA384, 48},
	} {
		in := input(p.identifier())
		a, _ := syntax.ReadAlgorithm(&in, der.SEQUENCE)
		if _, err := signaturePSS(a, p.hash, restriction); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The key must not sign in any other way.
	si := &SignerInfo{}
	si.DigestAlgorithm.Algorithm, si.SignatureAlgorithm.Algorithm = syntax.SHA256, oidRSA
	if _, err := newVerifier(c, si); !errors.Is(err, ErrSignature) {
		t.Errorf("PKCS #1 v1.5: %v", err)
	}
}

// OpenSSL from 3.2 on, and Bouncy Castle, sign CMS with Ed25519; what we write there has at least to be what RFC 8419 says.
func TestEd25519Written(t *testing.T) {
	s, _ := read(t, detached(t, mail, ed().signer()), mail)
	si := s.Signers[0]
	if !si.DigestAlgorithm.Algorithm.Equal(syntax.SHA512) || len(si.DigestAlgorithm.Parameters.FullBytes) != 0 {
		t.Errorf("digest algorithm %+v", si.DigestAlgorithm)
	}
	if !si.SignatureAlgorithm.Algorithm.Equal(oidEd25519) || len(si.SignatureAlgorithm.Parameters.FullBytes) != 0 {
		t.Errorf("signature algorithm %+v", si.SignatureAlgorithm)
	}
	if !ed25519.Verify(ed().cert.PublicKey.(ed25519.PublicKey), si.signed[0], si.Signature) {
		t.Error("signature is not one over the DER of the signed attributes")
	}
}
