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
	AuthorityInfoAccess    OID = "\x2b\x06\x01\x05\x05\x07\x01\x01"
)

// Purposes, and policies.
const (
	AnyPurpose      OID = "\x55\x1d\x25\x00"
	EmailProtection OID = "\x2b\x06\x01\x05\x05\x07\x03\x04"
	OCSPSigning     OID = "\x2b\x06\x01\x05\x05\x07\x03\x09"
	AnyPolicy       OID = "\x55\x1d\x20\x00"
)

const (
	emailAddress    OID = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01" // PKCS #9
	smtpUTF8Mailbox OID = "\x2b\x06\x01\x05\x05\x07\x08\x09"     // RFC 9598
	dsaKey          OID = "\x2a\x86\x48\xce\x38\x04\x01"         // RFC 3279
)
