package pki

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// keyNames are kinds of keys that crypto/x509 does not know.
var keyNames = map[string]string{
	"2.16.840.1.101.3.4.3.17": "ML-DSA-44", "2.16.840.1.101.3.4.3.18": "ML-DSA-65", "2.16.840.1.101.3.4.3.19": "ML-DSA-87",
	"2.16.840.1.101.3.4.4.1": "ML-KEM-512", "2.16.840.1.101.3.4.4.2": "ML-KEM-768", "2.16.840.1.101.3.4.4.3": "ML-KEM-1024",
	"1.3.101.110": "X25519", "1.2.840.113549.1.1.10": "RSA for PSS alone", "1.2.840.10040.4.1": "DSA",
}

// KeyName names the kind of a certificate's key for people, as "RSA 2048" or
// "ECDSA P-256": by its numbers, if it is not known here.
func KeyName(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	s := cryptobyte.String(c.RawSubjectPublicKeyInfo)
	var info, algorithm cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !s.ReadASN1(&info, der.SEQUENCE) || !info.ReadASN1(&algorithm, der.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&oid) {
		return "unknown"
	}
	if name, ok := keyNames[oid.String()]; ok {
		return name
	}
	return oid.String()
}
