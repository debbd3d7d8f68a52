// Package pki reads certificates and private keys as the files that they are
// kept in: PEM with everything in it, PKCS #12 as phones and mail programs
// export it, DER. It judges neither time nor trust: an expired certificate is
// read like any other.
//
// A postmaster puts NAME.p12 and NAME.pass, or NAME.pem, into a folder;
// ReadIdentities makes identities of them, each with its chain in order. What
// is wrong with a file is said so that it can be mended: which file, which
// part, and the command that converts it.
//
// RFC 5280 (certificates), RFC 5958 and RFC 8018 (PKCS #8, PKCS #5), RFC 7292
// and RFC 9579 (PKCS #12), RFC 7468 (PEM), RFC 8550 section 3 (addresses).
package pki

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
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
	// Key signs. It is nil where no key of the file can, as X25519 and ML-KEM,
	// which only decrypt.
	Key crypto.Signer
	// Pairs are all keys of the file, each with its certificates: mail comes
	// encrypted to any of them.
	Pairs []Pair
	// Chain goes up from the issuer of Certificate and has no self-signed root.
	Chain []*x509.Certificate
}

var (
	// ErrPassphrase: the passphrase does not open the key.
	ErrPassphrase = errors.New("wrong passphrase")
	// ErrNoPassphrase: the key is encrypted and no passphrase was given.
	ErrNoPassphrase = errors.New("the key is encrypted and needs its passphrase")
)

// Bounds on what is read. Files come from administrators, and sooner or later
// from whoever may upload one.
const (
	maxIdentity     = 1 << 20  // bytes of a file with a key
	maxCertificates = 16 << 20 // bytes of a file of certificates: system bundles have 300 KiB
	maxKey          = 16 << 10 // bytes of a key: RSA with 16384 bits has 9 KiB, and one with ten times as many takes minutes
	maxPassphrase   = 1 << 10
	maxBlocks       = 10000 // PEM blocks in a file
)

var errKey = fmt.Errorf("a key of more than %d bytes; nobody uses one that large", maxKey)

// readFile reads a regular file of at most limit bytes. Its errors name it.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: larger than %d bytes; this cannot be a certificate or key", path, limit)
	}
	return data, nil
}
