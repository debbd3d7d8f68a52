// Package pki is certificates and private keys as files and bytes.
package pki

import (
	"crypto"
	"crypto/x509"
	"errors"
)

// An Identity is a certificate with its private key and the certificates
// between it and its root.
type Identity struct {
	// Name is what the configuration calls it: the file's name without its
	// ending. "" when it was read from bytes.
	Name string
	// Files are those that hold its secrets, empty when it was read from bytes.
	Files       []string
	Certificate *x509.Certificate
	Key         crypto.Signer
	// Chain goes up from the issuer of Certificate and has no self-signed root.
	Chain []*x509.Certificate
}

// ErrPassphrase: the key is encrypted and the passphrase is missing or wrong.
var ErrPassphrase = errors.New("wrong passphrase")

var errSoon = errors.New("not written yet")

func ParseIdentity(data, passphrase []byte) (Identity, error) { return Identity{}, errSoon }

func ReadIdentity(path string, passphrase []byte) (Identity, error) { return Identity{}, errSoon }

// ReadIdentities reads a folder of NAME.pem, or NAME.p12 (.pfx), each with its
// passphrase in NAME.pass where it has one.
func ReadIdentities(dir string) ([]Identity, error) { return nil, errSoon }

func ReadCertificates(path string) ([]*x509.Certificate, error) { return nil, errSoon }

func ParseCertificates(data []byte) ([]*x509.Certificate, error) { return nil, errSoon }

func CheckKeyMode(path string) error { return errSoon }

func Addresses(c *x509.Certificate) []string { return nil }
