package path

import (
	"crypto/x509"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/testpki/forge"
	"mailseal/internal/x509key"
)

// Certificates in a row: the first is trusted, the last is the leaf, and the others
// came along. Nothing panics, the work is bounded, and what is said to be good is a
// chain of signatures up to who is trusted.
func FuzzPath(f *testing.F) {
	for _, s := range []steps{
		{ca("Root"), user()},
		{ca("Root"), ca("A", p(1, 0), maps(1, 2), demand(0), nomap(1)), user(p(2))},
		{ca("Root"), ca("A", permit(dir("OU=in"), forge.Mail("b.example"), forge.IP(192, 0, 2, 0, 255, 255, 255, 0))),
			who(forge.Name("OU=in", "Alice"), forge.Mail("a@b.example"), forge.URI("https://b.example/"), forge.UTF8Mail("ä@b.example"), forge.DNS("*.b.example"))},
		{limited("Root", 1), again(limited("A", 0)), again(limited("A", 0)), user(forge.InhibitAny(0))},
	} {
		var row []byte
		issued := sign(s)
		for i := range issued {
			row = append(row, issued[len(issued)-1-i].DER...)
		}
		f.Add(row, true)
		f.Add(row, false)
	}
	f.Fuzz(func(t *testing.T, row []byte, explicit bool) {
		var certs []*x5280.Certificate
		for s := cryptobyte.String(row); !s.Empty() && len(certs) < 50; {
			var one cryptobyte.String
			if !s.ReadASN1Element(&one, asn1.SEQUENCE) {
				break
			}
			if c, err := x5280.Parse(one); err == nil {
				certs = append(certs, c)
			}
		}
		if len(certs) == 0 {
			return
		}
		o := Options{At: at, Explicit: explicit, Acceptable: []x5280.OID{id(1)}}
		Validate(certs, o) // upside down
		search := NewStore(certs[:1]).Among(certs[1:], o)
		r := search.Path(certs[len(certs)-1])
		if search.work < 0 {
			t.Error("over the bound")
		}
		if r.Good() == (r.Err() != nil) || len(r.Path) == 0 {
			t.Fatalf("%v with %v", r.Err(), r)
		}
		if !r.Good() {
			return
		}
		if again := Validate(r.Path, o); !again.Good() {
			t.Errorf("found, and not valid: %s", again.Text())
		}
		if !r.Path[len(r.Path)-1].Equal(certs[0]) {
			t.Error("it ends elsewhere")
		}
		for _, l := range r.Links {
			if l.Certificate.X509.SignatureAlgorithm == x509.UnknownSignatureAlgorithm {
				continue // ML-DSA
			}
			if err := x509key.CheckSignature(l.Issuer.X509, l.Certificate.X509); err != nil {
				t.Error(err)
			}
		}
	})
}
