package message

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"mailseal/internal/spool"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func testSpool(t testing.TB) *spool.Store {
	t.Helper()
	s, err := spool.New(spool.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read reads a mail that is good and checks that it is written as it was.
func read(t testing.TB, mail string) *Message {
	t.Helper()
	m, err := Read(strings.NewReader(mail), testSpool(t), Limits{})
	if err != nil {
		t.Fatalf("read %.60q: %v", mail, err)
	}
	t.Cleanup(func() { m.Body.Close() })
	if got := written(t, m); got != mail {
		t.Fatalf("read and written:\n got %.200q\nwant %.200q", got, mail)
	}
	return m
}

func written(t testing.TB, m *Message) string {
	t.Helper()
	var b bytes.Buffer
	n, err := m.WriteTo(&b)
	if err != nil {
		t.Fatal(err)
	}
	if n != int64(b.Len()) {
		t.Errorf("WriteTo returned %d for %d bytes", n, b.Len())
	}
	return b.String()
}

func bodyString(t testing.TB, b Body) string {
	t.Helper()
	got, err := io.ReadAll(NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		name, mail string
		fields     []string // raw
		body       string
		newline    string
	}{
		{"CRLF", "A: b\r\nC: d\r\n\r\nbody\r\n", []string{"A: b", "C: d"}, "body\r\n", "\r\n"},
		{"LF", "A: b\nC: d\n\nbody\n", []string{"A: b", "C: d"}, "body\n", "\n"},
		{"folds, blanks and spelling", "SUBJECT:\t a\r\n  b \r\nx :y\r\n\r\n", []string{"SUBJECT:\t a\r\n  b ", "x :y"}, "", "\r\n"},
		{"mbox", "From a@b Thu Jan  1 00:00:00 1970\nA: b\n\nc", []string{"From a@b Thu Jan  1 00:00:00 1970", "A: b"}, "c", "\n"},
		{"no field", "A: b\nhello\n\n", []string{"A: b", "hello"}, "", "\n"},
		{"a fold at the top", " x\nA: b\n\n", []string{" x", "A: b"}, "", "\n"},
		{"empty", "", nil, "", "\r\n"},
		{"empty line only", "\n", nil, "", "\n"},
		{"no header", "\r\nbody", nil, "body", "\r\n"},
		{"no body", "A: b\n", []string{"A: b"}, "", "\n"},
		{"cut in a line", "A: b\r\nC: d", []string{"A: b", "C: d"}, "", "\r\n"},
		{"one line without end", "A: b", []string{"A: b"}, "", "\r\n"},
		{"cut in a line end", "A: b\r", []string{"A: b\r"}, "", "\r\n"},
		{"CR where the empty line should be", "A: b\r\n\r", []string{"A: b", "\r"}, "", "\r\n"},
		{"mixed", "A: b\nC: d\r\nE:\r\n f\n\r\nbody\n", []string{"A: b", "C: d", "E:\r\n f"}, "body\n", "\n"},
		{"mixed the other way", "A: b\r\nC: d\nE:\n f\r\n\nbody\r\n", []string{"A: b", "C: d", "E:\n f"}, "body\r\n", "\r\n"},
		{"bare CR and NUL", "A: \r\x00b\r\r\n\r\n\x00", []string{"A: \r\x00b\r"}, "\x00", "\r\n"},
		{"a blank line is a fold", "A: b\n \n\nc", []string{"A: b\n "}, "c", "\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := read(t, tt.mail)
			var fields []string
			for _, f := range m.Header {
				fields = append(fields, f.Raw())
			}
			if d := cmp.Diff(tt.fields, fields); d != "" {
				t.Errorf("fields (-want +got):\n%s", d)
			}
			if got := bodyString(t, m.Body); got != tt.body {
				t.Errorf("body %q, want %q", got, tt.body)
			}
			if m.Newline != tt.newline {
				t.Errorf("newline %q, want %q", m.Newline, tt.newline)
			}
		})
	}
}

func TestReadBounds(t *testing.T) {
	long := "A: " + strings.Repeat("b", 1<<20)
	for _, tt := range []struct {
		name, mail string
		limits     Limits
		bound      string
	}{
		{"line of 1 MB", long + "\n\nbody", Limits{}, BoundHeader},
		{"header of 1 MB", strings.Repeat("A: 78901234\n", 100000) + "\nbody", Limits{}, BoundHeader},
		{"no header at all", strings.Repeat("x", 3<<20), Limits{}, BoundHeader},
		{"own bound", "A: b\nC: d\n\n", Limits{Header: 9}, BoundHeader},
		{"fields", strings.Repeat("A:\n", 10001) + "\n", Limits{}, BoundFields},
		{"own bound of fields", "A: b\nC: d\n\n", Limits{Fields: 1}, BoundFields},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read(strings.NewReader(tt.mail), testSpool(t), tt.limits)
			var le *LimitError
			if !errors.As(err, &le) || le.Bound != tt.bound {
				t.Errorf("error %v, want a bound on %s", err, tt.bound)
			}
		})
	}
	if m, err := Read(strings.NewReader("A: b\nC: d\n\n"), testSpool(t), Limits{Header: 10, Fields: 2}); err != nil {
		t.Errorf("at the bounds: %v", err)
	} else {
		m.Body.Close()
	}
}

func TestReadErrors(t *testing.T) {
	small, err := spool.New(spool.Config{Dir: t.TempDir(), Limit: 4})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Read(strings.NewReader("A: b\n\n12345"), small, Limits{}); !errors.Is(err, spool.ErrTooLarge) {
		t.Errorf("body over the limit: %v", err)
	}
	broken := errors.New("pipe broke")
	for _, before := range []string{"", "A: b", "A: b\n", "A: b\n\nbody"} {
		r := io.MultiReader(strings.NewReader(before), iotest.ErrReader(broken))
		if _, err := Read(r, testSpool(t), Limits{}); !errors.Is(err, broken) {
			t.Errorf("broken after %q: %v", before, err)
		}
	}
}

// Lines longer than the reader's buffer come in pieces: no piece may pass for
// an empty line or end a field.
func TestReadLongLines(t *testing.T) {
	for n := 32<<10 - 4; n < 32<<10+4; n++ {
		for _, nl := range []string{"\n", "\r\n"} {
			m := read(t, strings.Repeat("x", n)+nl+nl+"body"+nl)
			if len(m.Header) != 1 || m.Body.Size() != int64(4+len(nl)) {
				t.Fatalf("line of %d with %q: %d fields, %d bytes of body", n, nl, len(m.Header), m.Body.Size())
			}
		}
	}
}

func TestWriteToOfAMadeMail(t *testing.T) {
	for _, tt := range []struct {
		m    Message
		want string
	}{
		{Message{}, "\r\n"},
		{Message{Header: Header{NewField("A", " b")}, Newline: "\n"}, "A: b\n\n"},
		{Message{Header: Header{NewField("A", " b")}, Body: Bytes([]byte("c"))}, "A: b\r\n\r\nc"},
	} {
		if got := written(t, &tt.m); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

type failingWriter struct{ after int }

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.after -= len(p); w.after < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func TestWriteToFails(t *testing.T) {
	m := read(t, "A: b\n\nbody")
	for after := range 10 {
		if _, err := m.WriteTo(&failingWriter{after}); err != io.ErrShortWrite {
			t.Errorf("after %d bytes: %v", after, err)
		}
	}
}

func mailText() *rapid.Generator[string] {
	piece := rapid.SampledFrom([]string{"\n", "\r\n", "\r", "\n\n", "\r\n\r\n", " ", "\t", ":", "A", "Subject: x", "From ", "--", "\x00", "é"})
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(piece, 0, 40).Draw(t, "pieces"), "")
	})
}

func TestReadIsExact(t *testing.T) {
	s := testSpool(t)
	rapid.Check(t, func(rt *rapid.T) { checkExact(rt, s, []byte(mailText().Draw(rt, "mail"))) })
}

func FuzzRead(f *testing.F) {
	for _, mail := range []string{
		"", "\n", "A: b", "A: b\n", "A: b\r\n\r\nc", "From x\nA: b\n c\n\nd\n", "A: b\r\nC: d\n\r\nx\n", "A\r", "\r\n\r", " x\n\n",
	} {
		f.Add([]byte(mail))
	}
	s := testSpool(f)
	f.Fuzz(func(t *testing.T, mail []byte) { checkExact(t, s, mail) })
}

type fataler interface {
	Fatalf(format string, args ...any)
}

func checkExact(t fataler, s *spool.Store, mail []byte) {
	m, err := Read(bytes.NewReader(mail), s, Limits{})
	if err != nil {
		var le *LimitError
		if !errors.As(err, &le) {
			t.Fatalf("read: %v", err)
		}
		return
	}
	defer m.Body.Close()
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		t.Fatalf("write: %v", err)
	}
	if !bytes.Equal(b.Bytes(), mail) {
		t.Fatalf("written %q, read %q", b.Bytes(), mail)
	}
	// What edits do nothing to stays as it is.
	same, err := m.Apply(nil)
	if err != nil {
		t.Fatalf("apply nothing: %v", err)
	}
	b.Reset()
	if _, err := same.WriteTo(&b); err != nil || !bytes.Equal(b.Bytes(), mail) {
		t.Fatalf("without edits: written %q, read %q, %v", b.Bytes(), mail, err)
	}
}

// corpusMails returns the names of all mails among the corpora.
func corpusMails(t testing.TB) []string {
	t.Helper()
	dir := os.Getenv("MAILSEAL_CORPORA")
	if dir == "" {
		dir = "../../../shared/corpora"
	}
	var names []string
	for _, pattern := range []string{"mimekit/*.txt", "kmail/*.mbox", "rfc4134/*.eml", "pkits/smime/*.eml"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	if len(names) == 0 {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			t.Skip("no corpora here: MAILSEAL_CORPORA names their folder")
		}
		t.Fatal("no mails among the corpora")
	}
	return names
}

func TestCorporaAreReadAndWrittenExactly(t *testing.T) {
	for _, name := range corpusMails(t) {
		mail, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		m := read(t, string(mail))
		root, err := Walk(m.Header, m.Body, Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if root.Malformed != "" {
			t.Errorf("%s: malformed: %s", name, root.Malformed)
		}
		if root.isMultipart() && len(root.Parts) == 0 {
			t.Errorf("%s: no parts", name)
		}
		checkParts(t, m.Body, root)
	}
}
