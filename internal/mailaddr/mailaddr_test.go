package mailaddr

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"alice@example.jp", "alice@example.jp"},
		{"Alice@EXAMPLE.jp", "Alice@example.jp"},
		{"alice@日本語.jp", "alice@xn--wgv71a119e.jp"},
		{"用户@example.jp", "用户@example.jp"},
		{`"a b"@example.jp`, `"a b"@example.jp`},
		{`"alice"@example.jp`, "alice@example.jp"},
		{"alice@[192.0.2.1]", "alice@[192.0.2.1]"},

		{"", ""},
		{"alice", ""},
		{"alice@", ""},
		{"alice@xn--.jp", ""}, // of which package idna makes ".jp"
		{"alice@example.xn--.jp", ""},
		{"@example.jp", ""},
		{" alice@example.jp", ""},
		{"alice@example.jp ", ""},
		{"alice @example.jp", ""},
		{"alice@example.jp\x00", ""},
		{"alice@example.jp\n", ""},
		{"<alice@example.jp>", ""},
		{"Alice <alice@example.jp>", ""},
		{"alice(x)@example.jp", ""},
		{"alice@example.jp,bob@example.jp", ""},
		{"alice@exam ple.jp", ""},
		{"alice..b@example.jp", ""},
		{`"alice"@ example.jp`, ""},
		{"\"alice\"@\texample.jp", ""},
		{`"alice"@example.jp (x)`, ""},
		{`"alice" <mallory@evil.example>`, ""},
		{`"a" "b"@example.jp`, ""},
		{`""@example.jp`, ""},
		{"=?utf-8?q?bob=40partner.example?=@evil.example", ""},
		{"al\u202eice@example.jp", ""},
		{"al\u0085ice@example.jp", ""},
		{"alice@[::1]", "alice@[::1]"},
	} {
		a, err := Parse(tt.in)
		if got := a.String(); got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("Parse(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestParseList(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{" Alice <alice@example.jp>", "alice@example.jp"},
		{"alice@example.jp, Bob <bob@example.jp>", "alice@example.jp bob@example.jp"},
		{`"bob@partner.example" <mallory@evil.example>`, "mallory@evil.example"},
		{"=?utf-8?q?bob=40partner.example?= <mallory@evil.example>", "mallory@evil.example"},
		{"alice@example.jp (Bob: bob@partner.example)", "alice@example.jp"},
		{`"a:b" <alice@example.jp>`, "alice@example.jp"},
		{"=?ISO-2022-JP?B?GyRCOzNFRBsoQg==?= <alice@example.jp>", "alice@example.jp"},
		{"=?windows-1252?Q?Andr=E9?= Smith <alice@example.jp>", "alice@example.jp"},
		{"=?no-such-set?B?IQ==?= <alice@example.jp>", "alice@example.jp"},
		{"alice@example.jp (=?ISO-2022-JP?B?GyRCOzNFRBsoQg==?=)", "alice@example.jp"},

		{"info@example.jp <info@example.jp>", "info@example.jp"},
		{" info@example.jp\t<info@example.jp> ", "info@example.jp"},
		{"info@example.jp<info@example.jp>", "info@example.jp"},
		{"株式会社 info@example.jp <info@example.jp>", "info@example.jp"},
		{"info@日本語.jp <info@日本語.jp>", "info@xn--wgv71a119e.jp"},
		{"Info@example.jp <info@example.jp>", ""}, // some reader's domain or user may be another
		{"info@EXAMPLE.jp <info@example.jp>", ""},
		{"bob@partner.example <mallory@evil.example>", ""},
		{"mallory@evil.example bob@partner.example <mallory@evil.example>", ""},
		{"info@example.jp. <info@example.jp>", ""},
		{"@ <info@example.jp>", ""},
		{"info@example.jp <info@example.jp", ""},
		{"info@example.jp <info@example.jp> x", ""},
		{"info@example.jp <info@example.jp> <info@example.jp>", ""},
		{"info@example.jp <<info@example.jp>>", ""},
		{"info@example.jp < info@example.jp>", ""},
		{"info@example.jp <info@example.jp>, bob@example.jp", ""},
		{"info@example.jp, <info@example.jp>", "info@example.jp info@example.jp"},
		{"info@example.jp; <info@example.jp>", ""},
		{"(bob@partner.example) info@example.jp <info@example.jp>", ""},
		{"\"bob\" info@example.jp <info@example.jp>", ""},
		{"=?utf-8?q?bob=40partner.example=2C?= info@example.jp <info@example.jp>", ""},
		{"info@example.jp\u200b info@example.jp <info@example.jp>", ""},
		{"info@example.jp\u00a0 <info@example.jp>", ""},
		{"x\x00 info@example.jp <info@example.jp>", ""},
		{"info@example.jp <\"info\"@example.jp>", ""},
		{"info@[192.0.2.1] <info@[192.0.2.1]>", ""},

		{"team: alice@example.jp;", ""},
		{"undisclosed-recipients:;", ""},
		{"<alice@example.jp", ""},
		{"=?utf-8?b?Ym9iQHBhcnRuZXIuZXhhbXBsZQA=?=@evil.example", ""},
		{"\x1b$B;3ED\x1b(B <alice@example.jp>", ""},
		{"\x8eR\x93c <alice@example.jp>", ""},
		{"alice@example.jp bob@example.jp", ""},
		{"", ""},
		{strings.Repeat("a", maxField+1), ""},
		{"a@b.example" + strings.Repeat(",a@b.example", maxAddresses), ""},
	} {
		as, err := ParseList(tt.in)
		var words []string
		for _, a := range as {
			words = append(words, a.String())
		}
		if got := strings.Join(words, " "); got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("ParseList(%.60q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestIn(t *testing.T) {
	names := []string{"example.jp", ".corp.example"}
	for domain, want := range map[string]bool{
		"example.jp": true, "mail.example.jp": false, "a.corp.example": true, "a.b.corp.example": true,
		"corp.example": false, "evilcorp.example": false, "": false,
	} {
		if got := In(domain, names); got != want {
			t.Errorf("In(%q) = %v", domain, got)
		}
	}
}

func TestParseIA5(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"alice@example.jp", "alice@example.jp"},
		{"alice@xn--wgv71a119e.jp", "alice@xn--wgv71a119e.jp"},
		{"alice@\uff45xample.jp", ""}, // full-width e, which IDNA maps to e
		{"alice@example\u3002jp", ""},
		{"\u7528\u6237@example.jp", ""},
	} {
		if a, err := ParseIA5(tt.in); a.String() != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("ParseIA5(%q) = %v, %v; want %q", tt.in, a, err, tt.want)
		}
	}
}

func TestParseUTF8Mailbox(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"\u7528\u6237@example.jp", "\u7528\u6237@example.jp"},
		{"\u7528\u6237@EXAMPLE.jp", "\u7528\u6237@example.jp"},
		{"\u7528\u6237@xn--wgv71a119e.jp", "\u7528\u6237@xn--wgv71a119e.jp"},
		{"\u7528\u6237@\u65e5\u672c\u8a9e.jp", "\u7528\u6237@xn--wgv71a119e.jp"}, // RFC 8398
		{"alice@example.jp", ""},                 // belongs into an rfc822Name
		{"alice@\u65e5\u672c\u8a9e.jp", ""},      // too
		{"\u7528\u6237@\uff45xample.jp", ""},     // full-width e, which IDNA maps to e
		{"\u7528\u6237@example\u3002jp", ""},     // ideographic full stop
		{"\u7528\u6237@B\u00dcCHER.example", ""}, // no U-label
		{" \u7528\u6237@example.jp", ""},
		{"\u7528\u6237@example.jp ", ""},
		{"\u7528\u6237 <\u7528\u6237@example.jp>", ""},
		{"\u7528\u6237", ""},
	} {
		if a, err := ParseUTF8Mailbox(tt.in); a.String() != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("ParseUTF8Mailbox(%q) = %v, %v; want %q", tt.in, a, err, tt.want)
		}
	}
}

func TestSame(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"alice@example.jp", "Alice@EXAMPLE.jp", true},
		{`"alice"@example.jp`, "alice@example.jp", true},
		{"alice@example.jp", "alice@example.com", false},
		{`"alice "@example.jp`, "alice@example.jp", false},
		{"boss@example.jp", "bo\u017fs@example.jp", false}, // long s
		{"karl@example.jp", "\u212aarl@example.jp", false}, // Kelvin sign
		{"\u00e9@example.jp", "e\u0301@example.jp", false},
	} {
		a, errA := Parse(tt.a)
		b, errB := Parse(tt.b)
		if errA != nil || errB != nil || a.Same(b) != tt.want || b.Same(a) != tt.want {
			t.Errorf("%q and %q: same %v, %v, %v", tt.a, tt.b, a.Same(b), errA, errB)
		}
	}
}

// What Parse accepts, it accepts again in its own writing, and means the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"alice@example.jp", `"a\"b"@x.example`, "用户@日本語.jp", "a@[::1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := Parse(s)
		if err != nil {
			return
		}
		b, err := Parse(a.String())
		if err != nil || a != b {
			t.Errorf("%q reads as %+v, its text %q as %+v, %v", s, a, a.String(), b, err)
		}
	})
}

// Whatever stands before the brackets, a name that is not quoted brings no other
// address.
func FuzzName(f *testing.F) {
	for _, s := range []string{"Alice", "alice@example.jp", "x alice@example.jp", "bob@partner.example", "a@b alice@example.jp", "\u00a0@", "(bob@partner.example)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		const spec = "alice@example.jp"
		as, err := ParseList(name + " <" + spec + ">")
		if err != nil || strings.ContainsAny(name, "\"(,") {
			return
		}
		if len(as) != 1 || as[0].String() != spec {
			t.Errorf("%q: %v", name, as)
		}
		for _, w := range strings.Fields(name) {
			if strings.Contains(w, "@") && w != spec {
				t.Errorf("%q may be taken for mail by %s", name, w)
			}
		}
	})
}
