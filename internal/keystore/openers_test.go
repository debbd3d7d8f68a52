package keystore

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/mailaddr"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/smime/cms/recipient"
)

func mailboxes(t *testing.T, texts ...string) (as []mailaddr.Address) {
	t.Helper()
	for _, s := range texts {
		a, err := mailaddr.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		as = append(as, a)
	}
	return as
}

func TestServes(t *testing.T) {
	mail := []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
	for _, tt := range []struct {
		name    string
		c       x509.Certificate
		yes, no string
	}{
		{"addresses", x509.Certificate{EmailAddresses: []string{"alice@example.jp", "Sales@Example.jp"}},
			"alice@example.jp ALICE@example.jp sales@example.jp", "bob@example.jp alice@sub.example.jp alice+x@example.jp"},
		{"domain", x509.Certificate{DNSNames: []string{"example.jp"}}, "anybody@example.jp", "anybody@sub.example.jp x@notexample.jp"},
		{"domains below", x509.Certificate{DNSNames: []string{"*.example.jp"}, ExtKeyUsage: mail},
			"x@sub.example.jp x@a.b.example.jp", "x@example.jp x@notexample.jp"},
		{"web server", x509.Certificate{DNSNames: []string{"example.jp"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, "", "x@example.jp"},
		{"RFC 3183, who decrypts", x509.Certificate{EmailAddresses: []string{"domain-confidentiality-authority@example.jp"}},
			"anybody@example.jp anybody@sub.example.jp", "x@notexample.jp x@jp"},
		{"RFC 3183, who signs", x509.Certificate{EmailAddresses: []string{"Domain-Signing-Authority@example.jp"}}, "x@example.jp", "x@example.com"},
		{"nobody's", x509.Certificate{EmailAddresses: []string{" alice@example.jp", "alice@example.jp "}, DNSNames: []string{"*", "[192.0.2.1]", "", "x.*.jp"}},
			"", "alice@example.jp x@example.jp x@[192.0.2.1] x@x.a.jp"},
	} {
		s := Serves(&tt.c)
		for _, a := range mailboxes(t, strings.Fields(tt.yes)...) {
			if !s.Serves(a) {
				t.Errorf("%s: not %s", tt.name, a)
			}
		}
		for _, a := range mailboxes(t, strings.Fields(tt.no)...) {
			if s.Serves(a) {
				t.Errorf("%s: %s too", tt.name, a)
			}
		}
	}
}

// Only keys that serve a recipient are found, and only those are enough that
// serve them all.
func TestOpeners(t *testing.T) {
	p := testpki.New(t)
	alice, bob, gate := p.Expired("alice@example.jp", ca.RSA2048), p.User("bob@example.jp", ca.P256), p.Gateway("example.jp", ca.P256)
	all := map[string]pki.Identity{"alice": alice, "bob": bob, "gate": gate}
	var ids []pki.Identity
	infos := map[string]*recipient.Info{}
	for name, id := range all {
		id.Name = name
		ids = append(ids, id)
		raw, err := recipient.To{Certificate: id.Certificate}.Wrap(rand.Reader, make([]byte, 32))
		if err != nil {
			t.Fatal(err)
		}
		if infos[name], err = recipient.Parse(raw); err != nil {
			t.Fatal(err)
		}
	}
	openers := NewOpeners(ids)
	for _, tt := range []struct{ to, named, found, enough string }{
		{"alice@example.jp", "alice", "alice", "yes"},
		{"alice@example.jp", "bob", "", "no"},
		{"alice@example.jp bob@example.jp", "alice", "alice", "no"},
		{"alice@example.jp bob@example.jp", "alice bob", "alice bob", "yes"},
		{"alice@example.jp bob@example.jp", "gate", "gate", "yes"},
		{"carol@example.jp", "alice bob gate", "gate", "yes"},
		{"carol@sub.example.jp", "gate", "gate", "yes"},
		{"alice@example.jp carol@far.example", "alice gate", "alice gate", "no"},
		{"carol@far.example", "alice bob gate", "", "no"},
		{"", "alice bob gate", "", "no"},
	} {
		m := openers.Mail(mailboxes(t, strings.Fields(tt.to)...))
		var keys []recipient.Key
		var found []string
		for _, n := range strings.Fields(tt.named) {
			for _, k := range m.For(infos[n]) {
				keys, found = append(keys, k), append(found, k.Name)
			}
		}
		if got := strings.Join(found, " "); got != tt.found || m.Enough(keys) != (tt.enough == "yes") || m.Some() != (tt.found != "") {
			t.Errorf("to %s, for %s: found %q, enough %v, some %v", tt.to, tt.named, got, m.Enough(keys), m.Some())
		}
	}
}

// A key that is one of thousands is found like the only one.
func TestManyOpeners(t *testing.T) {
	p := testpki.New(t)
	bob := p.User("bob@example.jp", ca.P256)
	ids := []pki.Identity{bob}
	for i := range 5000 {
		c := *bob.Certificate
		c.SubjectKeyId = fmt.Appendf(nil, "key %d", i)
		ids = append(ids, pki.Identity{Certificate: &c, Pairs: []pki.Pair{{Certificate: &c, Key: bob.Key}}})
	}
	slices.Reverse(ids)
	openers := NewOpeners(ids)
	raw, err := recipient.To{Certificate: bob.Certificate, ByKeyID: true}.Wrap(rand.Reader, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	info, err := recipient.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	looks := testing.AllocsPerRun(10, func() {
		if n := len(openers.Mail(mailboxes(t, "bob@example.jp")).For(info)); n != 1 {
			t.Errorf("found %d", n)
		}
	})
	if looks > 100 {
		t.Errorf("%v allocations to find one key", looks)
	}
}
