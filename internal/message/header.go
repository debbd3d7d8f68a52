package message

import (
	"iter"
	"strings"
)

// A lineEnd is how one line ended. A mail may mix them, and is written as it
// was read.
type lineEnd uint8

const (
	endUsual lineEnd = iota // as most lines of the mail: Message.Newline
	endLF
	endCRLF
	endNone // the mail ended there
)

// cutLineEnd parts a line from its end.
func cutLineEnd(line string) (string, lineEnd) {
	text, ok := strings.CutSuffix(line, "\n")
	if !ok {
		return line, endNone
	}
	if text, ok := strings.CutSuffix(text, "\r"); ok {
		return text, endCRLF
	}
	return text, endLF
}

// newline returns the characters of the line end, usual for endUsual.
func (e lineEnd) newline(usual string) string {
	switch e {
	case endLF:
		return "\n"
	case endCRLF:
		return "\r\n"
	case endNone:
		return ""
	}
	return usual
}

// A Field is one header field, byte for byte as received.
type Field struct {
	raw   string // without its last line end
	colon int    // index in raw; -1 for a line that is no field
	// end is how the field's last line ended in the mail that was read.
	end lineEnd
}

// NewField makes a field. The value goes behind the colon as it is, so it
// starts with a blank by custom; folds are CRLF or LF and a blank.
func NewField(name, value string) Field {
	return Field{raw: name + ":" + value, colon: len(name)}
}

// ParseField takes one field without its last line end. A line that is no
// field (RFC 5322 section 2.2), as mbox's "From " line, is kept: it has no name
// and Value is the whole of it.
func ParseField(raw string) Field {
	colon := strings.IndexByte(raw, ':')
	if colon < 0 || !isFieldName(strings.TrimRight(raw[:colon], " \t")) {
		colon = -1
	}
	return Field{raw: raw, colon: colon}
}

// isFieldName: RFC 5322 section 2.2, printable ASCII without the colon.
func isFieldName(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == ':' {
			return false
		}
	}
	return s != ""
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
	if strings.Contains(v, "\n") {
		v = strings.ReplaceAll(strings.ReplaceAll(v, "\r\n", ""), "\n", "")
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

// Drops yields each field that has a name, with the edit that drops it.
func (h Header) Drops() iter.Seq2[Field, DropField] {
	return func(yield func(Field, DropField) bool) {
		seen := make(map[string]int)
		for _, f := range h {
			name := strings.ToLower(f.Name())
			if seen[name]++; name != "" && !yield(f, DropField{Name: f.Name(), Occurrence: seen[name]}) {
				return
			}
		}
	}
}

// parseHeader takes the lines of a header, without the empty line behind it,
// and returns its fields and the end of its first line: endNone where it has
// no line, or only one and that has no end. Fields that end as the first one
// are marked endUsual.
func parseHeader(raw string, l Limits) (Header, lineEnd, error) {
	if raw == "" {
		return nil, endNone, nil
	}
	h := make(Header, 0, min(strings.Count(raw, "\n")+1, 64))
	usual := endNone
	for len(raw) > 0 {
		if len(h) == l.Fields {
			return nil, endNone, &LimitError{Bound: BoundFields, Limit: int64(l.Fields)}
		}
		n := fieldLength(raw)
		text, end := cutLineEnd(raw[:n])
		raw = raw[n:]
		f := ParseField(text)
		if len(h) == 0 {
			usual = end
		}
		if f.end = end; end == usual && end != endNone {
			f.end = endUsual
		}
		h = append(h, f)
	}
	return h, usual, nil
}

// fieldLength returns the length of the first field of s with all its folds
// and its line end (RFC 5322 section 2.2.3).
func fieldLength(s string) int {
	n := 0
	for {
		i := strings.IndexByte(s[n:], '\n')
		if i < 0 {
			return len(s)
		}
		n += i + 1
		if n == len(s) || s[n] != ' ' && s[n] != '\t' {
			return n
		}
	}
}
