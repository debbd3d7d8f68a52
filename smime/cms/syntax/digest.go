package syntax

import (
	"crypto"
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha3"
	_ "crypto/sha512"
	"encoding/asn1"
)

// Digests (RFC 5754 section 2, RFC 9688 section 2).
var (
	SHA1   = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	SHA224 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 4}
	SHA256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	SHA384 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	SHA512 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}

	SHA3_256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 8}
	SHA3_384 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 9}
	SHA3_512 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 10}
)

// digests are those that are computed; MD5 is not one of them.
var digests = []struct {
	oid  asn1.ObjectIdentifier
	hash crypto.Hash
}{
	{SHA256, crypto.SHA256},
	{SHA384, crypto.SHA384},
	{SHA512, crypto.SHA512},
	{SHA224, crypto.SHA224},
	{SHA1, crypto.SHA1},
	{SHA3_256, crypto.SHA3_256},
	{SHA3_384, crypto.SHA3_384},
	{SHA3_512, crypto.SHA3_512},
}

// Hash returns the digest that oid names, 0 for one that is not known.
func Hash(oid asn1.ObjectIdentifier) crypto.Hash {
	for _, d := range digests {
		if d.oid.Equal(oid) {
			return d.hash
		}
	}
	return 0
}

// Digest returns the identifier of h, nil for one that is not known.
func Digest(h crypto.Hash) asn1.ObjectIdentifier {
	for _, d := range digests {
		if d.hash == h {
			return d.oid
		}
	}
	return nil
}
