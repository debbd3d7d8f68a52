package entity

import (
	"fmt"
	"io"
	"strings"

	"mailseal/internal/message"
)

// part appends an entity with its header.
func (a *assembler) part(p *message.Part) error {
	switch {
	case opaque(p):
		return a.frozen(p)
	case strings.HasPrefix(p.MediaType, "multipart/"):
		return a.multipart(p)
	case len(p.Parts) == 1 && p.MediaType == "message/rfc822":
		return a.attached(p)
	}
	return a.leaf(p)
}

// opaque reports whether readers may differ on what the part is: a multipart
// whose boundary is not certain has no parts here.
func opaque(p *message.Part) bool {
	if ambiguous(p.Header, "Content-Type") || ambiguous(p.Header, "Content-Transfer-Encoding") {
		return true
	}
	return composite(p) && len(p.Parts) == 0 && (identity(p.Encoding) || p.MediaType != "message/rfc822")
}

// composite reports whether the part says that there are parts in it, were it
// in a way that only some understand.
func composite(p *message.Part) bool {
	if p.MediaType == "" {
		f, _ := p.Header.Get("Content-Type")
		v := strings.ToLower(f.Text())
		return strings.HasPrefix(v, "multipart") || strings.HasPrefix(v, "message")
	}
	return strings.HasPrefix(p.MediaType, "multipart/") || p.MediaType == "message/rfc822"
}

// frozen appends a part as it is.
func (a *assembler) frozen(p *message.Part) error {
	if a.look {
		f, err := a.scan(p.Offset, p.End)
		if err != nil {
			return err
		}
		if f &= Hard; f != 0 {
			return &Error{p.Section, fmt.Sprintf("it has %s and its MIME fields are in doubt (%s)", f, doubt(p))}
		}
	}
	if p == a.Root {
		for _, field := range contentFields(a.Header) {
			if f := fieldFaults(field) & Hard; f != 0 {
				return &Error{p.Section, fmt.Sprintf("field %q has %s and the MIME fields are in doubt (%s)", field.Name(), f, doubt(p))}
			}
		}
		if err := a.header(p, label{}); err != nil {
			return err
		}
	}
	a.take(p.Offset, p.End)
	return nil
}

func doubt(p *message.Part) string {
	switch {
	case ambiguous(p.Header, "Content-Type"):
		return "more than one Content-Type"
	case ambiguous(p.Header, "Content-Transfer-Encoding"):
		return "more than one Content-Transfer-Encoding"
	case p.Malformed != "":
		return p.Malformed
	}
	return "no parts in it"
}

// multipart appends the parts, without what stands before and after them.
func (a *assembler) multipart(p *message.Part) error {
	if err := a.header(p, sevenBitLabel(p)); err != nil {
		return err
	}
	if p.MediaType == "multipart/signed" {
		return a.inviolate(p)
	}
	open := "--" + p.Params["boundary"] + crlf
	before := open
	for _, c := range p.Parts {
		if err := a.delimiter(before, p, c.Offset-int64(len(before))); err != nil {
			return err
		}
		if err := a.part(c); err != nil {
			return err
		}
		before = crlf + open
	}
	last := p.Parts[len(p.Parts)-1]
	end := strings.TrimSuffix(before, crlf) + "--"
	if err := a.delimiter(end, p, last.End); err != nil {
		return err
	}
	return a.lineEnd(p, last.End+int64(len(end)))
}

// inviolate appends the content of a signed part: another change to its bytes
// would break that signature.
func (a *assembler) inviolate(p *message.Part) error {
	if a.look {
		f, err := a.scan(p.BodyOffset, p.End)
		if err != nil {
			return err
		}
		if f &= Hard; f != 0 {
			return &Error{p.Section, fmt.Sprintf("it is signed and has %s: encoding it would break its signature", f)}
		}
	}
	a.take(p.BodyOffset, p.End)
	return nil
}

// delimiter appends a delimiter line, as bytes of the mail where those at
// offset are the same.
func (a *assembler) delimiter(want string, p *message.Part, offset int64) error {
	end := offset + int64(len(want))
	if offset >= p.BodyOffset && end <= p.End {
		have := make([]byte, len(want))
		if _, err := io.ReadFull(a.reader(offset, end), have); err != nil {
			return err
		}
		if string(have) == want {
			a.take(offset, end)
			return nil
		}
	}
	_, err := a.Write([]byte(want))
	return err
}

// lineEnd appends the line end that follows the closing delimiter. Where more
// follows, it is the beginning of an epilogue and left out with it, but for
// the last line of a mail.
func (a *assembler) lineEnd(p *message.Part, offset int64) error {
	rest := p.End - offset
	if rest < int64(len(crlf)) || rest > int64(len(crlf)) && p != a.Root {
		return nil
	}
	return a.delimiter(crlf, p, offset)
}

// attached appends a message in a message.
func (a *assembler) attached(p *message.Part) error {
	if err := a.header(p, sevenBitLabel(p)); err != nil {
		return err
	}
	good := !mislabelled(p.Parts[0])
	if good && a.look {
		var err error
		if good, err = a.clean(p.BodyOffset, p.End); err != nil {
			return err
		}
	}
	if good {
		a.take(p.BodyOffset, p.End)
		return nil
	}
	return a.part(p.Parts[0])
}

// mislabelled: some part would be converted at a hop without 8BITMIME, for its
// label alone (Postfix does).
func mislabelled(p *message.Part) bool {
	if sevenBitLabel(p) != (label{}) {
		return true
	}
	if p.MediaType == "multipart/signed" {
		return false
	}
	for _, c := range p.Parts {
		if mislabelled(c) {
			return true
		}
	}
	return false
}

// leaf appends a part that has no parts.
func (a *assembler) leaf(p *message.Part) error {
	if a.look {
		f, err := a.scan(p.BodyOffset, p.End)
		if err != nil {
			return err
		}
		if f != 0 {
			return a.encode(p, f)
		}
	}
	if err := a.header(p, sevenBitLabel(p)); err != nil {
		return err
	}
	a.take(p.BodyOffset, p.End)
	return nil
}
