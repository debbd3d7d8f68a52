package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
)

// A scheme is how a kind of key signs what crypto/x509 does not make: lists
// and answers.
type scheme struct {
	algorithm x509.SignatureAlgorithm
	hash      crypto.Hash // 0: the message itself is signed
	// id is the DER of the AlgorithmIdentifier (RFC 4055 section 5, RFC 5758
	// section 3.2, RFC 8410 section 3).
	id []byte
}

// schemeOf is that which crypto/x509 takes for the key's certificates.
func schemeOf(pub crypto.PublicKey) (scheme, error) {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return scheme{x509.SHA256WithRSA, crypto.SHA256, []byte("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00")}, nil
	case *ecdsa.PublicKey:
		const ecdsaWithSHA2 = "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03"
		switch bits := pub.Curve.Params().BitSize; {
		case bits <= 256:
			return scheme{x509.ECDSAWithSHA256, crypto.SHA256, []byte(ecdsaWithSHA2 + "\x02")}, nil
		case bits <= 384:
			return scheme{x509.ECDSAWithSHA384, crypto.SHA384, []byte(ecdsaWithSHA2 + "\x03")}, nil
		default:
			return scheme{x509.ECDSAWithSHA512, crypto.SHA512, []byte(ecdsaWithSHA2 + "\x04")}, nil
		}
	case ed25519.PublicKey:
		return scheme{x509.PureEd25519, 0, []byte("\x30\x05\x06\x03\x2b\x65\x70")}, nil
	}
	return scheme{}, fmt.Errorf("a CA's key of type %T cannot sign", pub)
}

// sign signs DER and wraps it: SEQUENCE { der, algorithm, BIT STRING }. What
// comes out was checked with the CA's certificate.
func (s scheme) sign(key crypto.Signer, cert *x509.Certificate, der []byte) ([]byte, error) {
	digest := der
	if s.hash != 0 {
		h := s.hash.New()
		h.Write(der)
		digest = h.Sum(nil)
	}
	sig, err := key.Sign(rand.Reader, digest, s.hash)
	if err != nil {
		return nil, err
	}
	if err := cert.CheckSignature(s.algorithm, der, sig); err != nil {
		return nil, err
	}
	return tlv(tagSequence, der, s.id, tlv(tagBitString, []byte{0}, sig)), nil
}

const (
	tagInteger     = 0x02
	tagBitString   = 0x03
	tagOctetString = 0x04
	tagOID         = 0x06
	tagEnumerated  = 0x0a
	tagUTCTime     = 0x17
	tagTime        = 0x18 // GeneralizedTime
	tagSequence    = 0x30
	tagExtensions  = 0xa0 // [0] EXPLICIT of a CRL
)

// tlv is DER of a tag with its parts.
func tlv(tag byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	out := appendHead(make([]byte, 0, n+6), tag, n)
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// appendHead adds tag and length.
func appendHead(out []byte, tag byte, n int) []byte {
	out = append(out, tag)
	if n < 0x80 {
		return append(out, byte(n))
	}
	octets := 0
	for m := n; m > 0; m >>= 8 {
		octets++
	}
	out = append(out, 0x80|byte(octets))
	for i := octets - 1; i >= 0; i-- {
		out = append(out, byte(n>>(8*i)))
	}
	return out
}
