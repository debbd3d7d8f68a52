package path

import (
	"crypto/x509"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/internal/pki/x5280"
)

// permits reports whether a key that is for RSASSA-PSS alone may have made the
// signature on c, by the parameters that bind the key, if any (RFC 4055 section 3.3):
// the same hash and mask, and a salt that is not shorter.
func permits(restriction []byte, c *x509.Certificate) bool {
	switch c.SignatureAlgorithm {
	case x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS:
	default:
		return false
	}
	if restriction == nil {
		return true
	}
	signed, _, ok := x5280.ReadSigned(c.Raw)
	if !ok {
		return false
	}
	_, parameters, ok := readAlgorithm(signed.Algorithm)
	if !ok {
		return false
	}
	bound, ok := readPSS(restriction)
	used, good := readPSS(parameters)
	return ok && good && bound.hash == used.hash && bound.mask == used.mask && bound.salt <= used.salt
}

// pss is RSASSA-PSS-params: the digests, and the length of the salt. What is left out
// is "" or its default.
type pss struct {
	hash, mask string
	salt       int
}

func readPSS(der cryptobyte.String) (p pss, ok bool) {
	p.salt = 20
	var s, hash, mask, salt cryptobyte.String
	var hashed, masked, salted bool
	if !der.ReadASN1(&s, asn1.SEQUENCE) || !der.Empty() ||
		!s.ReadOptionalASN1(&hash, &hashed, asn1.Tag(0).Constructed().ContextSpecific()) ||
		!s.ReadOptionalASN1(&mask, &masked, asn1.Tag(1).Constructed().ContextSpecific()) ||
		!s.ReadOptionalASN1(&salt, &salted, asn1.Tag(2).Constructed().ContextSpecific()) {
		return p, false
	}
	var rest cryptobyte.String
	if hashed {
		if p.hash, _, ok = readAlgorithm(hash); !ok {
			return p, false
		}
	}
	if masked { // MGF1, the only one, with a digest
		if _, rest, ok = readAlgorithm(mask); !ok {
			return p, false
		}
		if p.mask, _, ok = readAlgorithm(rest); !ok {
			return p, false
		}
	}
	return p, !salted || salt.ReadASN1Integer(&p.salt)
}

// readAlgorithm reads an AlgorithmIdentifier.
func readAlgorithm(der cryptobyte.String) (id string, parameters cryptobyte.String, ok bool) {
	var s, oid cryptobyte.String
	ok = der.ReadASN1(&s, asn1.SEQUENCE) && der.Empty() && s.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER)
	return string(oid), s, ok
}
