package x5280

import (
	"encoding/binary"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// A Name is a distinguished name.
type Name struct {
	Raw []byte
	// rdns are in the form in which they are compared, each by itself.
	rdns []string
	key  string
	// Mails are its emailAddress attributes.
	Mails []string
}

// Empty: some subjects are in the subjectAltName alone.
func (n Name) Empty() bool { return len(n.rdns) == 0 }

// Equal is the comparison of RFC 5280 section 7.1.
func (n Name) Equal(m Name) bool { return n.key == m.key }

// Key is the same for names that are equal, and only for those.
func (n Name) Key() string { return n.key }

// String is the name for people, of bounded length.
func (n Name) String() string {
	r := []rune(displayed(n.Raw).String())
	if len(r) > 200 {
		return string(r[:200]) + "..."
	}
	return string(r)
}

// Within reports whether a name is the base or below it (section 4.2.1.10).
func (n Name) Within(base Name) bool {
	return len(n.rdns) >= len(base.rdns) && slices.Equal(n.rdns[:len(base.rdns)], base.rdns)
}

// writePart writes a string so that what follows it cannot be taken for a part of it.
func writePart(b *strings.Builder, s string) {
	b.Write(binary.AppendUvarint(nil, uint64(len(s))))
	b.WriteString(s)
}

// readName reads an element that is a Name.
func readName(element cryptobyte.String) (n Name, ok bool) {
	n.Raw = element
	var rdns cryptobyte.String
	if !element.ReadASN1(&rdns, asn1.SEQUENCE) || !element.Empty() {
		return n, false
	}
	for !rdns.Empty() {
		var rdn cryptobyte.String
		if !rdns.ReadASN1(&rdn, asn1.SET) || rdn.Empty() {
			return n, false
		}
		var parts []string
		for !rdn.Empty() {
			var atv, id, value cryptobyte.String
			var tag asn1.Tag
			if !rdn.ReadASN1(&atv, asn1.SEQUENCE) || !atv.ReadASN1(&id, asn1.OBJECT_IDENTIFIER) ||
				!atv.ReadAnyASN1(&value, &tag) || !atv.Empty() {
				return n, false
			}
			text, isText := decode(tag, value)
			if isText && OID(id) == emailAddress {
				n.Mails = append(n.Mails, text)
			}
			parts = append(parts, compared(OID(id), tag, value, text, isText))
		}
		slices.Sort(parts) // a SET
		n.rdns = append(n.rdns, strings.Join(parts, ""))
	}
	var b strings.Builder
	for _, r := range n.rdns {
		writePart(&b, r)
	}
	n.key = b.String()
	return n, true
}

// compared is an attribute as it is compared: strings of whatever type by what
// they say, all else by its bytes.
func compared(id OID, tag asn1.Tag, value []byte, text string, isText bool) string {
	var b strings.Builder
	writePart(&b, string(id))
	prepared := ""
	if isText {
		prepared, isText = prepare(text)
	}
	if isText {
		b.WriteByte(0)
		writePart(&b, prepared)
	} else {
		b.WriteByte(byte(tag)) // never 0 in DER
		writePart(&b, string(value))
	}
	return b.String()
}

// The string types of a DirectoryString that cryptobyte has no name for.
const (
	tagVisible   asn1.Tag = 26
	tagNumeric   asn1.Tag = 18
	tagUniversal asn1.Tag = 28
	tagBMP       asn1.Tag = 30
)

// decode returns what a string says, if the value is one and well-formed.
func decode(tag asn1.Tag, value []byte) (string, bool) {
	switch tag {
	case asn1.UTF8String:
		return string(value), utf8.Valid(value)
	case asn1.PrintableString, asn1.IA5String, tagVisible, tagNumeric:
		return string(value), !slices.ContainsFunc(value, func(b byte) bool { return b >= 0x80 })
	case asn1.T61String: // as everybody uses it: Latin-1
		runes := make([]rune, len(value))
		for i, b := range value {
			runes[i] = rune(b)
		}
		return string(runes), true
	case tagBMP:
		if len(value)%2 != 0 {
			return "", false
		}
		if n := len(value); n > 0 && value[n-2] == 0 && value[n-1] == 0 {
			value = value[:n-2] // a terminator, which crypto/x509 leaves out: nobody may be named otherwise there
		}
		units := make([]uint16, len(value)/2)
		for i := range units {
			units[i] = binary.BigEndian.Uint16(value[2*i:])
		}
		return string(utf16.Decode(units)), true
	case tagUniversal:
		if len(value)%4 != 0 {
			return "", false
		}
		runes := make([]rune, len(value)/4)
		for i := range runes {
			runes[i] = rune(binary.BigEndian.Uint32(value[4*i:]))
		}
		return string(runes), true
	}
	return "", false
}

// prepare is RFC 4518, as section 7.1 uses it: case folded, normalised, spaces at
// both ends left out and those between made one. What it prohibits stays as it is:
// such a name is equal to itself. So is one that is not ok, as normalising it costs
// too much.
func prepare(s string) (prepared string, ok bool) {
	if ascii(s) {
		return collapse(strings.ToLower(s)), true
	}
	if s, ok = normal(strings.Map(mapped, s)); !ok {
		return "", false
	}
	s, ok = normal(cases.Fold().String(s))
	return collapse(s), ok
}

// maxGrowth bounds what normalising makes of a string. There are ligatures that are
// whole sentences: two megabytes of them would take seconds.
const maxGrowth = 3

// normal is NFKC.
func normal(s string) (string, bool) {
	if norm.NFKC.IsNormalString(s) {
		return s, true
	}
	to := make([]byte, maxGrowth*len(s))
	n, _, err := norm.NFKC.Transform(to, []byte(s), true)
	return string(to[:n]), err == nil
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x7f || s[i] < 0x20 {
			return false
		}
	}
	return true
}

// mapped is section 2.2 of RFC 4518 but for case folding.
func mapped(r rune) rune {
	switch {
	case r == '\t' || r == '\n' || r == '\v' || r == '\f' || r == '\r' || r == 0x85 || unicode.In(r, unicode.Z):
		return ' '
	case unicode.In(r, unicode.Cc, unicode.Cf), unicode.In(r, unicode.Variation_Selector), r == 0x34f, r == 0x1806, r == 0xfffc:
		return -1
	}
	return r
}

func collapse(s string) string {
	if !strings.HasPrefix(s, " ") && !strings.HasSuffix(s, " ") && !strings.Contains(s, "  ") {
		return s
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' }), " ")
}
