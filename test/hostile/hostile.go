// Package hostile makes what ends or stalls the known readers of CMS: children
// that outgrow their parents, so that work doubles with every level, nesting
// without end, strings in a million pieces, millions of nothing. Each is the
// beginning of no object at all; behind the beginning of a good one it is where
// a reader does not expect it.
//
// Everybody who reads what strangers send is tested with all of them.
package hostile

import (
	"bytes"
	"fmt"
	"slices"

	"mailseal/smime/cms/ber"
)

// A Shape is one of them.
type Shape struct {
	Name  string
	Bytes []byte
}

// Shapes are all, up to 16 MB long. Those above a megabyte are only a part as
// long for a test that runs slower by that factor: they show that size does not
// matter.
func Shapes(slower int) []Shape {
	repeat := func(s string, n int) []byte {
		if n > 1_000_000 {
			n /= max(1, slower)
		}
		return bytes.Repeat([]byte(s), n)
	}
	nulls := repeat("\x05\x00", 8_000_000)
	return append([]Shape{
		{"indefinite nesting, 4.2 MB", repeat("\x30\x80", 2_100_000)},
		{"indefinite context nesting, 1 MB", repeat("\xa0\x80", 500_000)},
		{"string nesting, 4.2 MB", repeat("\x24\x80", 2_100_000)},
		{"nesting of 50,000 levels", append(repeat("\x30\x80", 50_000), make([]byte, 100_000)...)},
		{"nesting of 100,000 levels", append(repeat("\x30\x80", 100_000), make([]byte, 200_000)...)},
		{"string nesting, 100,000 levels", append(repeat("\x24\x80", 100_000), make([]byte, 200_000)...)},
		{"definite nesting, 50,000 levels", nesting(50_000)},
		{"pieces of one octet, 1 MB", between([]byte{0x24, 0x80}, repeat("\x04\x01x", 350_000))},
		{"pieces that are cut off, 1 MB", append([]byte{0x24, 0x80}, repeat("\x04\x01x", 350_000)...)},
		{"a piece longer than the rest", append([]byte{0x24, 0x80, 0x04, 0x83, 0x10, 0, 0}, repeat("x", 500_000)...)},
		{"empty pieces, 1 MB", between([]byte{0x24, 0x80}, repeat("\x04\x00", 500_000))},
		{"empty constructed pieces, 1 MB", between([]byte{0x24, 0x80}, repeat("\x24\x80\x00\x00", 250_000))},
		{"NULLs, 16 MB", nulls},
		{"NULLs in a sequence, 16 MB", between([]byte{0x30, 0x80}, nulls)},
		{"NULLs in a definite sequence", element(ber.Sequence, nulls)},
		{"empty sequences, 4 MB", between([]byte{0x31, 0x80}, repeat("\x30\x00", 2_000_000))},
		{"ends of contents, 1 MB", make([]byte, 1_000_000)},
		{"enormous length", []byte("\x30\x84\xff\xff\xff\xff")},
		{"more enormous length", []byte("\x30\x87\xff\xff\xff\xff\xff\xff\xff")},
		{"endless tag", append([]byte{0x3f}, repeat("\xff", 1_000_000)...)},
		{"text", repeat("All work and no play.\r\n", 50_000)},
		{"one megabyte object identifier", append([]byte{0x30, 0x80}, element(ber.OID, repeat("\xff", 1_100_000))...)},
		{"a long object identifier", append([]byte{0x30, 0x80}, element(ber.OID, repeat("\x01", 1_000_000))...)},
		{"object identifier of few long arcs", append([]byte{0x30, 0x80}, element(ber.OID, append(repeat("\x81", 1_000_000), 1))...)},
	}, overlaps()...)
}

// overlaps are parents that their children outgrow: what makes the libraries'
// work double with every level, 96 to 168 octets long.
func overlaps() (shapes []Shape) {
	for _, unit := range []string{"\x30\x02", "\x30\x03", "\x30\x04", "\x30\x06", "\x30\x10", "\x30\x7f", "\x30\x80\x30\x02", "\x30\x02\x30\x80",
		"\x24\x80\x04\x02", "\xa0\x04\x30\x02", "\x30\x80\x04\x01", "\x30\x04\x30\x80\x00", "\x31\x80\x31\x05\x30"} {
		for _, size := range []int{96, 116, 136, 168} {
			shapes = append(shapes, Shape{fmt.Sprintf("tiny headers %x of %d", unit, size), bytes.Repeat([]byte(unit), size)[:size]})
		}
	}
	return shapes
}

// between closes an element of indefinite length.
func between(start, body []byte) []byte { return slices.Concat(start, body, []byte{0, 0}) }

func element(t ber.Tag, body []byte) []byte {
	return append(ber.AppendHeader(nil, t, t == ber.Sequence, int64(len(body))), body...)
}

func nesting(levels int) []byte {
	out := make([]byte, 0, 8*levels)
	for n := range levels {
		out = ber.AppendHeader(out, ber.Sequence, true, int64(6*(levels-n)))
	}
	return out
}
