package cms

import (
	"crypto"
	"crypto/x509"
	"io"
	"time"
)

// Signer is who signs and how. Only Certificate and Key are needed.
type Signer struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
	Chain       []*x509.Certificate // sent along; self-signed ones are left out
	Digest      crypto.Hash         // 0: by the key; Ed25519 always signs with SHA-512 (RFC 8419)
	PSS         bool                // RSA: RSASSA-PSS instead of PKCS #1 v1.5
	SigningTime time.Time           // zero: no signingTime attribute
}

// Hash is the digest that the signer will use, for micalg.
func (s Signer) Hash() (crypto.Hash, error) { return 0, ErrUnsupported }

// SignDetached returns a ContentInfo with a SignedData over content that does not contain it.
func SignDetached(content io.Reader, s ...Signer) (der []byte, err error) { return nil, ErrUnsupported }

// SignOpaque returns what stands before and after content in a SignedData that contains it: DER = prefix + content + suffix.
func SignOpaque(content io.Reader, size int64, s ...Signer) (prefix, suffix []byte, err error) {
	return nil, nil, ErrUnsupported
}
