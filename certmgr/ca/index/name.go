package index

import (
	"encoding/asn1"
	"fmt"
	"strings"
	"unicode/utf8"
)

// shortNames are the attributes of a name as openssl abbreviates them.
var shortNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
	"2.5.4.9": "street", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.13": "description",
	"2.5.4.17": "postalCode", "2.5.4.41": "name", "2.5.4.42": "GN", "2.5.4.43": "initials", "2.5.4.44": "generationQualifier",
	"2.5.4.46": "dnQualifier", "2.5.4.65": "pseudonym", "2.5.4.97": "organizationIdentifier",
	"0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "emailAddress",
}

// Oneline writes a name as index.txt has it (X509_NAME_oneline of OpenSSL 3):
// bytes outside printable ASCII as \xHH, a backslash before / and +, and
// the backslash itself as it is, so that the form is for reading only.
func Oneline(name []byte) (string, error) {
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
	if short, ok := shortNames[oid.String()]; ok {
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

// Readable turns what Oneline wrote into what people read: \xHH that are UTF-8
// become characters. It decides nothing, for the form is ambiguous.
func Readable(oneline string) string {
	if !strings.Contains(oneline, `\x`) {
		return oneline
	}
	var b []byte
	for i := 0; i < len(oneline); i++ {
		if oneline[i] == '\\' && i+3 < len(oneline) && oneline[i+1] == 'x' {
			hi, lo := unhex(oneline[i+2]), unhex(oneline[i+3])
			// Control characters stay as they are written.
			if c := hi<<4 | lo; hi < 16 && lo < 16 && c >= 0x80 {
				b = append(b, c)
				i += 3
				continue
			}
		}
		b = append(b, oneline[i])
	}
	if !utf8.Valid(b) {
		return oneline
	}
	return string(b)
}

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
