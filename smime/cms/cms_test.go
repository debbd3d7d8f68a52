package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"sync"
	"testing"
	"time"

	"filippo.io/mldsa"
	"go.uber.org/goleak"

	"mailseal/internal/testpki"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// identity is a certificate with its key, signed by the root of the same test run.
type identity struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func (i identity) signer() Signer {
	return Signer{Certificate: i.cert, Key: i.key, SigningTime: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
}

// The keys are made once a run; all tests read them only.
var (
	root     = sync.OnceValue(func() identity { return issue("Root", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), nil) })
	rsa1024  = leaf("rsa1024", func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 1024) })
	rsa2048  = leaf("rsa2048", func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) })
	p256     = leaf("p256", func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) })
	p384     = leaf("p384", func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) })
	p521     = leaf("p521", func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P521(), rand.Reader) })
	ed       = leaf("ed25519", func() (crypto.Signer, error) { _, k, err := ed25519.GenerateKey(rand.Reader); return k, err })
	mldsa44  = leaf("mldsa44", func() (crypto.Signer, error) { return mldsa.GenerateKey(mldsa.MLDSA44()) })
	mldsa65  = leaf("mldsa65", func() (crypto.Signer, error) { return mldsa.GenerateKey(mldsa.MLDSA65()) })
	mldsa87  = leaf("mldsa87", func() (crypto.Signer, error) { return mldsa.GenerateKey(mldsa.MLDSA87()) })
	everyone = map[string]func() identity{
		"rsa": rsa2048, "p256": p256, "p384": p384, "p521": p521, "ed25519": ed, "mldsa44": mldsa44, "mldsa65": mldsa65, "mldsa87": mldsa87,
	}
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func leaf(name string, key func() (crypto.Signer, error)) func() identity {
	return sync.OnceValue(func() identity {
		r := root()
		return issue(name, must(key()), &r)
	})
}

// issue makes a certificate, self-signed without issuer.
func issue(name string, key crypto.Signer, issuer *identity) identity {
	ski := make([]byte, 20)
	rand.Read(ski)
	t := &x509.Certificate{
		SerialNumber: must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))),
		Subject:      pkix.Name{CommonName: name, Organization: []string{"Example"}},
		NotBefore:    time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2060, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement,
		SubjectKeyId: ski,

		EmailAddresses: []string{name + "@example.jp"},
		ExtKeyUsage:    []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}
	var parent *x509.Certificate
	signing := key
	if issuer != nil {
		parent, signing = issuer.cert, issuer.key
	} else {
		t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
		t.ExtKeyUsage, t.EmailAddresses = nil, nil
	}
	return identity{must(testpki.Certificate(t, parent, key.Public(), signing)), key}
}

// read reads a SignedData with its detached content, if there is any.
func read(t testing.TB, der, content []byte, extra ...*x509.Certificate) (*SignedData, []SignerResult) {
	t.Helper()
	s, err := ReadSignedData(bytes.NewReader(der), ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if content != nil {
		if err := s.DigestContent(bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	return s, s.Verify(extra...)
}

func opaque(t testing.TB, content []byte, s ...Signer) []byte {
	t.Helper()
	prefix, suffix, err := SignOpaque(bytes.NewReader(content), int64(len(content)), s...)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Join([][]byte{prefix, content, suffix}, nil)
}

func detached(t testing.TB, content []byte, s ...Signer) []byte {
	t.Helper()
	der, err := SignDetached(bytes.NewReader(content), s...)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// wantErr compares with errors.Is; nil wants no error.
func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
