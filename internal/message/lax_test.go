package message

import (
	"slices"
	"testing"
)

func TestHidden(t *testing.T) {
	for _, tt := range []struct {
		raw  string
		want []string
	}{
		{"From: a@b.example", nil}, // it is one, and not hidden
		{"Subject: x\rFrom: a@b.example", []string{"a@b.example"}},
		{"Subject: x\r\rfrom : a@b.example\r\n c", []string{"a@b.example c"}},
		{"Subject: x\rFrom: a\rX: y\rFROM:b", []string{"a", "b"}},
		{"Subject: x\r\n From: a@b.example", nil},
		{"Subject: x\r\n y\r", nil},
		{"Subject: x\rX-From: a@b.example", nil},
		{" From: a@b.example", []string{"a@b.example"}},
		{"From\v: a@b.example", []string{"a@b.example"}},
		{"Fr\x00om: a@b.example", []string{"a@b.example"}},
		{"From a@b.example Thu Jan  1 00:00:00 1970", nil},
		{"\rFrom: a@b.example", []string{"a@b.example", "a@b.example"}}, // in both ways
	} {
		if got := ParseField(tt.raw).Hidden("From"); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.raw, got, tt.want)
		}
	}
}

func TestUncomment(t *testing.T) {
	for _, tt := range []struct {
		in, out string
		regular bool
	}{
		{"a/b; c=d", "a/b; c=d", true},
		{"a/b (x (y) \\) z); c", "a/b   ; c", true}, // a blank for each
		{`a="(b)" (c)`, `a="(b)"  `, true},
		{`a="\"(b)" (c)`, `a="\"(b)"  `, true},
		{"a)b", "a)b", true},
		{"a (b", "a (b", false},
		{`a "b (c)`, `a "b (c)`, false},
		{`a "b\`, `a "b\`, false},
	} {
		if out, regular := Uncomment(tt.in); out != tt.out || regular != tt.regular {
			t.Errorf("%q: %q, %v; want %q, %v", tt.in, out, regular, tt.out, tt.regular)
		}
	}
}
