package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A countingBody counts the bytes that are read.
type countingBody struct {
	Body
	read atomic.Int64
}

func (b *countingBody) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.Body.ReadAt(p, off)
	b.read.Add(int64(n))
	return n, err
}

func TestWalkReadsNoMoreThanItMust(t *testing.T) {
	text := strings.Repeat("some text\n", 100_000)
	for _, tt := range []struct {
		name, mail string
		most       int64
	}{
		{"no multipart", "A: b\n\n" + text, 0},
		{"attached mail", "Content-Type: message/rfc822\n\nA: b\n\n" + text, bufferSize},
		{"epilogue", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n--b--\n" + text, bufferSize},
	} {
		m := read(t, tt.mail)
		b := &countingBody{Body: m.Body}
		if _, err := Walk(m.Header, b, Limits{}); err != nil {
			t.Fatal(err)
		}
		if got := b.read.Load(); got > tt.most {
			t.Errorf("%s: %d bytes read, want at most %d", tt.name, got, tt.most)
		}
	}
}

// A shortBody is shorter than it says.
type shortBody struct{ Body }

func (b shortBody) Size() int64 { return b.Body.Size() + 1 }

func TestWalkErrors(t *testing.T) {
	h := Header{NewField("Content-Type", " multipart/mixed; boundary=b")}
	if _, err := Walk(h, shortBody{Bytes([]byte("--b\n"))}, Limits{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("short body: %v", err)
	}
	for _, part := range []string{"--b\n", "--b\nContent-Type: message/rfc822\n\n"} {
		f := testSpool(t).Create()
		if _, err := io.WriteString(f, part+strings.Repeat("x\n", bufferSize)); err != nil {
			t.Fatal(err)
		}
		if _, err := Walk(h, &closingBody{Body: f, reads: 1}, Limits{}); err == nil {
			t.Error("no error from a body that fails")
		}
	}
}

// A closingBody fails after some reads.
type closingBody struct {
	Body
	reads int
}

func (b *closingBody) ReadAt(p []byte, off int64) (int, error) {
	if b.reads--; b.reads < 0 {
		b.Close()
	}
	return b.Body.ReadAt(p, off)
}

func nestedMail(levels int) string {
	var b strings.Builder
	for i := range levels {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	return b.String() + "\ntext\n"
}

func TestWalkBounds(t *testing.T) {
	const mixed = "Content-Type: multipart/mixed; boundary=b\n\n"
	for _, tt := range []struct {
		name, mail string
		limits     Limits
		bound      string
	}{
		{"1000 levels", nestedMail(1000), Limits{}, BoundDepth},
		{"1000 mails in mails", strings.Repeat("Content-Type: message/rfc822\n\n", 1000), Limits{}, BoundDepth},
		{"33 levels", nestedMail(33), Limits{}, BoundDepth},
		{"32 levels", nestedMail(32), Limits{}, ""},
		{"200000 empty parts", mixed + strings.Repeat("--b\n", 200_000), Limits{}, BoundParts},
		{"1000 parts", mixed + strings.Repeat("--b\n", 1000), Limits{}, ""},
		{"header of 2 MB in a part", mixed + "--b\n" + strings.Repeat("A: 78901234\n", 200_000), Limits{}, BoundHeader},
		{"line of 2 MB in a part", mixed + "--b\n" + strings.Repeat("A", 2<<20), Limits{}, BoundHeader},
		{"many fields in a part", mixed + "--b\n" + strings.Repeat("A:\n", 10001), Limits{}, BoundFields},
		{"many fields in all parts", mixed + strings.Repeat("--b\n"+strings.Repeat("A:\n", 100), 401), Limits{}, BoundFields},
		{"large headers in all parts", mixed + strings.Repeat("--b\nA: "+strings.Repeat("b", 500_000)+"\n", 9), Limits{}, BoundHeader},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := read(t, tt.mail)
			_, err := Walk(m.Header, m.Body, tt.limits)
			var le *LimitError
			switch {
			case tt.bound == "" && err != nil:
				t.Errorf("error %v", err)
			case tt.bound != "" && (!errors.As(err, &le) || le.Bound != tt.bound):
				t.Errorf("error %v, want a bound on %s", err, tt.bound)
			}
		})
	}
}

// What a stranger can send is answered at once. The bound leaves room for a
// slow machine and the race detector: without care these take minutes.
func TestHostileMails(t *testing.T) {
	const mixed = "Content-Type: multipart/mixed; boundary=b\n\n"
	for name, mail := range map[string]string{
		"deep":                    nestedMail(20_000),
		"wide":                    mixed + strings.Repeat("--b\n", 1<<20),
		"hyphens":                 mixed + strings.Repeat("-", 1<<19),
		"lines of hyphens":        mixed + strings.Repeat("--\n", 1<<19),
		"almost delimiters":       mixed + strings.Repeat("--b-\n", 1<<19),
		"hyphens apart":           mixed + strings.Repeat("- ", 1<<20),
		"NULs":                    mixed + strings.Repeat("\x00", 1<<19),
		"blanks behind":           mixed + strings.Repeat("--b"+strings.Repeat(" ", 2000)+"\n", 4000),
		"empty lines":             mixed + strings.Repeat("\n", 1<<19),
		"parameters":              "Content-Type: multipart/mixed" + strings.Repeat("; a=b", 200_000) + "\n\n",
		"parameters in pieces":    "Content-Type: multipart/mixed" + pieces(50_000) + "\n\n",
		"comments":                "Content-Type: multipart/mixed" + strings.Repeat("(", 500_000) + "\n\n",
		"comments and semicolons": "Content-Type: multipart/mixed" + strings.Repeat(";(a;)", 200_000) + "\n\n",
		"quotes":                  "Content-Type: multipart/mixed; " + strings.Repeat(`a="`, 300_000) + "\n\n",
		"open comments":           "Content-Type: multipart/mixed" + strings.Repeat("; a=b (", 140_000) + "\n\n",
		"one fold a byte":         "Content-Type: multipart/mixed" + strings.Repeat("\n ", 400_000) + "\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			m := read(t, mail)
			start := time.Now()
			_, err := Walk(m.Header, m.Body, Limits{Depth: 1 << 30})
			var le *LimitError
			if err != nil && !errors.As(err, &le) {
				t.Error(err)
			}
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("took %v", took)
			} else {
				t.Logf("%d bytes in %v: %v", len(mail), took, err)
			}
		})
	}
}

func pieces(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "; a*%d=b", i)
	}
	return b.String()
}

// Whatever is done with a large mail, it is not in memory.
func TestMemoryDoesNotGrowWithTheBody(t *testing.T) {
	text, _ := base64Text(8 << 20)
	header := "Content-Type: multipart/mixed; boundary=\"=_outer\"\r\n\r\n"
	mail := append([]byte(header), multipart(text)...)
	s := testSpool(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m, err := Read(bytes.NewReader(mail), s, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Body.Close()
	root, err := Walk(m.Header, m.Body, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, CRLF(root.Parts[0].Decode(m.Body))); err != nil || n < 5<<20 {
		t.Fatalf("decoded %d, %v", n, err)
	}
	if _, err := m.WriteTo(io.Discard); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
		t.Errorf("allocated %d bytes for a mail of %d", got, len(mail))
	} else {
		t.Logf("allocated %d bytes for a mail of %d", got, len(mail))
	}
}
