// Package seedkey reads the form that ML-DSA and ML-KEM private keys share in
// PKCS #8: the seed they are made from, the expanded key, or both.
//
// RFC 9881 section 6 (ML-DSA), RFC 9935 section 6 (ML-KEM).
package seedkey

import (
	"errors"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

var (
	// ErrMalformed: it is none of the three.
	ErrMalformed = errors.New("malformed private key")
	// ErrSeedless: it is expanded only, which does not lead back to the seed.
	ErrSeedless = errors.New("private key without its seed")
)

// Read returns the seed, and the expanded key where it is there too. Whether they
// belong together is the caller's to check.
func Read(s cryptobyte.String) (seed, expanded []byte, err error) {
	var element, a, b cryptobyte.String
	var tag asn1.Tag
	if !s.ReadAnyASN1(&element, &tag) || !s.Empty() {
		return nil, nil, ErrMalformed
	}
	switch tag {
	case asn1.Tag(0).ContextSpecific():
		return element, nil, nil
	case asn1.OCTET_STRING:
		return nil, nil, ErrSeedless
	case asn1.SEQUENCE:
		if element.ReadASN1(&a, asn1.OCTET_STRING) && element.ReadASN1(&b, asn1.OCTET_STRING) && element.Empty() {
			return a, b, nil
		}
	}
	return nil, nil, ErrMalformed
}
