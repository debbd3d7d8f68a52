package ca

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Subject is the distinguished name of a certificate, in the fields that
// openssl ca knows. Empty fields are left out.
type Subject struct {
	Country            string // two letters
	State              string
	Locality           string
	Organization       string
	OrganizationalUnit string
	CommonName         string
	Email              string
}

// attributes are the fields in the order in which they stand in a name, with
// the upper bounds of RFC 5280 appendix A.
var attributes = []struct {
	name  string
	oid   asn1.ObjectIdentifier
	tag   int
	max   int
	field func(*Subject) *string
}{
	{"country", asn1.ObjectIdentifier{2, 5, 4, 6}, asn1.TagPrintableString, 2, func(s *Subject) *string { return &s.Country }},
	{"state", asn1.ObjectIdentifier{2, 5, 4, 8}, asn1.TagUTF8String, 128, func(s *Subject) *string { return &s.State }},
	{"locality", asn1.ObjectIdentifier{2, 5, 4, 7}, asn1.TagUTF8String, 128, func(s *Subject) *string { return &s.Locality }},
	{"organization", asn1.ObjectIdentifier{2, 5, 4, 10}, asn1.TagUTF8String, 64, func(s *Subject) *string { return &s.Organization }},
	{"organizational unit", asn1.ObjectIdentifier{2, 5, 4, 11}, asn1.TagUTF8String, 64, func(s *Subject) *string { return &s.OrganizationalUnit }},
	{"common name", asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.TagUTF8String, maxCommonName, func(s *Subject) *string { return &s.CommonName }},
	{"e-mail address", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, asn1.TagIA5String, 255, func(s *Subject) *string { return &s.Email }},
}

// maxCommonName is how many characters a common name may have.
const maxCommonName = 64

// named reports a name without a common name.
func (s Subject) named() error {
	if s.CommonName == "" {
		return fmt.Errorf("common name: empty; a name is wanted, as %q", "Private CA")
	}
	return nil
}

// check finds fields that cannot stand in a certificate.
func (s Subject) check() error {
	if s == (Subject{}) {
		// Without it the alternative names would have to be critical (RFC 5280
		// section 4.1.2.6), and not everybody reads such a certificate.
		return errors.New("subject: empty; give an organization at least, as /O=MyCorp")
	}
	if c := s.Country; c != "" && (len(c) != 2 || strings.Trim(c, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") {
		return fmt.Errorf("country %q: want two capital letters, as JP", c)
	}
	for _, a := range attributes {
		v := *a.field(&s)
		switch {
		case !utf8.ValidString(v):
			return fmt.Errorf("%s %q: not UTF-8", a.name, v)
		case utf8.RuneCountInString(v) > a.max:
			return fmt.Errorf("%s %q: longer than %d characters; give a shorter one", a.name, v, a.max)
		case strings.TrimSpace(v) != v:
			return fmt.Errorf("%s %q: blanks at its begin or end", a.name, v)
		case strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) }):
			return fmt.Errorf("%s %q: characters that cannot be seen", a.name, v)
		}
	}
	if s.Email != "" {
		email, err := parseEmail(s.Email)
		if err != nil {
			return err
		}
		if email != s.Email {
			return fmt.Errorf("e-mail address %q: write its domain as %s", s.Email, email)
		}
	}
	return nil
}

// encode makes the DER form (RFC 5280 section 4.1.2.4: UTF8String, but for
// the country and the e-mail address).
func (s Subject) encode() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	var name pkix.RDNSequence
	for _, a := range attributes {
		if v := *a.field(&s); v != "" {
			value := asn1.RawValue{Tag: a.tag, Bytes: []byte(v)}
			name = append(name, pkix.RelativeDistinguishedNameSET{{Type: a.oid, Value: value}})
		}
	}
	return asn1.Marshal(name)
}

// or fills what is empty in C, ST, L and O from a CA's name.
func (s Subject) or(ca pkix.Name) Subject {
	first := func(field *string, values []string) {
		if *field == "" && len(values) > 0 {
			*field = values[0]
		}
	}
	first(&s.Country, ca.Country)
	first(&s.State, ca.Province)
	first(&s.Locality, ca.Locality)
	first(&s.Organization, ca.Organization)
	return s
}

// placeholders are what templates have where a name should stand: FreeBSD's
// sendmail script, openssl req, distributions' openssl.cnf.
var placeholders = []string{"XX", "Some-State", "Some-City", "Some-Org", "Internet Widgits Pty Ltd", "Default City",
	"Default Company Ltd", "Default Organization", "SomeState", "SomeCity", "SomeOrganization", "SomeOrganizationalUnit", "MyCompany", "localhost.localdomain", "amnesiac"}

// Placeholders names the fields that nobody has filled in, as "organization
// Some-org".
func (s Subject) Placeholders() []string {
	var found []string
	for _, a := range attributes {
		v := *a.field(&s)
		if slices.ContainsFunc(placeholders, func(p string) bool { return strings.EqualFold(p, v) }) {
			found = append(found, a.name+" "+v)
		}
	}
	return found
}

// SubjectOf is a name in our fields. What else stands in it is left out, and
// the first of several values is taken.
func SubjectOf(n pkix.Name) Subject {
	var s Subject
	for _, value := range n.Names {
		for _, a := range attributes {
			field := a.field(&s)
			if text, ok := value.Value.(string); ok && a.oid.Equal(value.Type) && *field == "" {
				*field = text
			}
		}
	}
	return s
}

// ParseSubject reads a name as people write it, "/C=JP/O=MyCorp/CN=Private CA".
// A backslash stands before a / that is part of a value.
func ParseSubject(text string) (Subject, error) {
	var s Subject
	if text == "" {
		return s, nil
	}
	if text[0] != '/' {
		return s, fmt.Errorf("subject %q: want /C=JP/O=MyCorp/CN=NAME", text)
	}
	for _, part := range splitSubject(text[1:]) {
		key, value, ok := strings.Cut(part, "=")
		if !ok {
			return s, fmt.Errorf("subject %q: %q: want KEY=VALUE", text, part)
		}
		field := fieldOf(&s, key)
		if field == nil {
			return s, fmt.Errorf("subject %q: %q: want C, ST, L, O, OU, CN or emailAddress", text, key)
		}
		if *field != "" {
			return s, fmt.Errorf("subject %q: %s stands there twice", text, key)
		}
		*field = value
	}
	return s, nil
}

func fieldOf(s *Subject, key string) *string {
	switch strings.ToUpper(key) {
	case "C":
		return &s.Country
	case "ST", "S":
		return &s.State
	case "L":
		return &s.Locality
	case "O":
		return &s.Organization
	case "OU":
		return &s.OrganizationalUnit
	case "CN":
		return &s.CommonName
	case "EMAILADDRESS", "EMAIL", "E":
		return &s.Email
	}
	return nil
}

func splitSubject(text string) []string {
	var parts []string
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && (text[i+1] == '/' || text[i+1] == '\\'):
			i++
			b.WriteByte(text[i])
		case text[i] == '/':
			parts = append(parts, b.String())
			b.Reset()
		default:
			b.WriteByte(text[i])
		}
	}
	return append(parts, b.String())
}

// checkMemo bounds what people write.
func checkMemo(s string) error {
	if len(s) > maxMemo || !utf8.ValidString(s) {
		return fmt.Errorf("memo of %d bytes: want UTF-8, up to %d", len(s), maxMemo)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }) {
		return fmt.Errorf("memo %q: characters that cannot be seen", s)
	}
	return nil
}
