package entity

import (
	"cmp"
	"slices"
	"strings"

	"mailseal/internal/message"
)

// A label is what changes in a part's MIME fields; "" leaves them.
type label struct {
	encoding string
	charset  string // where none was declared
	hp       string // of the root, "" for none
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
	if p == a.Root {
		return a.rootHeader(l)
	}
	if l == (label{}) {
		ok, err := a.headerSurvives(p)
		if err != nil {
			return err
		}
		if ok {
			a.take(p.Offset, p.BodyOffset)
			return nil
		}
	}
	text, err := relabel(p.Header, l, survives)
	if err != nil {
		return &Error{p.Section, err.Error()}
	}
	_, err = a.Write([]byte(text + crlf))
	return err
}

// rootHeader appends the root's header: protected fields, and those of the
// mail that describe its content.
func (a *assembler) rootHeader(l label) error {
	write := survives
	if a.raw {
		write = asItCan
	}
	protected, err := relabel(a.Protected, label{}, write)
	if err != nil {
		return &Error{"", err.Error()}
	}
	fields := contentFields(a.Header)
	if _, typed := fields.Get("Content-Type"); !typed {
		standard := message.NewField("Content-Type", " text/plain; charset="+cmp.Or(l.charset, "us-ascii"))
		fields, l.charset = append(message.Header{standard}, fields...), ""
	}
	l.hp = a.HP
	text, err := relabel(fields, l, write)
	if err != nil {
		return &Error{"", err.Error()}
	}
	_, err = a.Write([]byte(protected + text + crlf))
	return err
}

// asItCan writes a field that need not survive, but must be one.
func asItCan(f message.Field) (string, error) {
	lines := slices.DeleteFunc(fieldLines(f), func(l string) bool { return strings.Trim(l, " \t\r\x00") == "" })
	return strings.NewReplacer("\r", " ", "\x00", " ", "\n", crlf).Replace(strings.Join(lines, "\n")) + crlf, nil
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

// relabel writes fields with a label's changes, each by write.
func relabel(fields message.Header, l label, write func(message.Field) (string, error)) (string, error) {
	var b strings.Builder
	typed, encoded := false, false
	for _, f := range fields {
		switch {
		case f.Is("Content-Type"):
			typed = true
			f = l.extend(f)
		case f.Is("Content-Transfer-Encoding") && l.encoding != "":
			if encoded {
				continue
			}
			encoded = true
			f = message.NewField(f.Name(), " "+l.encoding)
		}
		s, err := write(f)
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

// extend adds parameters to a Content-Type.
func (l label) extend(f message.Field) message.Field {
	text := strings.TrimRight(f.Raw(), "; \t\r\n")
	switch {
	case l.charset == "" && l.hp == "":
		return f
	case l.charset != "":
		text += ";" + crlf + " charset=" + l.charset
	}
	if l.hp != "" {
		text += ";" + crlf + " hp=\"" + l.hp + "\""
	}
	return message.ParseField(text)
}
