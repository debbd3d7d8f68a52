package entity

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// faultsOf is what a Scanner should find, line by line and slowly.
func faultsOf(content string) (f Fault) {
	for i := range len(content) {
		switch c := content[i]; {
		case c >= utf8.RuneSelf:
			f |= EightBit
		case c == 0:
			f |= NUL
		case c == '\r' && !strings.HasPrefix(content[i:], "\r\n"), c == '\n' && !strings.HasSuffix(content[:i], "\r"):
			f |= BareEnd
		}
	}
	for line := range strings.SplitAfterSeq(content, "\n") {
		if ended, ok := strings.CutSuffix(line, "\n"); ok {
			line = strings.TrimSuffix(ended, "\r")
		}
		if len(line) > maxLine {
			f |= LongLine
		}
		if strings.HasPrefix(line, "From ") {
			f |= FromLine
		}
		if strings.HasSuffix(line, " ") || strings.HasSuffix(line, "\t") {
			f |= TrailingBlank
		}
	}
	return f
}

func TestScanner(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for _, tt := range []struct {
		content string
		want    Fault
	}{
		{"", 0},
		{"\r\n", 0},
		{"plain\r\ntext\r\n", 0},
		{"no line end", 0},
		{"caf\xe9\r\n", EightBit},
		{"a\x00b", NUL},
		{"a\nb\r\n", BareEnd},
		{"a\rb\r\n", BareEnd},
		{"a\r\r\n", BareEnd},
		{"ends in\r", BareEnd},
		{"\n", BareEnd},
		{"a \n", BareEnd | TrailingBlank},
		{long + "\r\n", 0},
		{long, 0},
		{long + "x\r\n", LongLine},
		{long + "x", LongLine},
		{"From here\r\n", FromLine},
		{"a\r\nFrom ", FromLine | TrailingBlank},
		{"From\r\n", 0},
		{" From here\r\nfrom there\r\n", 0},
		{"blank \r\n", TrailingBlank},
		{"tab\t", TrailingBlank},
		{" \r\n", TrailingBlank},
	} {
		if got := faultsOf(tt.content); got != tt.want {
			t.Errorf("%.40q: the test's own answer is %v, want %v", tt.content, got, tt.want)
		}
		for cut := range min(len(tt.content), 20) {
			var s Scanner
			s.Write([]byte(tt.content[:cut]))
			s.Write([]byte(tt.content[cut:]))
			if got := s.Finish(); got != tt.want {
				t.Errorf("%.40q cut at %d: %v, want %v", tt.content, cut, got, tt.want)
			}
		}
	}
}

// content draws bytes that come near every rule.
func content(t *rapid.T) string {
	piece := rapid.SampledFrom([]string{
		strings.Repeat("0123456789\r\n", 6), "01234\n6789\r\n", "01234\r6789\r\n", "012345678 \r\n", "From 56789\r\n", "F123456789\r\n", "012345678\n\r\n",
		"\r\n", "\r\n", "\r\n", "\n", "\r", " ", "\t", "From ", "From", "F", ".", "-", "--", "=", "=3D", "x", "word",
		"caf\u00e9", "\u65e5\u672c\u8a9e", "\xe9", "\x00", "\x7f", strings.Repeat("y", 75), strings.Repeat("long ", 200),
	})
	return strings.Join(rapid.SliceOfN(piece, 0, 40).Draw(t, "content"), "")
}

// writeCut writes s in pieces of random sizes.
func writeCut(t *rapid.T, s string, write func([]byte) (int, error)) {
	seed := rapid.Uint64().Draw(t, "cuts")
	r := rand.New(rand.NewPCG(seed, 0))
	for len(s) > 0 {
		n := min(1+r.IntN(9), len(s))
		if seed%3 == 0 {
			n = len(s)
		}
		if m, err := write([]byte(s[:n])); err != nil || m != n {
			t.Fatalf("write of %d bytes: %d, %v", n, m, err)
		}
		s = s[n:]
	}
}

func TestScannerFindsWhatALookAtEachLineFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := content(t)
		var s Scanner
		writeCut(t, c, s.Write)
		if got, want := s.Finish(), faultsOf(c); got != want {
			t.Fatalf("%q: %v, want %v", c, got, want)
		}
	})
}

func TestCensusKnowsUTF8(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := content(t)
		var c census
		writeCut(t, s, c.Write)
		if c.utf8() != utf8.ValidString(s) {
			t.Fatalf("%q: UTF-8 %v", s, c.utf8())
		}
		if c.size != int64(len(s)) {
			t.Fatalf("%d bytes counted of %d", c.size, len(s))
		}
	})
}

func BenchmarkScanner(b *testing.B) {
	for _, bm := range []struct{ name, line string }{
		{"base64", strings.Repeat("A", 76) + "\r\n"},
		{"text", "A line as people write them, not too long.\r\n"},
	} {
		b.Run(bm.name, func(b *testing.B) {
			block := bytes.Repeat([]byte(bm.line), (64<<10)/len(bm.line))
			b.SetBytes(int64(len(block)))
			for b.Loop() {
				var s Scanner
				s.Write(block)
			}
		})
	}
}
