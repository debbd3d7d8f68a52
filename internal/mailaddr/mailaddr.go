// Package mailaddr is an e-mail address as a value that compares safely. An
// attacker's address must never become somebody else's by trimming, decoding
// or guessing, so what is not a strict addr-spec (RFC 5322 section 3.4.1, with
// UTF-8 as in RFC 6532) is an error.
package mailaddr

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Bounds on a From value that is parsed; a gateway meets hostile ones.
const (
	maxField     = 64 << 10 // bytes
	maxAddresses = 1000
)

// An Address is an addr-spec. The zero Address is none.
type Address struct {
	// Local is the local part, without quotes where it was a quoted string.
	Local string
	// Domain is in lower case and in A-labels (RFC 5890).
	Domain string
}

// Parse takes exactly an addr-spec: no blanks round it or in it, no display
// name, no comments, no angle brackets.
func Parse(s string) (Address, error) {
	i := strings.LastIndexByte(s, '@')
	if i < 0 || !isLocalPart(s[:i]) || strings.ContainsAny(s[i:], " \t\r\n<>(),;\"") {
		return Address{}, fmt.Errorf("%q is not a plain address", s)
	}
	a, err := mail.ParseAddress("<" + s + ">")
	if err != nil {
		return Address{}, fmt.Errorf("%q is not an address", s)
	}
	return split(a.Address)
}

// ParseIA5 takes the address of a certificate. Its type is IA5String (RFC 5280
// section 4.2.1.6, RFC 2985 section 5.2.1), so letters beyond ASCII make none:
// IDNA would map some of them to somebody else's domain.
func ParseIA5(s string) (Address, error) {
	if !isASCII(s) {
		return Address{}, fmt.Errorf("%q is not an ASCII address", s)
	}
	return Parse(s)
}

// ParseUTF8Mailbox takes a SmtpUTF8Mailbox of a certificate (RFC 9598 section 3).
// Its local part has letters beyond ASCII: any other belongs into an rfc822Name,
// whose rules it would get round here. Its domain is in A-labels, or in the
// U-labels that RFC 8398 had; nothing is mapped to make one.
func ParseUTF8Mailbox(s string) (Address, error) {
	i := strings.LastIndexByte(s, '@')
	if i < 0 || isASCII(s[:i]) {
		return Address{}, fmt.Errorf("%q is no address that needs UTF-8", s)
	}
	a, err := Parse(s)
	if err != nil || isASCII(s[i+1:]) {
		return a, err
	}
	if u, err := idna.Lookup.ToUnicode(a.Domain); err != nil || u != s[i+1:] {
		return Address{}, fmt.Errorf("%q is not in the form in which domains are compared", s[i+1:])
	}
	return a, nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

// isLocalPart: dot-atom or quoted-string. What is within the quotes net/mail
// looks at.
func isLocalPart(s string) bool {
	return isDotAtom(s) || len(s) > 2 && s[0] == '"' && s[len(s)-1] == '"'
}

func split(spec string) (Address, error) {
	i := strings.LastIndexByte(spec, '@')
	if i < 1 || i == len(spec)-1 {
		return Address{}, fmt.Errorf("%q is not an address", spec)
	}
	if !utf8.ValidString(spec) || strings.ContainsFunc(spec, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return Address{}, errors.New("the address holds characters that do not print")
	}
	// RFC 2047 section 5 forbids it, and a reader that decodes it all the same
	// shows another address than this one.
	if strings.Contains(spec[:i], "=?") {
		return Address{}, errors.New("the address holds an encoded word")
	}
	d, err := Domain(spec[i+1:])
	if err != nil {
		return Address{}, err
	}
	return Address{Local: spec[:i], Domain: d}, nil
}

// Fold returns the address in the form in which mailboxes are told apart: RFC
// 8550 section 3 advises to compare local parts without case. Only that of
// ASCII is folded: to Unicode the long s is an s and the Kelvin sign a k, and
// an address with one of them is somebody else's.
func (a Address) Fold() Address {
	local := []byte(a.Local)
	for i, c := range local {
		if 'A' <= c && c <= 'Z' {
			local[i] = c + 'a' - 'A'
		}
	}
	a.Local = string(local)
	return a
}

// Same reports whether both are one mailbox.
func (a Address) Same(b Address) bool { return a.Fold() == b.Fold() }

// Domain brings a domain name to the form in which names are compared: lower
// case and A-labels, without a root dot. Address literals are taken as they are.
func Domain(s string) (string, error) {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		return strings.ToLower(s), nil
	}
	d, err := idna.Lookup.ToASCII(s)
	// Package idna makes an empty label of "xn--", and ".com" is all that is below com.
	if err != nil || strings.Contains("."+d+".", "..") || strings.ContainsAny(d, "@ \t") {
		return "", fmt.Errorf("%q is not a domain name", s)
	}
	return strings.ToLower(d), nil
}

// ParseList reads the value of a From, Sender or To field. Groups (RFC 5322
// section 3.4) are an error: nobody can be identified by one.
func ParseList(value string) ([]Address, error) {
	if len(value) > maxField {
		return nil, fmt.Errorf("address field of %d bytes; %d are the limit", len(value), maxField)
	}
	if strings.Count(value, ",") >= maxAddresses {
		return nil, fmt.Errorf("address field of more than %d addresses", maxAddresses)
	}
	if hasGroup(value) {
		return nil, errors.New("address group instead of an address")
	}
	if !utf8.ValidString(value) {
		return nil, errors.New("field is neither ASCII nor UTF-8")
	}
	list, err := parser().ParseList(value)
	if err != nil {
		if a, ok := saidTwice(value); ok {
			return []Address{a}, nil
		}
		return nil, errors.New("field cannot be read as addresses")
	}
	as := make([]Address, 0, len(list))
	for _, m := range list {
		a, err := split(m.Address)
		if err != nil {
			return nil, err
		}
		as = append(as, a)
	}
	return as, nil
}

// saidTwice reads "info@x.jp <info@x.jp>", which many programs write though a
// name with an "@" has to be quoted. Some readers take the address in the name
// for the sender's and some that in the brackets. So there must be nothing else
// to choose from: every word with an "@" is the address, byte for byte, and no
// word is anything but plain text.
func saidTwice(value string) (Address, bool) {
	name, spec, ok := strings.Cut(strings.Trim(value, " \t"), "<")
	spec, closed := strings.CutSuffix(spec, ">")
	if !ok || !closed || strings.ContainsAny(name, "\",:;<>()[]\\") || strings.Contains(name, "=?") {
		return Address{}, false
	}
	for w := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == ' ' || r == '\t' }) {
		if strings.Contains(w, "@") && w != spec || strings.ContainsFunc(w, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return Address{}, false
		}
	}
	a, err := Parse(spec)
	return a, err == nil && isDotAtom(a.Local) && !strings.HasPrefix(a.Domain, "[")
}

// parser reads display names in whatever character set, as ISO-2022-JP, and
// gives their bytes for text: a name identifies nobody and is not looked at.
func parser() *mail.AddressParser {
	return &mail.AddressParser{WordDecoder: &mime.WordDecoder{
		CharsetReader: func(_ string, r io.Reader) (io.Reader, error) { return r, nil },
	}}
}

// hasGroup finds a colon outside quotes, comments, angle brackets and domain
// literals, which only a group has.
func hasGroup(s string) bool {
	var quoted, angle, literal bool
	comment := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && (quoted || comment > 0):
			i++
		case c == '"' && comment == 0:
			quoted = !quoted
		case quoted:
		case c == '(':
			comment++
		case c == ')' && comment > 0:
			comment--
		case comment > 0:
		case c == '<' || c == '>':
			angle = c == '<'
		case c == '[' || c == ']':
			literal = c == '['
		case c == ':' && !angle && !literal:
			return true
		}
	}
	return false
}

// String writes the address as an addr-spec, quoted where it has to be.
func (a Address) String() string {
	if a == (Address{}) {
		return ""
	}
	if isDotAtom(a.Local) {
		return a.Local + "@" + a.Domain
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(a.Local) + `"@` + a.Domain
}

func isDotAtom(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for _, r := range s {
		if r >= 0x80 || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
			strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", r) {
			continue
		}
		return false
	}
	return true
}

// In reports whether the domain is one of names; a name with a leading dot
// stands for all sub-domains of the rest.
func In(domain string, names []string) bool {
	for _, n := range names {
		if domain == n || strings.HasPrefix(n, ".") && strings.HasSuffix(domain, n) {
			return true
		}
	}
	return false
}
