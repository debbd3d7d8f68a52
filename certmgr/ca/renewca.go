package ca

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"os"
	"path/filepath"

	"mailseal/certmgr/ca/index"
	"mailseal/internal/durable"
)

var oidNameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30} // RFC 5280 section 4.2.1.10

// CARenewal is what RenewCA is asked for.
type CARenewal struct {
	// Days is how long the new certificate is good, 10000 by default, or for
	// a CA below another what that gives a sub-CA.
	Days int
	// Parent has to sign where the CA is below another one.
	Parent *CA
	By     string
}

// RenewCA gives the CA a new certificate with its old key and name, so that
// all it has issued stays good with either. Those who trust the CA need the
// new one before the old one ends. The old one is kept in oldcerts.
func (c *CA) RenewCA(r CARenewal) (*x509.Certificate, error) {
	var cert *x509.Certificate
	err := c.locked(func(a *authority) error {
		if c.key == nil {
			return ErrNoKey
		}
		var err error
		if cert, err = c.renewed(a, r); err != nil {
			return err
		}
		if err := os.MkdirAll(c.path(oldCerts), 0o700); err != nil {
			return err
		}
		if err := durable.SyncDir(c.dir); err != nil {
			return err
		}
		old := filepath.Join(oldCerts, index.Serial(a.cert.SerialNumber)+".pem")
		if err := c.write(old, EncodeCertificates(a.cert), 0o644); err != nil {
			return err
		}
		if r.Parent != nil {
			if err := c.write(chainFile, EncodeCertificates(r.Parent.Chain()...), 0o644); err != nil {
				return err
			}
		}
		if err := c.write(certFile, EncodeCertificates(cert), 0o644); err != nil {
			return err
		}
		if _, err := c.refresh(); err != nil {
			return err
		}
		return c.audit("renew-ca", r.By, map[string]string{"certificate": fingerprint(cert), "before": fingerprint(a.cert)})
	})
	if err != nil {
		return nil, c.refuse("renew-ca", r.By, nil, fmt.Errorf("renew CA: %w", err))
	}
	return cert, nil
}

// renewed makes the new certificate. Nothing is written to this CA's folder.
func (c *CA) renewed(a *authority, r CARenewal) (*x509.Certificate, error) {
	if r.Days < 0 || r.Days > maxCADays {
		return nil, refusal{fmt.Errorf("days %d: want 1 to %d", r.Days, maxCADays)}
	}
	if len(a.chain) > 0 {
		return a.renewedBelow(r)
	}
	if r.Parent != nil {
		return nil, refusal{fmt.Errorf("%s is a root: nobody is above it", a.cert.Subject)}
	}
	if r.Days == 0 {
		r.Days = defaultCADays
	}
	// What the CA is bound to it stays bound to.
	template := &x509.Certificate{
		RawSubject: a.cert.RawSubject, SubjectKeyId: a.keyID, MaxPathLen: a.cert.MaxPathLen, MaxPathLenZero: a.cert.MaxPathLenZero,
	}
	for _, e := range a.cert.Extensions {
		if e.Id.Equal(oidNameConstraints) {
			template.ExtraExtensions = append(template.ExtraExtensions, e)
		}
	}
	return c.selfSign(template, r.Days)
}

func (a *authority) renewedBelow(r CARenewal) (*x509.Certificate, error) {
	if r.Parent == nil {
		return nil, refusal{fmt.Errorf("%s is below %s, which has to sign: name its folder", a.cert.Subject, a.cert.Issuer)}
	}
	issued, err := r.Parent.Issue(Request{
		Profile: SubCA, Subject: SubjectOf(a.cert.Subject), rawSubject: a.cert.RawSubject, Days: r.Days, PublicKey: a.cert.PublicKey,
		PermitDNS: a.cert.PermittedDNSDomains, PermitEmail: a.cert.PermittedEmailAddresses, Memo: a.settings.Memo, By: r.By,
		renews: index.Serial(a.cert.SerialNumber),
	})
	if err != nil {
		return nil, err
	}
	return issued.Certificate, nil
}
