package message

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseField(t *testing.T) {
	for _, tt := range []struct{ raw, name, value, text string }{
		{"Subject: hello", "Subject", " hello", "hello"},
		{"SUBJECT :\thello \t", "SUBJECT", "\thello \t", "hello"},
		{"Subject:hello: you", "Subject", "hello: you", "hello: you"},
		{"Subject:", "Subject", "", ""},
		{"Subject: a\r\n b\n\tc", "Subject", " a\r\n b\n\tc", "a b\tc"},
		{"Subject: a\rb", "Subject", " a\rb", "a\rb"},
		{"From a@b Thu Jan  1 00:00:00 1970", "", "From a@b Thu Jan  1 00:00:00 1970", "From a@b Thu Jan  1 00:00:00 1970"},
		{" Subject: x", "", " Subject: x", "Subject: x"},
		{": x", "", ": x", ": x"},
		{"Betréff: x", "", "Betréff: x", "Betréff: x"},
		{"no field", "", "no field", "no field"},
		{"", "", "", ""},
	} {
		f := ParseField(tt.raw)
		if f.Raw() != tt.raw || f.Name() != tt.name || f.Value() != tt.value || f.Text() != tt.text {
			t.Errorf("%q: raw %q, name %q, value %q, text %q", tt.raw, f.Raw(), f.Name(), f.Value(), f.Text())
		}
	}
	if NewField("A", " b") != ParseField("A: b") {
		t.Error("a made field differs from the same one parsed")
	}
}

func TestHeader(t *testing.T) {
	h := read(t, "Received: 1\nTo: x\nRECEIVED : 2\nreceived: 3\n\n").Header
	if f, ok := h.Get("received"); !ok || f.Text() != "1" {
		t.Errorf("Get: %q, %t", f.Raw(), ok)
	}
	if f, ok := h.Get("Cc"); ok {
		t.Errorf("Get of what is not there: %q", f.Raw())
	}
	var got []string
	for _, f := range h.All("Received") {
		got = append(got, f.Text())
	}
	if d := cmp.Diff([]string{"1", "2", "3"}, got); d != "" {
		t.Errorf("All (-want +got):\n%s", d)
	}
}

// Drops names each field as edits do: without case, counted from 1, from the top.
func TestDrops(t *testing.T) {
	h := Header{ParseField("X-One: a"), ParseField("no field"), ParseField("x-one: b"), ParseField("Two: c"), ParseField("X-ONE: d")}
	for f, drop := range h.Drops() {
		m := &Message{Header: h, Newline: "\n", Body: Bytes(nil)}
		got, err := m.Apply([]Edit{drop})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Header) != len(h)-1 || slices.Contains(got.Header, f) {
			t.Errorf("%+v for %q leaves %v", drop, f.Raw(), got.Header)
		}
		if f.Is("Two") {
			return
		}
	}
	t.Error("not all were told")
}
