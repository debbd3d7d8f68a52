package smime

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"mailseal/internal/message"
	"mailseal/internal/spool"
	"mailseal/smime/entity"
)

// An inner is an entity that was inside of a CMS object.
type inner struct {
	header message.Header
	body   message.Body // what is behind the header: a section of who owns it
	lf     bool         // its lines end in LF
}

// readInner takes an entity apart. ok is false where its header is none that
// MIME knows: what was decrypted with a wrong key looks so, and everything else
// that looks so is treated alike (RFC 3218 section 2.3.2). The error is one of
// reading b.
func readInner(b message.Body, s *spool.Store, l message.Limits) (e inner, ok bool, err error) {
	raw, err := headOf(b, l)
	if raw == nil || err != nil {
		return e, false, err
	}
	m, err := message.Read(bytes.NewReader(raw), s, l)
	if err != nil {
		return e, false, nil // too many fields
	}
	m.Body.Close()
	size := int64(len(raw))
	e = inner{m.Header, message.Section(b, size, b.Size()-size), m.Newline == "\n"}
	return e, wellFormed(m.Header), nil
}

// leastRead is how much of a plaintext is read in any case, so that the time
// that takes says nothing of what is in it.
const leastRead = 64 << 10

// headOf returns what is before the first empty line, and that: nil where it is
// more than a header may be.
func headOf(b message.Body, l message.Limits) ([]byte, error) {
	limit := l.Header
	if limit <= 0 {
		limit = 1 << 20
	}
	var head []byte
	for at, step := int64(0), int64(leastRead); ; step = int64(len(head)) {
		piece := make([]byte, min(step, b.Size()-at))
		if n, err := b.ReadAt(piece, at); n < len(piece) {
			return nil, err
		}
		head, at = append(head, piece...), at+int64(len(piece))
		end := headEnd(head)
		switch {
		case end > 0 && int64(end) <= limit:
			return head[:end], nil
		case end < 0 && at == b.Size() && at <= limit:
			return head, nil // all of it
		case end > 0 || at >= limit || at == b.Size():
			return nil, nil
		}
	}
}

// headEnd is where a body begins behind a header, -1 if there is no empty line.
func headEnd(head []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(head[at:], '\n')
		if i < 0 {
			return -1
		}
		line := head[at : at+i]
		if at += i + 1; len(line) == 0 || string(line) == "\r" {
			return at
		}
	}
}

// wellFormed reports whether all lines are fields that an MTA can carry, and one
// of them is MIME's.
func wellFormed(h message.Header) bool {
	mime := false
	for _, f := range h {
		if f.Name() == "" || !carried(f) {
			return false
		}
		mime = mime || entity.IsContent(f.Name()) || f.Is("MIME-Version")
	}
	return mime
}

// carried reports whether a field may come into a mail's header as it is:
// without control characters, and each line end followed by a blank.
func carried(f message.Field) bool {
	return !strings.ContainsAny(strings.ReplaceAll(f.Value(), "\r\n", "\n"), "\r\x00")
}

// labels are the fields of an entity that describe its body. Nothing else of its
// header comes into the mail's: who encrypts a mail would else write trace
// fields, results of checks and whom it is from, inside where nobody looked.
func (e inner) labels() []message.Field {
	var fields []message.Field
	for _, f := range e.header {
		if entity.IsContent(f.Name()) && !f.Is("Content-Length") {
			fields = append(fields, lifted(f))
		}
	}
	return fields
}

// lifted is a field as it comes into the mail's header: without folded lines of blanks alone, which some readers take for the
// header's end (RFC 5322 section 3.2.2).
func lifted(f message.Field) message.Field {
	lines := strings.Split(strings.ReplaceAll(f.Value(), "\r\n", "\n"), "\n")
	folded := slices.DeleteFunc(lines[1:], func(l string) bool { return strings.Trim(l, " \t") == "" })
	return message.NewField(f.Name(), strings.Join(append(lines[:1], folded...), "\n"))
}

// glance returns the entity without its parts, and what it seems to be: a
// multipart/signed is signed if it says so.
func (e inner) glance(l message.Limits) (*message.Part, Kind, error) {
	root, err := message.Walk(e.header, message.Bytes(nil), l) // the fields alone
	if err != nil {
		return nil, Plain, err
	}
	if root.MediaType == "multipart/signed" {
		return root, SignedDetached, nil
	}
	root.End = e.body.Size()
	kind, err := glance(e.body, root)
	return root, kind, err
}

// message is the entity as a mail.
func (e inner) message() *message.Message {
	m := &message.Message{Header: e.header, Body: e.body, Newline: "\r\n"}
	if e.lf {
		m.Newline = "\n"
	}
	return m
}

// A head keeps the beginning of what is written to it, and then wants no more.
type head struct{ bytes.Buffer }

func (h *head) Write(p []byte) (int, error) {
	h.Buffer.Write(p[:min(len(p), leastRead-h.Len())])
	if h.Len() == leastRead {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}
