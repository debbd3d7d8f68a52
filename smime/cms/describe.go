package cms

import (
	"encoding/asn1"
	"io"
	"math/big"
	"time"
)

// Description is what an object says of itself, in words; nothing of it is verified.
type Description struct {
	Type             asn1.ObjectIdentifier
	TypeName         string                // "signed-data", "enveloped-data", ...
	ContentType      asn1.ObjectIdentifier // of what is inside
	ContentTypeName  string
	ContentSize      int64    // octets of the content as it stands there (encrypted, compressed); -1: none
	ContentAlgorithm string   // encryption or compression
	Digests          []string // digestAlgorithms
	Recipients       []RecipientDescription
	Signers          []SignerDescription
	Certificates     []CertificateDescription
	CRLs             int
}

// RecipientDescription is one RecipientInfo.
type RecipientDescription struct {
	Kind         string // ktri, kari, kekri, pwri, ori
	Issuer       string // RFC 2253 name, with Serial
	Serial       *big.Int
	SubjectKeyID []byte // or the key identifier of a kekri
	Algorithm    string
}

// SignerDescription is one SignerInfo.
type SignerDescription struct {
	Issuer       string
	Serial       *big.Int
	SubjectKeyID []byte
	Digest       string
	Algorithm    string
	SigningTime  time.Time
	Attributes   []string // types of the signed ones
}

// CertificateDescription is one certificate sent along.
type CertificateDescription struct {
	Subject, Issuer     string
	Serial              *big.Int
	NotBefore, NotAfter time.Time
	Err                 error // it could not be parsed: then nothing else is set
}

// Describe reads any CMS object to the end of r.
func Describe(r io.Reader) (*Description, error) { return nil, ErrUnsupported }

// Describe says what has been read.
func (s *SignedData) Describe() *Description { return nil }
