// Package namehash is the number by which OpenSSL finds a certificate or a CRL
// in a folder: `openssl x509 -subject_hash`, the names of the links that
// `openssl rehash` makes, sendmail's CACertPath and Postfix's CApath.
//
//	link := namehash.Of(cert.RawSubject) + ".0"
//	link := namehash.Of(crl.RawIssuer) + ".r0"
//
// It is taken over a form of the name in which case, runs of blanks and the
// kind of string make no difference (crypto/x509/x_name.c of OpenSSL 1.0 and
// later).
package namehash

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// Of is the hash of a name's DER form, in the eight digits of a link's name.
// Names that OpenSSL cannot compare have none.
func Of(name []byte) (string, error) {
	canonical, err := canonical(name)
	if err != nil {
		return "", fmt.Errorf("hash of a name: %w", err)
	}
	sum := sha1.Sum(canonical)
	return digits(sum[:]), nil
}

// Old is the hash that OpenSSL took before 1.0 (-subject_hash_old).
func Old(name []byte) string {
	sum := md5.Sum(name)
	return digits(sum[:])
}

func digits(sum []byte) string { return fmt.Sprintf("%08x", binary.LittleEndian.Uint32(sum)) }

// canonical is the form that is hashed: the SETs of the name one after the
// other, without the SEQUENCE around them.
func canonical(name []byte) ([]byte, error) {
	var rdns []asn1.RawValue
	if rest, err := asn1.Unmarshal(name, &rdns); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("not a distinguished name: %v", err)
	}
	var all []byte
	for _, rdn := range rdns {
		if rdn.Class != asn1.ClassUniversal || rdn.Tag != asn1.TagSet {
			return nil, errors.New("not a distinguished name: no SET")
		}
		var attributes [][]byte
		for rest := rdn.Bytes; len(rest) > 0; {
			var a attribute
			var err error
			if rest, err = asn1.Unmarshal(rest, &a); err != nil {
				return nil, fmt.Errorf("not a distinguished name: %w", err)
			}
			if a.Value, err = canonicalValue(a.Value); err != nil {
				return nil, err
			}
			der, err := asn1.Marshal(a)
			if err != nil {
				return nil, err
			}
			attributes = append(attributes, der)
		}
		// DER sorts the members of a SET OF, and their order may have changed.
		slices.SortFunc(attributes, bytes.Compare)
		set, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: bytes.Join(attributes, nil)})
		if err != nil {
			return nil, err
		}
		all = append(all, set...)
	}
	return all, nil
}

type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// Kinds of strings that encoding/asn1 has no name for.
const (
	tagVisible   = 26 // openssl folds it too, but reads no certificate with one
	tagUniversal = 28
)

// canonicalValue makes a string UTF-8, in lower case (of ASCII), without
// blanks round it and with one between words. Other values stay as they are.
func canonicalValue(v asn1.RawValue) (asn1.RawValue, error) {
	if v.Class != asn1.ClassUniversal {
		return v, nil
	}
	var text []byte
	switch v.Tag {
	case asn1.TagUTF8String:
		if !utf8.Valid(v.Bytes) {
			return v, errors.New("a string that is not UTF-8")
		}
		text = v.Bytes
	case asn1.TagPrintableString, asn1.TagT61String, asn1.TagIA5String, tagVisible:
		for _, c := range v.Bytes { // taken for Latin-1
			text = utf8.AppendRune(text, rune(c))
		}
	case asn1.TagBMPString, tagUniversal:
		width := 2
		if v.Tag == tagUniversal {
			width = 4
		}
		if len(v.Bytes)%width != 0 {
			return v, fmt.Errorf("a string of %d octets; want a multiple of %d", len(v.Bytes), width)
		}
		for b := v.Bytes; len(b) > 0; b = b[width:] {
			r := rune(binary.BigEndian.Uint16(b))
			if width == 4 {
				r = rune(binary.BigEndian.Uint32(b))
			}
			if utf16.IsSurrogate(r) || !utf8.ValidRune(r) {
				return v, fmt.Errorf("a string with %#x, which is no character", uint32(r))
			}
			text = utf8.AppendRune(text, r)
		}
	default:
		return v, nil
	}
	return asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: fold(text)}, nil
}

// fold knows ASCII alone, as OpenSSL does.
func fold(text []byte) []byte {
	var out []byte
	for _, word := range bytes.FieldsFunc(text, isSpace) {
		if out != nil {
			out = append(out, ' ')
		}
		for _, c := range word {
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			out = append(out, c)
		}
	}
	return out
}

func isSpace(r rune) bool { return r == ' ' || (r >= '\t' && r <= '\r') }
