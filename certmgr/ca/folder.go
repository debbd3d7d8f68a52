package ca

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"mailseal/certmgr/ca/index"
	"mailseal/internal/durable"
)

// The files of the folder.
const (
	certFile     = "cacert.pem"
	chainFile    = "chain.pem"
	oldCerts     = "oldcerts"
	keyFolder    = "private"
	keyFile      = "private/cakey.pem"
	newCerts     = "newcerts"
	serialFile   = "serial"
	crlNumFile   = "crlnumber"
	crlFile      = "crl.pem"
	crlDERFile   = "crl.der"
	indexFile    = "index.txt"
	attrFile     = "index.txt.attr"
	confFile     = "openssl.cnf"
	settingsFile = "ca.toml"
	auditFile    = "audit.log"
	lockFile     = "lock"
	intentFile   = "intent.pem"
	initFile     = "init.unfinished"
)

func (c *CA) path(name string) string { return filepath.Join(c.dir, name) }

// write writes a file of the folder.
func (c *CA) write(name string, content []byte, mode fs.FileMode) error {
	return durable.WriteFile(c.path(name), content, mode)
}

// locked does something while every other writer of mailseal is kept out, in
// this process and in others, after what a killed one has left was put right.
func (c *CA) locked(do func(*authority) error) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	lock, err := c.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	a, err := c.refresh()
	if err != nil {
		return err
	}
	if err := c.repair(a); err != nil {
		return err
	}
	return do(a)
}

// lock keeps other writers out until it is closed or the process ends.
func (c *CA) lock() (io.Closer, error) {
	f, err := os.OpenFile(c.path(lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return flock(f, syscall.LOCK_EX)
}

// reading keeps writers out while several readers look. Where nobody could
// ever write there is nothing to keep out.
func (c *CA) reading() (io.Closer, error) {
	f, err := os.Open(c.path(lockFile))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return io.NopCloser(nil), nil
	}
	if err != nil {
		return nil, err
	}
	return flock(f, syscall.LOCK_SH)
}

func flock(f *os.File, how int) (io.Closer, error) {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}

// newCert is where a certificate stands, and with the ending json what is
// known about it.
func (c *CA) newCert(serial *big.Int, ending string) string {
	return filepath.Join(c.path(newCerts), index.Serial(serial)+"."+ending)
}

// readNumber reads serial or crlnumber. The error is fs.ErrNotExist where
// there is none.
func (c *CA) readNumber(name string) (*big.Int, error) {
	b, err := os.ReadFile(c.path(name))
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(string(b))
	if len(text)%2 != 0 {
		text = "0" + text
	}
	digits, err := hex.DecodeString(text)
	if err != nil || len(digits) == 0 || len(digits) > 20 {
		return nil, fmt.Errorf("%s: %q: want a number of hexadecimal digits, as 0A", c.path(name), text)
	}
	return new(big.Int).SetBytes(digits), nil
}

func (c *CA) writeNumber(name string, n *big.Int) error {
	return c.write(name, []byte(index.Serial(n)+"\n"), 0o644)
}

// link makes a symbolic link, in the place of what bears its name.
func (c *CA) link(name, to string) error {
	if got, err := os.Readlink(c.path(name)); err == nil && got == to {
		return nil
	}
	tmp := c.path("." + name + ".link.tmp")
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(to, tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, c.path(name)); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return durable.SyncDir(c.dir)
}

// removeLeftovers removes what killed writers of a file have left beside it.
func removeLeftovers(path string) error {
	left, err := durable.Leftovers(path)
	for _, name := range left {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// EncodeCertificates writes certificates in PEM, one after the other.
func EncodeCertificates(certs ...*x509.Certificate) []byte {
	var b []byte
	for _, c := range certs {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return b
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
