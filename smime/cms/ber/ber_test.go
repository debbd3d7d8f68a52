package ber

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// unhex reads hexadecimal with blanks.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// dump walks over everything and writes the tree down: constructed elements in braces, contents of primitive ones in hex.
func dump(src io.Reader, l Limits) (string, error) {
	r := NewReader(src, l)
	var b strings.Builder
	for {
		h, err := r.Next()
		switch {
		case err == io.EOF && r.Depth() == 0:
			return b.String(), r.End()
		case err == io.EOF:
			if err := r.Leave(); err != nil {
				return b.String(), err
			}
			b.WriteString("}")
			continue
		case err != nil:
			return b.String(), err
		}
		if h.Constructed {
			fmt.Fprintf(&b, "%v{", h.Tag)
			if err := r.Enter(); err != nil {
				return b.String(), err
			}
			continue
		}
		raw, err := r.Raw(1 << 20)
		if err != nil {
			return b.String(), err
		}
		fmt.Fprintf(&b, "%v:%x ", h.Tag, raw[h.Size:])
	}
}

func TestRead(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"integer", "02 01 05", "INTEGER:05 "},
		{"sequence", "30 03 02 01 05", "SEQUENCE{INTEGER:05 }"},
		{"indefinite", "30 80 02 01 05 00 00", "SEQUENCE{INTEGER:05 }"},
		{"empty", "30 00", "SEQUENCE{}"},
		{"empty indefinite", "30 80 00 00", "SEQUENCE{}"},
		{"indefinite in definite", "30 07 30 80 02 01 05 00 00", "SEQUENCE{SEQUENCE{INTEGER:05 }}"},
		{"definite in indefinite", "30 80 30 03 02 01 05 00 00", "SEQUENCE{SEQUENCE{INTEGER:05 }}"},
		{"long length", "04 81 01 ff", "OCTET STRING:ff "},
		{"very long length", "04 88 00 00 00 00 00 00 00 01 ff", "OCTET STRING:ff "},
		{"context", "a3 02 83 00", "[3]{[3]: }"},
		{"long tag", "bf 8a 6e 03 9f 1f 00", "[1390]{[31]: }"},
		{"application, private", "41 00 c1 00", "[APPLICATION 1]: [PRIVATE 1]: "},
		{"unnamed", "0c 01 61", "[UNIVERSAL 12]:61 "},
		{"two", "05 00 05 00", "NULL: NULL: "},
		{"nothing", "", ""},
	} {
		for _, reader := range []io.Reader{bytes.NewReader(unhex(t, test.in)), iotest.OneByteReader(bytes.NewReader(unhex(t, test.in))),
			iotest.DataErrReader(bytes.NewReader(unhex(t, test.in)))} {
			got, err := dump(reader, Limits{})
			if err != nil || got != test.want {
				t.Errorf("%s: got %q, %v; want %q", test.name, got, err, test.want)
			}
		}
	}
}

func TestMalformed(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"only a tag", "30", "input ends"},
		{"cut length", "30 82 01", "input ends"},
		{"cut contents", "04 05 01 02", "input ends"},
		{"cut element", "30 05 02 01 05", "input ends"},
		{"no end-of-contents", "30 80 02 01 05", "input ends"},
		{"half an end-of-contents", "30 80 02 01 05 00", "input ends"},
		{"primitive of indefinite length", "04 80 00 00", "indefinite"},
		{"end-of-contents at the top", "00 00", "end-of-contents in an element of definite length"},
		{"end-of-contents in definite length", "30 02 00 00", "end-of-contents in an element of definite length"},
		{"end-of-contents with contents", "30 80 00 01 ff 00 00", "malformed end-of-contents"},
		{"end-of-contents with a long length", "30 80 00 81 00", "malformed end-of-contents"},
		{"constructed end-of-contents", "30 80 20 00 00 00", "malformed end-of-contents"},
		{"end-of-contents of indefinite length", "30 80 20 80 00 00", "malformed end-of-contents"},
		{"child longer than its parent", "30 03 02 02 05 05", "passes the end of its parent"},
		{"child header longer than its parent", "30 01 02 01 05", "header passes the end"},
		{"child length longer than its parent", "30 02 02 82 00 01 05", "header passes the end"},
		{"grandchild longer than its grandparent", "30 05 30 80 04 02 01 02 00 00", "passes the end of its parent"},
		{"indefinite child without room for its end", "30 02 30 80 00 00", "header passes the end|input ends"},
		{"length overflows 63 bits", "04 88 ff ff ff ff ff ff ff ff", "overflows"},
		{"length overflows with the header", "30 88 7f ff ff ff ff ff ff ff", "overflows"},
		{"length of 9 octets", "04 89 00 00 00 00 00 00 00 00 01 ff", "more than 8 octets"},
		{"reserved length", "04 ff 01", "more than 8 octets"},
		{"tag of 29 bits", "bf 81 80 80 80 01 00", "more than 28 bits"},
		{"tag with leading zeros", "9f 80 1f 00", "leading zeros"},
		{"small tag in the long form", "9f 1e 00", "small tag"},
		{"endless tag", "9f" + strings.Repeat("ff", 100), "more than 28 bits"},
	} {
		in := unhex(t, test.in)
		_, err := dump(bytes.NewReader(in), Limits{})
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: reader: got %v, want ErrMalformed", test.name, err)
			continue
		}
		found := false
		for _, want := range strings.Split(test.want, "|") {
			found = found || strings.Contains(err.Error(), want)
		}
		if !found || e.Offset > int64(len(in)) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
		if _, err := DER(in, Limits{}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: DER: got %v, want ErrMalformed", test.name, err)
		}
	}
}

func TestLimits(t *testing.T) {
	nested := func(n int) []byte { return bytes.Repeat([]byte{0x30, 0x80}, n) }
	closed := func(n int) []byte { return append(nested(n), make([]byte, 2*n)...) }
	if _, err := dump(bytes.NewReader(closed(64)), Limits{}); err != nil {
		t.Errorf("64 levels: %v", err)
	}
	for _, in := range [][]byte{closed(65), nested(100_000), closed(100_000)} {
		r := NewReader(bytes.NewReader(in), Limits{})
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		if err := r.Skip(); !errors.Is(err, ErrLimit) {
			t.Errorf("%d octets of nesting, skipped: %v", len(in), err)
		}
		if _, err := dump(bytes.NewReader(in), Limits{}); !errors.Is(err, ErrLimit) {
			t.Errorf("%d octets of nesting, entered: %v", len(in), err)
		}
		if _, err := DER(in, Limits{}); !errors.Is(err, ErrLimit) {
			t.Errorf("%d octets of nesting, DER: %v", len(in), err)
		}
	}
	many := append(append([]byte{0x30, 0x80}, bytes.Repeat([]byte{5, 0}, 100)...), 0, 0)
	for _, test := range []struct {
		elements int
		want     error
	}{{102, nil}, {100, ErrLimit}} {
		l := Limits{Elements: test.elements}
		if _, err := DER(many, l); !errors.Is(err, test.want) {
			t.Errorf("101 elements of %d: DER: got %v, want %v", test.elements, err, test.want)
		}
		r := NewReader(bytes.NewReader(many), l)
		r.Next()
		if _, err := r.Raw(1000); !errors.Is(err, test.want) {
			t.Errorf("101 elements of %d: Raw: got %v, want %v", test.elements, err, test.want)
		}
	}
}

func TestRaw(t *testing.T) {
	for _, in := range []string{
		"02 01 05", "30 03 02 01 05", "30 80 02 01 05 00 00", "04 82 00 01 ff",
		"30 80 30 80 30 03 02 01 05 00 00 04 01 00 00 00", "24 80 24 80 04 01 61 00 00 04 01 62 00 00",
	} {
		b := unhex(t, in)
		r := NewReader(bytes.NewReader(append(b[:len(b):len(b)], 5, 0)), Limits{})
		r.Next()
		got, err := r.Raw(int64(len(b)))
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("%s: got %x, %v", in, got, err)
		}
		if h, err := r.Next(); err != nil || h.Tag != Null || h.Offset != int64(len(b)) {
			t.Errorf("%s: goes on with %v, %v", in, h, err)
		}
		r = NewReader(bytes.NewReader(b), Limits{})
		r.Next()
		if _, err := r.Raw(int64(len(b)) - 1); !errors.Is(err, ErrLimit) {
			t.Errorf("%s: one octet less: got %v, want ErrLimit", in, err)
		}
	}
}

func TestContent(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"primitive", "04 03 61 62 63", "abc"},
		{"empty", "04 00", ""},
		{"in pieces", "24 80 04 01 61 04 02 62 63 00 00", "abc"},
		{"in pieces, definite", "24 07 04 01 61 04 02 62 63", "abc"},
		{"pieces in pieces", "24 80 24 80 04 01 61 00 00 24 04 04 02 62 63 04 00 00 00", "abc"},
		{"no pieces", "24 80 00 00", ""},
		{"empty pieces", "24 80 24 00 24 80 00 00 04 00 00 00", ""},
		{"context-specific", "80 03 61 62 63", "abc"},
		{"context-specific in pieces", "a0 80 04 03 61 62 63 00 00", "abc"},
	} {
		in := append(unhex(t, test.in), 5, 0)
		for _, src := range []io.Reader{bytes.NewReader(in), iotest.OneByteReader(bytes.NewReader(in))} {
			r := NewReader(src, Limits{})
			r.Next()
			got, err := io.ReadAll(struct{ io.Reader }{r.Content()})
			if err != nil || string(got) != test.want {
				t.Errorf("%s: got %q, %v; want %q", test.name, got, err, test.want)
			}
			if h, err := r.Next(); err != nil || h.Tag != Null {
				t.Errorf("%s: goes on with %v, %v", test.name, h, err)
			}
		}
	}
	for _, test := range []struct{ name, in string }{
		{"piece of another type", "24 80 04 01 61 02 01 05 00 00"},
		{"piece longer than the string", "24 03 04 02 61 62"},
		{"cut", "24 80 04 05 61"},
		{"cut primitive", "04 05 61"},
		{"no end", "24 80 04 01 61"},
	} {
		r := NewReader(bytes.NewReader(unhex(t, test.in)), Limits{})
		r.Next()
		if _, err := io.ReadAll(r.Content()); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", test.name, err)
		}
		r = NewReader(bytes.NewReader(unhex(t, test.in)), Limits{})
		r.Next()
		if _, err := io.Copy(io.Discard, r.Content()); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: copied: got %v, want ErrMalformed", test.name, err)
		}
	}
}

// Read and WriteTo give the same, whatever the pieces and the sizes that Read is asked for.
func TestContentOfPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var in, want []byte
		for _, n := range rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, 100, 2047, 2048, 4096, 16384, 70000}), 0, 20).Draw(t, "pieces") {
			piece := bytes.Repeat([]byte{byte(len(want))}, n)
			want = append(want, piece...)
			in = append(AppendHeader(in, OctetString, false, int64(n)), piece...)
		}
		in = append(append([]byte{0x24, 0x80}, in...), 0, 0, 5, 0)
		for _, copied := range []bool{false, true} {
			r := NewReader(bytes.NewReader(in), Limits{})
			r.Next()
			var got bytes.Buffer
			var err error
			if copied {
				_, err = io.Copy(&got, r.Content())
			} else {
				buffer := make([]byte, rapid.SampledFrom([]int{1, 7, 5000, 100_000}).Draw(t, "buffer"))
				_, err = io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{r.Content()}, buffer)
			}
			if err != nil || !bytes.Equal(got.Bytes(), want) {
				t.Fatalf("%d octets of %d, %v", got.Len(), len(want), err)
			}
			if h, err := r.Next(); err != nil || h.Tag != Null {
				t.Fatalf("goes on with %v, %v", h, err)
			}
		}
	})
}

// Long content passes by in constant memory, whatever its pieces.
func TestContentIsStreamed(t *testing.T) {
	for _, piece := range []int{1, 100, 1000, 4096, 100_000, 4 << 20} {
		size := 4 << 20
		if piece == 1 {
			size = 1 << 19
		}
		head := AppendHeader(nil, OctetString, false, int64(piece))
		in := bytes.Repeat(append(head, make([]byte, piece)...), size/piece)
		in = append(append([]byte{0x24, 0x80}, in...), 0, 0)
		allocs := testing.AllocsPerRun(1, func() {
			r := NewReader(bytes.NewReader(in), Limits{})
			r.Next()
			n, err := io.Copy(io.Discard, r.Content())
			if err != nil || n != int64(size/piece*piece) {
				t.Errorf("pieces of %d: %d octets, %v", piece, n, err)
			}
			if err := r.End(); err != nil {
				t.Errorf("pieces of %d: %v", piece, err)
			}
		})
		if allocs > 30 {
			t.Errorf("pieces of %d: %v allocations", piece, allocs)
		}
	}
}

// Errors of the source are its own; a source that only stutters is put up with.
func TestSource(t *testing.T) {
	broken := errors.New("disk on fire")
	in := []byte{0x30, 0x80, 4, 3, 'a', 'b', 'c', 0, 0}
	for n := range in {
		_, err := dump(io.MultiReader(bytes.NewReader(in[:n]), iotest.ErrReader(broken)), Limits{})
		if !errors.Is(err, broken) {
			t.Errorf("source breaks at %d: got %v", n, err)
		}
	}
	if _, err := dump(idle{}, Limits{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("idle source: got %v", err)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestMisuse(t *testing.T) {
	in := unhex(t, "30 06 02 01 05 02 01 06")
	at := func() *Reader {
		r := NewReader(bytes.NewReader(in), Limits{})
		r.Next()
		return r
	}
	for name, f := range map[string]func(*Reader) error{
		"Leave before the end": func(r *Reader) error { r.Enter(); r.Next(); return r.Leave() },
		"Leave at the top":     func(r *Reader) error { return r.Leave() },
		"Enter twice":          func(r *Reader) error { r.Enter(); return r.Enter() },
		"Enter a primitive":    func(r *Reader) error { r.Enter(); r.Next(); return r.Enter() },
		"Raw after Enter":      func(r *Reader) error { r.Enter(); _, err := r.Raw(99); return err },
		"End inside":           func(r *Reader) error { r.Enter(); return r.End() },
		"Content after Enter":  func(r *Reader) error { r.Enter(); _, err := io.ReadAll(r.Content()); return err },
	} {
		r := at()
		if err := f(r); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		}
		if _, err := r.Next(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: the error does not stay: %v", name, err)
		}
	}
	r := at()
	r.Skip()
	if err := r.End(); err != nil {
		t.Errorf("End: %v", err)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("Next at the end: %v", err)
	}
}
