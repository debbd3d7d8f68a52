package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"

	"filippo.io/mldsa"

	"mailseal/internal/mlkemkey"
	"mailseal/internal/x509key"
)

// A Pair is a private key and a certificate that is about it.
type Pair struct {
	Certificate *x509.Certificate
	// Key is one that signs, an X25519 *ecdh.PrivateKey (RFC 8410), or the crypto.Decapsulator of ML-KEM (RFC 9935).
	Key crypto.PrivateKey
}

// usable refuses kinds of keys that S/MIME does not know.
func usable(key any) (crypto.PrivateKey, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey, *mldsa.PrivateKey, crypto.Decapsulator:
		return k, nil
	case *ecdh.PrivateKey:
		if k.Curve() == ecdh.X25519() {
			return k, nil
		}
	}
	return nil, fmt.Errorf("a key of type %T neither signs nor decrypts here; want RSA, ECDSA, Ed25519, ML-DSA, X25519 or ML-KEM", key)
}

// parsePKCS8 reads an unencrypted private key, ML-DSA and ML-KEM too, which crypto/x509 does not know.
func parsePKCS8(der []byte) (any, error) {
	if len(der) > maxKey {
		return nil, errKey
	}
	key, err := x509key.ParsePKCS8(der)
	if err == nil {
		return key, nil
	}
	kem, kemErr := mlkemkey.ParsePrivateKey(der)
	switch {
	case kemErr == nil:
		return kem, nil
	case errors.Is(kemErr, errors.ErrUnsupported): // it is one of ML-KEM, and says what to do
		return nil, kemErr
	}
	return nil, err
}

// pairs reports whether the certificate is about the key.
func pairs(c *x509.Certificate, key crypto.PrivateKey) bool {
	switch k := key.(type) {
	case crypto.Decapsulator:
		public, err := mlkemkey.ParsePublicKey(c.RawSubjectPublicKeyInfo)
		return err == nil && bytes.Equal(public.Bytes(), k.Encapsulator().Bytes())
	case *ecdh.PrivateKey: // crypto/x509 leaves X25519 out of certificates
		public, err := x509.ParsePKIXPublicKey(c.RawSubjectPublicKeyInfo)
		return err == nil && k.PublicKey().Equal(public)
	case crypto.Signer:
		return x509key.Pairs(c, k)
	}
	return false
}

// choose puts the pair that is best to sign with to the front of the identity; where no key signs, one that decrypts.
func (id *Identity) choose() {
	for _, p := range id.Pairs {
		s, signs := p.Key.(crypto.Signer)
		switch {
		case signs && (id.Key == nil || better(p.Certificate, id.Certificate)):
			id.Certificate, id.Key = p.Certificate, s
		case !signs && id.Key == nil && (id.Certificate == nil || later(p.Certificate, id.Certificate)):
			id.Certificate = p.Certificate
		}
	}
}

// better prefers the certificate that may sign (RFC 8550 section 4.4.2), then the one that lives longer: a renewed one is often
// appended to the old.
func better(c, than *x509.Certificate) bool {
	if a, b := maySign(c), maySign(than); a != b {
		return a
	}
	return later(c, than)
}

func later(c, than *x509.Certificate) bool { return c.NotAfter.After(than.NotAfter) }

func maySign(c *x509.Certificate) bool {
	return c.KeyUsage == 0 || c.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) != 0
}
