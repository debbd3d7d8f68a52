package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// outline writes the tree of parts as text: section, type, content, and what
// is wrong.
func outline(t testing.TB, b Body, p *Part) string {
	t.Helper()
	var out strings.Builder
	var write func(p *Part, depth int)
	write = func(p *Part, depth int) {
		fmt.Fprintf(&out, "%s%s %s", strings.Repeat("  ", depth), orDash(p.Section), orDash(p.MediaType))
		switch {
		case len(p.Parts) == 0:
			fmt.Fprintf(&out, " %q", bodyString(t, p.Content(b)))
		case p.isMultipart() && !p.Closed:
			out.WriteString(" open")
		}
		if p.Malformed != "" {
			fmt.Fprintf(&out, " (%s)", p.Malformed)
		}
		out.WriteString("\n")
		for _, c := range p.Parts {
			write(c, depth+1)
		}
	}
	write(p, 0)
	return out.String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func TestWalk(t *testing.T) {
	const mixed = "Content-Type: multipart/mixed; boundary=b\n\n"
	for _, tt := range []struct{ name, mail, want string }{
		{"plain", "A: b\n\ntext", "- text/plain \"text\"\n"},
		{"two parts", mixed + "preamble\n--b\nContent-Type: text/html\n\none\n--b\n\ntwo\n--b--\nepilogue\n", `
- multipart/mixed
  1 text/html "one"
  2 text/plain "two"
`},
		{"CRLF", strings.ReplaceAll(mixed+"--b\n\none\n\n--b\n\ntwo\n--b--", "\n", "\r\n"), `
- multipart/mixed
  1 text/plain "one\r\n"
  2 text/plain "two"
`},
		{"blanks behind delimiters", mixed + "--b \t\n\none\n--b--  \n", `
- multipart/mixed
  1 text/plain "one"
`},
		{"no closing delimiter", mixed + "--b\n\none\n--b\n\ntwo\n", `
- multipart/mixed open
  1 text/plain "one"
  2 text/plain "two\n"
`},
		{"no delimiter", mixed + "text --b\n -- b\n--bc\n-b\n", `
- multipart/mixed "text --b\n -- b\n--bc\n-b\n"
`},
		{"nothing", mixed, "- multipart/mixed \"\"\n"},
		{"cut in a delimiter", mixed + "--b\n\none\n--b", `
- multipart/mixed open
  1 text/plain "one"
  2 text/plain ""
`},
		{"empty parts", mixed + "--b\n--b\n\n--b\n\n\n--b--", `
- multipart/mixed
  1 text/plain ""
  2 text/plain ""
  3 text/plain ""
`},
		{"header only", mixed + "--b\nContent-Type: text/html\n--b\nContent-Type: text/css\n\n--b--", `
- multipart/mixed
  1 text/html ""
  2 text/css ""
`},
		{"text in place of a header", mixed + "--b\nhello\n--b--", `
- multipart/mixed
  1 text/plain "" (a line in the header that is no field)
`},
		{"closing delimiter only", mixed + "--b--\n--b\n\none\n", "- multipart/mixed \"--b--\\n--b\\n\\none\\n\"\n"},
		{"nested", mixed + `--b
Content-Type: multipart/alternative; boundary="in ner"

--in ner
Content-Type: text/plain

one
--in ner
Content-Type: text/html

two
--in ner--
epilogue of the inner
--in ner
--b
Content-Type: image/png

three
--b--
`, `
- multipart/mixed
  1 multipart/alternative
    1.1 text/plain "one"
    1.2 text/html "two"
  2 image/png "three"
`},
		{"outer closes inner", mixed + "--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\none\n--b\n\ntwo\n--c\nthree\n--b--\n", `
- multipart/mixed
  1 multipart/mixed open
    1.1 text/plain "one"
  2 text/plain "two\n--c\nthree"
`},
		{"boundary of the outer one begins as the inner's", mixed + "--b\nContent-Type: multipart/mixed; boundary=b-1\n\n--b-1\n\none\n--b-1--\n--b--\n", `
- multipart/mixed
  1 multipart/mixed
    1.1 text/plain "one"
`},
		{"same boundary inside", mixed + "--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n", `
- multipart/mixed
  1 multipart/mixed "" (a boundary that is also one of a multipart around it)
  2 text/plain "one"
`},
		{"a boundary that closes the outer", mixed + "--b\nContent-Type: multipart/mixed; boundary=b--\n\n--b--\n\none\n", `
- multipart/mixed
  1 multipart/mixed "" (a boundary that is also one of a multipart around it)
`},
		{"a boundary that the outer closes", "Content-Type: multipart/mixed; boundary=b--\n\n--b--\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n--b----", `
- multipart/mixed
  1 multipart/mixed "--b\n" (a boundary that is also one of a multipart around it)
`},
		// RFC 3501 section 6.4.5 has this mail.
		{"sections", mixed + `--b

--b
Content-Type: application/octet-stream

--b
Content-Type: message/rfc822

Content-Type: multipart/mixed; boundary=c

--c

--c
Content-Type: application/octet-stream

--c--
--b
Content-Type: multipart/mixed; boundary=d

--d
Content-Type: image/gif

--d
Content-Type: message/rfc822

Content-Type: multipart/mixed; boundary=e

--e

--e
Content-Type: multipart/alternative; boundary=f

--f

--f
Content-Type: text/richtext

--f--
--e--
--d--
--b
Content-Type: message/rfc822

Subject: no parts

text
--b--
`, `
- multipart/mixed
  1 text/plain ""
  2 application/octet-stream ""
  3 message/rfc822
    3 multipart/mixed
      3.1 text/plain ""
      3.2 application/octet-stream ""
  4 multipart/mixed
    4.1 image/gif ""
    4.2 message/rfc822
      4.2 multipart/mixed
        4.2.1 text/plain ""
        4.2.2 multipart/alternative
          4.2.2.1 text/plain ""
          4.2.2.2 text/richtext ""
  5 message/rfc822
    5.1 text/plain "text"
`},
		{"a mail in the mail", "Content-Type: message/rfc822\n\nA: b\n\ntext\n", `
- message/rfc822
  1.1 text/plain "text\n"
`},
		{"a mail with parts in the mail", "Content-Type: message/global\nContent-Transfer-Encoding: 8bit\n\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n", `
- message/global
  1 multipart/mixed
    1.1 text/plain "one"
`},
		{"an encoded mail in the mail", "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nQTogYg==\n", `
- message/rfc822 "QTogYg==\n"
`},
		{"mails in mails", mixed + "--b\nContent-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nA: b\n\ntext\n--b--\n", `
- multipart/mixed
  1 message/rfc822
    1.1 message/rfc822
      1.1.1 text/plain "text"
`},
		{"an empty mail in the mail", mixed + "--b\nContent-Type: message/rfc822\n\n--b--\n", `
- multipart/mixed
  1 message/rfc822
    1.1 text/plain ""
`},
		{"digest", "Content-Type: multipart/digest; boundary=b\n\n--b\n\nA: b\n\none\n--b\nContent-Type: text/plain\n\ntwo\n--b--", `
- multipart/digest
  1 message/rfc822
    1.1 text/plain "one"
  2 text/plain "two"
`},
		{"duplicate type", "Content-Type: multipart/mixed; boundary=b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n", `
- multipart/mixed "--b\n\none\n--b--\n" (Content-Type more than once)
`},
		{"no boundary", "Content-Type: multipart/mixed\n\n--\n\none\n----\n", `
- multipart/mixed "--\n\none\n----\n" (a multipart without a boundary)
`},
		{"long boundary", "Content-Type: multipart/mixed; boundary=" + strings.Repeat("b", 10<<10) + "\n\n--b\n", `
- multipart/mixed "--b\n" (a boundary that is too long)
`},
		{"broken type", "Content-Type: multipart boundary=b\n\n--b\n", `
- - "--b\n" (Content-Type with no subtype)
`},
		{"NUL in the type", "Content-Type: multipart/mixed\x00; boundary=b\n\n--b\n", `
- multipart/mixed "--b\n" (Content-Type with a control character)
`},
		{"encoded multipart", "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: quoted-printable\n\n--b\n\none\n--b--\n", `
- multipart/mixed (a multipart with a transfer encoding)
  1 text/plain "one"
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := read(t, tt.mail)
			root, err := Walk(m.Header, m.Body, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), outline(t, m.Body, root)); d != "" {
				t.Errorf("parts (-want +got):\n%s", d)
			}
			checkParts(t, m.Body, root)
		})
	}
}

func TestRawIsWhatIsSigned(t *testing.T) {
	const first = "Content-Type: text/plain\r\n\r\nsigned text\r\n"
	m := read(t, "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=\"----s\"\r\n\r\n"+
		"This is signed.\r\n\r\n------s\r\n"+first+"\r\n------s\r\nContent-Type: application/pkcs7-signature\r\n\r\nMII=\r\n\r\n------s--\r\n\r\n")
	root, err := Walk(m.Header, m.Body, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got := bodyString(t, root.Parts[0].Raw(m.Body)); got != first {
		t.Errorf("signed bytes %q, want %q", got, first)
	}
	if got := root.Params["protocol"]; got != "application/pkcs7-signature" {
		t.Errorf("protocol %q", got)
	}
	if !root.Closed || root.Malformed != "" {
		t.Errorf("closed %t, malformed %q", root.Closed, root.Malformed)
	}
}

// checkParts holds the tree to what is always true of it.
func checkParts(t testing.TB, b Body, root *Part) {
	t.Helper()
	if root.Offset != 0 || root.BodyOffset != 0 || root.End != b.Size() || root.Section != "" {
		t.Fatalf("root [%d %d %d) %q in a body of %d", root.Offset, root.BodyOffset, root.End, root.Section, b.Size())
	}
	var check func(p *Part)
	check = func(p *Part) {
		at := p.BodyOffset
		for _, c := range p.Parts {
			if c.Offset < at || c.BodyOffset < c.Offset || c.End < c.BodyOffset || p.End < c.End {
				t.Fatalf("part %s [%d %d %d) in [%d %d)", c.Section, c.Offset, c.BodyOffset, c.End, at, p.End)
			}
			at = c.End
			checkHeader(t, b, c)
			check(c)
		}
		if !p.isMultipart() && len(p.Parts) > 1 {
			t.Fatalf("%d parts in %s", len(p.Parts), p.MediaType)
		}
		if p.MediaType == "multipart/" {
			t.Fatal("a type without a subtype")
		}
	}
	check(root)
}

// checkHeader parses the part's header again, from its raw bytes.
func checkHeader(t testing.TB, b Body, p *Part) {
	t.Helper()
	raw := bodyString(t, Section(b, p.Offset, p.BodyOffset-p.Offset))
	raw = strings.TrimSuffix(strings.TrimSuffix(raw, "\n"), "\r")
	h, _, err := parseHeader(raw, Limits{}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	last := func(f Field) string { return strings.TrimRight(f.Raw(), "\r") }
	if len(h) != len(p.Header) {
		t.Fatalf("part %s: %d fields, %d in %q", p.Section, len(p.Header), len(h), raw)
	}
	for i := range h {
		if last(h[i]) != last(p.Header[i]) {
			t.Fatalf("part %s: field %q, raw %q", p.Section, p.Header[i].Raw(), h[i].Raw())
		}
	}
}

// A plainWalker finds parts line by line, with no thought of speed: what Walk
// finds must be the same.
type plainWalker struct {
	body  string
	stack []plainLevel
}

type plainLevel struct {
	part     *Part
	boundary string
}

func plainWalk(h Header, body string) *Part {
	root := &Part{Header: h, End: int64(len(body))}
	w := plainWalker{body: body}
	header := -1 // where the innermost part's header began
	nested := root.describe("text/plain")
	w.push(root, nested)
	if nested && !root.isMultipart() {
		w.begin(0)
		header = 0
	}
	for at := 0; at <= len(body); {
		next, line := len(body), body[at:]
		if i := strings.IndexByte(line, '\n'); i >= 0 {
			next, line = at+i+1, line[:i]
		}
		if level, closing := w.find(line); level >= 0 {
			if header >= 0 {
				w.header(header, at, at)
			}
			header = -1
			w.cut(level, at)
			if closing {
				w.stack[level].part.Closed = true
				w.stack[level].boundary = ""
			} else {
				w.begin(next)
				header = next
			}
		} else if header >= 0 && (line == "" || line == "\r") && at < len(body) {
			if w.header(header, at, next) {
				w.begin(next)
				header = next
			} else {
				header = -1
			}
		}
		if next == at || next == len(body) && !strings.HasSuffix(body, "\n") {
			break
		}
		at = next
	}
	for header >= 0 && w.header(header, len(body), len(body)) {
		w.begin(len(body))
		header = len(body)
	}
	return root
}

func (w *plainWalker) find(line string) (int, bool) {
	if len(line) >= maxDelimiter || !strings.HasPrefix(line, "--") {
		return -1, false
	}
	line = strings.TrimRight(line[2:], " \t\r")
	for i, v := range w.stack {
		if v.boundary != "" && line == v.boundary {
			return i, false
		}
		if v.boundary != "" && line == v.boundary+"--" {
			return i, true
		}
	}
	return -1, false
}

func (w *plainWalker) push(p *Part, nested bool) {
	boundary := ""
	if nested && p.isMultipart() {
		boundary = p.Params["boundary"]
		for _, v := range w.stack {
			if o := v.boundary; o != "" && (o == boundary || o+"--" == boundary || o == boundary+"--") {
				boundary = ""
			}
		}
	}
	w.stack = append(w.stack, plainLevel{p, boundary})
}

// begin opens a part of the innermost entity at that place.
func (w *plainWalker) begin(at int) {
	parent := w.stack[len(w.stack)-1].part
	p := &Part{Offset: int64(at), BodyOffset: int64(at), End: int64(len(w.body))}
	parent.Parts = append(parent.Parts, p)
	w.stack = append(w.stack, plainLevel{part: p})
}

// header takes the innermost part's header and reports whether the content is
// a mail.
func (w *plainWalker) header(from, to, next int) bool {
	p := w.stack[len(w.stack)-1].part
	parent := w.stack[len(w.stack)-2].part
	w.stack = w.stack[:len(w.stack)-1]
	p.Header, _, _ = parseHeader(w.body[from:to], Limits{}.withDefaults())
	p.BodyOffset = int64(next)
	fallback := "text/plain"
	if parent.MediaType == "multipart/digest" {
		fallback = "message/rfc822"
	}
	nested := p.describe(fallback)
	w.push(p, nested)
	return nested && !p.isMultipart()
}

func (w *plainWalker) cut(level, at int) {
	end := strings.TrimSuffix(strings.TrimSuffix(w.body[:at], "\n"), "\r")
	for len(w.stack) > level+1 {
		stop := max(int64(len(end)), w.stack[level+1].part.Offset)
		p := w.stack[len(w.stack)-1].part
		p.Offset, p.BodyOffset, p.End = min(p.Offset, stop), min(p.BodyOffset, stop), stop
		w.stack = w.stack[:len(w.stack)-1]
	}
}

// ranges writes the tree of parts as numbers.
func ranges(p *Part) string {
	var b strings.Builder
	var write func(p *Part)
	write = func(p *Part) {
		fmt.Fprintf(&b, "(%d %d %d %d %t", len(p.Header), p.Offset, p.BodyOffset, p.End, p.Closed)
		for _, c := range p.Parts {
			write(c)
		}
		b.WriteString(")")
	}
	write(p)
	return b.String()
}

func FuzzWalk(f *testing.F) {
	const mixed = "Content-Type: multipart/mixed; boundary=b\n\n"
	for _, mail := range []string{
		"A: b\n\nc",
		mixed + "--b\nA: b\n\none\n--b\n\ntwo\n--b--\nx",
		mixed + "--b\n--b\n\n--b--",
		mixed + "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\none\r\n--b\r\n--c--\r\n--b--",
		mixed + "--b\nContent-Type: message/rfc822\n\nContent-Type: multipart/digest; boundary=c\n\n--c\n\nA: b\n\n--b",
		"Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\n\n",
		mixed + "--b\nContent-Type: message/rfc822\n\n--b\n --b\n---b\n--b --\n",
	} {
		f.Add([]byte(mail), uint16(0))
		f.Add([]byte(mail), uint16(40))
	}
	s := testSpool(f)
	f.Fuzz(func(t *testing.T, mail []byte, shift uint16) {
		m, err := Read(bytes.NewReader(mail), s, Limits{})
		if err != nil {
			return
		}
		defer m.Body.Close()
		body := bodyString(t, m.Body)
		if shift > 0 {
			// The end of the scanner's buffer comes somewhere in the parts.
			fill := max(bufferSize-int(shift), 1)
			body = strings.Repeat("a-", fill)[:fill-1] + "\n" + body
		}
		b := &countingBody{Body: Bytes([]byte(body))}
		root, err := Walk(m.Header, b, Limits{Depth: 1 << 20, Parts: 1 << 20})
		if err != nil {
			var le *LimitError
			if !errors.As(err, &le) {
				t.Fatal(err)
			}
			return
		}
		if read := b.read.Load(); read > b.Size() {
			t.Fatalf("read %d bytes of %d", read, b.Size())
		}
		checkParts(t, b, root)
		if got, want := ranges(root), ranges(plainWalk(m.Header, body)); got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	})
}

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
		"hyphens":                 mixed + strings.Repeat("-", 8<<20),
		"lines of hyphens":        mixed + strings.Repeat("--\n", 2<<20),
		"almost delimiters":       mixed + strings.Repeat("--b-\n", 2<<20),
		"hyphens apart":           mixed + strings.Repeat("- ", 4<<20),
		"NULs":                    mixed + strings.Repeat("\x00", 8<<20),
		"blanks behind":           mixed + strings.Repeat("--b"+strings.Repeat(" ", 2000)+"\n", 4000),
		"empty lines":             mixed + strings.Repeat("\n", 8<<20),
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
			if took := time.Since(start); took > 3*time.Second {
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
