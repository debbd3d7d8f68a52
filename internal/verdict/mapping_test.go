package verdict

import (
	"strings"
	"testing"

	"mailseal/internal/testpki"
)

const someSum = "sha256:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

func TestParseMapping(t *testing.T) {
	m, err := LoadMapping(testpki.Write(t, "signers", []byte(`# who they are
sha256:00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F	alice@Partner.example

  serial:1A2B issuer:"CN=Old \"CA\"\\, East,O=Partner" orders@partner.example, @partner.example,@.b.example
serial:00:ff issuer:CN=Plain @x.example`)))
	if err != nil || len(m.holders) != 3 {
		t.Fatalf("%v, %v", m, err)
	}
	if h := m.holders[`serial:1a2b:CN=Old "CA"\, East,O=Partner`]; len(h.people) != 1 || len(h.domains) != 2 || h.domains[1] != ".b.example" {
		t.Errorf("%+v", m.holders)
	}
	if _, ok := m.holders["serial:ff:CN=Plain"]; !ok {
		t.Errorf("%+v", m.holders)
	}
}

func TestParseMappingErrors(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"alice@example.jp", `"alice@example.jp" names no certificate; want "sha256:`},
		{"sha256:00 alice@example.jp", "not a SHA-256 fingerprint; want 64"},
		{"sha256 alice@example.jp", "not a SHA-256 fingerprint"},
		{someSum, "no address"},
		{someSum + " alice", `"alice" is not an address`},
		{someSum + " <alice@example.jp>", "is not an address"},
		{someSum + " @", "is not a domain"},
		{someSum + " @a b@c.example\n" + someSum + " a@b.example", "twice"},
		{"serial:xyz issuer:CN=x a@b.example", "not a serial number"},
		{"serial:1 a@b.example", "without issuer"},
		{"serial:1 issuer: a@b.example", "empty issuer"},
		{`serial:1 issuer:"CN=x a@b.example`, "quote is not closed"},
		{`serial:1 issuer:"CN=x\" a@b.example`, "quote is not closed"},
		{strings.Repeat("x", 10000), "longer than"},
	} {
		_, err := ParseMapping("/etc/signers", []byte("# first\n"+tt.line))
		if err == nil || !strings.HasPrefix(err.Error(), "/etc/signers:2: ") && !strings.Contains(err.Error(), "/etc/signers:3: ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v", tt.line, err)
		}
	}
	if _, err := ParseMapping("f", []byte("x\ny\n")); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("not all that is wrong is told: %v", err)
	}
	if _, err := LoadMapping("/absent"); err == nil {
		t.Error("an absent file is read")
	}
}

func FuzzParseMapping(f *testing.F) {
	f.Add([]byte(someSum + ` a@b.example, @c.example`))
	f.Add([]byte(`serial:1A issuer:"CN=\"x\"" a@b.example`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ParseMapping("f", text)
		if (m == nil) != (err != nil) {
			t.Fatalf("%v, %v", m, err)
		}
		if err != nil {
			return
		}
		for k, h := range m.holders {
			if len(h.people)+len(h.domains) == 0 {
				t.Errorf("%q is nobody", k)
			}
			for _, d := range h.domains {
				if strings.Trim(d, ".") == "" {
					t.Errorf("%q holds %q", k, d)
				}
			}
		}
	})
}
