package verdict

import (
	"fmt"
	"testing"

	"mailseal/internal/message"
)

func TestOurs(t *testing.T) {
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
		{" mx.example.jp; dkim=pass (smime=pass)", true, false},
		{" mx.example.jp", true, false},

		{" mx.example.com; smime=pass", false, false},
		{" notmx.example.jp; smime=pass", false, false},
		{" other.example; smime=pass body.smime-identifier=mx.example.jp", false, false},
		{"", false, false},
	} {
		h := message.Header{message.NewField("Subject", " x"), message.NewField("authentication-results", tt.value)}
		if got := len(Ours(h, id, false)) == 1; got != tt.removed {
			t.Errorf("%q: removed %v", tt.value, got)
		}
		if got := len(Ours(h, id, true)) == 1; got != tt.keepOther {
			t.Errorf("%q: removed beside earlier milters %v", tt.value, got)
		}
	}
	var h message.Header
	for i := range 4 {
		server := []string{"other.example", id}[i%2]
		h = append(h, message.NewField(FieldName, " "+server+"; smime=pass"))
	}
	if got := fmt.Sprint(Ours(h, id, false)); got != "[2 4]" {
		t.Errorf("occurrences %s", got)
	}
}
