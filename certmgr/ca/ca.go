// Package ca is a private certificate authority in a folder. The folder is
// openssl ca's own, so `openssl ca -config DIR/openssl.cnf` works on it and
// this package on what openssl left, in turns:
//
//	cacert.pem            the CA's certificate; earlier ones, after a renewal, in oldcerts/
//	chain.pem             the certificates above it; only below another CA
//	private/cakey.pem     its key, PKCS #8, encrypted (PBES2, RFC 8018) unless asked otherwise
//	serial, crlnumber     next numbers, hexadecimal
//	index.txt, .attr      one line a certificate; unique_subject; .seen: which large one was found good
//	newcerts/SERIAL.pem   what was issued
//	newcerts/SERIAL.json  what is known about it besides: memo, profile, names (see Details)
//	crl.pem, crl.der      the last list of what was revoked; HASH.r0, by which OpenSSL finds it
//	openssl.cnf           for the openssl command; dir is absolute
//	ca.toml               the CA's own settings (see Settings)
//	audit.log, .head      what was done and what was refused (package audit)
//	lock                  held (flock) while mailseal writes
//	intent.pem            what was being done when a writer was killed
//
// A certificate is issued in this order: the request is checked and becomes a
// certificate signed with a throw-away key, that is linted and written to
// intent.pem; then the CA signs, the files in newcerts are made, index.txt gets
// its line, audit.log its own, intent.pem goes. All are durable, so whatever
// the instant of a crash, the next writer finds out how far it came and
// completes it or, where no signature left the process, forgets it. The openssl
// command takes no lock: it must not run at the same time as mailseal writes.
//
// Whoever asks for something is told by an error that is ErrRefused where
// asking differently helps; all others are about the folder.
//
// Certificates follow RFC 5280, e-mail names RFC 8550, their shape the CA/Browser Forum's S/MIME and
// TLS baselines where these suit a private CA. Lists are those of RFC 5280 section 5, answers of RFC 6960.
package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"mailseal/certmgr/ca/index"
	"mailseal/internal/pki"
)

var (
	// ErrRefused: what was asked for is not to be had, for the reason that the
	// error says. Nothing was written but a line of the audit file.
	ErrRefused = errors.New("refused")
	// ErrNotFound: the folder has no such certificate, or no list yet.
	ErrNotFound = errors.New("not found")
	// ErrNoKey: the CA was opened without its key and cannot sign.
	ErrNoKey = errors.New("the CA was opened without its key")
)

// A CA issues certificates. It may be used from several goroutines, and
// several processes may have the same folder open: each operation looks for
// what others have changed.
type CA struct {
	dir  string        // absolute
	key  crypto.Signer // nil: it only shows
	now  func() time.Time
	rand io.Reader

	index *index.File
	// writing keeps the goroutines of this process apart, the folder's lock
	// processes.
	writing sync.Mutex
	current atomic.Pointer[authority]
}

// An authority is the CA as the folder has it at one instant. It is never
// changed, but replaced.
type authority struct {
	cert     *x509.Certificate
	chain    []*x509.Certificate // above cert, up to the root
	keyID    []byte              // what certificates call the key
	settings Settings
	seen     [len(ownFiles)]os.FileInfo // nil where the file is not there
}

// ownFiles are those that an authority is read from.
var ownFiles = [...]string{certFile, chainFile, settingsFile, attrFile}

// OpenOptions are what Open needs besides the folder.
type OpenOptions struct {
	// Passphrase opens the key. The error is pki.ErrNoPassphrase where it is
	// missing, pki.ErrPassphrase where it is wrong.
	Passphrase []byte
	// WithoutKey leaves the key alone: what signs returns ErrNoKey.
	WithoutKey bool
	// Now defaults to time.Now. Rand is what serial numbers are drawn from,
	// crypto/rand by default; keys and signatures always use that.
	Now  func() time.Time
	Rand io.Reader
}

// Open opens the CA in a folder.
func Open(dir string, o OpenOptions) (*CA, error) {
	c, err := newFolder(dir, o.Now, o.Rand)
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(c.path(initFile)); err == nil {
		return nil, fmt.Errorf("open CA %s: it was never finished; run ca init again", c.dir)
	}
	if err := c.load(o); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open CA %s: %w; ca init makes a CA, ca import takes over a folder of openssl ca", c.dir, err)
	} else if err != nil {
		return nil, fmt.Errorf("open CA %s: %w", c.dir, err)
	}
	return c, nil
}

// newFolder is a CA without anything in it.
func newFolder(dir string, now func() time.Time, random io.Reader) (*CA, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	if random == nil {
		random = rand.Reader
	}
	return &CA{dir: dir, now: now, rand: random, index: index.Open(filepath.Join(dir, indexFile))}, nil
}

// load reads the CA's key, its certificate and those above it.
func (c *CA) load(o OpenOptions) error {
	if !o.WithoutKey {
		key, err := os.ReadFile(c.path(keyFile))
		if err != nil {
			return err
		}
		if c.key, err = c.parseKey(key, o.Passphrase); err != nil {
			return fmt.Errorf("%s, %s: %w", keyFile, certFile, err)
		}
	}
	_, err := c.refresh()
	return err
}

// parseKey reads the key that belongs to the CA's certificate.
func (c *CA) parseKey(key, passphrase []byte) (crypto.Signer, error) {
	cert, err := os.ReadFile(c.path(certFile))
	if err != nil {
		return nil, err
	}
	id, err := pki.ParseIdentity(append(append(key, '\n'), cert...), passphrase)
	return id.Key, err
}

// refresh is the authority as the folder has it now, read again where one of
// its files was changed.
func (c *CA) refresh() (*authority, error) {
	var seen [len(ownFiles)]os.FileInfo
	for i, name := range ownFiles {
		info, err := os.Stat(c.path(name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		seen[i] = info
	}
	if a := c.current.Load(); a != nil && sameFiles(a.seen, seen) {
		return a, nil
	}
	a := &authority{seen: seen}
	var err error
	if err = a.read(c.dir); err != nil {
		return nil, err
	}
	if c.key != nil && !samePublicKey(a.cert.PublicKey, c.key.Public()) {
		return nil, fmt.Errorf("%s has another key than the CA that was opened; it was replaced: open it again", certFile)
	}
	c.current.Store(a)
	return a, nil
}

func sameFiles(a, b [len(ownFiles)]os.FileInfo) bool {
	for i := range a {
		if (a[i] == nil) != (b[i] == nil) {
			return false
		}
		if a[i] != nil && (!os.SameFile(a[i], b[i]) || a[i].Size() != b[i].Size() || !a[i].ModTime().Equal(b[i].ModTime())) {
			return false
		}
	}
	return true
}

// read reads certificates and settings.
func (a *authority) read(dir string) error {
	certs, err := pki.ReadCertificates(filepath.Join(dir, certFile))
	if err != nil {
		return err
	}
	a.cert = certs[0]
	if !a.cert.IsCA {
		return fmt.Errorf("%s is not a CA's certificate", certFile)
	}
	if a.keyID = a.cert.SubjectKeyId; len(a.keyID) == 0 {
		if a.keyID, err = keyID(a.cert.PublicKey); err != nil {
			return fmt.Errorf("%s: %w", certFile, err)
		}
	}
	chain, err := os.ReadFile(filepath.Join(dir, chainFile))
	if err == nil {
		if a.chain, err = pki.ParseCertificates(chain); err != nil {
			return fmt.Errorf("%s: %w", chainFile, err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	a.settings, err = readSettings(dir)
	return err
}

// Certificate is the CA's own certificate.
func (c *CA) Certificate() *x509.Certificate { return c.current.Load().cert }

// Chain is the CA's certificate and those above it, the root last.
func (c *CA) Chain() []*x509.Certificate { return c.current.Load().all() }

func (a *authority) all() []*x509.Certificate {
	return append([]*x509.Certificate{a.cert}, a.chain...)
}

// Dir is the CA's folder, absolute.
func (c *CA) Dir() string { return c.dir }
