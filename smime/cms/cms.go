// Package cms reads and writes the Cryptographic Message Syntax as streams. It knows nothing of mail.
//
// A gateway receives a signature made by somebody it has never heard of, over content it must not hold in memory:
//
//	sd, err := cms.ReadSignedData(signature, cms.ReadOptions{})
//	err = sd.DigestContent(content)
//	for _, r := range sd.Verify() { ... }
//
// and it signs what leaves:
//
//	der, err := cms.SignDetached(content, cms.Signer{Certificate: cert, Key: key, SigningTime: now})
//
// Whether a certificate may be trusted is not decided here: a result without error says only that the holder of that
// certificate's key signed exactly this content.
//
// RFC 5652 (CMS), RFC 5754 (SHA-2), RFC 4055 and 4056 (RSA-PSS), RFC 5753 (ECDSA), RFC 8419 (Ed25519), RFC 5035 (signing
// certificate attribute), RFC 8551 (S/MIME 4.0), RFC 6211 (algorithm protection), RFC 5083, RFC 3274 (described only).
package cms

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"io"
)

// Why an object could not be read. Errors of the given reader and writer come through as they are.
var (
	ErrMalformed = errors.New("malformed CMS")
	ErrLimit     = errors.New("CMS object passes a limit")
	ErrContent   = errors.New("signed-data carries its own content")
)

// Why a signer's signature does not count; ErrUnsupported also says that an object is of another content type.
var (
	ErrNoCertificate = errors.New("no certificate of the signer")
	ErrDigest        = errors.New("content is not what was signed")
	ErrSignature     = errors.New("signature does not verify")
	ErrUnsupported   = errors.New("unsupported algorithm or content")
	ErrAttributes    = errors.New("signed attributes break the rules")
	// ErrWeak: everything verifies, but with a SHA-1 digest or an RSA key below 2048 bits.
	ErrWeak = errors.New("weak algorithm or key")
)

// Limits bound what a hostile object may cost. A zero field means its default.
type Limits struct {
	Depth        int   // nested elements: 64
	Elements     int   // elements in all, pieces of a chunked string not counted: 65536
	Kept         int64 // bytes of certificates, CRLs and signers held in memory, together: 4 MiB
	Object       int64 // bytes of one of them: 1 MiB
	Certificates int   // 200
	Signers      int   // 16
	Attributes   int   // of one signer: 64
}

// ReadOptions say where content goes and how much may be read.
type ReadOptions struct {
	Content io.Writer // gets the eContent as it streams; nil discards it
	Limits  Limits
	// ParseCertificate reads a certificate, x509.ParseCertificate if nil: here a caller can put a cache.
	ParseCertificate func(der []byte) (*x509.Certificate, error)
}

// Identify reads the content type of a ContentInfo and no more of it.
func Identify(r io.Reader) (asn1.ObjectIdentifier, error) { return nil, ErrUnsupported }

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
