package subject

import (
	"mime"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mailseal/internal/message"
)

func field(value string) message.Field { return message.NewField("Subject", value) }

func TestStrip(t *testing.T) {
	tags := NewTags([]string{"[signed OK]", "【署名OK】", "  ", ""})
	for _, tt := range []struct{ in, want string }{ // want: what a reader sees; "=" is untouched
		{" hello", "="},
		{" =?iso-2022-jp?B?GyRCOzNFRBsoQg==?=  and\r\n more", "="},
		{" caf\xe9 [signed no]", "="},
		{"", "="},
		{" [signed OK] pay", "pay"},
		{" Re: [SIGNED ok]  pay", "Re: pay"},
		{"\t[ signed\tOK ]pay[signedOK]", "pay"},
		{" [signed\r\n OK] pay", "pay"},
		{" [sig[signed OK]ned OK] pay", "pay"},
		{" =?utf-8?Q?[signed_OK]?= pay", "pay"},
		{" =?UTF-8*en?q?=5bsigned=20OK=5D_pay?=", "pay"},
		{" =?utf-8?B?W3NpZ25lZCBPS10gcGF5?=", "pay"},
		{" =?utf-8?B?W3NpZ25?= =?utf-8?B?lZCBPS10gcGF5?=", "pay"},
		{" =?us-ascii?Q?[sign?=\r\n =?us-ascii?Q?ed_OK]?= pay", "pay"},
		{" =?x-unknown?Q?[signed_OK]?= pay", "pay"},
		{" =?utf-8?Q?[signed OK]?= pay", "pay"},
		{" =?utf-7?Q?+AFs-signed_OK+AF0-?= pay", "pay"},
		{" =?utf-16?B?/v8AWwBzAGkAZwBuAGUAZAAgAE8ASwBdACAAcABhAHk=?=", "pay"},
		{" =?utf-16?B?//5bAHMAaQBnAG4AZQBkACAATwBLAF0AIABwAGEAeQA=?=", "pay"},
		{" =?utf-16?B?AFsAcwBpAGcAbgBlAGQAIABPAEsAXQAgAHAAYQB5?=", "pay"},
		{" =?utf-16?B?WwBzAGkAZwBuAGUAZAAgAE8ASwBdACAAcABhAHkA?=", "pay"},
		{" =?utf-16?B?/v8wEH9yVA0ATwBLMBEAIHC5?=", "点"},
		{" =?hz-gb-2312?Q?[signed_OK]_pay?=", "pay"},
		{" =?iso-2022-kr?Q?[signed_OK]_pay?=", "pay"},
		{" [signed=?utf-8?Q?_OK?=] pay", "pay"},
		{" ［ｓｉｇｎｅｄ　ＯＫ］ pay", "pay"},
		{" [\u200bsigned\u00ad OK\u2060] pay", "pay"},
		{" [signed \x00OK\x7f] pay", "pay"},
		{" [signed\u3164\uffa0\u115f\u2800OK\u20dd] pay", "pay"},
		{" \u202e[KO dengis]\u202c pay", "[KO dengis]\u202c pay"},
		{" =?utf-8?Q?[signed=E2=80=AE_OK]?= pay", "pay"},
		{" =?utf-8?B?44CQ572y5ZCNT0vjgJE=?= 山田", "山田"},
		{" =?utf-8?B?44CQ572?= =?utf-8?B?y5ZCNT0vjgJE=?= 山田", "山田"},
		{" 【署名 ok】", ""},
		{" =?utf-8?B?[signed OK]?= pay", "pay"},
		{" [signed OK] =?utf-8?Q?=3D?==?=", "==?="},
		{" [signed OK]" + strings.Repeat(" word", 50), strings.TrimSpace(strings.Repeat(" word", 50))},
		{" [signed OK] " + strings.Repeat("x", 2000), strings.Repeat("x", 900) + " " + strings.Repeat("x", 900) + " " + strings.Repeat("x", 200)},
	} {
		got, changed := tags.Strip(field(tt.in))
		if !changed || tt.want == "=" {
			if changed || tt.want != "=" || got.Value() != tt.in {
				t.Errorf("%q became %q; want %q", tt.in, got.Value(), tt.want)
			}
			continue
		}
		text, err := new(mime.WordDecoder).DecodeHeader(got.Text())
		if err != nil || text != tt.want {
			t.Errorf("%q became %q, read as %q, %v; want %q", tt.in, got.Value(), text, err, tt.want)
		}
		carried(t, got)
	}
}

// carried checks that an MTA would carry a field.
func carried(t interface{ Errorf(string, ...any) }, f message.Field) {
	m := &message.Message{Newline: "\r\n", Body: message.Bytes(nil)}
	if _, err := m.Apply([]message.Edit{message.SetField{Field: f}}); err != nil {
		t.Errorf("%q: %v", f.Raw(), err)
	}
	for i, l := range strings.Split(f.Raw(), "\r\n") {
		if len(l) > 998 && !strings.Contains(l, strings.Repeat("x", 998)) || i > 0 && strings.TrimSpace(l) == "" {
			t.Errorf("%q has the line %q", f.Raw(), l)
		}
	}
}

func TestTag(t *testing.T) {
	for _, tt := range []struct{ in, tag, want string }{
		{" hello", "[bad]", " [bad] hello"},
		{"hello", "[bad]", " [bad] hello"},
		{"", "[bad]", " [bad]"},
		{" \r\n ", "[bad]", " [bad]"},
		{" one\r\n two", "[bad]", " [bad] one\r\n two"},
		{" =?utf-8?Q?x?=", "[bad]", " [bad] =?utf-8?Q?x?="},
		{" hello", "悪", " =?utf-8?B?5oKq?= hello"},
		{" =?utf-8?Q?x?=", "悪", " =?utf-8?B?5oKq?= =?utf-8?Q?_?= =?utf-8?Q?x?="},
		{" " + strings.Repeat("x", 70), "[bad]", " [bad]\r\n " + strings.Repeat("x", 70)},
		{" a\rBcc: x\x00", "[bad]", " [bad] a Bcc: x "},
		{" a", "=?utf-8?Q?bad?=", " =?utf-8?B?PT91dGYtOD9RP2JhZD89?= a"},
	} {
		got := Tag(field(tt.in), tt.tag)
		if got.Value() != tt.want {
			t.Errorf("%q before %q: %q, want %q", tt.tag, tt.in, got.Value(), tt.want)
		}
		carried(t, got)
	}
}

// gen makes subjects in which tags are likely, in pieces.
func gen() *rapid.Generator[string] {
	piece := rapid.OneOf(rapid.SampledFrom([]string{"[signed OK]", "[sig", "ned", " ", "OK", "]", "[", "=?utf-8?Q?", "=?utf-8?B?", "?=", "=5B", "W3NpZ25lZA", "_", "\r\n ", "\u200b", "㎏]", "［", "+AFs-", "=?utf-7?Q?"}), rapid.String())
	return rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), "") })
}

// Nothing of the words is left, to whoever decodes and to whoever does not, and
// what is left is carried and stays as it is.
func TestNothingIsLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { nothingIsLeft(t, gen().Draw(t, "subject")) })
}

func nothingIsLeft(t interface {
	Errorf(string, ...any)
	Fatalf(string, ...any)
}, value string) {
	tags := NewTags([]string{"[signed OK]", "[kg]"})
	got, changed := tags.Strip(field(value))
	if !changed {
		if got.Value() != value {
			t.Fatalf("%q became %q", value, got.Value())
		}
		return
	}
	carried(t, got)
	for _, reading := range []string{decode(got.Text(), false), decode(got.Text(), true), goDecoded(got.Text())} {
		if left, found := tags.without(reading); found {
			t.Errorf("%q became %q, read as %q, and without the words %q", value, got.Value(), reading, left)
		}
	}
	if again, changed := tags.Strip(got); changed {
		t.Errorf("%q became %q, and then %q", value, got.Value(), again.Value())
	}
	carried(t, Tag(got, "[signed OK]"))
}

// goDecoded is another reader.
func goDecoded(s string) string {
	text, err := new(mime.WordDecoder).DecodeHeader(s)
	if err != nil {
		return ""
	}
	return text
}

func FuzzStrip(f *testing.F) {
	for _, s := range []string{" [signed OK] pay", " =?utf-8?B?W3NpZ25?= =?utf-8?B?lZCBPS10gcGF5?=", " =?utf-7?Q?+AFs-signed_OK+AF0-?=", " ㎏", " =?iso-2022-jp?B?GyRCOzNFRBsoQg==?= kg"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		f := message.ParseField("Subject:" + strings.ReplaceAll(value, "\n", "\n "))
		nothingIsLeft(t, f.Value())
	})
}
