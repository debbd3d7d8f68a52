// Package mailaddr is an e-mail address as a value that compares safely. An
// attacker's address must never become somebody else's by trimming, decoding
// or guessing, so what is not a strict addr-spec (RFC 5322 section 3.4.1, with
// UTF-8 as in RFC 6532) is an error.
package mailaddr

import (
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// maxField bounds the From value that is parsed, in bytes; a gateway meets
// hostile ones.
const maxField = 64 << 10

// An Address is an addr-spec. The zero Address is none.
type Address struct {
	// Local is the local part, without quotes where it was a quoted string.
	Local string
	// Domain is in lower case and in A-labels (RFC 5890).
	Domain string
}

// Parse takes exactly an addr-spec: no blanks round it, no display name, no
// comments, no angle brackets.
func Parse(s string) (Address, error) {
	if strings.ContainsAny(s, " \t\r\n<>(),;:") && !strings.HasPrefix(s, `"`) {
		return Address{}, fmt.Errorf("%q is not a plain address", s)
	}
	a, err := mail.ParseAddress("<" + s + ">")
	if err != nil {
		return Address{}, fmt.Errorf("%q is not an address", s)
	}
	return split(a.Address)
}

func split(spec string) (Address, error) {
	i := strings.LastIndexByte(spec, '@')
	if i < 1 || i == len(spec)-1 {
		return Address{}, fmt.Errorf("%q is not an address", spec)
	}
	if !utf8.ValidString(spec) || strings.ContainsFunc(spec, isControl) {
		return Address{}, errors.New("the address holds control characters or is not UTF-8")
	}
	d, err := Domain(spec[i+1:])
	if err != nil {
		return Address{}, err
	}
	return Address{Local: spec[:i], Domain: d}, nil
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

// Domain brings a domain name to the form in which names are compared: lower
// case and A-labels, without a root dot. Address literals are taken as they are.
func Domain(s string) (string, error) {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		return strings.ToLower(s), nil
	}
	d, err := idna.Lookup.ToASCII(s)
	if err != nil || d == "" || strings.HasSuffix(d, ".") || strings.ContainsAny(d, "@ \t") {
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
	if hasGroup(value) {
		return nil, errors.New("address group instead of an address")
	}
	list, err := mail.ParseAddressList(value)
	if err != nil {
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
