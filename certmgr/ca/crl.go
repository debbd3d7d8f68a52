package ca

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"time"

	"mailseal/certmgr/ca/crl"
	"mailseal/certmgr/ca/index"
	"mailseal/certmgr/ca/namehash"
	"mailseal/certmgr/ca/sign"
)

// A CRL is the list of what was revoked (RFC 5280 section 5).
type CRL struct {
	Number     *big.Int
	ThisUpdate time.Time
	NextUpdate time.Time
	Revoked    int // how many certificates are on it
	DER        []byte
}

// CRLOptions are what IssueCRL needs to know.
type CRLOptions struct {
	Days int // how long the list is good; by default the settings say it
	By   string
}

// A listing is the intent of a list.
type listing struct {
	Number string
	By     string
}

// IssueCRL makes a new list of all that is revoked and puts it into the
// folder: crl.pem, crl.der, and the link by which OpenSSL finds it. Those that
// have ended stay on it, as with openssl ca: mail that they signed is read
// later than that.
func (c *CA) IssueCRL(o CRLOptions) (*CRL, error) {
	if c.key == nil {
		return nil, fmt.Errorf("crl: %w", ErrNoKey)
	}
	var list *CRL
	err := c.locked(func(a *authority) error {
		var err error
		if list, err = c.makeCRL(a, o); err != nil {
			return err
		}
		return c.publish(a, list, o.By)
	})
	if err != nil {
		return nil, c.refuse("crl", o.By, nil, fmt.Errorf("crl: %w", err))
	}
	return list, nil
}

// makeCRL signs a list. Nothing is written.
func (c *CA) makeCRL(a *authority, o CRLOptions) (*CRL, error) {
	if o.Days == 0 {
		o.Days = a.settings.CRLDays
	}
	if o.Days < 1 || o.Days > maxCRLDays {
		return nil, refusal{fmt.Errorf("days %d: want 1 to %d", o.Days, maxCRLDays)}
	}
	now := c.now().UTC().Truncate(time.Second)
	if err := a.checkClock(now); err != nil {
		return nil, refusal{err}
	}
	if a.cert.KeyUsage != 0 && a.cert.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return nil, errors.New("the CA's certificate has a key usage without cRLSign: renew it (ca renew -ca)")
	}
	number, err := c.nextCRLNumber()
	if err != nil {
		return nil, err
	}
	list := &crl.List{
		Issuer: a.cert.RawSubject, KeyID: a.keyID, Number: number,
		ThisUpdate: now.Add(-backdate), NextUpdate: now.AddDate(0, 0, o.Days),
	}
	if list.ThisUpdate.Before(a.cert.NotBefore) {
		list.ThisUpdate = a.cert.NotBefore
	}
	if err := c.index.Each(list.Add); err != nil {
		return nil, err
	}
	s, err := sign.For(a.cert.PublicKey)
	if err != nil {
		return nil, err
	}
	der, err := s.Sign(c.key, a.cert, list.Encode(s.ID))
	return newCRL(list, der), err
}

func newCRL(l *crl.List, der []byte) *CRL {
	return &CRL{Number: l.Number, ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate, Revoked: l.Revoked, DER: der}
}

// nextCRLNumber is what crlnumber says, or what follows the list that is
// there: numbers only grow (RFC 5280 section 5.2.3).
func (c *CA) nextCRLNumber() (*big.Int, error) {
	next, err := c.readNumber(crlNumFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if next == nil {
		next = big.NewInt(1)
	}
	last, err := c.readCRL()
	if err != nil {
		return next, nil // there is none, or none that anybody reads
	}
	if after := new(big.Int).Add(last.Number, big.NewInt(1)); after.Cmp(next) > 0 {
		return after, nil
	}
	return next, nil
}

// publish writes a list into the folder.
func (c *CA) publish(a *authority, list *CRL, by string) error {
	do := listing{index.Serial(list.Number), by}
	if err := c.begin(intent{CRL: &do}); err != nil {
		return err
	}
	next := new(big.Int).Add(list.Number, big.NewInt(1))
	err := c.writeNumber(crlNumFile, next)
	if err == nil {
		err = c.write(crlFile, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list.DER}), 0o644)
	}
	if err != nil {
		return errors.Join(err, c.end())
	}
	if err := c.finishCRL(a, list, by); err != nil {
		return err
	}
	return c.end()
}

// finishCRL makes of crl.pem what else there is of a list.
func (c *CA) finishCRL(a *authority, list *CRL, by string) error {
	if err := c.write(crlDERFile, list.DER, 0o644); err != nil {
		return err
	}
	hash, err := namehash.Of(a.cert.RawSubject)
	if err != nil {
		return err
	}
	if err := c.link(hash+".r0", crlFile); err != nil {
		return err
	}
	number := index.Serial(list.Number)
	return c.auditOnce("crl", "number", number, func() error {
		return c.audit("crl", by, map[string]string{"number": number, "revoked": fmt.Sprint(list.Revoked), "next_update": list.NextUpdate.Format(time.RFC3339)})
	})
}

// completeCRL ends what a crash cut short, if crl.pem was written.
func (c *CA) completeCRL(a *authority, do listing) error {
	list, err := c.readCRL()
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil || index.Serial(list.Number) != do.Number {
		return err
	}
	return c.finishCRL(a, list, do.By)
}

// CRL is the list that the folder has. The error is ErrNotFound where there is
// none yet.
func (c *CA) CRL() (*CRL, error) {
	list, err := c.readCRL()
	if err != nil {
		return nil, fmt.Errorf("crl: %w", err)
	}
	return list, nil
}

func (c *CA) readCRL() (*CRL, error) {
	b, err := os.ReadFile(c.path(crlFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", crlFile, ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "X509 CRL" {
		return nil, fmt.Errorf("%s: no list in PEM", crlFile)
	}
	list, err := crl.Parse(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", crlFile, err)
	}
	return newCRL(list, block.Bytes), nil
}

// CRLDue is when the next list should be made: when two thirds of the present
// one's time are over, so that a third is left to mend what hinders it, and at
// once where there is none, where it does not have what was revoked since, or
// where a clock that was wrong has dated it to a time to come.
// A list that has ended turns every sendmail verification to FAIL.
func (c *CA) CRLDue() (time.Time, error) {
	lock, err := c.reading()
	if err != nil {
		return time.Time{}, err
	}
	defer lock.Close()
	// Who asks now and then sees here that somebody else has renewed the CA.
	if _, err := c.refresh(); err != nil {
		return time.Time{}, err
	}
	list, err := c.readCRL()
	if errors.Is(err, ErrNotFound) {
		return c.now(), nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("crl: %w", err)
	}
	revoked := 0
	if err := c.index.Each(func(e index.Entry) error {
		if e.Status == index.Revoked {
			revoked++
		}
		return nil
	}); err != nil {
		return time.Time{}, fmt.Errorf("crl: %w", err)
	}
	if revoked != list.Revoked || list.ThisUpdate.After(c.now()) {
		return c.now(), nil
	}
	return list.NextUpdate.Add(-list.NextUpdate.Sub(list.ThisUpdate) / 3), nil
}

// RenewCRL makes a new list if one is due. It returns nil where none is.
func (c *CA) RenewCRL(by string) (*CRL, error) {
	due, err := c.CRLDue()
	if err != nil || due.After(c.now()) {
		return nil, err
	}
	return c.IssueCRL(CRLOptions{By: by})
}
