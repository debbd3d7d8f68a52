package verdict

import (
	"slices"
	"strings"
	"testing"

	"mailseal/internal/message"
)

func TestClaims(t *testing.T) {
	const id = "mx.example.jp"
	for _, tt := range []struct {
		value              string
		removed, keepOther bool // removed with others' kept
	}{
		{" mx.example.jp; smime=pass", true, true},
		{" MX.Example.JP; smime=pass", true, true},
		{"mx.example.jp;smime=pass", true, true},
		{" mx.example.jp 1; smime=pass", true, true},
		{" \"mx.example.jp\"; smime=pass", true, true},
		{" (hi) mx.example.jp (there); smime=pass", true, true},
		{" mx.example.jp(x); smime=pass", true, true},
		{" mx.example.jp; dkim=pass header.d=a.example; smime=pass", true, true},
		{" mx.example.jp;\r\n\tsmime\r\n\t=\r\n\tpass", true, true},
		{" mx.example.jp; SMIME=pass", true, true},
		{" mx.example.jp; smime/1=pass", true, true},
		{" mx.example.jp; smime (c) = pass", true, true},
		{" mx.example.jp; (unclosed smime=pass", true, true},
		{" mx.exa(x)mple.jp; smime=pass", true, true},
		{" other, mx.example.jp; smime=pass", true, true},
		{" mx.example.jp; none", true, false},
		{" mx.example.jp; dkim=pass header.i=@smime.example", true, false},
		{" mx.example.jp; dkim=pass (sMIME /1 =pass)", true, true}, // who looks for words finds them
		{" mx.example.jp", true, true},

		// What milters write stays.
		{" mx.example.jp;\r\n\tdkim=pass (2048-bit key; unprotected) header.d=a.example header.i=@a.example header.b=\"Ab+/=\";\r\n\tdkim-atps=neutral", true, false},
		{" mx.example.jp;\r\n\tdkim=fail reason=\"signature verification failed\" (2048-bit key) header.d=a.example", true, false},
		{"mx.example.jp; dkim=permerror (bad message/signature format)", true, false},
		{" MX.example.jp 1; dmarc=pass (p=none dis=none) header.from=a.example", true, false},
		{" mx.example.jp; spf=pass smtp.mailfrom=\"a b\"@a.example", true, true}, // what RFC 8601 allows and none of them writes
		{" mx.example.jp; spf=pass smtp.mailfrom=a@a.example smtp.remote-ip=2001:db8::1; iprev=pass", true, false},

		// What OpenDKIM does not take away does not stay either.
		{" mx.example.jp; dkim=pass header.d=a.example foo", true, true},
		{" mx.example.jp;; dkim=pass", true, true},
		{" mx.example.jp; dkim=pass;", true, true},
		{" mx.example.jp; dkim = pass", true, true},
		{" \"mx.example.jp\"; dkim=pass", true, true},
		{" (x) mx.example.jp; dkim=pass", true, true},
		{" mx.example.jp (x); dkim=pass", true, true},
		{" mx.example.jp; dkim=pass (a (b))", true, true},
		{" mx.example.jp; dkim=pass reason=\"\\\"\"", true, true},
		{" mx.example.jp; dkim=pass \x00", true, true},
		{" mx.example.jp; dkim=pass header.d=\u00e9.example", true, true},
		{" mx.example.jp; dkim=pass header.x=" + strings.Repeat("x", maxEarlier), true, true},

		// What only a lax reader takes for ours.
		{" mx.example.jp.; smime=pass", true, true},
		{" mx.example.jp/1; smime=pass", true, true},
		{" mx.example.jp,smime=pass", true, true},
		{" mx.example.jp:smime=pass", true, true},
		{" mx.example.jp\x00; smime=pass", true, true},
		{" mx.example.jp\x0b; smime=pass", true, true},
		{" mx.example.jp\u00a0; smime=pass", true, true},
		{" mx.exam\u200bple.jp; smime=pass", true, true},
		{" mx.ex\uff41mple.jp; smime=pass", true, true},
		{" mx\u3002example\u3002jp; smime=pass", true, true},
		{" mx\\.example.jp; smime=pass", true, true},
		{" \"mx\\.example.jp\"; smime=pass", true, true},
		{" =?utf-8?q?mx=2Eexample=2Ejp?=; smime=pass", true, true},
		{" =?utf-8?b?bXguZXhhbXBsZS5qcDsgc21pbWU9cGFzcw==?=", true, true},
		{" =?utf-8?q?mx=2Eexample=2Ejp; smime=pass?=", true, true},
		{" =?utf-8?q?mx=2Eexam?= =?utf-8?q?ple=2Ejp; smime=pass?=", true, true},
		{" =?iso-8859-2?b?bXguZXhhbXBsZS5qcA==?=; smime=pass", true, true},
		{" =?iso-2022-jp*ja?B?bXguZXhh bXBsZS5qcA?=; smime=pass", true, true},
		{" =?utf-16be?b?AG0AeAAuAGUAeABhAG0AcABsAGUALgBqAHAAOwAg?= smime=pass", true, true},
		{" =?utf-8?q?mx=2Eexample=2Ejp=ZZ; smime=pass?=", true, true},
		{" ; mx.example.jp; smime=pass", true, true},
		{" (;( mx.example.jp; smime=pass", true, true},
		{" \"mx.example.jp; smime=pass", true, true},
		{" mx.example.jp; \"smime\"=pass", true, true},
		{" mx.example.jp; sm\\ime=pass", true, true},
		{" mx.example.jp; dkim=pass,smime=pass", true, true},
		{" mx.example.jp; smime/x=pass", true, true},

		{" mx.example.com; smime=pass", false, false},
		{" notmx.example.jp; smime=pass", false, false},
		{" other.example; smime=pass body.smime-identifier=mx.example.jp", false, false},
		{" \"a; mx.example.jp\"; smime=pass", true, true},
		{" \"a;b\"; smime=pass reason=\"mx.example.jp\"", false, false},
		{" mx.example.jp.evil.example; smime=pass", false, false},
		{" mx-example.jp; smime=pass", false, false},
		{" other.example (mx.example.jp); smime=pass", false, false},
		{" other.example; dkim=pass header.d=mx.example.jp; smime=pass", false, false},
		{"", false, false},
	} {
		h := message.Header{message.NewField("Subject", " x"), message.NewField("authentication-results", tt.value)}
		if got := len(Claims(h, id, false)) == 1; got != tt.removed {
			t.Errorf("%q: removed %v", tt.value, got)
		}
		if got := len(Claims(h, id, true)) == 1; got != tt.keepOther {
			t.Errorf("%q: removed beside earlier milters %v", tt.value, got)
		}
	}
	h := message.Header{message.NewField("Subject", " x")}
	for i := range 4 {
		server := []string{"other.example", id}[i%2]
		h = append(h, message.ParseField([]string{"AUTHENTICATION-results :", FieldName + ":"}[i/2]+" "+server+"; smime=pass"))
	}
	want := []Claim{
		{2, message.DropField{Name: "AUTHENTICATION-results", Occurrence: 2}},
		{4, message.DropField{Name: FieldName, Occurrence: 4}},
	}
	if got := Claims(h, id, false); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Milters write on top: of several fields with the same method the first stays,
// and one that does not stay takes nobody's place.
func TestClaimsBelowAMilters(t *testing.T) {
	var h message.Header
	for _, v := range []string{
		" mx.example.jp; dkim=pass foo",
		" mx.example.jp; dkim=none; dkim-atps=neutral",
		" other.example; dkim=pass",
		" mx.example.jp; dkim=pass",
		" mx.example.jp; spf=pass",
		" mx.example.jp; iprev=pass; DKIM=pass",
		" mx.example.jp; iprev=fail (dkim=pass)",
		" mx.example.jp; none",
		" mx.example.jp; none",
	} {
		h = append(h, message.NewField(FieldName, v))
	}
	var got []int
	for _, c := range Claims(h, "mx.example.jp", true) {
		got = append(got, c.Index)
	}
	if want := []int{0, 3, 5, 8}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A CR that is no line end is one to some readers.
func TestClaimsBehindStrayCR(t *testing.T) {
	for raw, want := range map[string]int{
		"Subject: x\rAuthentication-Results: mx.example.jp; smime=pass":          1,
		"Subject: x\r\rauthentication-results : mx.example.jp; smime=pass\r\n y": 1,
		"Subject: x\r\n y\rAuthentication-Results: other.example; smime=pass":    0,
		"Subject: x\r\n Authentication-Results: mx.example.jp; smime=pass":       0,
		"Subject: x\r": 0,
		"no field\rAuthentication-Results: mx.example.jp; smime=pass":                  0, // no MTA gives us one, nor takes it back
		"Authentication-Results: other.example\rAuthentication-Results: mx.example.jp": 1,
	} {
		h := message.Header{message.ParseField("Subject: first"), message.ParseField(raw)}
		if got := len(Claims(h, "mx.example.jp", false)); got != want {
			t.Errorf("%q: %d claims", raw, got)
		}
	}
}

// Whatever comes behind it or in a comment before it, our name at its place is
// found, and with an S/MIME result also beside earlier milters, which are given
// no more than without them.
func FuzzClaims(f *testing.F) {
	for _, s := range []string{"smime=pass", "none", "(", `"`, `\`, "=?utf-8?q?x?=", "a (b) \"c;d\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		const id = "mx.example.jp"
		claimed := func(value string, keep bool) bool {
			return len(Claims(message.Header{message.NewField(FieldName, value)}, id, keep)) == 1
		}
		comment := " (" + strings.Map(func(r rune) rune {
			if strings.ContainsRune(`()\`, r) || r == '\r' || r == '\n' {
				return -1
			}
			return r
		}, s) + ") "
		for _, value := range []string{" " + id + "; " + s, comment + id + comment + ";" + comment + "none"} {
			if !claimed(value, false) {
				t.Errorf("%q is not found", value)
			}
		}
		if value := comment + id + "; smime" + comment + "=pass; " + s; !claimed(value, true) {
			t.Errorf("%q is not found beside earlier milters", value)
		}
		if claimed(s, true) && !claimed(s, false) {
			t.Errorf("%q goes only beside earlier milters", s)
		}
	})
}
