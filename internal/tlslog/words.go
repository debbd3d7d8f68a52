package tlslog

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText bounds a name, a reason and whatever else is kept of a line.
const maxText = 512

// between returns what stands after begin and before end, or to the end of the
// text where there is no end.
func between(s, begin, end string) (string, bool) {
	_, s, ok := strings.Cut(s, begin)
	if !ok {
		return "", false
	}
	s, _, _ = strings.Cut(s, end)
	return bounded(s), true
}

// bounded cuts a text that is too long, and copies it, so that the line it came
// from can go.
func bounded(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.Clone(s)
}

// plus undoes sendmail's +HH (xuntextify in its tls.c).
func plus(s string) string {
	if !strings.Contains(s, "+") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '+' && i+2 < len(s) {
			if hi, lo := hexDigit(s[i+1]), hexDigit(s[i+2]); hi >= 0 && lo >= 0 {
				b = append(b, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// Printable is a text with everything escaped that does more to a terminal than
// print: control characters, line ends, marks that turn the direction of
// writing, and bytes that are no UTF-8.
func Printable(s string) string {
	plain := true
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' || s[i] == '\\' {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1, r == '\\', r < ' ', r == 0x7f:
			b.WriteString(`\x` + string("0123456789abcdef"[s[i]>>4]) + string("0123456789abcdef"[s[i]&15]))
		case !unicode.IsPrint(r):
			b.WriteString(escapeRune(r))
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

func escapeRune(r rune) string {
	const digits = "0123456789abcdef"
	b := []byte(`\u{`)
	for shift := 20; shift >= 0; shift -= 4 {
		if d := r >> shift & 15; d != 0 || len(b) > 3 || shift == 0 {
			b = append(b, digits[d])
		}
	}
	return string(append(b, '}'))
}

// peer takes "name[address]:port" apart, as Postfix writes it. Of a name that is
// not known the address is all there is.
func peer(s string) (name, address string) {
	name, rest, ok := strings.Cut(s, "[")
	if !ok {
		return bounded(s), ""
	}
	address, port, _ := strings.Cut(rest, "]")
	if name == "unknown" {
		name = ""
	}
	if port = strings.TrimPrefix(port, ":"); port != "" && port != "25" && name != "" {
		name += ":" + port
	}
	return bounded(name), bounded(address)
}

// relay takes sendmail's "name [address] (may be forged)" apart. A name that may
// be forged is none.
func relay(s string) (name, address string) {
	name, rest, ok := strings.Cut(s, " [")
	if ok {
		address, rest, _ = strings.Cut(rest, "]")
		if strings.Contains(rest, "may be forged") {
			name = ""
		}
	}
	if in, found := strings.CutPrefix(name, "["); found {
		name = ""
		if a := strings.TrimSuffix(in, "]"); address == "" {
			address = a
		}
	}
	if name != "" {
		name = strings.TrimSuffix(name, ".")
	}
	return bounded(plus(name)), bounded(plus(address))
}

// afterQueueID returns what stands behind "QUEUEID: ", or all where there is none.
func afterQueueID(m []byte) []byte {
	for i, c := range m {
		switch {
		case c == ':' && i > 4 && i+1 < len(m) && m[i+1] == ' ':
			return m[i+2:]
		case i > maxQueueID || !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '-'):
			return m
		}
	}
	return m
}

// maxQueueID is longer than the queue ids of all servers.
const maxQueueID = 40
