package message

import "strings"

// A cursor goes through an unfolded field value.
type cursor struct {
	s string
	i int
}

func (c *cursor) done() bool { return c.i >= len(c.s) }

// peek returns the next character, 0 at the end.
func (c *cursor) peek() byte {
	if c.done() {
		return 0
	}
	return c.s[c.i]
}

func (c *cursor) take(b byte) bool {
	if c.done() || c.s[c.i] != b {
		return false
	}
	c.i++
	return true
}

// blanks skips blanks and comments (RFC 5322 section 3.2.2). A comment that
// does not end is none.
func (c *cursor) blanks() {
	for !c.done() {
		switch c.s[c.i] {
		case ' ', '\t':
			c.i++
		case '(':
			end := commentEnd(c.s, c.i)
			if end < 0 {
				return
			}
			c.i = end
		default:
			return
		}
	}
}

// commentEnd returns the index behind the comment that begins at i, or -1.
func commentEnd(s string, i int) int {
	for depth := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// word takes everything up to a blank, a control character or one of stop.
func (c *cursor) word(stop string) string {
	start := c.i
	for ; !c.done(); c.i++ {
		if b := c.s[c.i]; b <= ' ' || b == 0x7f || strings.IndexByte(stop, b) >= 0 {
			break
		}
	}
	return c.s[start:c.i]
}

// value takes a parameter's value, quoted or not. It takes nothing and
// returns false where there is none or the quotes do not end.
func (c *cursor) value() (string, bool) {
	if c.peek() != '"' {
		v := c.word(`;("\`)
		return v, v != ""
	}
	rest := c.s[c.i+1:]
	if i := strings.IndexAny(rest, `"\`); i >= 0 && rest[i] == '"' {
		c.i += i + 2
		return rest[:i], true
	}
	var b strings.Builder
	for i := 0; i < len(rest); i++ {
		switch {
		case rest[i] == '"':
			c.i += i + 2
			return b.String(), true
		case rest[i] == '\\' && i+1 < len(rest):
			i++
		}
		b.WriteByte(rest[i])
	}
	return "", false
}

// isToken: RFC 2045 section 5.1.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if b := s[i]; b <= ' ' || b >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?=`, b) >= 0 {
			return false
		}
	}
	return s != ""
}

// hexByte returns the byte of two hexadecimal digits in either case.
func hexByte(hi, lo byte) (byte, bool) {
	h, l := hexDigit(hi), hexDigit(lo)
	return h<<4 | l&0x0f, h|l < 16
}

// hexDigit returns the digit's value, or 255.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
