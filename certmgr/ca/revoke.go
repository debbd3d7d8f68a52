package ca

import (
	"errors"
	"fmt"
	"time"

	"mailseal/certmgr/ca/index"
	"mailseal/internal/audit"
)

// A Reason is why a certificate is revoked.
type Reason = index.Reason

// The reasons of RFC 5280 section 5.3.1. The zero Reason is Unspecified.
const (
	Unspecified          = index.Unspecified
	KeyCompromise        = index.KeyCompromise
	CACompromise         = index.CACompromise
	AffiliationChanged   = index.AffiliationChanged
	Superseded           = index.Superseded
	CessationOfOperation = index.CessationOfOperation
	CertificateHold      = index.CertificateHold
)

// ParseReason reads a reason as openssl ca names it, as "keyCompromise".
func ParseReason(s string) (Reason, error) { return index.ParseReason(s) }

// A Revocation is what Revoke is asked for.
type Revocation struct {
	// Serial is as people write it: hexadecimal digits of either case.
	Serial string
	Reason Reason
	// Since is when the key came into other hands, with KeyCompromise and
	// CACompromise; the zero time where that is not known.
	Since time.Time
	By    string
}

// A revocation is the intent of one.
type revocation struct {
	Serial string
	Column string // the third of index.txt
	By     string
}

// Revoke revokes a certificate. Those who trust the CA learn it from the next
// CRL or OCSP answer, so a new list belongs after it. The key is not needed.
func (c *CA) Revoke(r Revocation) (Record, error) {
	var record Record
	err := c.locked(func(a *authority) error {
		if err := c.index.Check(); err != nil {
			return err
		}
		e, err := c.find(r.Serial)
		if err != nil {
			return err
		}
		column, err := r.column(e, c.now())
		if err != nil {
			return refusal{err}
		}
		if _, err := audit.Last(c.path(auditFile)); err != nil {
			return err
		}
		do := revocation{e.Serial, column, r.By}
		if err := c.begin(intent{Revoke: &do}); err != nil {
			return err
		}
		if err := c.revokeEntry(e, do); err != nil {
			return errors.Join(err, c.end())
		}
		// From here on it is revoked: what fails now is done by the next writer.
		if err := c.auditRevoke(do); err != nil {
			return err
		}
		e.Status, e.Revocation = index.Revoked, column
		if record, err = c.recordOf(e); err != nil {
			return err
		}
		return c.end()
	})
	if err != nil {
		return record, c.refuse("revoke", r.By, map[string]string{"serial": r.Serial}, fmt.Errorf("revoke %s: %w", r.Serial, err))
	}
	return record, nil
}

// column checks a revocation and makes what index.txt says of it.
func (r Revocation) column(e index.Entry, now time.Time) (string, error) {
	if e.Status == index.Revoked {
		before, _ := index.ParseRevocation(e.Revocation) // it was read before
		return "", fmt.Errorf("it was revoked already, at %s: %s", before.At.UTC().Format(time.RFC3339), before.Reason)
	}
	if _, err := index.ParseReason(r.Reason.String()); err != nil {
		return "", err
	}
	if !r.Since.IsZero() {
		if r.Reason != KeyCompromise && r.Reason != CACompromise {
			return "", fmt.Errorf("a time of compromise with the reason %s: want keyCompromise or CACompromise", r.Reason)
		}
		if r.Since.After(now) {
			return "", fmt.Errorf("compromised at %s: that is to come", r.Since.Format(time.RFC3339))
		}
	}
	return index.Revocation{At: now, Reason: r.Reason, Since: r.Since}.String(), nil
}

func (c *CA) revokeEntry(e index.Entry, do revocation) error {
	e.Status, e.Revocation = index.Revoked, do.Column
	return c.index.Replace(e)
}

func (c *CA) auditRevoke(do revocation) error {
	return c.audit("revoke", do.By, map[string]string{"serial": do.Serial, "revocation": do.Column})
}

// completeRevoke ends a revocation that a crash cut short: who asked for it
// wants it still.
func (c *CA) completeRevoke(do revocation) error {
	e, ok, err := c.index.Find(do.Serial)
	if err != nil || !ok {
		return err
	}
	if e.Status != index.Revoked {
		if err := c.revokeEntry(e, do); err != nil {
			return err
		}
	}
	return c.auditOnce("revoke", "serial", do.Serial, func() error { return c.auditRevoke(do) })
}

// find looks for a certificate by its serial.
func (c *CA) find(serial string) (index.Entry, error) {
	n, err := index.ParseSerial(serial)
	if err != nil {
		return index.Entry{}, refusal{err}
	}
	e, ok, err := c.index.Find(index.Serial(n))
	if err == nil && !ok {
		err = refusal{fmt.Errorf("no certificate %s in %s: %w", index.Serial(n), indexFile, ErrNotFound)}
	}
	return e, err
}
