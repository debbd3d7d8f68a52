package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// A person is a leaf with all that is above it: issuer, then root.
type person struct {
	cert  *x509.Certificate
	key   crypto.Signer
	above []*x509.Certificate
}

// keys are the kinds that S/MIME signs with.
var keys = map[string]func() (crypto.Signer, error){
	"RSA":     func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
	"P-256":   func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
	"P-384":   func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) },
	"P-521":   func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P521(), rand.Reader) },
	"Ed25519": func() (crypto.Signer, error) { _, k, err := ed25519.GenerateKey(rand.Reader); return k, err },
}

func newKey(t testing.TB, kind string) crypto.Signer {
	t.Helper()
	k, err := keys[kind]()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newPerson(t testing.TB, kind string) person {
	t.Helper()
	rootKey, midKey, key := newKey(t, "P-256"), newKey(t, "P-256"), newKey(t, kind)
	root := issue(t, template("Root", true), nil, rootKey, rootKey)
	mid := issue(t, template("Issuer", true), root, midKey, rootKey)
	leaf := issue(t, template("Anna", false), mid, key, midKey)
	return person{cert: leaf, key: key, above: []*x509.Certificate{mid, root}}
}

func template(name string, ca bool) *x509.Certificate {
	c := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC), // expired: no error here
		BasicConstraintsValid: true,
		IsCA:                  ca,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	if !ca {
		c.KeyUsage = x509.KeyUsageDigitalSignature
		c.EmailAddresses = []string{"anna@example.jp"}
	}
	return c
}

// issue makes a certificate; a nil parent is the certificate itself.
func issue(t testing.TB, c, parent *x509.Certificate, key, by crypto.Signer) *x509.Certificate {
	t.Helper()
	if parent == nil {
		parent = c
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pemCerts(cs ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range cs {
		out = append(out, block("CERTIFICATE", c.Raw)...)
	}
	return out
}

func pkcs8PEM(t testing.TB, k crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return block("PRIVATE KEY", der)
}

func write(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// check compares an identity with the person it was written from.
func check(t *testing.T, id Identity, p person, chain ...*x509.Certificate) {
	t.Helper()
	if !id.Certificate.Equal(p.cert) {
		t.Errorf("certificate of %v, want %v", id.Certificate.Subject, p.cert.Subject)
	}
	if !id.Key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(p.key.Public()) {
		t.Error("another key")
	}
	if !slices.EqualFunc(id.Chain, chain, (*x509.Certificate).Equal) {
		t.Errorf("chain of %d certificates, want %d", len(id.Chain), len(chain))
	}
}

// corpus finds a folder of ../../../shared/corpora, or where MAILSEAL_CORPORA says.
func corpus(t *testing.T, name string) string {
	t.Helper()
	root := os.Getenv("MAILSEAL_CORPORA")
	if root == "" {
		root = "../../../shared/corpora"
	}
	dir := filepath.Join(root, name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("corpus %s is absent: set MAILSEAL_CORPORA", name)
	}
	return dir
}

// openssl runs the command, or skips the test where there is none.
func openssl(t *testing.T, args ...string) {
	t.Helper()
	exe, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl command")
	}
	if out, err := exec.Command(exe, args...).CombinedOutput(); err != nil {
		t.Fatalf("openssl %q: %v\n%s", args, err, out)
	}
}
