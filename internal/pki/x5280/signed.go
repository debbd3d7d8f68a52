package x5280

import (
	"crypto/x509"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Signed is the form that certificates, CRLs and OCSP responses have in common: what
// is signed, with what, and the signature.
type Signed struct {
	Raw       []byte
	Content   []byte // element
	Algorithm []byte // AlgorithmIdentifier
	Signature []byte // nil if it is not of whole octets
}

// ReadSigned reads it. The rest is what follows the signature: OCSP responses have
// certificates there.
func ReadSigned(der []byte) (s Signed, rest []byte, ok bool) {
	in := cryptobyte.String(der)
	var outer, content, algorithm, signature cryptobyte.String
	if !in.ReadASN1(&outer, asn1.SEQUENCE) || !in.Empty() ||
		!outer.ReadASN1Element(&content, asn1.SEQUENCE) ||
		!outer.ReadASN1Element(&algorithm, asn1.SEQUENCE) ||
		!outer.ReadASN1(&signature, asn1.BIT_STRING) ||
		len(signature) == 0 || signature[0] > 7 {
		return s, nil, false
	}
	s = Signed{Raw: der, Content: content, Algorithm: algorithm}
	if signature[0] == 0 { // of no algorithm is it anything but octets
		s.Signature = signature[1:]
	}
	return s, outer, true
}

// X509 is a certificate that has nothing but the signature, for what checks those of
// certificates.
func (s Signed) X509() *x509.Certificate {
	c := &x509.Certificate{Raw: s.Raw, RawTBSCertificate: s.Content, Signature: s.Signature}
	if bare, err := x509.ParseCertificate(skeleton(anyKey, s.Algorithm)); err == nil {
		c.SignatureAlgorithm = bare.SignatureAlgorithm
	}
	return c
}
