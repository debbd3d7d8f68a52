package recipient

import (
	"crypto"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"

	"mailseal/smime/cms/keywrap"
)

var (
	oidRSA        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidOAEP       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 7}
	oidMGF1       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
	oidPSpecified = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 9}

	oidEC     = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidX25519 = asn1.ObjectIdentifier{1, 3, 101, 110}

	oidDESWrap = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 6}

	oidKEMRecipient = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 13, 3}
	oidHKDFSHA256   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 28}

	oidPWRI       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 9}
	oidPBKDF2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMACSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
)

// A named is an algorithm that differs from its siblings in a digest.
type named struct {
	oid  asn1.ObjectIdentifier
	hash crypto.Hash
	hkdf bool // of key agreement: HKDF instead of the KDF of ANSI X9.63
}

// schemes are those of key agreement. With cofactor is the same as without on all curves here (RFC 5753 section 7.1.4,
// RFC 8418 section 5).
var schemes = []named{
	{oid: asn1.ObjectIdentifier{1, 3, 133, 16, 840, 63, 0, 2}, hash: crypto.SHA1},
	{oid: asn1.ObjectIdentifier{1, 3, 132, 1, 11, 0}, hash: crypto.SHA224},
	{oid: asn1.ObjectIdentifier{1, 3, 132, 1, 11, 1}, hash: crypto.SHA256},
	{oid: asn1.ObjectIdentifier{1, 3, 132, 1, 11, 2}, hash: crypto.SHA384},
	{oid: asn1.ObjectIdentifier{1, 3, 132, 1, 11, 3}, hash: crypto.SHA512},
	{oid: asn1.ObjectIdentifier{1, 3, 133, 16, 840, 63, 0, 3}, hash: crypto.SHA1},
	{oid: asn1.ObjectIdentifier{1, 3, 132, 1, 14, 0}, hash: crypto.SHA224},
	{oid: asn1.ObjectIdentifier{1, 3, 132, 1, 14, 1}, hash: crypto.SHA256},
	{oid: asn1.ObjectIdentifier{1, 3, 132, 1, 14, 2}, hash: crypto.SHA384},
	{oid: asn1.ObjectIdentifier{1, 3, 132, 1, 14, 3}, hash: crypto.SHA512},
	{oid: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 19}, hash: crypto.SHA256, hkdf: true},
	{oid: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 20}, hash: crypto.SHA384, hkdf: true},
	{oid: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 21}, hash: crypto.SHA512, hkdf: true},
}

// schemeOf returns the scheme to write: the standard one with h.
func schemeOf(h crypto.Hash, hkdf bool) named {
	for _, s := range schemes {
		if s.hash == h && s.hkdf == hkdf {
			return s
		}
	}
	return named{}
}

// derivations are the key derivation functions of KEMRecipientInfo (RFC 8619).
var derivations = []named{
	{oid: oidHKDFSHA256, hash: crypto.SHA256},
	{oid: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 29}, hash: crypto.SHA384},
	{oid: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 30}, hash: crypto.SHA512},
}

// macs are the pseudo-random functions of PBKDF2 (RFC 8018 appendix B.1).
var macs = []named{
	{oid: asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7}, hash: crypto.SHA1},
	{oid: asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 8}, hash: crypto.SHA224},
	{oid: oidHMACSHA256, hash: crypto.SHA256},
	{oid: asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 10}, hash: crypto.SHA384},
	{oid: asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 11}, hash: crypto.SHA512},
	{oid: asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 13}, hash: crypto.SHA512_256},
	{oid: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 8, 1, 2}, hash: crypto.SHA1},
}

func find(list []named, oid asn1.ObjectIdentifier) (named, error) {
	for _, n := range list {
		if n.oid.Equal(oid) {
			return n, nil
		}
	}
	return named{}, unsupported(oid)
}

// wraps are the sizes of AES key wrap (RFC 3565 section 2.3.2).
var wraps = []struct {
	oid  asn1.ObjectIdentifier
	size int
}{
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 5}, 16},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 25}, 24},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 45}, 32},
}

// wrapSize returns the size of the key-encryption key that a wraps with.
func wrapSize(a pkix.AlgorithmIdentifier) (int, error) {
	for _, w := range wraps {
		if w.oid.Equal(a.Algorithm) {
			return w.size, nil
		}
	}
	return 0, unsupported(a.Algorithm)
}

// unwrapping returns how a unwraps what a key agreement wrapped, and the size of the key-encryption key: by AES, or by Triple
// DES (RFC 3217), which OpenSSL 3.0 still takes where the content has it.
func unwrapping(a pkix.AlgorithmIdentifier) (unwrap func(kek, wrapped, key []byte) error, size int, err error) {
	if a.Algorithm.Equal(oidDESWrap) {
		return keywrap.UnwrapDES, keywrap.DESKey, nil
	}
	size, err = wrapSize(a)
	return keywrap.Unwrap, size, err
}

// wrapOf returns the AES key wrap for a content-encryption key of cekLen octets.
func wrapOf(cekLen int) (asn1.ObjectIdentifier, int) {
	for _, w := range wraps {
		if w.size >= cekLen {
			return w.oid, w.size
		}
	}
	largest := wraps[len(wraps)-1]
	return largest.oid, largest.size
}

func unsupported(oid asn1.ObjectIdentifier) error {
	return fmt.Errorf("%w: algorithm %v", ErrUnsupported, oid)
}
