package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

// Whatever a stranger wrote, JSON has it again, and a terminal gets nothing but
// what prints.
func TestWriteJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		said := strings.ToValidUTF8(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\x1b[31m", "\u009b31m", "\u202e]KO[", "\U000e0041\x7f", "山田 <&> \u2028"})).Draw(t, "value"), "")
		var b bytes.Buffer
		if err := writeJSON(&b, map[string]string{"subject": said}); err != nil {
			t.Fatal(err)
		}
		if i := strings.IndexFunc(b.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%q at %d", b.String(), i)
		}
		var got map[string]string
		if err := json.Unmarshal(b.Bytes(), &got); err != nil || got["subject"] != said {
			t.Errorf("%q became %q, %v", said, got, err)
		}
	})
	var b bytes.Buffer
	if err := writeJSON(&b, "山田 <&>"); err != nil || b.String() != "\"山田 <&>\"\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}
