package entity

import (
	"errors"
	"fmt"
	"mime"
	"net/mail"
	"slices"
	"strings"
	"unicode/utf8"

	"mailseal/internal/message"
)

// foldAt is where lines are folded that had to be written anew (RFC 5322
// section 2.1.1).
const foldAt = 76

// maxAddresses bounds an address field that is parsed.
const maxAddresses = 16 << 10

// fieldLines are a field's lines without their ends. Folds of LF alone are as good
// as CRLF: milters give them so. The last line has no end any more.
func fieldLines(f message.Field) []string {
	lines := strings.Split(f.Raw(), "\n")
	for i := range lines[:len(lines)-1] {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	return lines
}

func fieldFaults(f message.Field) Fault {
	var s Scanner
	for _, l := range fieldLines(f) {
		s.Write([]byte(l + crlf))
	}
	return s.Finish()
}

// survives writes a field so that it is 7-bit, has short lines and no blanks
// at their ends: byte for byte where it is so already, with its meaning kept
// where it is not. It ends in CRLF.
func survives(f message.Field) (string, error) {
	lines, faults := fieldLines(f), fieldFaults(f)
	if faults&(NUL|BareEnd) != 0 {
		return "", fmt.Errorf("field %q has %s", f.Name(), faults&(NUL|BareEnd))
	}
	if faults&EightBit != 0 {
		v, err := sevenBit(f)
		if err != nil {
			return "", fmt.Errorf("field %q: %w", f.Name(), err)
		}
		return v, nil
	}
	if (faults == 0 || faults == FromLine) && !slices.Contains(lines, "") {
		return strings.Join(lines, crlf) + crlf, nil
	}
	var b strings.Builder
	carry := ""
	for _, l := range lines {
		// Blanks before a fold go behind it: unfolded, the field is the same.
		l = carry + l
		text := strings.TrimRight(l, " \t")
		carry = l[len(text):]
		if text == "" {
			continue // obsolete folding (RFC 5322 section 4.2); it would end the header
		}
		if len(text) > maxLine {
			if text = fold(text); longest(text) > maxLine {
				return "", fmt.Errorf("field %q has a word above %d bytes", f.Name(), maxLine)
			}
		}
		b.WriteString(text + crlf)
	}
	return b.String(), nil
}

// fold breaks one line before blanks. A run of blanks stays together, so that
// no line ends in one.
func fold(s string) string {
	var b strings.Builder
	for len(s) > foldAt {
		at := -1
		for i := 1; i < len(s); i++ {
			if i > foldAt && at > 0 {
				break
			}
			if blank(s[i]) && !blank(s[i-1]) && strings.Trim(s[i:], " \t") != "" {
				at = i
			}
		}
		if at < 0 {
			break
		}
		b.WriteString(s[:at] + crlf)
		s = s[at:]
	}
	b.WriteString(s)
	return b.String()
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

func longest(s string) int {
	n := 0
	for l := range strings.SplitSeq(s, crlf) {
		n = max(n, len(l))
	}
	return n
}

var errNotEncodable = errors.New("has 8-bit bytes where none can be encoded")

// fieldClass says how 8-bit bytes of a field become ASCII. Fields that are not
// in the table are free text.
var fieldClass = map[string]func(message.Field) (string, error){
	"content-type": parameters, "content-disposition": parameters,

	"from": addresses, "sender": addresses, "reply-to": addresses, "to": addresses, "cc": addresses, "bcc": addresses,
	"resent-from": addresses, "resent-sender": addresses, "resent-to": addresses, "resent-cc": addresses,
	"resent-bcc": addresses, "disposition-notification-to": addresses,

	"content-transfer-encoding": nothing, "content-id": nothing, "content-md5": nothing, "mime-version": nothing,
	"message-id": nothing, "in-reply-to": nothing, "references": nothing, "resent-message-id": nothing,
	"date": nothing, "resent-date": nothing, "return-path": nothing, "dkim-signature": nothing,
}

// sevenBit writes a field with 8-bit bytes in ASCII, folded.
func sevenBit(f message.Field) (string, error) {
	if strings.IndexFunc(f.Name(), func(r rune) bool { return r <= ' ' || r > '~' }) >= 0 || f.Name() == "" {
		return "", errNotEncodable
	}
	encode, ok := fieldClass[strings.ToLower(f.Name())]
	if !ok {
		encode = freeText
	}
	v, err := encode(f)
	if err != nil {
		return "", err
	}
	v = fold(f.Name() + ": " + strings.Trim(v, " \t"))
	if longest(v) > maxLine {
		return "", fmt.Errorf("has a word above %d bytes", maxLine)
	}
	return v + crlf, nil
}

func nothing(message.Field) (string, error) { return "", errNotEncodable }

// charset names what raw 8-bit bytes are in. "unknown-8bit" (RFC 1428) says
// honestly that nobody knows.
func charset(s string) string {
	if utf8.ValidString(s) {
		return "utf-8"
	}
	return "unknown-8bit"
}

// freeText encodes from the first word with 8-bit bytes to the last as encoded
// words (RFC 2047 section 5 (1)), so that the blanks between them survive.
func freeText(f message.Field) (string, error) {
	s := f.Text()
	is8 := func(r rune) bool { return r >= utf8.RuneSelf }
	from := strings.LastIndexAny(s[:strings.IndexFunc(s, is8)], " \t") + 1
	last := strings.LastIndexFunc(s, is8)
	to := len(s)
	if i := strings.IndexAny(s[last:], " \t"); i >= 0 {
		to = last + i
	}
	return s[:from] + encodedWords(s[from:to]) + s[to:], nil
}

func encodedWords(s string) string {
	name := charset(s)
	if name == "utf-8" {
		return mime.QEncoding.Encode(name, s)
	}
	var words []string
	for len(s) > 0 {
		n := min(36, len(s)) // 48 characters of base64 in a word of at most 75
		words = append(words, mime.BEncoding.Encode(name, s[:n]))
		s = s[n:]
	}
	return strings.Join(words, " ")
}

// addresses encodes the names in a list of addresses (RFC 2047 section 5 (3)).
// An address itself cannot be encoded (RFC 6532).
func addresses(f message.Field) (string, error) {
	s := f.Text()
	if len(s) > maxAddresses || !utf8.ValidString(s) || strings.Contains(s, ":") {
		return "", errNotEncodable // groups would lose their name
	}
	list, err := mail.ParseAddressList(s)
	if err != nil {
		return "", errNotEncodable
	}
	out := make([]string, len(list))
	for i, a := range list {
		if !isASCII(a.Address) {
			return "", errNotEncodable
		}
		out[i] = a.String()
	}
	return strings.Join(out, ", "), nil
}

// parameters encodes the values of parameters as RFC 2231 says. Everything
// that is ASCII stays as it is.
func parameters(f message.Field) (string, error) {
	parts := splitParameters(f.Text())
	for i, p := range parts {
		p = strings.Trim(p, " \t")
		if !isASCII(p) {
			name, value, ok := strings.Cut(p, "=")
			name = strings.TrimRight(name, " \t")
			if i == 0 || !ok || !isASCII(name) || strings.Contains(name, "*") {
				return "", errNotEncodable
			}
			p = extended(name, unquote(strings.Trim(value, " \t")))
		}
		parts[i] = p
	}
	return strings.Join(parts, "; "), nil
}

// splitParameters cuts at semicolons that are not in quotes.
func splitParameters(s string) []string {
	var parts []string
	quoted, start := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ';' && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	if last := strings.Trim(s[start:], " \t"); last != "" {
		parts = append(parts, last)
	}
	return parts
}

func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	s = s[1 : len(s)-1]
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// extended writes a parameter with its charset, in pieces where it is long
// (RFC 2231 sections 3 and 4).
func extended(name, value string) string {
	const room = 50
	var pieces []string
	piece := charset(value) + "''"
	for i := 0; i < len(value); i++ {
		if len(piece)+3 > room {
			pieces, piece = append(pieces, piece), ""
		}
		if c := value[i]; attributeChar(c) {
			piece += string(c)
		} else {
			piece += "%" + string(upperHex[c>>4]) + string(upperHex[c&15])
		}
	}
	pieces = append(pieces, piece)
	if len(pieces) == 1 {
		return name + "*=" + piece
	}
	for i, p := range pieces {
		pieces[i] = fmt.Sprintf("%s*%d*=%s", name, i, p)
	}
	return strings.Join(pieces, "; ")
}

// attributeChar: RFC 2231 section 7.
func attributeChar(c byte) bool {
	return c > ' ' && c <= '~' && !strings.ContainsRune("*'%()<>@,;:\\\"/[]?=", rune(c))
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
