package ber

import (
	"bytes"
	"errors"
	"testing"
)

func TestDER(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"indefinite", "30 80 02 01 05 00 00", "30 03 02 01 05"},
		{"nested indefinite", "30 80 a0 80 02 01 05 00 00 00 00", "30 05 a0 03 02 01 05"},
		{"long length", "30 82 00 04 04 81 01 ff", "30 03 04 01 ff"},
		{"string in pieces", "24 80 04 01 61 04 02 62 63 00 00", "04 03 61 62 63"},
		{"string in nested pieces", "30 80 24 80 24 80 04 01 61 00 00 04 01 62 00 00 05 00 00 00", "30 06 04 02 61 62 05 00"},
		{"empty string in pieces", "24 80 00 00", "04 00"},
		{"text in octet string pieces", "3a 09 04 03 4a 6f 6e 04 02 65 73", "1a 05 4a 6f 6e 65 73"},
		{"text in text pieces", "2c 06 0c 01 61 0c 01 62", "0c 02 61 62"},
		{"bit string in pieces", "23 80 03 02 00 ff 03 03 04 aa f0 00 00", "03 04 04 ff aa f0"},
		{"bit string, empty pieces", "23 80 03 01 00 03 02 03 f8 00 00", "03 02 03 f8"},
		{"bit string in no pieces", "23 00", "03 01 00"},
		{"bit string in nested pieces", "23 80 23 80 03 02 00 01 00 00 03 02 00 02 00 00", "03 03 00 01 02"},
		{"true", "01 01 01", "01 01 ff"},
		{"set", "31 06 02 01 06 02 01 05", "31 06 02 01 05 02 01 06"},
		{"sets in sets", "31 80 31 06 02 01 09 02 01 01 31 06 02 01 00 02 01 07 00 00",
			"31 10 31 06 02 01 00 02 01 07 31 06 02 01 01 02 01 09"},
		{"set of different lengths", "31 80 04 02 00 00 04 01 ff 00 00", "31 07 04 01 ff 04 02 00 00"},
		{"context-specific set is not sorted", "a0 06 02 01 06 02 01 05", "a0 06 02 01 06 02 01 05"},
		{"length grows over 127", "24 80 04 40" + hexZeros(64) + "04 40" + hexZeros(64) + "00 00", "04 81 80" + hexZeros(128)},
		{"long tag", "bf 8a 6e 80 05 00 00 00", "bf 8a 6e 02 05 00"},
	} {
		in := unhex(t, test.in)
		want := unhex(t, test.want)
		got, err := DER(in, Limits{})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got %x, %v; want %x", test.name, got, err, want)
			continue
		}
		again, err := DER(got, Limits{})
		if err != nil || len(again) == 0 || &again[0] != &got[0] {
			t.Errorf("%s: DER of DER is another: %x, %v", test.name, again, err)
		}
	}
}

func hexZeros(n int) string { return string(bytes.Repeat([]byte("00"), n)) }

func TestDERMalformed(t *testing.T) {
	for _, test := range []struct{ name, in string }{
		{"nothing", ""},
		{"trailing octets", "05 00 05 00"},
		{"trailing octets after indefinite", "30 80 00 00 00 00"},
		{"integer among the pieces", "24 80 02 01 05 00 00"},
		{"octet string among bit string pieces", "23 80 04 01 05 00 00"},
		{"unused bits before the end", "23 80 03 02 01 fe 03 02 00 ff 00 00"},
		{"unused bits before an empty end", "23 80 03 02 01 fe 03 01 00 00 00"},
		{"eight unused bits", "23 80 03 02 08 fe 00 00"},
		{"unused bits of nothing", "23 80 03 01 01 00 00"},
		{"bit string piece without count", "23 80 03 00 00 00"},
	} {
		if got, err := DER(unhex(t, test.in), Limits{}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %x, %v; want ErrMalformed", test.name, got, err)
		}
	}
}

func TestAppendHeader(t *testing.T) {
	for _, length := range []int64{0, 1, 127, 128, 255, 256, 65535, 65536, 1 << 24, 1 << 32, 1 << 40, maxLength} {
		for _, tag := range []Tag{Sequence, Context(0), Context(30), Context(31), Context(127), Context(128), Context(16383), Context(16384), Context(1<<28 - 1)} {
			b := AppendHeader(nil, tag, true, length)
			h, err := parseHeader(b)
			if err != nil || h.Tag != tag || !h.Constructed || h.Length != length || h.Size != len(b) || headerSize(tag, length) != len(b) {
				t.Errorf("%v of %d: %x reads as %+v, %v", tag, length, b, h, err)
			}
		}
	}
}
