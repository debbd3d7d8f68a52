package message

import (
	"strings"
)

// A Field is one header field, byte for byte as received.
type Field struct {
	raw   string // without its last line end
	colon int    // index in raw; -1 for a line that is no field
}

// NewField makes a field. The value goes behind the colon as it is, so it
// starts with a blank by custom; folds are CRLF or LF and a blank.
func NewField(name, value string) Field {
	return Field{raw: name + ":" + value, colon: len(name)}
}

// ParseField takes one field without its last line end. A line without a
// colon is kept: it has no name and Value is the whole of it.
func ParseField(raw string) Field {
	return Field{raw: raw, colon: strings.IndexByte(raw, ':')}
}

// Raw returns the field without its last line end.
func (f Field) Raw() string { return f.raw }

// Name returns the field's name in its own spelling, without blanks before
// the colon (RFC 5322 section 4.5.8), or "" for a line that is no field.
func (f Field) Name() string {
	if f.colon < 0 {
		return ""
	}
	return strings.TrimRight(f.raw[:f.colon], " \t")
}

// Is reports whether the field bears the name, in any case.
func (f Field) Is(name string) bool { return strings.EqualFold(f.Name(), name) }

// Value returns all bytes after the colon: leading blanks, folds and all.
func (f Field) Value() string { return f.raw[f.colon+1:] }

// Text returns the value unfolded (RFC 5322 section 2.2.3) and without blanks
// round it. Encoded words stay as they are.
func (f Field) Text() string {
	v := f.Value()
	if strings.ContainsAny(v, "\r\n") {
		v = strings.NewReplacer("\r\n", "", "\n", "", "\r", "").Replace(v)
	}
	return strings.Trim(v, " \t")
}

// A Header is the fields of a mail or of a body part, in order.
type Header []Field

// Get returns the first field of that name.
func (h Header) Get(name string) (Field, bool) {
	for _, f := range h {
		if f.Is(name) {
			return f, true
		}
	}
	return Field{}, false
}

// All returns the fields of that name, in order. A field's occurrence, as
// edits count it, is its index here plus one.
func (h Header) All(name string) []Field {
	var fs []Field
	for _, f := range h {
		if f.Is(name) {
			fs = append(fs, f)
		}
	}
	return fs
}
