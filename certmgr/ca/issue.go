package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"mailseal/certmgr/ca/index"
	"mailseal/internal/audit"
	"mailseal/internal/durable"
	"mailseal/internal/pki"
)

// Issued is a new certificate.
type Issued struct {
	Certificate *x509.Certificate
	// Key is nil where the request brought a public key.
	Key crypto.Signer
	// Chain goes up from the issuer of Certificate, without a self-signed root.
	Chain []*x509.Certificate
	// Warnings are those of the Preview.
	Warnings []string
}

// Identity is the certificate with its key and chain, as pki keeps it.
func (i *Issued) Identity() pki.Identity {
	return pki.Identity{Certificate: i.Certificate, Key: i.Key, Chain: i.Chain}
}

// Serial is the certificate's number as the folder writes it.
func (i *Issued) Serial() string { return index.Serial(i.Certificate.SerialNumber) }

// Subject is the certificate's name as the Preview and lists have it.
func (i *Issued) Subject() string {
	line, err := index.Oneline(i.Certificate.RawSubject)
	if err != nil {
		return i.Certificate.Subject.String()
	}
	return index.Readable(line)
}

// Names are the subject alternative names.
func (i *Issued) Names() []string { return namesOf(i.Certificate) }

// Days is how long the certificate is good.
func (i *Issued) Days() int { return wholeDays(i.Certificate.NotBefore, i.Certificate.NotAfter) }

// wholeDays are those of a certificate, to whose time both ends belong.
func wholeDays(from, to time.Time) int { return int((to.Sub(from) + time.Second) / (24 * time.Hour)) }

// Issue makes a certificate and records it in the folder. When it returns nil
// the record is on the disk; when it returns an error that is ErrRefused, that
// is on record.
func (c *CA) Issue(r Request) (*Issued, error) {
	issued, err := c.issue(r)
	if err != nil {
		return nil, c.refuse("issue", r.By, r.details(), fmt.Errorf("issue: %w", err))
	}
	return issued, nil
}

func (c *CA) issue(r Request) (*Issued, error) {
	if c.key == nil {
		return nil, ErrNoKey
	}
	a, err := c.refresh()
	if err != nil {
		return nil, err
	}
	o, err := a.newOrder(r, c.now())
	if err != nil {
		return nil, refusal{err}
	}
	issued := &Issued{Warnings: o.warnings}
	if o.public == nil {
		// It takes long: not while others wait for the lock.
		if issued.Key, err = GenerateKey(o.kind); err != nil {
			return nil, err
		}
		o.public = issued.Key.Public()
	}
	err = c.locked(func(a *authority) error {
		issued.Certificate, err = c.sign(a, o)
		issued.Chain = withoutRoot(a.all())
		return err
	})
	return issued, err
}

func withoutRoot(chain []*x509.Certificate) []*x509.Certificate {
	var below []*x509.Certificate
	for _, cert := range chain {
		if !bytes.Equal(cert.RawIssuer, cert.RawSubject) {
			below = append(below, cert)
		}
	}
	return below
}

// sign makes the certificate of an order and records it, in the order of
// writes that the package comment gives. The folder is locked. What fails is
// taken back: nobody has seen the certificate yet.
func (c *CA) sign(a *authority, o *order) (*x509.Certificate, error) {
	serial, err := c.nextSerial(a)
	if err != nil {
		return nil, err
	}
	template, err := o.template(a, serial)
	if err != nil {
		return nil, err
	}
	draft, err := a.draft(template, c.now())
	if err != nil {
		return nil, refusal{err}
	}
	if err := c.mayRecord(a, draft); err != nil {
		return nil, err
	}
	in := intent{Draft: draft, Details: o.details}
	if err := c.begin(in); err != nil {
		return nil, err
	}
	cert, err := a.certify(c.key, template, draft)
	if err == nil {
		err = c.record(a, cert, in)
	}
	if err != nil {
		return nil, errors.Join(err, c.undo(draft))
	}
	return cert, c.end()
}

// mayRecord looks at what would make the folder's files wrong.
func (c *CA) mayRecord(a *authority, draft *x509.Certificate) error {
	if err := c.index.Check(); err != nil {
		return err
	}
	if _, err := audit.Last(c.path(auditFile)); err != nil {
		return err
	}
	if exists(c.newCert(draft.SerialNumber, "pem")) {
		return fmt.Errorf("number %s exists already in %s; %s has to say one that was never used", index.Serial(draft.SerialNumber), newCerts, serialFile)
	}
	return c.checkUnique(a, draft)
}

// checkUnique refuses a second valid certificate for a subject in a folder
// that wants them unique, as openssl ca does. Those that have ended count as
// expired first.
func (c *CA) checkUnique(a *authority, cert *x509.Certificate) error {
	if !a.settings.UniqueSubject {
		return nil
	}
	wanted, err := index.New(cert)
	if err != nil {
		return err
	}
	held, err := c.index.Holders(wanted.Subject)
	if err != nil || len(held) == 0 {
		return err
	}
	if err := c.index.MarkExpired(c.now()); err != nil {
		return err
	}
	if held, err = c.index.Holders(wanted.Subject); err != nil || len(held) == 0 {
		return err
	}
	return refusal{fmt.Errorf("%s already has the certificate %s, and %s says unique_subject = yes; revoke that one first",
		index.Readable(wanted.Subject), held[0], attrFile)}
}

// certify signs what was linted.
func (a *authority) certify(key crypto.Signer, template, draft *x509.Certificate) (*x509.Certificate, error) {
	cert, err := create(template, a.cert, template.PublicKey, key)
	if err != nil {
		return nil, err
	}
	if err := sameButSignature(cert, draft); err != nil {
		return nil, err
	}
	return cert, a.cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature)
}

// record makes a signed certificate part of the folder. What stands there
// already, from before a crash, stays.
func (c *CA) record(a *authority, cert *x509.Certificate, in intent) error {
	details, err := in.Details.encode()
	if err != nil {
		return err
	}
	if err := durable.Create(c.newCert(cert.SerialNumber, "json"), details, 0o644); err != nil {
		return err
	}
	// It never replaces another: so no number is used twice even where
	// index.txt was lost.
	if err := durable.Create(c.newCert(cert.SerialNumber, "pem"), EncodeCertificates(cert), 0o644); err != nil {
		return err
	}
	if err := c.countSerial(a, cert.SerialNumber); err != nil {
		return err
	}
	e, err := index.New(cert)
	if err != nil {
		return err
	}
	if err := c.index.Append(e); err != nil {
		return err
	}
	return c.auditIssue(e, in.Details)
}

// draft makes the certificate with a key that is thrown away, under a CA
// certificate that differs from ours in that key alone, and looks at what
// came out as a stranger would. Nothing that the CA has signed can be taken
// back; this can.
func (a *authority) draft(template *x509.Certificate, now time.Time) (*x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	parent := *a.cert
	parent.PublicKey = nil
	parent.SignatureAlgorithm = 0
	parent.ExtraExtensions = a.cert.Extensions
	issuer, err := create(&parent, &parent, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("draft: %w", err)
	}
	issuer.SubjectKeyId = a.keyID // where ours has none, crypto/x509 has made one
	draft, err := create(template, issuer, template.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("draft: %w", err)
	}
	if err := a.lint(draft, template); err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(issuer)
	_, err = draft.Verify(x509.VerifyOptions{
		Roots:       roots,
		CurrentTime: now,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return draft, err
}

func create(template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
