package keystore

import (
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"mailseal/internal/mailaddr"
	"mailseal/internal/pki"
)

func TestFor(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	id := func(name string, from, to int, addresses ...string) pki.Identity {
		c := &x509.Certificate{NotBefore: day(from), NotAfter: day(to), EmailAddresses: addresses}
		return pki.Identity{Name: name, Certificate: c, Key: ed25519.PrivateKey{}}
	}
	only := func(id pki.Identity, usage x509.KeyUsage, purpose ...x509.ExtKeyUsage) pki.Identity {
		id.Certificate.KeyUsage, id.Certificate.ExtKeyUsage = usage, purpose
		return id
	}
	s := NewIdentities([]pki.Identity{
		only(id("dave-encrypts", 5, 20, "dave@example.jp"), x509.KeyUsageKeyEncipherment, x509.ExtKeyUsageEmailProtection),
		only(id("dave-signs", 1, 20, "dave@example.jp"), x509.KeyUsageDigitalSignature, x509.ExtKeyUsageEmailProtection),
		only(id("server", 1, 20, "erin@example.jp"), x509.KeyUsageDigitalSignature, x509.ExtKeyUsageServerAuth),
		id("alice-old", 1, 10, "alice@example.jp"),
		id("alice-new", 5, 20, "Alice@example.jp", "sales@example.jp"),
		id("broken", 1, 20, " alice@example.jp", "bob@example.jp "),
		id("nobody", 1, 20),
		{Name: "alice-decrypts", Certificate: id("", 6, 20, "alice@example.jp").Certificate},
	})
	for _, tt := range []struct {
		address string
		day     int
		want    string
	}{
		{"alice@example.jp", 2, "alice-old"},
		{"alice@example.jp", 7, "alice-new"},
		{"ALICE@example.jp", 15, "alice-new"},
		{"sales@example.jp", 7, "alice-new"},
		{"sales@example.jp", 2, ""},
		{"alice@example.jp", 25, ""},
		{"bob@example.jp", 7, ""},
		{"dave@example.jp", 7, "dave-signs"},
		{"erin@example.jp", 7, ""},
		{"carol@example.jp", 7, ""},
	} {
		a, err := mailaddr.Parse(tt.address)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.For(a, day(tt.day))
		if got.Name != tt.want || (tt.want == "") != errors.Is(err, ErrNoIdentity) {
			t.Errorf("For(%s) on day %d = %q, %v; want %q", tt.address, tt.day, got.Name, err, tt.want)
		}
	}
	if _, err := s.For(mailaddr.Address{Local: "bob", Domain: "example.jp"}, day(7)); errors.Is(err, ErrUnfit) {
		t.Errorf("%v is ErrUnfit though there is none", err)
	}
	_, err := s.For(mailaddr.Address{Local: "erin", Domain: "example.jp"}, day(7))
	if !errors.Is(err, ErrUnfit) {
		t.Errorf("%v is not ErrUnfit", err)
	}
	if want := "no identity fit to sign for erin@example.jp: server: certificate is not for e-mail"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
