package message

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// namedBody tells when it is closed.
type namedBody struct {
	Body
	closed *[]string
	name   string
	err    error
}

func (b namedBody) Close() error {
	*b.closed = append(*b.closed, b.name)
	return b.err
}

func TestBodies(t *testing.T) {
	const text = "0123456789"
	for _, tt := range []struct {
		name string
		b    Body
		want string
	}{
		{"bytes", Bytes([]byte(text)), text},
		{"no bytes", Bytes(nil), ""},
		{"section", Section(Bytes([]byte(text)), 2, 5), "23456"},
		{"section of a section", Section(Section(Bytes([]byte(text)), 2, 5), 1, 100), "3456"},
		{"section over the end", Section(Bytes([]byte(text)), 8, 5), "89"},
		{"section behind the end", Section(Bytes([]byte(text)), 11, 5), ""},
		{"section before the beginning", Section(Bytes([]byte(text)), -2, 1), "0"},
		{"section of less than nothing", Section(Bytes([]byte(text)), 2, -1), ""},
		{"concat", Concat(Bytes(nil), Bytes([]byte("01")), Bytes(nil), Bytes(nil), Bytes([]byte("23456789"))), text},
		{"concat of nothing", Concat(), ""},
		{"concat of concats", Concat(Concat(Bytes([]byte("0"))), Concat(Bytes([]byte(text[1:])), Bytes(nil))), text},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.b.Size(); got != int64(len(tt.want)) {
				t.Errorf("size %d, want %d", got, len(tt.want))
			}
			if err := iotest.TestReader(NewReader(tt.b), []byte(tt.want)); err != nil {
				t.Error(err)
			}
			if n, err := tt.b.ReadAt(make([]byte, 1), -1); err == nil || err == io.EOF || n != 0 {
				t.Errorf("negative offset: %d, %v", n, err)
			}
			if n, err := tt.b.ReadAt(make([]byte, 1), int64(len(tt.want))); err != io.EOF || n != 0 {
				t.Errorf("at the end: %d, %v", n, err)
			}
			var out strings.Builder
			if n, err := io.Copy(&out, NewReader(tt.b)); err != nil || n != tt.b.Size() || out.String() != tt.want {
				t.Errorf("copied %d, %q, %v", n, out.String(), err)
			}
			if err := tt.b.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWhoClosesWhat(t *testing.T) {
	var closed []string
	failed := errors.New("disk gone")
	a := namedBody{Bytes([]byte("a")), &closed, "a", failed}
	b := namedBody{Bytes([]byte("b")), &closed, "b", nil}
	if err := Section(a, 0, 1).Close(); err != nil || len(closed) != 0 {
		t.Errorf("a section closed %v, %v", closed, err)
	}
	if err := Concat(a, b).Close(); !errors.Is(err, failed) || strings.Join(closed, " ") != "a b" {
		t.Errorf("concat closed %v, %v", closed, err)
	}
	closed = nil
	v := Verdict{Edits: []Edit{AddField{}, ReplaceBody{a}, ReplaceBody{b}}}
	if err := v.Close(); !errors.Is(err, failed) || strings.Join(closed, " ") != "a b" {
		t.Errorf("verdict closed %v, %v", closed, err)
	}
}

func TestConcatOfAShortBody(t *testing.T) {
	c := Concat(shortBody{Bytes([]byte("a"))}, Bytes([]byte("b")))
	if n, err := c.ReadAt(make([]byte, 3), 0); n != 1 || err != io.ErrUnexpectedEOF {
		t.Errorf("%d, %v", n, err)
	}
}

func TestCRLF(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"a\nb\n", "a\r\nb\r\n"},
		{"a\r\nb\r\n", "a\r\nb\r\n"},
		{"a\r\nb\nc", "a\r\nb\r\nc"},
		{"\n\n", "\r\n\r\n"},
		{"\r\r\n\n\r", "\r\r\n\r\n\r"},
	} {
		for name, r := range map[string]io.Reader{
			"whole":   strings.NewReader(tt.in),
			"bytes":   iotest.OneByteReader(strings.NewReader(tt.in)),
			"EOF too": iotest.DataErrReader(strings.NewReader(tt.in)),
		} {
			if err := iotest.TestReader(CRLF(r), []byte(tt.want)); err != nil {
				t.Errorf("%q, %s: %v", tt.in, name, err)
			}
		}
	}
	if err := iotest.TestReader(CRLF(strings.NewReader(strings.Repeat("x\n", bufferSize))), []byte(strings.Repeat("x\r\n", bufferSize))); err != nil {
		t.Error(err)
	}
	broken := errors.New("pipe broke")
	got, err := io.ReadAll(CRLF(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken))))
	if string(got) != "a\r\nb" || err != broken {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := io.ReadAll(CRLF(stuck{})); err != io.ErrNoProgress {
		t.Errorf("reader that gives nothing: %v", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestCRLFIsTheSameTwice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := mailText().Draw(rt, "text")
		once, err := io.ReadAll(CRLF(strings.NewReader(text)))
		if err != nil {
			rt.Fatal(err)
		}
		twice, err := io.ReadAll(CRLF(bytes.NewReader(once)))
		if err != nil || !bytes.Equal(once, twice) {
			rt.Fatalf("%q, then %q, %v", once, twice, err)
		}
		lf := strings.NewReplacer("\r\n", "\n")
		if lf.Replace(string(once)) != lf.Replace(text) {
			rt.Fatalf("%q became %q", text, once)
		}
	})
}

func TestBoundary(t *testing.T) {
	dry := strings.NewReader("short")
	seen := map[string]bool{}
	for _, b := range []string{Boundary(nil), Boundary(nil), Boundary(dry), Boundary(dry)} {
		if seen[b] {
			t.Errorf("%q twice", b)
		}
		seen[b] = true
		if len(b) > 70 || !strings.HasPrefix(b, "=_") || boundaryProblem(b) != "" {
			t.Errorf("boundary %q", b)
		}
	}
	fixed := strings.Repeat("x", 20)
	if a, b := Boundary(strings.NewReader(fixed)), Boundary(strings.NewReader(fixed)); a != b {
		t.Errorf("%q and %q of the same randomness", a, b)
	}
}
