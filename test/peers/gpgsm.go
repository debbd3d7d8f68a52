package peers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// gpgsm is GnuPG's S/MIME program with a home of its own.
type gpgsm struct {
	tool
	dir    string
	signer string // the certificate's fingerprint; "" for none
}

// GPGSM returns gpgsm. Its agent ends with the test.
func GPGSM(t testing.TB, c Config) Peer {
	t.Helper()
	need(t, "gpgsm", "gpg-agent", "gpgconf")
	// The agent's socket is in its home, and its name must be short.
	home, err := os.MkdirTemp("/tmp", "ms-gpg-")
	if err != nil {
		t.Fatal(err)
	}
	g := &gpgsm{tool: tool{name: "gpgsm", env: []string{"GNUPGHOME=" + home}}, dir: t.TempDir()}
	t.Cleanup(func() {
		tool{name: "gpgconf", env: g.env}.run(nil, "--kill", "all")
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	var trusted strings.Builder
	for _, anchor := range certificates(t, c.Anchors) {
		fmt.Fprintf(&trusted, "%s S relax\n", fingerprint(anchor))
	}
	files := map[string]string{
		"trustlist.txt":  trusted.String(),
		"gpgsm.conf":     "disable-crl-checks\ndisable-dirmngr\nno-greeting\nbatch\n",
		"gpg-agent.conf": "allow-loopback-pinentry\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g.must(t, nil, "--import", c.Anchors)
	if id := c.Identity; id != nil {
		if id.Chain != "" {
			g.must(t, nil, "--import", id.Chain)
		}
		signer := certificates(t, id.Certificate)[0]
		// gpgsm 2.2 reads no other keys from PKCS #12, and crashes over some.
		if signer.PublicKeyAlgorithm == x509.RSA {
			g.importKey(t, id)
			g.signer = fingerprint(signer)
		}
	}
	return g
}

// importKey brings in the identity's key. gpgsm 2.2 derives a wrong key from
// about one PKCS #12 salt in a hundred and then says that the passphrase is
// wrong, so it is offered another file, with another salt.
func (g *gpgsm) importKey(t testing.TB, id *Identity) {
	t.Helper()
	var printed string
	var err error
	for range 5 {
		_, printed, err = g.run([]byte(passphrase+"\n"), "--pinentry-mode", "loopback", "--passphrase-fd", "0", "--import", bundle(t, g.dir, id))
		if err == nil {
			return
		}
	}
	t.Fatalf("gpgsm reads none of five PKCS #12 files: %v\n%s", err, printed)
}

func fingerprint(c *x509.Certificate) string { return fmt.Sprintf("%X", sha1.Sum(c.Raw)) }

func (g *gpgsm) Name() string { return "gpgsm" }

// Reads answers for version 2.2: P-521 ends in an internal error, and with
// P-384 it wants SHA-384.
func (g *gpgsm) Reads(c *x509.Certificate) error {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return nil
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() {
			return nil
		}
		return fmt.Errorf("gpgsm %w verify ECDSA with %s", ErrCannot, k.Curve.Params().Name)
	}
	return fmt.Errorf("gpgsm %w verify %v", ErrCannot, c.PublicKeyAlgorithm)
}

func (g *gpgsm) Verify(mail []byte) (Result, error) {
	s, err := split(mail)
	if err != nil {
		return Result{}, err
	}
	sig, err := write(g.dir, "cms", s.cms)
	if err != nil {
		return Result{}, err
	}
	content := sig + ".content"
	args := []string{"--status-fd", "1", "--verify", sig}
	if s.opaque {
		args = []string{"--status-fd", "1", "--output", content, "--verify", sig}
	} else {
		if err := os.WriteFile(content, s.content, 0o600); err != nil {
			return Result{}, err
		}
		args = append(args, content)
	}
	status, printed, err := g.run(nil, args...)
	if err != nil {
		return Result{}, err
	}
	for _, want := range []string{"GOODSIG", "VALIDSIG", "TRUST_FULLY"} {
		if !strings.Contains(string(status), "[GNUPG:] "+want) {
			return Result{}, fmt.Errorf("gpgsm does not say %s: %s%s", want, status, printed)
		}
	}
	b, err := os.ReadFile(content)
	return Result{Content: b, Output: string(status) + printed}, err
}

func (g *gpgsm) Sign(mail []byte, f Format) ([]byte, error) {
	if g.signer == "" {
		return nil, fmt.Errorf("gpgsm without an RSA identity %w sign", ErrCannot)
	}
	outer, inner, err := unwrap(mail)
	if err != nil {
		return nil, err
	}
	args := []string{"--pinentry-mode", "loopback", "--passphrase-fd", "0", "--local-user", g.signer}
	switch f {
	case Detached:
		args = append(args, "--detach-sign")
	case Opaque:
		args = append(args, "--sign")
	default:
		return nil, fmt.Errorf("gpgsm %w sign %v", ErrCannot, f)
	}
	file, err := write(g.dir, "content", inner)
	if err != nil {
		return nil, err
	}
	cms, _, err := g.run([]byte(passphrase+"\n"), append(args, file)...)
	if err != nil {
		return nil, err
	}
	return wrap(outer, inner, cms, f), nil
}
