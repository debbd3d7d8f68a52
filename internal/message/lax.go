package message

import (
	"strings"
	"unicode"
)

// Hidden returns the values of the fields of that name that only some readers
// see in f: those that take a stray CR for the end of a line, or overlook what
// may not stand in a field's name.
func (f Field) Hidden(name string) (values []string) {
	if f.Name() != "" && !hasStrayCR(f.raw) {
		return nil // as nearly always
	}
	lines := strings.Split(strings.ReplaceAll(f.raw, "\r\n", "\n"), "\r")
	for _, l := range lines[1:] {
		if in := ParseField(l); in.Is(name) {
			values = append(values, in.Text())
		}
	}
	if odd, value, ok := strings.Cut(f.raw, ":"); ok && f.Name() == "" {
		printing := func(r rune) rune {
			if r == ' ' || !unicode.IsPrint(r) {
				return -1
			}
			return r
		}
		if strings.EqualFold(strings.Map(printing, odd), name) {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}

func hasStrayCR(s string) bool {
	for {
		i := strings.IndexByte(s, '\r')
		if i < 0 || !strings.HasPrefix(s[i+1:], "\n") {
			return i >= 0
		}
		s = s[i+2:]
	}
}

// Uncomment replaces comments by a blank (RFC 5322 section 3.2.2). What has a
// comment or quotes without an end is not regular, and returned as it is.
func Uncomment(s string) (text string, regular bool) {
	var b strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && (quoted || depth > 0) && i+1 < len(s):
			if depth == 0 {
				b.WriteString(s[i : i+2])
			}
			i++
		case c == '"' && depth == 0:
			quoted = !quoted
			b.WriteByte(c)
		case c == '(' && !quoted:
			depth++
			b.WriteByte(' ')
		case c == ')' && !quoted && depth > 0:
			depth--
		case depth == 0:
			b.WriteByte(c)
		}
	}
	if depth > 0 || quoted {
		return s, false
	}
	return b.String(), true
}
