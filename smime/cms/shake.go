package cms

import (
	"crypto"
	"crypto/sha3"
	"encoding/asn1"
	"hash"

	"mailseal/smime/cms/syntax"
)

// SHAKE256 is SHAKE256 with 64 octets (RFC 8702 section 3.1) as the digest of content that ML-DSA signs, which RFC 9882 section 3.3
// wants to be known and Bouncy Castle uses. crypto.Hash has no number for it; this one is beyond all of its own, and its methods
// do not know it: what may be it goes through DigestName and newHash.
const SHAKE256 = crypto.Hash(1 << 16)

var oidSHAKE256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 12}

// DigestName is the name of a digest, in people's words.
func DigestName(h crypto.Hash) string {
	if h == SHAKE256 {
		return "SHAKE256"
	}
	return h.String()
}

// contentDigest returns the digest of content that oid names, 0 for one that is not known.
func contentDigest(oid asn1.ObjectIdentifier) crypto.Hash {
	if oid.Equal(oidSHAKE256) {
		return SHAKE256
	}
	return syntax.Hash(oid)
}

func newHash(h crypto.Hash) hash.Hash {
	if h == SHAKE256 {
		return shake{sha3.NewSHAKE256()}
	}
	return h.New()
}

// shake is a hash.Hash of 64 octets.
type shake struct{ *sha3.SHAKE }

func (shake) Size() int { return 64 }

func (s shake) Sum(b []byte) []byte {
	c := *s.SHAKE // reading ends the writing
	sum := make([]byte, s.Size())
	c.Read(sum) // without an error ever
	return append(b, sum...)
}
