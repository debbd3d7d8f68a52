package peers

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// gpgsmCook is gpgsm with a home of its own.
type gpgsmCook struct {
	tool
	version string
	home    string
	dir     string
	pantry  Pantry
	prints  map[string]string // fingerprints of certificates, by identity
	missing map[string]error  // keys that it does not import
	keys    map[string]string // file names of those that the agent may hold
}

// GPGSMCook returns gpgsm. Its agent ends with the test.
func GPGSMCook(t testing.TB, p Pantry) Cook {
	t.Helper()
	gpgsm, agent, conf := p.program(t, "gpgsm"), p.program(t, "gpg-agent"), p.program(t, "gpgconf")
	// The agent's socket is in its home, and its name must be short.
	home, err := os.MkdirTemp("/tmp", "ms-gpg-")
	if err != nil {
		t.Fatal(err)
	}
	g := &gpgsmCook{
		tool: tool{name: gpgsm, env: []string{"GNUPGHOME=" + home}},
		home: home, dir: t.TempDir(), pantry: p, prints: map[string]string{}, missing: map[string]error{}, keys: map[string]string{},
	}
	t.Cleanup(func() {
		tool{name: conf, env: g.env}.run(nil, "--kill", "all")
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	config := "disable-crl-checks\ndisable-dirmngr\nno-greeting\nbatch\nyes\n"
	if p.Root != "" {
		config += "agent-program " + agent + "\n"
	}
	var trusted strings.Builder
	for _, anchor := range certificates(t, p.Anchors) {
		fmt.Fprintf(&trusted, "%s S relax\n", fingerprint(anchor))
	}
	g.file(t, "trustlist.txt", trusted.String())
	g.file(t, "gpgsm.conf", config)
	g.file(t, "gpg-agent.conf", "allow-loopback-pinentry\n")
	g.version = strings.Fields(string(g.must(t, nil, "--version")))[2]
	g.must(t, nil, "--import", p.Anchors)
	for name := range p.Identities {
		g.add(t, name)
	}
	return g
}

func (g *gpgsmCook) file(t testing.TB, name, text string) {
	t.Helper()
	path := filepath.Join(g.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// add imports a certificate and puts its key where the agent has them.
// gpgsm 2.2 cannot import keys other than RSA, and fails with some of these.
func (g *gpgsmCook) add(t testing.TB, name string) {
	t.Helper()
	id := g.pantry.Identities[name]
	cert := g.pantry.certificate(t, name)
	g.prints[name] = fingerprint(cert)
	if _, _, err := g.run(nil, "--import", id.Certificate); err != nil {
		return // what it does with it later is told then
	}
	key, _ := x509.ParsePKCS8PrivateKey(der(t, id.Key))
	text := expression(key)
	if text == "" {
		g.importKey(t, name, id)
		return
	}
	listed, _, err := g.run(nil, "--with-keygrip", "--with-colons", "--list-keys", g.prints[name])
	if err != nil {
		return
	}
	for line := range strings.Lines(string(listed)) {
		if f := strings.Split(line, ":"); f[0] == "grp" {
			g.keys[name] = filepath.Join(g.home, "private-keys-v1.d", f[9]+".key")
			g.file(t, filepath.Join("private-keys-v1.d", f[9]+".key"), text)
		}
	}
}

// importKey lets gpgsm say what it thinks of other kinds of keys.
func (g *gpgsmCook) importKey(t testing.TB, name string, id Identity) {
	t.Helper()
	file, err := pkcs12(cmp.Or(g.pantry.OpenSSL, "openssl"), t.TempDir(), name, &id)
	if err == nil {
		_, _, err = g.run([]byte(passphrase+"\n"), "--pinentry-mode", "loopback", "--passphrase-fd", "0", "--import", file)
	}
	if err != nil {
		g.missing[name] = err
	}
}

// expression is a private key as Libgcrypt has it, "" if it is of another kind.
func expression(key any) string {
	atom := func(b []byte) string { return fmt.Sprintf("%d:%s", len(b), b) }
	number := func(name string, n *big.Int) string {
		b := n.Bytes()
		if len(b) == 0 || b[0]&0x80 != 0 {
			b = append([]byte{0}, b...)
		}
		return "(" + atom([]byte(name)) + atom(b) + ")"
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		p, q := k.Primes[0], k.Primes[1]
		if p.Cmp(q) > 0 {
			p, q = q, p
		}
		return "(11:private-key(3:rsa" + number("n", k.N) + number("e", big.NewInt(int64(k.E))) + number("d", k.D) +
			number("p", p) + number("q", q) + number("u", new(big.Int).ModInverse(p, q)) + "))"
	case ed25519.PrivateKey:
		return "(11:private-key(3:ecc(5:curve7:Ed25519)(5:flags5:eddsa)(1:q" + atom(append([]byte{0x40}, k.Public().(ed25519.PublicKey)...)) +
			")(1:d" + atom(k.Seed()) + ")))"
	case *ecdsa.PrivateKey:
		curve := map[string]string{"P-256": "NIST P-256", "P-384": "NIST P-384", "P-521": "NIST P-521"}[k.Curve.Params().Name]
		point, err := k.PublicKey.Bytes()
		if err != nil {
			return ""
		}
		secret, err := k.Bytes()
		if err != nil {
			return ""
		}
		return "(11:private-key(3:ecc(5:curve" + atom([]byte(curve)) + ")(1:q" + atom(point) + ")" + number("d", new(big.Int).SetBytes(secret)) + "))"
	}
	return ""
}

func (g *gpgsmCook) Name() string    { return "gpgsm" }
func (g *gpgsmCook) Version() string { return g.version }

func (g *gpgsmCook) Make(r Recipe, mail []byte) ([]byte, error) {
	inner, err := Entity(mail)
	if err != nil {
		return nil, err
	}
	var args []string
	switch r.Type {
	case Signed:
		args, err = g.signing(r)
	case Encrypted:
		args, err = g.encrypting(r)
	case CertsOnly:
		args = []string{"--export"}
		for _, s := range r.Signers {
			args = append(args, g.prints[s.Who])
		}
	default:
		err = fmt.Errorf("gpgsm %w make such an object: it has no option for it", ErrCannot)
	}
	if err != nil {
		return nil, err
	}
	file, err := write(g.dir, "content", inner)
	if err != nil {
		return nil, err
	}
	if r.Type != CertsOnly {
		args = append(args, file)
	}
	cms, printed, err := g.run(nil, args...)
	if err != nil {
		return nil, err
	}
	if r.Type == CertsOnly {
		if all, err := x509.ParseCertificates(cms); err == nil {
			return nil, fmt.Errorf("gpgsm %w put %d certificates into an object: it exports them as they are", ErrCannot, len(all))
		}
	}
	if len(cms) == 0 {
		return nil, fmt.Errorf("gpgsm wrote nothing: %s", printed)
	}
	return Mail(r, mail, cms)
}

func (g *gpgsmCook) signing(r Recipe) ([]string, error) {
	digest, err := one(r, "the digest", func(s Signer) string { return s.Digest })
	if err != nil {
		return nil, err
	}
	var args []string
	for _, s := range r.Signers {
		switch {
		case g.missing[s.Who] != nil:
			return nil, g.missing[s.Who]
		case s.PSS:
			return nil, fmt.Errorf("gpgsm %w ask for PSS: it has no option for it", ErrCannot)
		case s.KeyID, r.Bare:
			return nil, fmt.Errorf("gpgsm %w leave that out: it has no option for it", ErrCannot)
		}
		args = append(args, "--local-user", g.prints[s.Who])
	}
	if digest != "" {
		args = append(args, "--digest-algo", strings.ReplaceAll(digest, "SHA-", "SHA"))
	}
	if r.NoCertificates {
		args = append(args, "--include-certs", "0")
	}
	if r.Detached {
		return append(args, "--detach-sign"), nil
	}
	return append(args, "--sign"), nil
}

func (g *gpgsmCook) encrypting(r Recipe) ([]string, error) {
	cipher, _ := strings.CutSuffix(r.Cipher, "-CBC")
	args := []string{"--cipher-algo", strings.ReplaceAll(strings.ReplaceAll(cipher, "AES-128", "AES"), "AES-", "AES")}
	for _, to := range r.To {
		switch {
		case to.Password != "":
			return nil, fmt.Errorf("gpgsm %w encrypt for a password: it has no option for it", ErrCannot)
		case to.OAEP != "", to.KeyID, to.KDF != "", to.Cofactor:
			return nil, fmt.Errorf("gpgsm %w choose how a key is transported: it has no option for it", ErrCannot)
		}
		args = append(args, "--recipient", g.prints[to.Who])
	}
	return append(args, "--encrypt"), nil
}

func (g *gpgsmCook) Open(r Recipe, mail []byte, with Recipient) ([]byte, error) {
	s, err := split(mail)
	if err != nil {
		return nil, err
	}
	in, err := write(g.dir, "cms", s.cms)
	if err != nil {
		return nil, err
	}
	switch r.Type {
	case Signed:
		return g.verify(r, s, in)
	case Encrypted:
		return g.decrypt(in, with)
	case CertsOnly:
		status, printed, err := g.run(nil, "--status-fd", "1", "--import", in)
		if want := fmt.Sprintf("[GNUPG:] IMPORT_RES %d ", len(r.Signers)); err == nil && !bytes.Contains(status, []byte(want)) {
			err = fmt.Errorf("gpgsm does not say %s: %s%s", want, status, printed)
		}
		return nil, err
	}
	return nil, fmt.Errorf("gpgsm %w read such an object: it has no option for it", ErrCannot)
}

func (g *gpgsmCook) verify(r Recipe, s signed, file string) ([]byte, error) {
	content := file + ".content"
	args := []string{"--status-fd", "1", "--output", content, "--verify", file}
	if !s.opaque {
		if err := os.WriteFile(content, s.content, 0o600); err != nil {
			return nil, err
		}
		args = []string{"--status-fd", "1", "--verify", file, content}
	}
	status, printed, err := g.run(nil, args...)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, status)
	}
	for _, want := range []string{"GOODSIG", "VALIDSIG", "TRUST_FULLY"} {
		if n := bytes.Count(status, []byte("[GNUPG:] "+want)); n != len(r.Signers) {
			return nil, fmt.Errorf("gpgsm says %s %d times: %s%s", want, n, status, printed)
		}
	}
	return os.ReadFile(content)
}

// alone takes all other keys away until what it returns is called: gpgsm
// chooses by itself which key it decrypts with.
func (g *gpgsmCook) alone(who string) (back func()) {
	for name, file := range g.keys {
		if name != who {
			os.Rename(file, file+".away") // if it fails, decryption has the wrong key, and nothing else is wrong
		}
	}
	return func() {
		for _, file := range g.keys {
			os.Rename(file+".away", file)
		}
	}
}

func (g *gpgsmCook) decrypt(file string, with Recipient) ([]byte, error) {
	defer g.alone(with.Who)()
	out, printed, err := g.run([]byte(with.Password+"\n"), "--pinentry-mode", "loopback", "--passphrase-fd", "0",
		"--status-fd", "2", "--output", "-", "--decrypt", file)
	if strings.Contains(printed, "[GNUPG:] DECRYPTION_OKAY") && len(out) > 0 {
		return out, nil // the exit code also tells of recipients that others are
	}
	if err == nil {
		err = fmt.Errorf("gpgsm decrypts to nothing: %s", printed)
	}
	return nil, err
}
