// Package x509key knows the keys and signatures of certificates that crypto/x509
// leaves out: ML-DSA, and RSA keys that are for RSASSA-PSS alone. What crypto/x509
// knows is passed on to it, so callers ask here for any certificate.
//
// RFC 9881 (ML-DSA in certificates), RFC 4055 section 1.2 (RSASSA-PSS keys), RFC
// 5958 (PKCS #8), FIPS 204.
package x509key

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"filippo.io/mldsa"
	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Public returns the key that a certificate is about, nil if it is of a kind that
// is not known here either.
func Public(c *x509.Certificate) crypto.PublicKey {
	if c.PublicKey != nil {
		return c.PublicKey
	}
	oid, parameters, bits, ok := readSPKI(c.RawSubjectPublicKeyInfo)
	if !ok {
		return nil
	}
	if oid.Equal(oidPSS) {
		if k, err := x509.ParsePKCS1PublicKey(bits); err == nil {
			return k
		}
		return nil
	}
	if set, ok := setOf(oid); ok && len(parameters) == 0 {
		if k, err := mldsa.NewPublicKey(set, bits); err == nil {
			return k
		}
	}
	return nil
}

// Pairs reports whether the private key belongs to the certificate.
func Pairs(c *x509.Certificate, k crypto.Signer) bool {
	pub, ok := k.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && pub.Equal(Public(c))
}

// PSSOnly reports whether the certificate's key is for RSASSA-PSS alone, and
// returns the DER of the parameters that bind it, nil for none (RFC 4055 section 3.3).
func PSSOnly(c *x509.Certificate) (parameters []byte, ok bool) {
	if c.PublicKey != nil {
		return nil, false
	}
	oid, parameters, _, ok := readSPKI(c.RawSubjectPublicKeyInfo)
	return parameters, ok && oid.Equal(oidPSS)
}

// ParsePKCS8 reads an unencrypted private key.
func ParsePKCS8(pkcs8 []byte) (any, error) {
	s := cryptobyte.String(pkcs8)
	var body, private cryptobyte.String
	var version int
	if !s.ReadASN1(&body, der.SEQUENCE) || !s.Empty() || !body.ReadASN1Integer(&version) {
		return x509.ParsePKCS8PrivateKey(pkcs8) // for what it says of it
	}
	oid, parameters, ok := readAlgorithm(&body)
	if !ok || !body.ReadASN1(&private, der.OCTET_STRING) {
		return x509.ParsePKCS8PrivateKey(pkcs8)
	}
	if oid.Equal(oidPSS) {
		return x509.ParsePKCS1PrivateKey(private)
	}
	if set, ok := setOf(oid); ok {
		if len(parameters) > 0 {
			return nil, errors.New("ML-DSA key with parameters (RFC 9881 section 2 wants none)")
		}
		return parseMLDSA(set, private)
	}
	return x509.ParsePKCS8PrivateKey(pkcs8)
}

// CheckSignature checks that parent's key signed child, and nothing else of the two.
func CheckSignature(parent, child *x509.Certificate) error {
	if child.SignatureAlgorithm != x509.UnknownSignatureAlgorithm {
		return parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature)
	}
	set, ok := setOf(signatureOID(child))
	if !ok {
		return fmt.Errorf("signature of the certificate: %w", x509.ErrUnsupportedAlgorithm)
	}
	key, ok := Public(parent).(*mldsa.PublicKey)
	if !ok || key.Parameters() != set {
		return errors.New("signature of the certificate is of another kind than the issuer's key")
	}
	return mldsa.Verify(key, child.RawTBSCertificate, child.Signature, nil)
}

// oidPSS identifies keys for RSASSA-PSS alone.
var oidPSS = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}

// signatureOID is the algorithm that a certificate is signed with, nil where it has
// parameters: ML-DSA, which is asked for, has none.
func signatureOID(c *x509.Certificate) asn1.ObjectIdentifier {
	in := cryptobyte.String(c.Raw)
	var outer, tbs cryptobyte.String
	if !in.ReadASN1(&outer, der.SEQUENCE) || !outer.ReadASN1Element(&tbs, der.SEQUENCE) {
		return nil
	}
	oid, parameters, ok := readAlgorithm(&outer) // crypto/x509 saw that the inner one is the same
	if !ok || len(parameters) > 0 {
		return nil
	}
	return oid
}

// readSPKI takes a SubjectPublicKeyInfo apart.
func readSPKI(spki []byte) (oid asn1.ObjectIdentifier, parameters, bits []byte, ok bool) {
	in := cryptobyte.String(spki)
	var body cryptobyte.String
	if !in.ReadASN1(&body, der.SEQUENCE) || !in.Empty() {
		return nil, nil, nil, false
	}
	if oid, parameters, ok = readAlgorithm(&body); !ok {
		return nil, nil, nil, false
	}
	ok = body.ReadASN1BitStringAsBytes(&bits) && body.Empty()
	return oid, parameters, bits, ok
}

// readAlgorithm reads an AlgorithmIdentifier; parameters are in DER, nil for none.
func readAlgorithm(s *cryptobyte.String) (oid asn1.ObjectIdentifier, parameters []byte, ok bool) {
	var body cryptobyte.String
	if !s.ReadASN1(&body, der.SEQUENCE) || !body.ReadASN1ObjectIdentifier(&oid) {
		return nil, nil, false
	}
	if !body.Empty() {
		parameters = body
	}
	return oid, parameters, true
}
