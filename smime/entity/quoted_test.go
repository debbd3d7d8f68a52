package entity

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestQuotedWriter(t *testing.T) {
	for _, tt := range []struct{ content, want string }{
		{"", ""},
		{"plain\r\n", "plain\r\n"},
		{"no line end", "no line end"},
		{"caf\u00e9 = good\r\n", "caf=C3=A9 =3D good\r\n"},
		{"blank \r\ntab\t\r\n", "blank=20\r\ntab=09\r\n"},
		{"two  \r\nlast ", "two =20\r\nlast=20"},
		{"From here\r\nFromage\r\n>From\r\n", "=46rom here\r\nFromage\r\n>From\r\n"},
		{".\r\n..\r\n. x\r\n.", "=2E\r\n..\r\n. x\r\n=2E"},
		{"-- \r\nsignature\r\n", "--=20\r\nsignature\r\n"},
		{"--boundary\r\n--\r\n- x\r\n", "=2D-boundary\r\n=2D-\r\n- x\r\n"},
		{"bare\nLF\rCR\x00NUL\r\n", "bare=0ALF=0DCR=00NUL\r\n"},
		{strings.Repeat("x", 75) + "\r\n", strings.Repeat("x", 75) + "\r\n"},
		{strings.Repeat("x", 76) + "\r\n", strings.Repeat("x", 75) + "=\r\nx\r\n"},
		{strings.Repeat("x", 74) + "=\r\n", strings.Repeat("x", 74) + "=\r\n=3D\r\n"},
		// What begins a line only because of a soft line break.
		{strings.Repeat("x", 75) + "From x\r\n", strings.Repeat("x", 75) + "=\r\n=46rom x\r\n"},
		{strings.Repeat("x", 75) + "--b\r\n", strings.Repeat("x", 75) + "=\r\n=2D-b\r\n"},
	} {
		var b strings.Builder
		w := newQuotedWriter(&b)
		io.WriteString(w, tt.content)
		if err := w.Close(); err != nil || b.String() != tt.want {
			t.Errorf("%q:\n got %q, %v\nwant %q", tt.content, b.String(), err, tt.want)
		}
	}
}

// survivesTransport fails if encoded text could be changed on its way.
func survivesTransport(t *rapid.T, encoded string) {
	if f := faultsOf(encoded); f != 0 {
		t.Fatalf("%q has %v", encoded, f)
	}
	for line := range strings.SplitSeq(encoded, "\r\n") {
		if len(line) > 76 {
			t.Fatalf("line of %d bytes: %q", len(line), line)
		}
		if line == "." || strings.HasPrefix(line, "--") && line != "--=20" {
			t.Fatalf("line could be taken for something else: %q", line)
		}
	}
}

func TestQuotedPrintableComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := content(t)
		var b bytes.Buffer
		w := newQuotedWriter(&b)
		writeCut(t, c, w.Write)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		survivesTransport(t, b.String())
		got, err := io.ReadAll(quotedprintable.NewReader(&b))
		if err != nil || string(got) != c {
			t.Fatalf("%q came back as %q, %v", c, got, err)
		}
	})
}

func TestBase64ComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SliceOfN(rapid.Byte(), 0, 1000).Draw(t, "content")
		var b strings.Builder
		w := NewBase64Writer(&b)
		writeCut(t, string(c), w.Write)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		survivesTransport(t, b.String())
		if len(c) > 0 && !strings.HasSuffix(b.String(), "\r\n") {
			t.Fatal("the last line has no end")
		}
		got, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(b.String(), "\r\n", ""))
		if err != nil || !bytes.Equal(got, c) {
			t.Fatalf("%q came back as %q, %v", c, got, err)
		}
	})
}

// Every 12 bits, at every place of a line, are what the library says.
func TestBase64LikeLibrary(t *testing.T) {
	var c []byte
	for shift := range 2 * base64Line / 3 {
		for i := range 1 << 11 {
			v := 2*i<<12 | (2*i + 1)
			c = append(c, byte(v>>16), byte(v>>8), byte(v))
		}
		c = append(c, make([]byte, 3*shift)...)
	}
	var b strings.Builder
	w := NewBase64Writer(&b)
	w.Write(c)
	w.Close()
	if got := strings.ReplaceAll(b.String(), "\r\n", ""); got != base64.StdEncoding.EncodeToString(c) {
		t.Error("encoded otherwise")
	}
}

// broken takes some bytes and no more.
type broken struct{ left int }

func (b *broken) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func TestEncodersTellThatTheDiskIsFull(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789"), 10000)
	for _, w := range []io.WriteCloser{newQuotedWriter(&broken{50000}), NewBase64Writer(&broken{50000})} {
		_, err := w.Write(long)
		if e := w.Close(); err == nil && e == nil {
			t.Errorf("%T hides that it could not write", w)
		}
	}
}

func BenchmarkBase64Writer(b *testing.B) {
	block := make([]byte, 64<<10)
	b.SetBytes(int64(len(block)))
	w := NewBase64Writer(io.Discard)
	for b.Loop() {
		w.Write(block)
	}
}

func BenchmarkQuotedWriter(b *testing.B) {
	block := bytes.Repeat([]byte("Ein Satz mit \u00fcblichen Umlauten, nicht zu lang.\r\n"), 1000)
	b.SetBytes(int64(len(block)))
	w := newQuotedWriter(io.Discard)
	for b.Loop() {
		w.Write(block)
	}
}
