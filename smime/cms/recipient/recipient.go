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
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"

	"mailseal/internal/mlkemkey"
)

var (
	// ErrUnsupported is an algorithm, curve or sort of key that is not known here. Everybody can see it without a key.
	ErrUnsupported = errors.New("unsupported key management")
	// ErrMalformed is a RecipientInfo that does not follow its syntax.
	ErrMalformed = errors.New("malformed RecipientInfo")
)

// Bounds of content-encryption keys. A random key in place of one that could not be had must be too long to be guessed, or it
// shows as one (RFC 3218 section 2.3.2).
const (
	minCEK = 16
	maxCEK = 64
)

// To is one whom a content-encryption key is for: the holder of a certificate's key, or everybody who knows a password.
type To struct {
	Certificate *x509.Certificate
	ByKeyID     bool      // name the certificate by its subject key identifier instead of issuer and serial number
	Transport   Transport // for RSA keys
	Password    []byte    // instead of a certificate
	Rounds      int       // of PBKDF2, for a password; 0: 600,000
}

// Wrap returns the DER of a RecipientInfo that holds cek for t. AES key wrap has the size of cek (RFC 8551 section 2.3) but for
// ML-KEM, where it is that of RFC 9936. Of ephemeral keys Go chooses the randomness itself; rand is for everything else.
func (t To) Wrap(rand io.Reader, cek []byte) (info []byte, err error) {
	if len(cek) < minCEK || len(cek) > maxCEK {
		return nil, fmt.Errorf("%w: content-encryption key of %d octets", ErrUnsupported, len(cek))
	}
	if t.Certificate == nil {
		return t.wrapPassword(rand, cek)
	}
	if t.ByKeyID && len(t.Certificate.SubjectKeyId) == 0 {
		return nil, errors.New("certificate has no subject key identifier; name it by issuer and serial number")
	}
	public, err := publicKey(t.Certificate)
	if err != nil {
		return nil, err
	}
	switch key := public.(type) {
	case *rsa.PublicKey:
		return t.transport(rand, key, cek)
	case *ecdsa.PublicKey:
		agreement, err := key.ECDH()
		if err != nil {
			return nil, fmt.Errorf("%w: elliptic curve %s", ErrUnsupported, key.Params().Name)
		}
		return t.agree(rand, agreement, cek)
	case *ecdh.PublicKey:
		return t.agree(rand, key, cek)
	case crypto.Encapsulator:
		return t.encapsulate(key, cek)
	}
	return nil, fmt.Errorf("%w: nothing can be encrypted to a public key of type %T", ErrUnsupported, public)
}

// publicKey returns the key that c is about, also where crypto/x509 leaves it out of certificates: X25519 (RFC 8410) and ML-KEM.
func publicKey(c *x509.Certificate) (crypto.PublicKey, error) {
	if c.PublicKey != nil {
		return c.PublicKey, nil
	}
	if key, err := x509.ParsePKIXPublicKey(c.RawSubjectPublicKeyInfo); err == nil {
		return key, nil
	}
	key, err := mlkemkey.ParsePublicKey(c.RawSubjectPublicKeyInfo)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return key, nil
}

// Key is what may open: a private key and the certificate that it is named by, or a password.
type Key struct {
	Name        string // for reports: what its owner calls it
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
	Other        Kind = "ori" // of a type that is not known
	Unknown      Kind = "unknown"
)

// Info is one RecipientInfo as read.
type Info struct {
	Kind       Kind
	Version    int
	Algorithm  pkix.AlgorithmIdentifier // of key encryption; the type of an Other; none of an Unknown
	Recipients []Identifier             // several only of a KeyAgreement; none of a Password, Other or Unknown

	way way // nil: for nobody
}

// way is how a key is got out of a RecipientInfo.
type way interface {
	// takes says whether k is of the sort that is needed.
	takes(k Key) bool
	// open puts the content-encryption key into cek, which is random and stays so where the key cannot be had. n is the place
	// of k's certificate among the recipients. Errors tell what everybody can see.
	open(k Key, n int, cek []byte) error
}

// For says whether k is named in i and of the right sort: that Unwrap is worth a try.
func (i *Info) For(k Key) bool {
	_, ok := i.place(k)
	return ok
}

// place finds k among the recipients.
func (i *Info) place(k Key) (int, bool) {
	if i.way == nil || !i.way.takes(k) {
		return 0, false
	}
	if i.Kind == Password {
		return 0, true
	}
	if k.Certificate == nil {
		return 0, false
	}
	n := placeOf(k.Certificate, i.Recipients)
	return n, n >= 0
}

// Unwrap returns the content-encryption key, of cekLen octets. Where that fails by anything that depends on k or on what
// was encrypted, the key is a random one and there is no error (RFC 3218 section 2.3.2). ErrUnsupported says what everybody can
// see: that the algorithm is not known here, or that i is not for k.
//
// Where several RecipientInfos are for the keys at hand, each must be tried whatever became of those before: to go on only after a
// failure tells of it.
func (i *Info) Unwrap(k Key, cekLen int) (cek []byte, err error) {
	n, ok := i.place(k)
	if !ok {
		return nil, fmt.Errorf("%w: not for this key", ErrUnsupported)
	}
	if cekLen < minCEK || cekLen > maxCEK {
		return nil, fmt.Errorf("%w: content-encryption key of %d octets", ErrUnsupported, cekLen)
	}
	cek = make([]byte, cekLen)
	rand.Read(cek)
	if err := i.way.open(k, n, cek); err != nil {
		return nil, err
	}
	return cek, nil
}
