package ca

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"mailseal/certmgr/ca/index"
	"mailseal/internal/durable"
)

// removeTops removes temporary files of killed writers from the folder. Those
// in newcerts go when their certificate's intent is looked at.
func (c *CA) removeTops() error {
	names, err := readNames(c.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, ".") && strings.HasSuffix(name, ".tmp") {
			err = errors.Join(err, os.Remove(c.path(name)))
		}
	}
	return err
}

func readNames(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

// completeIssue makes a certificate that reached newcerts part of the folder.
// One that did not has never left the process: its number is simply not used.
func (c *CA) completeIssue(a *authority, in *intent) error {
	cert, err := c.reached(in.Draft)
	if err != nil || cert == nil {
		return err
	}
	e, err := index.New(cert)
	if err != nil {
		return err
	}
	if err := c.index.CutTorn(e); err != nil {
		return err
	}
	if err := c.countSerial(a, cert.SerialNumber); err != nil {
		return err
	}
	_, found, err := c.index.Find(e.Serial)
	if err != nil {
		return err
	}
	if !found {
		if err := c.index.Append(e); err != nil {
			return err
		}
	}
	return c.auditOnce("issue", "serial", e.Serial, func() error { return c.auditIssue(e, in.Details) })
}

// reached is the certificate of a draft as it stands in newcerts, nil where
// the crash came before. What was left there then goes.
func (c *CA) reached(draft *x509.Certificate) (*x509.Certificate, error) {
	path, details := c.newCert(draft.SerialNumber, "pem"), c.newCert(draft.SerialNumber, "json")
	for _, p := range []string{path, details} {
		if err := removeLeftovers(p); err != nil {
			return nil, err
		}
	}
	cert, err := readCertificate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, durable.Remove(details)
	}
	if err != nil {
		return nil, err
	}
	if sameButSignature(cert, draft) != nil {
		// The number was taken before: by another certificate, which stays.
		return nil, nil
	}
	return cert, nil
}

// readCertificate reads a file of newcerts. openssl ca writes text before it.
func readCertificate(path string) (*x509.Certificate, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for {
		block, rest := pem.Decode(b)
		if block == nil {
			return nil, fmt.Errorf("%s: no certificate", path)
		}
		if block.Type == "CERTIFICATE" {
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			return cert, nil
		}
		b = rest
	}
}

// undo takes back an issue that failed: the disk was full, say. It only
// removes, so it needs no room. What it cannot take back is left to repair.
func (c *CA) undo(draft *x509.Certificate) error {
	e, err := index.New(draft)
	if err != nil {
		return err
	}
	if err := c.index.Drop(e); err != nil {
		return err
	}
	cert, err := c.reached(draft)
	if err != nil {
		return err
	}
	if cert != nil {
		paths := []string{c.newCert(draft.SerialNumber, "pem"), c.newCert(draft.SerialNumber, "json")}
		for p := range slices.Values(paths) {
			if err := durable.Remove(p); err != nil {
				return err
			}
		}
	}
	return c.end()
}
