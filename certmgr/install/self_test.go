package install

import (
	"crypto"
	"crypto/x509"
	"math/big"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
)

// selfBench is a target of which there is no CA.
func selfBench(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	b.target.Issuer, b.target.Authority, b.target.CRL = BySelf, nil, nil
	b.from = SelfSigned{Key: ca.P256, Now: func() time.Time { return b.now }}
	return b
}

// A certificate that is signed by itself is made, judged and renewed as others; it
// is the CA too, and those of others that stand there stay.
func TestSelfSigned(t *testing.T) {
	b := selfBench(t)
	b.right()
	first := b.firstIn("host.cert")
	b.wantIn("cacert.pem", first)
	other := b.pki.Root()
	b.write("cacert.pem", append(b.read("cacert.pem"), ca.EncodeCertificates(other)...), 0o644)
	b.right()
	b.wantIn("cacert.pem", first, other)
	if p, _ := b.plan(); !p.Due.Equal(Due(first)) {
		t.Errorf("due at %v; want %v", p.Due, Due(first))
	}
	b.now = Due(first)
	b.right()
	second := b.firstIn("host.cert")
	if second.Equal(first) {
		t.Error("not renewed")
	}
	b.wantIn("cacert.pem", second, other)
	for _, tt := range []struct {
		what string
		do   func()
		want Fault
	}{
		{"a CA's", func() { b.host(b.pki.Issue(ca.Request{Profile: ca.Host, Hosts: hosts, Key: ca.P256})) }, Issuer},
		{"the CA deleted", func() { b.do(os.Remove(b.path("cacert.pem"))) }, Missing},
		{"another's as the CA", func() { b.write("cacert.pem", ca.EncodeCertificates(other), 0o644) }, NotCA},
		{"key deleted", func() { b.do(os.Remove(b.path("host.key"))) }, Missing},
	} {
		tt.do()
		if p, _ := b.plan(); len(p.Findings) == 0 || p.Findings[0].Fault != tt.want {
			t.Errorf("%s: %v", tt.what, p.Findings)
		}
		b.right()
	}
}

// OpenSSL and GnuTLS take it for what it is, as a peer that was given it.
func TestSelfSignedForOthers(t *testing.T) {
	b := selfBench(t)
	b.now = time.Now().Add(-time.Minute)
	b.right()
	leaf := b.firstIn("host.cert")
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: hosts[1], KeyUsages: []x509.ExtKeyUsage{use}}); err != nil {
			t.Error(err)
		}
	}
	key, err := pki.ParseKey(b.read("host.key"), nil)
	b.do(err)
	for host, may := range map[string]bool{hosts[1]: true, "other.example.jp": false} {
		child, err := testpki.Certificate(&x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host},
			NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, ExtKeyUsage: leaf.ExtKeyUsage}, leaf, leaf.PublicKey, key.(crypto.Signer))
		b.do(err)
		if _, err := child.Verify(x509.VerifyOptions{Roots: roots}); (err == nil) != may {
			t.Errorf("signed for %s: %v", host, err)
		}
	}
	for _, words := range [][]string{
		{"openssl", "verify", "-no-CApath", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", hosts[0], "-CAfile", b.path("cacert.pem"), b.path("host.cert")},
		{"openssl", "verify", "-no-CAfile", "-purpose", "sslclient", "-CApath", b.dir, b.path("host.cert")},
		{"certtool", "--verify", "--verify-hostname", hosts[0], "--load-ca-certificate", b.path("cacert.pem"), "--infile", b.path("host.cert")},
	} {
		if _, err := exec.LookPath(words[0]); err != nil {
			t.Skip(words[0] + " is not installed")
		}
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", words, err, out)
		}
	}
}

// From the CA to itself and back: at no time does the folder hold a certificate
// whose CA is not there.
func TestChangeOfIssuer(t *testing.T) {
	b := selfBench(t)
	b.right()
	self := b.firstIn("host.cert")
	b.target.Issuer, b.target.Authority, b.from = ByCA, b.pki.CA().Chain(), testpki.Source{PKI: b.pki}
	b.right()
	b.wantIn("cacert.pem", b.pki.Root())
	b.target.Hosts = append(slices.Clone(hosts), "a.example.jp")
	b.do(b.right().RollBack())
	if b.firstIn("host.cert").Equal(self) {
		t.Error("rolled back too far")
	}
	b.target.Hosts, b.target.Issuer, b.target.Authority, b.from = hosts, BySelf, nil, SelfSigned{Key: ca.P256}
	before := b.right()
	b.wantIn("cacert.pem", b.firstIn("host.cert"))
	b.do(before.RollBack())
	b.wantIn("cacert.pem", b.pki.Root())
}

// A CA that nobody knows yet is no reason to write anything, and none to fall.
func TestNoAuthority(t *testing.T) {
	b := newBench(t)
	b.target.Authority, b.target.CRL = nil, nil
	p, s := b.plan()
	c, err := b.target.Obtain(t.Context(), p, s, gone{})
	if err == nil || len(c) != 1 || c[DH] == nil || !strings.Contains(strings.Join(p.Notes, "\n"), "no CA is known") {
		t.Errorf("%v; %d contents, notes %q", err, len(c), p.Notes)
	}
	b.do(os.Mkdir(b.dir, 0o755))
	b.host(b.pki.Issue(ca.Request{Profile: ca.Host, Hosts: hosts, Key: ca.P256}))
	p, _ = b.plan()
	if p.Issue || !strings.Contains(strings.Join(p.Notes, "\n"), "is not known: the CA is not") {
		t.Errorf("%v %q", p.Steps, p.Notes)
	}
	if _, err := (SelfSigned{}).CRL(t.Context()); err == nil {
		t.Error("a list of what nobody can revoke")
	}
	id, err := SelfSigned{Key: ca.P256}.Certificate(t.Context(), []string{strings.Repeat("a.", 40) + "example.jp", "192.0.2.1"})
	if err != nil || id.Certificate.Subject.CommonName != "" || len(id.Certificate.IPAddresses) != 1 {
		t.Errorf("%v %v", id.Certificate.Subject, err)
	}
}
