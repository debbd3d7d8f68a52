package verdict

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"mailseal/internal/byturns"
	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/internal/spool"
	"mailseal/internal/trust"
	"mailseal/internal/trust/revocation"
	"mailseal/smime"
)

// A link is a certificate with its key.
type link struct {
	*x509.Certificate
	key crypto.Signer
}

func (by *link) issue(t testing.TB, key crypto.Signer, serial int64, name string) *link {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if strings.Contains(name, "@") {
		c.Subject.Organization = []string{strings.Repeat("longer, and so the last of a SET ", 10)}
		c.IsCA, c.KeyUsage, c.EmailAddresses = false, x509.KeyUsageDigitalSignature, []string{name}
	}
	parent := &link{c, key}
	if by != nil {
		parent = by
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent.Certificate, key.Public(), parent.key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &link{c, key}
}

func elliptical(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// letter is a mail of 10 KB by the leaf, with other certificates.
func letter(t testing.TB, leaf *link, others []*x509.Certificate) []byte {
	t.Helper()
	text := "From: alice@example.jp\r\nTo: bob@partner.example\r\nSubject: report\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: text/plain\r\n\r\n" + strings.Repeat("a line of sixty-four characters, of which a mail has very many\r\n", 160)
	store, err := spool.New(spool.Config{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := message.Read(strings.NewReader(text), store, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Body.Close()
	edits, err := smime.Sign(m, smime.SignOptions{Identity: pki.Identity{Certificate: leaf.Certificate, Key: leaf.key, Chain: others}, Spool: store})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	signed, err := m.Apply(edits)
	if err != nil {
		t.Fatal(err)
	}
	defer signed.Body.Close()
	if _, err := signed.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// judged is the verdict on a mail.
func judged(t testing.TB, mail []byte, a *trust.Anchors, p *pki.Parser) Result {
	t.Helper()
	store, err := spool.New(spool.Config{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := message.Read(bytes.NewReader(mail), store, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Body.Close()
	_, r, err := Of(m, smime.VerifyOptions{Spool: store, ParseCertificate: p.Parse}, Question{Anchors: a, At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// crowd are a root, and a leaf that comes in the midst of a thousand certificates:
// of strangers, or of impostors who have the name of the leaf's issuer.
func crowd(t testing.TB, n int, name func(int) string, issuer bool) (root, leaf *link, others []*x509.Certificate) {
	root = (*link)(nil).issue(t, elliptical(t), 1, "Root")
	sub := root.issue(t, elliptical(t), 2, "Sub")
	leaf = sub.issue(t, elliptical(t), 3, "alice@example.jp")
	stranger := elliptical(t)
	for i := range n - 2 {
		others = append(others, root.issue(t, stranger, int64(i+10), name(i)).Certificate)
	}
	if issuer {
		others = append(others, sub.Certificate)
	}
	return root, leaf, others
}

var crowds = []struct {
	name   string
	ca     func(int) string
	issuer bool
	want   Status
}{
	{"strangers", func(i int) string { return fmt.Sprint("CA ", i) }, true, Pass},
	{"impostors", func(int) string { return "Sub" }, true, Pass},
	{"impostors alone", func(int) string { return "Sub" }, false, Fail},
}

// A thousand certificates hide no signer, and more than that are too many.
func TestThousandCertificates(t *testing.T) {
	for _, tt := range crowds {
		root, leaf, others := crowd(t, 1000, tt.ca, tt.issuer)
		a := trust.New(trust.Sources{Mail: []*x509.Certificate{root.Certificate}}, trust.Options{Revocation: revocation.Off})
		start := time.Now()
		r := judged(t, letter(t, leaf, others), a, pki.NewParser())
		if r.Status != tt.want {
			t.Errorf("%s: %+v", tt.name, r)
		}
		t.Logf("%s: %v with signing", tt.name, time.Since(start))
	}
	root, leaf, others := crowd(t, 1010, crowds[0].ca, true)
	a := trust.New(trust.Sources{Mail: []*x509.Certificate{root.Certificate}}, trust.Options{Revocation: revocation.Off})
	if r := judged(t, letter(t, leaf, others), a, pki.NewParser()); r.Status != Neutral {
		t.Errorf("a few more: %+v", r)
	}
}

func BenchmarkThousandCertificates(b *testing.B) {
	for _, tt := range crowds {
		root, leaf, others := crowd(b, 1000, tt.ca, tt.issuer)
		mail := letter(b, leaf, others)
		for _, mode := range []revocation.Mode{revocation.Off, revocation.Soft} {
			b.Run(tt.name+"/"+mode.String(), func(b *testing.B) {
				for b.Loop() { // as if nobody had ever seen any of them
					a := trust.New(trust.Sources{Mail: []*x509.Certificate{root.Certificate}}, trust.Options{Revocation: mode})
					if r := judged(b, mail, a, pki.NewParser()); r.Status != tt.want {
						b.Fatal(r)
					}
				}
			})
		}
	}
}

// BenchmarkRatio is the verdict on a mail of 10 KB with a chain of three RSA
// certificates, as most have: the first from somebody, and all others; and one that
// brings a thousand. The floor is its hash and the RSA operations.
func BenchmarkRatio(b *testing.B) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	root := (*link)(nil).issue(b, key, 1, "Root")
	sub := root.issue(b, key, 2, "Sub")
	leaf := sub.issue(b, key, 3, "alice@example.jp")
	chain := []*x509.Certificate{sub.Certificate}
	mail := letter(b, leaf, chain)
	for i := range 998 {
		chain = append(chain, root.issue(b, key, int64(i+10), fmt.Sprint("CA ", i)).Certificate)
	}
	crowded := letter(b, leaf, chain)
	a, p := believers(root), pki.NewParser()
	floor := func(signatures int) func() {
		digest := sha256.Sum256(mail)
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
		if err != nil {
			b.Fatal(err)
		}
		return func() {
			sum := sha256.Sum256(mail)
			for range signatures {
				if rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], signature) != nil {
					b.Fatal("bad signature")
				}
			}
		}
	}
	for _, tt := range []struct {
		name       string
		signatures int
		mail       []byte
		seen       bool
	}{
		{"verdict, seen before", 1, mail, true},
		{"verdict, never seen", 3, mail, false},
		{"verdict, 1000 certificates, never seen", 3, crowded, false},
	} {
		b.Run("10KB/"+tt.name, func(b *testing.B) {
			byturns.Compare(b, floor(tt.signatures), func() {
				anchors, parser := a, p
				if !tt.seen {
					anchors, parser = believers(root), pki.NewParser()
				}
				if r := judged(b, tt.mail, anchors, parser); r.Status != Pass {
					b.Fatal(r)
				}
			})
		})
	}
}

func believers(root *link) *trust.Anchors {
	return trust.New(trust.Sources{Mail: []*x509.Certificate{root.Certificate}}, trust.Options{})
}
