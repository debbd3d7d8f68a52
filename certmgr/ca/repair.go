package ca

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"mailseal/internal/durable"
)

const intentType = "CERTIFICATE DRAFT" // no tool takes it for a certificate

// lock keeps other writers of mailseal out, in this process and in others,
// until it is closed or the process ends.
func (c *CA) lock() (io.Closer, error) {
	f, err := os.OpenFile(c.path(lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}

// writeIntent says what is about to be signed.
func (c *CA) writeIntent(draft *x509.Certificate) error {
	b := pem.EncodeToMemory(&pem.Block{Type: intentType, Bytes: draft.Raw})
	return c.write(intentFile, b, 0o600)
}

// record makes a signed certificate part of the folder and ends the intent.
func (c *CA) record(cert *x509.Certificate) error {
	// The file comes first, and never replaces another: so no number is used
	// twice even where index.txt was lost.
	if err := durable.Create(c.newCert(cert), certPEM(cert), 0o644); err != nil {
		return err
	}
	if err := c.appendIndex(cert); err != nil {
		return err
	}
	return os.Remove(c.path(intentFile)) // if it comes back after a crash, repair removes it
}

func (c *CA) newCert(cert *x509.Certificate) string {
	return filepath.Join(c.path(newCerts), serialHex(cert.SerialNumber)+".pem")
}

// appendIndex adds a certificate's line. The file is not read: the cost of a
// certificate does not grow with the number of those before it.
func (c *CA) appendIndex(cert *x509.Certificate) error {
	e, err := newEntry(cert)
	if err != nil {
		return err
	}
	return durable.Append(c.path(indexFile), []byte(e.line()))
}

// repair ends what a writer that was killed has begun. The folder is locked.
func (c *CA) repair() error {
	for _, name := range []string{intentFile, indexFile} {
		if err := removeLeftovers(c.path(name)); err != nil {
			return err
		}
	}
	b, err := os.ReadFile(c.path(intentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != intentType {
		return fmt.Errorf("%s: not a draft; look at it, then remove it", c.path(intentFile))
	}
	draft, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("%s: %w; look at it, then remove it", c.path(intentFile), err)
	}
	if err := c.complete(draft); err != nil {
		return fmt.Errorf("complete what was cut short: %w", err)
	}
	return durable.Remove(c.path(intentFile))
}

// complete makes a certificate that reached newcerts part of the index. One
// that did not has never left the process: its number is simply not used.
func (c *CA) complete(draft *x509.Certificate) error {
	path := c.newCert(draft)
	if err := removeLeftovers(path); err != nil {
		return err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return fmt.Errorf("%s: no certificate", path)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := sameButSignature(cert, draft); err != nil {
		// The number was taken before: by another certificate, which stays.
		return nil
	}
	if err := c.cutTornLine(cert); err != nil {
		return err
	}
	found := false
	err = c.eachEntry(func(e entry) error {
		found = found || e.serial == serialHex(cert.SerialNumber)
		return nil
	})
	if err != nil || found {
		return err
	}
	return c.appendIndex(cert)
}

func removeLeftovers(path string) error {
	left, err := durable.Leftovers(path)
	for _, name := range left {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// cutTornLine removes the begin of the certificate's own line from the end of
// index.txt, where a power cut may have left it.
func (c *CA) cutTornLine(cert *x509.Certificate) error {
	e, err := newEntry(cert)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(c.path(indexFile))
	if err != nil {
		return err
	}
	last := b[bytes.LastIndexByte(b, '\n')+1:]
	if len(last) == 0 {
		return nil
	}
	if !bytes.HasPrefix([]byte(e.line()), last) {
		return fmt.Errorf("%s: the last line has no end; mend it", c.path(indexFile))
	}
	return c.write(indexFile, b[:len(b)-len(last)], 0o644)
}
