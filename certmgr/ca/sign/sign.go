// Package sign signs what crypto/x509 does not make for every CA: lists of
// revoked certificates and OCSP answers, which look alike where the signature
// stands: SEQUENCE { what is signed, algorithm, BIT STRING }.
package sign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
)

// A Scheme is how a kind of key signs.
type Scheme struct {
	// ID is the DER of the AlgorithmIdentifier (RFC 4055 section 5, RFC 5758
	// section 3.2, RFC 8410 section 3).
	ID        []byte
	algorithm x509.SignatureAlgorithm
	hash      crypto.Hash // 0: the message itself is signed
}

// For is the scheme that crypto/x509 takes for certificates by such a key.
func For(pub crypto.PublicKey) (Scheme, error) {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return Scheme{[]byte("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00"), x509.SHA256WithRSA, crypto.SHA256}, nil
	case *ecdsa.PublicKey:
		const ecdsaWithSHA2 = "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03"
		switch bits := pub.Curve.Params().BitSize; {
		case bits <= 256:
			return Scheme{[]byte(ecdsaWithSHA2 + "\x02"), x509.ECDSAWithSHA256, crypto.SHA256}, nil
		case bits <= 384:
			return Scheme{[]byte(ecdsaWithSHA2 + "\x03"), x509.ECDSAWithSHA384, crypto.SHA384}, nil
		default:
			return Scheme{[]byte(ecdsaWithSHA2 + "\x04"), x509.ECDSAWithSHA512, crypto.SHA512}, nil
		}
	case ed25519.PublicKey:
		return Scheme{[]byte("\x30\x05\x06\x03\x2b\x65\x70"), x509.PureEd25519, 0}, nil
	}
	return Scheme{}, fmt.Errorf("a key of type %T cannot sign", pub)
}

// Sign signs DER, checks the signature with the signer's certificate, and
// puts the three together.
func (s Scheme) Sign(key crypto.Signer, cert *x509.Certificate, der []byte) ([]byte, error) {
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
	return asn1.Marshal(struct {
		Signed, Algorithm asn1.RawValue
		Signature         asn1.BitString
	}{asn1.RawValue{FullBytes: der}, asn1.RawValue{FullBytes: s.ID}, asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}})
}
