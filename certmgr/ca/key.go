package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"

	"github.com/youmark/pkcs8"
)

// A KeyKind is an algorithm and a size.
type KeyKind int

// The kinds of keys. The zero KeyKind is RSA2048, which every mail program
// knows.
const (
	RSA2048 KeyKind = iota
	RSA3072
	RSA4096
	P256
	P384
	P521
	Ed25519
)

var keyKinds = []string{"rsa2048", "rsa3072", "rsa4096", "p256", "p384", "p521", "ed25519"}

func (k KeyKind) String() string {
	if k < 0 || int(k) >= len(keyKinds) {
		return fmt.Sprintf("key(%d)", int(k))
	}
	return keyKinds[k]
}

// ParseKeyKind reads a kind's name, as "rsa2048" or "p256".
func ParseKeyKind(s string) (KeyKind, error) {
	for k, name := range keyKinds {
		if s == name {
			return KeyKind(k), nil
		}
	}
	return 0, fmt.Errorf("key kind %q: want one of %v", s, keyKinds)
}

// GenerateKey makes a private key.
func GenerateKey(k KeyKind) (crypto.Signer, error) {
	switch k {
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	case P256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case P384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case P521:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("there is no %v", k)
}

// checkPublicKey refuses keys that are weak or that mail programs do not know.
func checkPublicKey(pub crypto.PublicKey) error {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		if bits := pub.N.BitLen(); bits < 2048 || bits > 8192 || bits%8 != 0 {
			return fmt.Errorf("RSA key of %d bits: want 2048 to 8192, a multiple of 8", bits)
		}
		if pub.E < 65537 || pub.E%2 == 0 {
			return fmt.Errorf("RSA key with the exponent %d: want 65537", pub.E)
		}
		return nil
	case *ecdsa.PublicKey:
		switch pub.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
		default:
			return fmt.Errorf("ECDSA key on the curve %s: want P-256, P-384 or P-521", pub.Params().Name)
		}
		if _, err := pub.ECDH(); err != nil {
			return fmt.Errorf("ECDSA key: %w", err)
		}
		return nil
	case ed25519.PublicKey:
		if len(pub) != ed25519.PublicKeySize {
			return fmt.Errorf("Ed25519 key of %d bytes", len(pub))
		}
		return nil
	}
	return fmt.Errorf("public key of type %T: want RSA, ECDSA or Ed25519", pub)
}

// keyID is the identifier of RFC 5280 section 4.2.1.2 (1). It is not about
// security; SHA-1 makes it the one that openssl gives the same key.
func keyID(pub crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, err
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, err
	}
	id := sha1.Sum(info.Key.Bytes)
	return id[:], nil
}

func samePublicKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// EncodeKey writes a private key as PKCS #8 in PEM, encrypted where there is a
// passphrase: PBES2 with PBKDF2-HMAC-SHA256 and AES-256-CBC (RFC 8018), which
// OpenSSL 1.1 and later read.
func EncodeKey(key crypto.Signer, passphrase []byte) ([]byte, error) {
	if len(passphrase) == 0 {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
	}
	der, err := pkcs8.MarshalPrivateKey(key, passphrase, &pkcs8.Opts{
		Cipher:  pkcs8.AES256CBC,
		KDFOpts: pkcs8.PBKDF2Opts{SaltSize: 16, IterationCount: 600000, HMACHash: crypto.SHA256},
	})
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}), nil
}
