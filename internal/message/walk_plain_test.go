package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"mailseal/internal/spool"

	"pgregory.net/rapid"
)

// checkParts holds the tree to what is always true of it.
func checkParts(t fataler, b Body, root *Part) {
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
			t.Fatalf("a type without a subtype")
		}
	}
	check(root)
}

// checkHeader parses the part's header again, from its raw bytes.
func checkHeader(t fataler, b Body, p *Part) {
	read, err := io.ReadAll(NewReader(Section(b, p.Offset, p.BodyOffset-p.Offset)))
	if err != nil {
		t.Fatalf("%v", err)
	}
	raw, _ := cutLineEnd(string(read))
	h, _, err := parseHeader(raw, Limits{}.withDefaults())
	if err != nil {
		t.Fatalf("%v", err)
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
			for header >= 0 && w.header(header, at, at) {
				w.begin(at)
				header = at
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
		} else if header >= 0 && isEmptyLine([]byte(body[at:next])) {
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
	f.Fuzz(func(t *testing.T, mail []byte, shift uint16) { checkWalk(t, s, mail, int(shift)) })
}

// FuzzWalk's law with mails that have more to take apart than chance finds.
func TestWalkIsPlainWalk(t *testing.T) {
	s := testSpool(t)
	piece := rapid.SampledFrom([]string{
		"\n", "\r\n", "\n\n", "\r\n\r\n", "--b", "--c", "--d", "--b--", "--c--", "--d--", "--", "-", " ", "\r", "x", "A: b\n",
		"\n--b\n", "\n--b\n\n", "\r\n--c\r\n", "\n--b--\n", "\n--c--\n",
		"Content-Type: multipart/mixed; boundary=c\n\n", "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n",
		"Content-Type: multipart/digest; boundary=d\n\n--d\n", "Content-Type: multipart/mixed; boundary=b\n\n",
		"Content-Type: multipart/mixed; boundary=b--\n\n--b--\n", "Content-Type: message/rfc822\n\n", "Content-Type: message/rfc822\r\n",
	})
	rapid.Check(t, func(rt *rapid.T) {
		mail := rapid.SampledFrom([]string{
			"Content-Type: multipart/mixed; boundary=b\n\n", "Content-Type: message/rfc822\r\n\r\n", "Content-Type: multipart/digest; boundary=d\n\n",
		}).Draw(rt, "header") + strings.Join(rapid.SliceOfN(piece, 0, 40).Draw(rt, "pieces"), "")
		shift := 0
		if rapid.IntRange(0, 9).Draw(rt, "shifted") == 0 {
			shift = rapid.IntRange(1, len(mail)).Draw(rt, "shift")
		}
		checkWalk(rt, s, []byte(mail), shift)
	})
}

// checkWalk holds Walk to plainWalk. With a shift the end of the scanner's
// buffer comes that many bytes behind the body's beginning.
func checkWalk(t fataler, s *spool.Store, mail []byte, shift int) {
	m, err := Read(bytes.NewReader(mail), s, Limits{})
	if err != nil {
		return
	}
	defer m.Body.Close()
	raw, err := io.ReadAll(NewReader(m.Body))
	if err != nil {
		t.Fatalf("%v", err)
	}
	body := string(raw)
	if shift > 0 {
		fill := max(bufferSize-shift, 1)
		body = strings.Repeat("a-", fill)[:fill-1] + "\n" + body
	}
	b := &countingBody{Body: Bytes([]byte(body))}
	root, err := Walk(m.Header, b, Limits{Depth: 1 << 20, Parts: 1 << 20})
	if err != nil {
		var le *LimitError
		if !errors.As(err, &le) {
			t.Fatalf("%v", err)
		}
		return
	}
	if read := b.read.Load(); read > b.Size() {
		t.Fatalf("read %d bytes of %d", read, b.Size())
	}
	checkParts(t, b, root)
	if got, want := ranges(root), ranges(plainWalk(m.Header, body)); got != want {
		t.Fatalf("%q:\ngot  %s\nwant %s", mail, got, want)
	}
}
