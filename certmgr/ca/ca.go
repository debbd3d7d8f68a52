// Package ca is a private certificate authority in a folder. The folder is
// openssl ca's own, so `openssl ca -config DIR/openssl.cnf` works on it and
// this package on what openssl left, in turns:
//
//	cacert.pem            the CA's certificate
//	chain.pem             the certificates above it; only below another CA
//	private/cakey.pem     its key, PKCS #8, encrypted (PBES2, RFC 8018) unless asked otherwise
//	serial, crlnumber     next numbers, hexadecimal
//	index.txt, .attr      one line a certificate; unique_subject
//	newcerts/SERIAL.pem   what was issued
//	openssl.cnf           for the openssl command; dir is absolute
//	lock                  held (flock) while mailseal writes
//	intent.pem            what was being issued when a writer was killed
//
// A certificate is issued in this order: the request is checked and becomes a
// certificate signed with a throw-away key, that is linted and written to
// intent.pem; then the CA signs, newcerts/SERIAL.pem is made, index.txt gets
// its line, intent.pem goes. All are durable, so whatever the instant of a
// crash, the next writer finds out how far it came and completes it or, where
// no signature left the process, forgets it. The openssl command takes no
// lock: it must not run at the same time as mailseal issues.
//
// Certificates follow RFC 5280, e-mail names RFC 8550, their shape the CA/Browser Forum's S/MIME and
// TLS baselines where these suit a private CA.
package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"mailseal/internal/durable"
	"mailseal/internal/pki"
)

// A CA issues certificates. It may be used from several goroutines, and
// several processes may have the same folder open.
type CA struct {
	dir   string // absolute
	cert  *x509.Certificate
	chain []*x509.Certificate // above cert, up to the root
	key   crypto.Signer
	now   func() time.Time
	rand  io.Reader
}

// OpenOptions are what Open needs besides the folder.
type OpenOptions struct {
	// Passphrase opens the key. The error is pki.ErrNoPassphrase where it is
	// missing, pki.ErrPassphrase where it is wrong.
	Passphrase []byte
	// Now defaults to time.Now. Rand is what serial numbers are drawn from,
	// crypto/rand by default; keys and signatures always use that.
	Now  func() time.Time
	Rand io.Reader
}

// InitOptions describe a new CA.
type InitOptions struct {
	// Subject needs a CommonName.
	Subject Subject
	// Key is the kind of key that is made; RSA2048 by default.
	Key KeyKind
	// Days is how long the certificate is good: 10000 by default, or for a CA
	// below another what the parent gives a sub-CA.
	Days int
	// Passphrase encrypts the key. Without one Unencrypted must be said.
	Passphrase  []byte
	Unencrypted bool
	// Parent makes it a CA below another one.
	Parent *CA
	// Now defaults to time.Now. Rand is what serial numbers are drawn from,
	// crypto/rand by default; keys and signatures always use that.
	Now  func() time.Time
	Rand io.Reader
}

// The files of the folder.
const (
	certFile   = "cacert.pem"
	chainFile  = "chain.pem"
	keyFolder  = "private"
	keyFile    = "private/cakey.pem"
	newCerts   = "newcerts"
	serialFile = "serial"
	crlNumFile = "crlnumber"
	indexFile  = "index.txt"
	attrFile   = "index.txt.attr"
	confFile   = "openssl.cnf"
	lockFile   = "lock"
	intentFile = "intent.pem"
	initFile   = "init.unfinished"
)

// Open opens the CA in a folder.
func Open(dir string, o OpenOptions) (*CA, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(filepath.Join(dir, initFile)); err == nil {
		return nil, fmt.Errorf("open CA %s: it was never finished; run ca init again", dir)
	}
	c := &CA{dir: dir, now: o.Now, rand: o.Rand}
	c.setDefaults()
	if err := c.load(o.Passphrase); err != nil {
		return nil, fmt.Errorf("open CA %s: %w", dir, err)
	}
	return c, nil
}

// load reads the CA's key, its certificate and those above it.
func (c *CA) load(passphrase []byte) error {
	key, err := os.ReadFile(c.path(keyFile))
	if err != nil {
		return err
	}
	cert, err := os.ReadFile(c.path(certFile))
	if err != nil {
		return err
	}
	id, err := pki.ParseIdentity(slices.Concat(key, []byte("\n"), cert), passphrase)
	if err != nil {
		return fmt.Errorf("%s, %s: %w", keyFile, certFile, err)
	}
	c.key, c.cert = id.Key, id.Certificate
	if !c.cert.IsCA {
		return fmt.Errorf("%s is not a CA's certificate", certFile)
	}
	chain, err := os.ReadFile(c.path(chainFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if c.chain, err = pki.ParseCertificates(chain); err != nil {
		return fmt.Errorf("%s: %w", chainFile, err)
	}
	return nil
}

// Certificate is the CA's own certificate.
func (c *CA) Certificate() *x509.Certificate { return c.cert }

// Chain is the CA's certificate and those above it, the root last.
func (c *CA) Chain() []*x509.Certificate {
	return append([]*x509.Certificate{c.cert}, c.chain...)
}

// Dir is the CA's folder, absolute.
func (c *CA) Dir() string { return c.dir }

func (c *CA) path(name string) string { return filepath.Join(c.dir, name) }

func (c *CA) setDefaults() {
	if c.now == nil {
		c.now = time.Now
	}
	if c.rand == nil {
		c.rand = rand.Reader
	}
}

func certPEM(certs ...*x509.Certificate) []byte {
	var b []byte
	for _, c := range certs {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return b
}

// write writes a file of the folder.
func (c *CA) write(name string, content []byte, mode fs.FileMode) error {
	return durable.WriteFile(c.path(name), content, mode)
}
