package cms

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"math/big"
	"time"
)

// SignedData is a read SignedData (RFC 5652 section 5.1), its content already hashed and passed on.
type SignedData struct {
	Version          int
	DigestAlgorithms []DigestAlgorithm
	ContentType      asn1.ObjectIdentifier
	HasContent       bool  // false: the signature is detached (or the object only carries certificates)
	ContentSize      int64 // of the embedded content
	Certificates     []*x509.Certificate
	Unparsed         [][]byte // certificates that could not be parsed, as received
	CRLs             [][]byte // as received
	Signers          []*SignerInfo
}

// DigestAlgorithm is one of the digestAlgorithms of a SignedData.
type DigestAlgorithm struct {
	OID  asn1.ObjectIdentifier
	Hash crypto.Hash // 0 when it is not known here
}

// SignerInfo is one signer as received (RFC 5652 section 5.3). Exactly one of Issuer and SubjectKeyID is set.
type SignerInfo struct {
	Version            int
	Issuer             []byte // DER Name, with Serial
	Serial             *big.Int
	SubjectKeyID       []byte
	DigestAlgorithm    pkix.AlgorithmIdentifier
	SignatureAlgorithm pkix.AlgorithmIdentifier
	SignedAttributes   []Attribute // nil when there are none at all
	UnsignedAttributes []Attribute
	Signature          []byte
}

// Attribute is an attribute with its values in DER.
type Attribute struct {
	Type   asn1.ObjectIdentifier
	Values [][]byte
}

// SignerResult says what became of one signer.
type SignerResult struct {
	Info        *SignerInfo
	Certificate *x509.Certificate // of the signer, untrusted; nil when it is not there
	Err         error             // nil: the signature is mathematically good over the content
	Digest      crypto.Hash
	Algorithm   string    // of the signature, readable
	SigningTime time.Time // what the signer claims; zero when nothing
}

// ReadSignedData reads a ContentInfo that holds a SignedData, to the end of r.
func ReadSignedData(r io.Reader, o ReadOptions) (*SignedData, error) { return nil, ErrUnsupported }

// DigestContent hashes the content of a detached signature.
func (s *SignedData) DigestContent(r io.Reader) error { return ErrUnsupported }

// Verify checks every signer, in order, with the embedded certificates and extra ones.
func (s *SignedData) Verify(extra ...*x509.Certificate) []SignerResult { return nil }
