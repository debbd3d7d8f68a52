package outbound_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"
	"testing"

	gomessage "github.com/emersion/go-message"
	"github.com/google/go-cmp/cmp"

	"mailseal/test/wire"
)

// A node is a MIME entity as a reader sees it: the library that reads it is
// not the one that the product locates its bytes with.
type node struct {
	Type        string // with its parameters, in one spelling
	Disposition string
	Fields      []string // other Content-* fields
	Content     string   // decoded
	Parts       []node
}

// content reads an entity. A mail of the sample's fields and body, and what
// openssl takes out of the signed mail, must be the same to a reader.
func content(t *testing.T, raw []byte) node {
	t.Helper()
	e, err := gomessage.Read(bytes.NewReader(raw))
	if err != nil && !gomessage.IsUnknownCharset(err) {
		t.Fatalf("read entity: %v\n%.500s", err, raw)
	}
	var n node
	n.Type = typeOf(e.Header.Get("Content-Type"))
	if d := e.Header.Get("Content-Disposition"); d != "" {
		n.Disposition = typed(d)
	}
	for f := e.Header.Fields(); f.Next(); {
		switch k := strings.ToLower(f.Key()); {
		case k == "content-type", k == "content-transfer-encoding", k == "content-disposition":
		case strings.HasPrefix(k, "content-"):
			v, err := new(mime.WordDecoder).DecodeHeader(f.Value())
			if err != nil {
				v = f.Value()
			}
			n.Fields = append(n.Fields, k+": "+v)
		}
	}
	if r := e.MultipartReader(); r != nil {
		for {
			p, err := r.NextPart()
			// A reader of a mail without its end sees what is there.
			if err != nil && strings.HasSuffix(err.Error(), "EOF") {
				return n
			}
			if err != nil && !gomessage.IsUnknownCharset(err) {
				t.Fatalf("read parts of %s: %v", n.Type, err)
			}
			n.Parts = append(n.Parts, content(t, rewrite(t, p)))
		}
	}
	body, err := io.ReadAll(e.Body)
	if err != nil {
		t.Fatalf("decode %s: %v", n.Type, err)
	}
	if strings.HasPrefix(n.Type, "message/rfc822") {
		n.Parts = []node{content(t, body)}
		head, _, _ := bytes.Cut(body, []byte("\r\n\r\n"))
		n.Fields = append(n.Fields, withoutContent(string(head))...)
		return n
	}
	n.Content = string(body)
	return n
}

// rewrite gives the bytes of a part back: the library hands out a decoded body
// with the header as it was.
func rewrite(t *testing.T, e *gomessage.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	for f := e.Header.Fields(); f.Next(); {
		if strings.EqualFold(f.Key(), "Content-Transfer-Encoding") {
			continue
		}
		raw, err := f.Raw()
		if err != nil {
			t.Fatal(err)
		}
		b.Write(raw)
	}
	b.WriteString("Content-Transfer-Encoding: binary\r\n\r\n")
	if _, err := io.Copy(&b, e.Body); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	return b.Bytes()
}

// typeOf is a content type in one spelling. Mail without one is text of the
// charset us-ascii; with bytes that this does not have, nobody knows.
func typeOf(v string) string {
	if v == "" {
		v = "text/plain"
	}
	s := typed(v)
	for _, charset := range []string{`; charset=us-ascii`, `; charset=unknown-8bit`} {
		s = strings.Replace(s, charset, "", 1)
	}
	return s
}

func typed(v string) string {
	m, params, err := mime.ParseMediaType(v)
	if err != nil {
		return strings.TrimSpace(v)
	}
	// The boundary may be another.
	delete(params, "boundary")
	for k, p := range params {
		if k == "charset" {
			params[k] = strings.ToLower(p)
		}
	}
	return mime.FormatMediaType(m, params)
}

// text writes an entity for a comparison, a line each thing.
func (n node) text(indent string) []string {
	lines := []string{indent + "type " + n.Type}
	if n.Disposition != "" {
		lines = append(lines, indent+"disposition "+n.Disposition)
	}
	for _, f := range n.Fields {
		lines = append(lines, indent+"field "+f)
	}
	if len(n.Parts) == 0 {
		return append(lines, fmt.Sprintf("%scontent %q", indent, n.Content))
	}
	for _, p := range n.Parts {
		lines = append(lines, p.text(indent+"  ")...)
	}
	return lines
}

func withoutContent(header string) []string {
	var fields []string
	for _, f := range wire.Fields(header) {
		if !wire.IsContent(f) {
			fields = append(fields, strings.TrimRight(strings.ReplaceAll(f, "\r\n", ""), " "))
		}
	}
	return fields
}

func diff[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s changed (-sent +arrived):\n%s", what, d)
	}
}
