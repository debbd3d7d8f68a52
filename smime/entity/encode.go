package entity

import (
	"fmt"
	"io"
	"strings"

	"mailseal/internal/message"
)

// identity reports whether an encoding is none. "8-bit" and its like are
// errors that all readers forgive.
func identity(encoding string) bool {
	switch encoding {
	case "", "7bit", "8bit", "binary", "7-bit", "8-bit":
		return true
	}
	return false
}

// encode appends a leaf with faults, encoded.
func (a *assembler) encode(p *message.Part, f Fault) error {
	open := a.opener(p)
	if open == nil {
		return a.asItIs(p, f, "which its type or encoding does not allow to encode")
	}
	var c census
	if _, err := io.Copy(&c, open()); err != nil {
		if _, ioErr := a.scan(p.BodyOffset, p.End); ioErr != nil {
			return ioErr
		}
		return a.asItIs(p, f, "and cannot be decoded")
	}
	l := label{encoding: "base64"}
	var w io.WriteCloser = NewBase64Writer(a)
	if strings.HasPrefix(p.MediaType, "text/") && c.quoted() {
		l.encoding, w = "quoted-printable", newQuotedWriter(a)
	}
	if identity(p.Encoding) && f&EightBit != 0 && undeclared(p) {
		// Whoever reads 8-bit text without a charset must guess, and could see
		// before that it is 8-bit. sendmail's converter says the same of it.
		l.charset = "unknown-8bit"
		if c.utf8() {
			l.charset = "utf-8"
		}
	}
	if err := a.header(p, l); err != nil {
		return err
	}
	if _, err := io.Copy(w, open()); err != nil {
		return err
	}
	return w.Close()
}

// opener returns what opens the decoded content, nil if the part may not be
// encoded.
func (a *assembler) opener(p *message.Part) func() io.Reader {
	switch {
	case p.Encoding == "quoted-printable" || p.Encoding == "base64":
		return func() io.Reader { return p.Decode(a.Body) }
	case !identity(p.Encoding):
		return nil // RFC 2045 section 6.4: nobody knows what the bytes are
	case strings.HasPrefix(p.MediaType, "message/global"):
		// RFC 6532 section 3.7 allows every encoding of them.
	case strings.HasPrefix(p.MediaType, "message/"), strings.HasPrefix(p.MediaType, "multipart/"):
		return nil // RFC 2045 section 6.4
	}
	return func() io.Reader { return a.reader(p.BodyOffset, p.End) }
}

// asItIs appends a leaf that cannot be encoded, if it can be signed so.
func (a *assembler) asItIs(p *message.Part, f Fault, why string) error {
	if f &= Hard; f != 0 {
		return &Error{p.Section, fmt.Sprintf("it has %s %s", f, why)}
	}
	if err := a.header(p, sevenBitLabel(p)); err != nil {
		return err
	}
	a.take(p.BodyOffset, p.End)
	return nil
}

// undeclared reports whether the part is plain text that says nothing of its
// charset. Other types may do so inside.
func undeclared(p *message.Part) bool {
	_, declared := p.Params["charset"]
	return p.MediaType == "text/plain" && !declared && p.Malformed == ""
}
