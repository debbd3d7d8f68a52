package keystore

import (
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
		return pki.Identity{Name: name, Certificate: &x509.Certificate{NotBefore: day(from), NotAfter: day(to), EmailAddresses: addresses}}
	}
	s := NewIdentities([]pki.Identity{
		id("alice-old", 1, 10, "alice@example.jp"),
		id("alice-new", 5, 20, "Alice@example.jp", "sales@example.jp"),
		id("broken", 1, 20, " alice@example.jp", "bob@example.jp "),
		id("nobody", 1, 20),
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
	if len(s.All()) != 4 {
		t.Errorf("%d identities", len(s.All()))
	}
}
