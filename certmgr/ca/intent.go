package ca

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"mailseal/internal/durable"
)

// An intent is what a writer is about to do. It is on the disk before the
// first file that it changes, and gone after the last. One field is set.
type intent struct {
	Draft   *x509.Certificate `json:"-"`
	Details Details           `json:"details,omitzero"` // of Draft
	Revoke  *revocation       `json:"revoke,omitempty"`
	CRL     *listing          `json:"crl,omitempty"`
}

// The PEM blocks of intent.pem. No tool takes the first for a certificate.
const (
	draftType  = "CERTIFICATE DRAFT"
	intentType = "MAILSEAL INTENT"
)

// begin writes what is about to be done.
func (c *CA) begin(in intent) error {
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	b := pem.EncodeToMemory(&pem.Block{Type: intentType, Bytes: text})
	if in.Draft != nil {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: draftType, Bytes: in.Draft.Raw})...)
	}
	return c.write(intentFile, b, 0o600)
}

// end says that it was done. If the file comes back after a crash, repair
// finds nothing to do and removes it.
func (c *CA) end() error { return os.Remove(c.path(intentFile)) }

// readIntent is what was begun and not ended, nil for nothing.
func (c *CA) readIntent() (*intent, error) {
	b, err := os.ReadFile(c.path(intentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	in, err := parseIntent(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; look at it, then remove it", c.path(intentFile), err)
	}
	return in, nil
}

func parseIntent(b []byte) (*intent, error) {
	var in intent
	for {
		block, rest := pem.Decode(b)
		if block == nil {
			break
		}
		b = rest
		var err error
		switch block.Type {
		case intentType:
			err = json.Unmarshal(block.Bytes, &in)
		case draftType:
			in.Draft, err = x509.ParseCertificate(block.Bytes)
		default:
			err = fmt.Errorf("PEM of %s", block.Type)
		}
		if err != nil {
			return nil, err
		}
	}
	n := 0
	for _, set := range []bool{in.Draft != nil, in.Revoke != nil, in.CRL != nil} {
		if set {
			n++
		}
	}
	if n != 1 {
		return nil, errors.New("not an intent")
	}
	return &in, nil
}

// repair ends what a writer that was killed has begun. The folder is locked.
func (c *CA) repair(a *authority) error {
	if err := c.removeTops(); err != nil {
		return err
	}
	in, err := c.readIntent()
	if err != nil || in == nil {
		return err
	}
	switch {
	case in.Draft != nil:
		err = c.completeIssue(a, in)
	case in.Revoke != nil:
		err = c.completeRevoke(*in.Revoke)
	case in.CRL != nil:
		err = c.completeCRL(a, *in.CRL)
	}
	if err != nil {
		return fmt.Errorf("complete what was cut short: %w", err)
	}
	return durable.Remove(c.path(intentFile))
}
