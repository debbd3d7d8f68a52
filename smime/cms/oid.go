package cms

import (
	"crypto"
	"encoding/asn1"

	"mailseal/internal/x509key"
)

// Content types of RFC 5652 and its kin.
var (
	OIDData              = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	OIDSignedData        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	OIDEnvelopedData     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}
	OIDDigestedData      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 5}
	OIDEncryptedData     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}
	OIDAuthData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 2}
	OIDCompressedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 9}
	OIDAuthEnvelopedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 23}
)

// Attributes.
var (
	oidContentType          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	oidCapabilities         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 15}
	oidKeyPreference        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 11}
	oidSigningCertificate   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12}
	oidSigningCertificateV2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidAlgorithmProtection  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 52}
)

// Signatures.
var (
	oidRSA     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidPSS     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidMGF1    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
	oidEd25519 = asn1.ObjectIdentifier{1, 3, 101, 112}
)

// family is a kind of signature algorithm.
type family int

const (
	unknownFamily family = iota
	rsaPKCS1
	rsaPSS
	ecdsaFamily
	dsaFamily
	ed25519Family
	mldsaFamily
)

// signatures tells the algorithm and, where the identifier names it, the digest.
var signatures = []struct {
	oid    asn1.ObjectIdentifier
	family family
	hash   crypto.Hash
}{
	{oidRSA, rsaPKCS1, 0},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, rsaPKCS1, crypto.SHA256},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 12}, rsaPKCS1, crypto.SHA384},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 13}, rsaPKCS1, crypto.SHA512},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 14}, rsaPKCS1, crypto.SHA224},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}, rsaPKCS1, crypto.SHA1},
	{oidPSS, rsaPSS, 0},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}, ecdsaFamily, crypto.SHA256},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}, ecdsaFamily, crypto.SHA384},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}, ecdsaFamily, crypto.SHA512},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 1}, ecdsaFamily, crypto.SHA224},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}, ecdsaFamily, crypto.SHA1},
	{asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}, dsaFamily, 0}, // the key's identifier, as some write it
	{asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 3}, dsaFamily, crypto.SHA1},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 1}, dsaFamily, crypto.SHA224},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 2}, dsaFamily, crypto.SHA256},
	// RFC 9688 section 3.
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 14}, rsaPKCS1, crypto.SHA3_256},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 15}, rsaPKCS1, crypto.SHA3_384},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 16}, rsaPKCS1, crypto.SHA3_512},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 10}, ecdsaFamily, crypto.SHA3_256},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 11}, ecdsaFamily, crypto.SHA3_384},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 12}, ecdsaFamily, crypto.SHA3_512},
	{x509key.OIDMLDSA44, mldsaFamily, 0}, // RFC 9882 section 3.3: the digest is of the content alone
	{x509key.OIDMLDSA65, mldsaFamily, 0},
	{x509key.OIDMLDSA87, mldsaFamily, 0},
	{oidEd25519, ed25519Family, crypto.SHA512}, // RFC 8419 section 3.1: the digest is always SHA-512
}

func signatureOf(oid asn1.ObjectIdentifier) (family, crypto.Hash) {
	for _, s := range signatures {
		if s.oid.Equal(oid) {
			return s.family, s.hash
		}
	}
	return unknownFamily, 0
}
