package maillog

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxValue = 1 << 10 // bytes of a value that are shown
	maxWord  = 64      // bytes of a queue id or an event
)

// Quote returns a value as it stands behind key=. One that is a plain word
// stays bare. All others are in double quotes, within which quote, backslash
// and line ends are escaped as in Go, and "=", control characters, characters
// that do not print and bytes that are not UTF-8 as \x3d or \u202e. So no "="
// of a value is ever seen. A long value is cut and ends in [+N] with the
// number of bytes that are missing.
func Quote(s string) string { return quote(s, maxValue) }

func quote(s string, limit int) string {
	if len(s) <= limit && plain(s) {
		return s
	}
	cut := ""
	if len(s) > limit {
		n := limit
		for n > limit-utf8.UTFMax && !utf8.RuneStart(s[n]) {
			n--
		}
		cut = fmt.Sprintf("[+%d]", len(s)-n)
		s = s[:n]
	}
	var b strings.Builder
	b.Grow(len(s) + 8)
	b.WriteByte('"')
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1, r == '=':
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r != ' ' && !unicode.IsPrint(r) && r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		case r != ' ' && !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	b.WriteString(cut)
	b.WriteByte('"')
	return b.String()
}

// plain reports whether a value may stand without quotes.
func plain(s string) bool {
	if s == "" || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r == ' ' || r == '"' || r == '\\' || r == '=' || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// key makes a key of what the program calls it: letters, digits and "_.-".
func key(s string) string {
	return clean(s, func(r rune) bool { return r == '_' || r == '.' || r == '-' || letter(r) })
}

// queueID is the MTA's name for a mail: letters and digits in Postfix and
// sendmail alike.
func queueID(s string) string {
	if s == "" {
		return "-"
	}
	return clean(s, func(r rune) bool { return r == '_' || r == '.' || r == '-' || letter(r) })
}

// word is the event. Blanks in it are left: no "=" is, so it cannot be taken
// for a key.
func word(s string) string {
	if s == "" {
		return "-"
	}
	return clean(s, func(r rune) bool { return r != '=' && r != '"' && (r == ' ' || unicode.IsPrint(r)) })
}

func letter(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// clean puts "_" for every other character and bounds the length.
func clean(s string, good func(rune) bool) string {
	var b strings.Builder
	for _, r := range s {
		if !good(r) || r == utf8.RuneError {
			r = '_'
		}
		if b.Len()+utf8.RuneLen(r) > maxWord {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}
