package ca

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
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
	short string // as openssl writes it
	oid   asn1.ObjectIdentifier
	tag   int
	max   int
	field func(*Subject) *string
}{
	{"country", "C", asn1.ObjectIdentifier{2, 5, 4, 6}, asn1.TagPrintableString, 2, func(s *Subject) *string { return &s.Country }},
	{"state", "ST", asn1.ObjectIdentifier{2, 5, 4, 8}, asn1.TagUTF8String, 128, func(s *Subject) *string { return &s.State }},
	{"locality", "L", asn1.ObjectIdentifier{2, 5, 4, 7}, asn1.TagUTF8String, 128, func(s *Subject) *string { return &s.Locality }},
	{"organization", "O", asn1.ObjectIdentifier{2, 5, 4, 10}, asn1.TagUTF8String, 64, func(s *Subject) *string { return &s.Organization }},
	{"organizational unit", "OU", asn1.ObjectIdentifier{2, 5, 4, 11}, asn1.TagUTF8String, 64, func(s *Subject) *string { return &s.OrganizationalUnit }},
	{"common name", "CN", asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.TagUTF8String, 64, func(s *Subject) *string { return &s.CommonName }},
	{"e-mail address", "emailAddress", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, asn1.TagIA5String, 255, func(s *Subject) *string { return &s.Email }},
}

// otherNames are the attributes that index.txt abbreviates besides.
var otherNames = map[string]string{
	"2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.9": "street", "2.5.4.12": "title", "2.5.4.13": "description",
	"2.5.4.17": "postalCode", "2.5.4.41": "name", "2.5.4.42": "GN", "2.5.4.43": "initials", "2.5.4.44": "generationQualifier",
	"2.5.4.46": "dnQualifier", "2.5.4.65": "pseudonym", "2.5.4.97": "organizationIdentifier",
	"0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC",
}

// check finds fields that cannot stand in a certificate.
func (s Subject) check() error {
	if s.CommonName == "" {
		return fmt.Errorf("common name: empty; a name is wanted, as %q", "Private CA")
	}
	for _, a := range attributes {
		v := *a.field(&s)
		switch {
		case !utf8.ValidString(v):
			return fmt.Errorf("%s %q: not UTF-8", a.name, v)
		case utf8.RuneCountInString(v) > a.max:
			return fmt.Errorf("%s %q: longer than %d characters", a.name, v, a.max)
		case strings.TrimSpace(v) != v:
			return fmt.Errorf("%s %q: blanks at its begin or end", a.name, v)
		case strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) }):
			return fmt.Errorf("%s %q: characters that cannot be seen", a.name, v)
		}
	}
	if c := s.Country; c != "" && (len(c) != 2 || strings.Trim(c, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") {
		return fmt.Errorf("country %q: want two capital letters, as JP", c)
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

// oneline writes a name as index.txt has it (X509_NAME_oneline of OpenSSL 3):
// bytes outside printable ASCII as \xHH, a backslash before / and +, and
// the backslash itself as it is, so that the form is for reading only.
func oneline(name []byte) (string, error) {
	var rdns []asn1.RawValue
	if rest, err := asn1.Unmarshal(name, &rdns); err != nil || len(rest) > 0 {
		return "", fmt.Errorf("not a distinguished name: %v", err)
	}
	var b strings.Builder
	for _, rdn := range rdns {
		sep := byte('/')
		for rest := rdn.Bytes; len(rest) > 0; sep = '+' {
			var attribute struct {
				Type  asn1.ObjectIdentifier
				Value asn1.RawValue
			}
			var err error
			if rest, err = asn1.Unmarshal(rest, &attribute); err != nil {
				return "", fmt.Errorf("not a distinguished name: %w", err)
			}
			b.WriteByte(sep)
			b.WriteString(shortName(attribute.Type))
			b.WriteByte('=')
			writeValue(&b, attribute.Value.Bytes)
		}
	}
	return b.String(), nil
}

func shortName(oid asn1.ObjectIdentifier) string {
	for _, a := range attributes {
		if a.oid.Equal(oid) {
			return a.short
		}
	}
	if short, ok := otherNames[oid.String()]; ok {
		return short
	}
	return oid.String()
}

func writeValue(b *strings.Builder, value []byte) {
	for _, c := range value {
		switch {
		case c < ' ' || c > '~':
			fmt.Fprintf(b, "\\x%02X", c)
		case c == '/' || c == '+':
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
}
