// Package recipient gives a content-encryption key to those who may have it, and
// gets it back: RecipientInfo, the key management of CMS.
//
// A gateway encrypts to two people, one with an RSA and one with an EC key, and
// later opens what they send back with whatever key it holds:
//
//	info, err := recipient.To{Certificate: cert}.Wrap(rand.Reader, cek)
//
//	i, err := recipient.Parse(info)
//	if i.For(key) {
//		cek, err := i.Unwrap(key, 32)
//	}
//
// Unwrap always gives a key. Whether it is the right one shows only when the
// content is decrypted with it, and whoever sends forged mails to a machine that
// answers learns nothing before that (RFC 3218).
//
// RFC 5652 section 6.2, RFC 8551 section 2.3, RFC 4055 and 8017 (RSA), RFC 5753
// (ECDH), RFC 8418 (X25519), RFC 9629 and 9936 (ML-KEM), RFC 3211 (passwords).
package recipient

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
)

// ErrUnsupported is an algorithm, curve or kind of key that is not known here. Everybody can see it without a key.
var ErrUnsupported = errors.New("unsupported key management")

// ErrMalformed is a RecipientInfo that does not follow its syntax.
var ErrMalformed = errors.New("malformed RecipientInfo")

// To is one whom a content-encryption key is for: the holder of a certificate's key, or everybody who knows a password.
type To struct {
	Certificate *x509.Certificate
	ByKeyID     bool      // name the certificate by its subject key identifier instead of issuer and serial number
	Transport   Transport // for RSA keys
	Password    []byte    // instead of a certificate
}

// Transport is the way in which an RSA key transports. The zero value is RSAES-PKCS1-v1_5, which every client reads.
type Transport struct {
	Hash    crypto.Hash // RSAES-OAEP with this digest
	MGFHash crypto.Hash // of OAEP's mask, 0 for Hash
}

// OAEP is RSAES-OAEP with h throughout (RFC 8017 section 7.1).
func OAEP(h crypto.Hash) Transport { return Transport{Hash: h, MGFHash: h} }

// Wrap returns the DER of a RecipientInfo that holds cek for t.
func (t To) Wrap(rand io.Reader, cek []byte) (info []byte, err error) { return nil, ErrUnsupported }

// Version is the CMSVersion of an EnvelopedData with these RecipientInfos, without OriginatorInfo and unprotected attributes
// (RFC 5652 section 6.1). AuthEnvelopedData is always version 0.
func Version(infos ...[]byte) int { return 0 }

// Key is what may open: a private key and the certificate that it is named by, or a password.
type Key struct {
	Certificate *x509.Certificate
	Private     crypto.PrivateKey // crypto.Decrypter (RSA), ecdh.KeyExchanger, *ecdsa.PrivateKey or crypto.Decapsulator (ML-KEM)
	Password    []byte
}

// Kind is an alternative of RecipientInfo.
type Kind string

// Kinds of RecipientInfo (RFC 5652 section 6.2, RFC 9629 section 3), and what is none of them.
const (
	KeyTransport Kind = "ktri"
	KeyAgreement Kind = "kari"
	KeyOfKeys    Kind = "kekri" // named only, never opened
	Password     Kind = "pwri"
	KEM          Kind = "kemri"
	Unknown      Kind = "unknown"
)

// Identifier names a recipient: by issuer and serial number, or by key identifier.
type Identifier struct {
	Issuer       []byte // DER
	Serial       *big.Int
	SubjectKeyID []byte
}

// Info is one RecipientInfo as read.
type Info struct {
	Kind       Kind
	Version    int
	Algorithm  pkix.AlgorithmIdentifier // key encryption
	Recipients []Identifier             // several only in a KeyAgreement, none in a Password or Unknown
}

// Parse reads one RecipientInfo, in BER or DER. What is well-formed but not known is of kind Unknown and for nobody.
func Parse(raw []byte) (*Info, error) { return nil, ErrUnsupported }

// For says whether k is named in i and of the right sort: that Unwrap is worth a try.
func (i *Info) For(k Key) bool { return false }

// Unwrap returns the content-encryption key, of cekLen octets. Where that fails by anything that depends on k or on what
// was encrypted, the key is a random one and there is no error (RFC 3218 section 2.3.2). ErrUnsupported says what everybody can see: the
// algorithm is not known here, or k is not the sort of key for it.
func (i *Info) Unwrap(k Key, cekLen int) (cek []byte, err error) { return nil, ErrUnsupported }
