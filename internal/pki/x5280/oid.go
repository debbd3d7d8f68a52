package x5280

import "crypto/x509"

// An OID is an object identifier: its contents in DER, so that two can be compared.
type OID string

// NewOID makes one of the dotted form.
func NewOID(dotted string) (OID, error) {
	o, err := x509.ParseOID(dotted)
	if err != nil {
		return "", err
	}
	b, err := o.MarshalBinary()
	return OID(b), err
}

func (o OID) String() string {
	var parsed x509.OID
	if err := parsed.UnmarshalBinary([]byte(o)); err != nil {
		return "malformed identifier"
	}
	return parsed.String()
}

// Extensions (RFC 5280 section 4.2).
const (
	SubjectKeyIdentifier   OID = "\x55\x1d\x0e"
	KeyUsageExtension      OID = "\x55\x1d\x0f"
	SubjectAltName         OID = "\x55\x1d\x11"
	BasicConstraintsID     OID = "\x55\x1d\x13"
	NameConstraintsID      OID = "\x55\x1d\x1e"
	CRLDistributionPoints  OID = "\x55\x1d\x1f"
	CertificatePolicies    OID = "\x55\x1d\x20"
	PolicyMappings         OID = "\x55\x1d\x21"
	AuthorityKeyIdentifier OID = "\x55\x1d\x23"
	PolicyConstraintsID    OID = "\x55\x1d\x24"
	ExtKeyUsage            OID = "\x55\x1d\x25"
	InhibitAnyPolicy       OID = "\x55\x1d\x36"
	FreshestCRL            OID = "\x55\x1d\x2e"
	AuthorityInfoAccess    OID = "\x2b\x06\x01\x05\x05\x07\x01\x01"
	// NoCheck is of OCSP responders (RFC 6960 section 4.2.2.2.1).
	NoCheck OID = "\x2b\x06\x01\x05\x05\x07\x30\x01\x05"
)

// Extensions of CRLs and of their entries (sections 5.2 and 5.3).
const (
	issuerAltName            OID = "\x55\x1d\x12"
	crlNumber                OID = "\x55\x1d\x14"
	reasonCode               OID = "\x55\x1d\x15"
	invalidityDate           OID = "\x55\x1d\x18"
	deltaCRLIndicator        OID = "\x55\x1d\x1b"
	issuingDistributionPoint OID = "\x55\x1d\x1c"
	certificateIssuer        OID = "\x55\x1d\x1d"
)

// Purposes, policies, and where to ask.
const (
	AnyPurpose      OID = "\x55\x1d\x25\x00"
	EmailProtection OID = "\x2b\x06\x01\x05\x05\x07\x03\x04"
	OCSPSigning     OID = "\x2b\x06\x01\x05\x05\x07\x03\x09"
	AnyPolicy       OID = "\x55\x1d\x20\x00"
	// OCSP is a method of authorityInfoAccess.
	OCSP OID = "\x2b\x06\x01\x05\x05\x07\x30\x01"
)

const (
	emailAddress    OID = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01" // PKCS #9
	smtpUTF8Mailbox OID = "\x2b\x06\x01\x05\x05\x07\x08\x09"     // RFC 9598
	dsaKey          OID = "\x2a\x86\x48\xce\x38\x04\x01"         // RFC 3279
)
