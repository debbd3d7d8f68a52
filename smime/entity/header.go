package entity

import (
	"slices"
	"strings"

	"mailseal/internal/message"
)

// A label is what changes in a part's MIME fields; "" leaves them.
type label struct {
	encoding string
	charset  string // where none was declared
}

// sevenBitLabel is for content that is 7-bit: an 8bit or binary label alone
// makes Postfix convert the part for a hop without 8BITMIME.
func sevenBitLabel(p *message.Part) label {
	if p.Encoding == "8bit" || p.Encoding == "binary" {
		return label{encoding: "7bit"}
	}
	return label{}
}

// header appends a part's header and the empty line. The root's consists of
// the mail's Content-* fields (RFC 8551 section 3.1).
func (a *assembler) header(p *message.Part, l label) error {
	fields := p.Header
	if p == a.Root {
		fields = contentFields(a.Header)
	} else if l == (label{}) {
		ok, err := a.headerSurvives(p)
		if err != nil {
			return err
		}
		if ok {
			a.take(p.Offset, p.BodyOffset)
			return nil
		}
	}
	text, err := relabel(fields, l)
	if err != nil {
		return &Error{p.Section, err.Error()}
	}
	if _, typed := fields.Get("Content-Type"); p == a.Root && !typed && l.charset == "" {
		text = "Content-Type: text/plain; charset=us-ascii" + crlf + text
	}
	_, err = a.Write([]byte(text + crlf))
	return err
}

// headerSurvives reports whether the header is good as it stands.
func (a *assembler) headerSurvives(p *message.Part) (bool, error) {
	if !a.look {
		return true, nil
	}
	f, err := a.scan(p.Offset, p.BodyOffset)
	return f&^FromLine == 0, err
}

// contentFields are the fields of a mail that describe its body. Content-Length
// is none of MIME's: it counts the bytes of a body in an mbox, and lies as soon
// as anything is changed.
func contentFields(h message.Header) message.Header {
	var fields message.Header
	for _, f := range h {
		if IsContent(f.Name()) && !f.Is("Content-Length") {
			fields = append(fields, f)
		}
	}
	return fields
}

// IsContent reports whether a field is one of those that go with the body.
func IsContent(name string) bool {
	const prefix = "Content-"
	return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}

// Unrepeated returns a header without the Content-Type and
// Content-Transfer-Encoding fields that say once more what the first one said.
// Whoever reads either of them reads the same. It is to be walked in the place
// of h, as a walk takes no multipart apart whose type is there twice.
func Unrepeated(h message.Header) message.Header {
	for _, name := range []string{"Content-Type", "Content-Transfer-Encoding"} {
		if len(h.All(name)) < 2 || ambiguous(h, name) {
			continue
		}
		first := true
		h = slices.DeleteFunc(slices.Clone(h), func(f message.Field) bool {
			if !f.Is(name) || first {
				first = first && !f.Is(name)
				return false
			}
			return true
		})
	}
	return h
}

// ambiguous: several fields of that name that do not say the same.
func ambiguous(h message.Header, name string) bool {
	fields := h.All(name)
	for _, f := range fields {
		if f.Text() != fields[0].Text() {
			return true
		}
	}
	return false
}

// relabel writes fields with a label's changes.
func relabel(fields message.Header, l label) (string, error) {
	var b strings.Builder
	typed, encoded := false, false
	for _, f := range fields {
		switch {
		case f.Is("Content-Type"):
			typed = true
			if l.charset != "" {
				f = message.ParseField(strings.TrimRight(f.Raw(), "; \t\r\n") + ";" + crlf + " charset=" + l.charset)
			}
		case f.Is("Content-Transfer-Encoding") && l.encoding != "":
			if encoded {
				continue
			}
			encoded = true
			f = message.NewField(f.Name(), " "+l.encoding)
		}
		s, err := survives(f)
		if err != nil {
			return "", err
		}
		b.WriteString(s)
	}
	if l.encoding != "" && !encoded {
		b.WriteString("Content-Transfer-Encoding: " + l.encoding + crlf)
	}
	if l.charset != "" && !typed {
		return "Content-Type: text/plain; charset=" + l.charset + crlf + b.String(), nil
	}
	return b.String(), nil
}
