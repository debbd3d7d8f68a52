package subject

import (
	"encoding/base64"
	"regexp"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
)

// encodedWord is one of RFC 2047 section 2, as lax readers take it: with blanks
// inside, with a language (RFC 2231 section 5), stuck to what is round it.
var encodedWord = regexp.MustCompile(`=\?([^?]*)\?([BbQq])\?([^?]*)\?=`)

// decode reads encoded words as the most lenient readers do, or leaves those
// alone that are none to others. What they cannot be sure of is guessed: it is for
// finding words, and for saying anew what is left.
func decode(s string, lenient bool) string {
	var out strings.Builder
	var charset, open string // open is base64 that may go on in the next word
	var pending []byte       // of words of one charset: a character may be in two of them
	flush := func() {
		out.WriteString(convert(append(pending, unbase64(open)...), charset))
		pending, open = nil, ""
	}
	at, within := 0, false
	for _, m := range encodedWord.FindAllStringSubmatchIndex(s, -1) {
		if !lenient && !regular(s[m[4]:m[5]], s[m[6]:m[7]]) {
			continue
		}
		between := s[at:m[0]]
		cs, _, _ := strings.Cut(strings.ToLower(s[m[2]:m[3]]), "*")
		if cs = strings.TrimSpace(cs); !within || strings.TrimSpace(between) != "" || cs != charset {
			flush()
		}
		if !within || strings.TrimSpace(between) != "" {
			out.WriteString(between)
		}
		charset, within, at = cs, true, m[1]
		text := s[m[6]:m[7]]
		if !strings.EqualFold(s[m[4]:m[5]], "B") {
			pending, open = append(append(pending, unbase64(open)...), unquote(text)...), ""
			continue
		}
		if open += text; strings.Contains(text, "=") || len(open)%4 == 0 {
			pending, open = append(pending, unbase64(open)...), ""
		}
	}
	flush()
	return out.String() + s[at:]
}

// regular reports whether text is what its encoding makes.
func regular(encoding, text string) bool {
	if strings.EqualFold(encoding, "B") {
		return strings.Trim(text, base64Characters+"=") == ""
	}
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

const base64Characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// convert makes text of bytes. One whose charset nobody knows is taken for
// Unicode, as it mostly is, or for what has ASCII in it.
func convert(b []byte, charset string) string {
	if len(b) == 0 {
		return ""
	}
	switch charset {
	case "utf-8", "utf8", "us-ascii", "ascii":
	case "utf-7", "unicode-1-1-utf-7", "x-unicode-2-0-utf-7":
		return utf7(string(b))
	case "utf-16", "utf16", "ucs-2", "iso-10646-ucs-2", "unicode", "csunicode":
		return utf16(b)
	default:
		// Some character sets have a decoder that says nothing of what is there.
		if e, err := htmlindex.Get(charset); err == nil && e != encoding.Replacement {
			if text, err := e.NewDecoder().Bytes(b); err == nil {
				return strings.ToValidUTF8(string(text), "\ufffd")
			}
		}
	}
	return strings.ToValidUTF8(string(b), "\ufffd")
}

// utf16 reads RFC 2781: a mark says which octet of a letter is first, or where most
// of the zeros are, which all letters of ASCII have.
func utf16(b []byte) string {
	name, zeros := "utf-16be", 0
	for i, c := range b {
		if c == 0 {
			zeros += 1 - 2*(i%2)
		}
	}
	switch {
	case len(b) > 1 && b[0] == 0xfe && b[1] == 0xff:
		b = b[2:]
	case len(b) > 1 && b[0] == 0xff && b[1] == 0xfe:
		name, b = "utf-16le", b[2:]
	case zeros < 0:
		name = "utf-16le"
	}
	if e, err := htmlindex.Get(name); err == nil {
		b, _ = e.NewDecoder().Bytes(b)
	}
	return strings.ToValidUTF8(string(b), "\ufffd")
}

// utf7 reads RFC 2152: ASCII, and UTF-16 in base64 between "+" and "-".
func utf7(s string) string {
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "+")
		out.WriteString(before)
		if !ok {
			return out.String()
		}
		n := len(rest) - len(strings.TrimLeft(rest, base64Characters))
		if n == 0 {
			out.WriteByte('+')
		} else if e, err := htmlindex.Get("utf-16be"); err == nil {
			b := unbase64(rest[:n])
			text, _ := e.NewDecoder().Bytes(b[:len(b)/2*2])
			out.Write(text)
		}
		s = strings.TrimPrefix(rest[n:], "-")
	}
}

// unbase64 takes what is of the alphabet, and overlooks the rest.
func unbase64(s string) []byte {
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune(base64Characters, r) {
			return r
		}
		return -1
	}, s)
	if len(s)%4 == 1 {
		s = s[:len(s)-1]
	}
	b, _ := base64.RawStdEncoding.DecodeString(s)
	return b
}

// unquote reads the Q encoding (RFC 2047 section 4.2).
func unquote(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_':
			out = append(out, ' ')
		case c == '=' && i+2 < len(s) && hex(s[i+1]) >= 0 && hex(s[i+2]) >= 0:
			out = append(out, byte(hex(s[i+1])<<4|hex(s[i+2])))
			i += 2
		default:
			out = append(out, c)
		}
	}
	return out
}

func hex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
