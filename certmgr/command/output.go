package command

import (
	"strings"
	"unicode"
)

const (
	// tail is what is known of an output's end, however long it was.
	tail = 1 << 10
	// lastLines are told in an error, at most maxLine of them.
	lastLines = 3
	maxLine   = 400
)

// bounded keeps the begin of what is written to it, and knows the end. One
// goroutine writes, and nobody reads before it has ended.
type bounded struct {
	max     int
	kept    []byte
	dropped int64
	end     []byte
}

func (b *bounded) Write(p []byte) (int, error) {
	keep := min(len(p), b.max-len(b.kept))
	b.kept = append(b.kept, p[:keep]...)
	b.dropped += int64(len(p) - keep)
	b.end = append(b.end, p[max(0, len(p)-tail):]...)
	if over := len(b.end) - tail; over > 0 {
		b.end = append(b.end[:0], b.end[over:]...)
	}
	return len(p), nil
}

// last are the last lines as one.
func (b *bounded) last() string {
	lines := strings.FieldsFunc(string(b.end), func(r rune) bool { return r == '\n' || r == '\r' })
	return oneLine(strings.Join(lines[max(0, len(lines)-lastLines):], "; "))
}

// oneLine has no control characters, and an end. What is too long loses its
// begin: the last word of a program is why it has failed.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxLine {
		s = "..." + strings.ToValidUTF8(s[len(s)-maxLine:], "")
	}
	return s
}
