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

	"mailseal/internal/pki"
)

// Issued is a new certificate.
type Issued struct {
	Certificate *x509.Certificate
	// Key is nil where the request brought a public key.
	Key crypto.Signer
	// Chain goes up from the issuer of Certificate, without a self-signed root.
	Chain []*x509.Certificate
}

// Identity is the certificate with its key and chain, as pki keeps it.
func (i *Issued) Identity() pki.Identity {
	return pki.Identity{Certificate: i.Certificate, Key: i.Key, Chain: i.Chain}
}

// Issue makes a certificate and records it in the folder. When it returns nil
// the record is on the disk.
func (c *CA) Issue(r Request) (*Issued, error) {
	o, err := newOrder(c, r)
	if err != nil {
		return nil, fmt.Errorf("issue: %w", err)
	}
	draft, err := c.draft(o)
	if err != nil {
		return nil, fmt.Errorf("issue: %w", err)
	}
	lock, err := c.lock()
	if err != nil {
		return nil, fmt.Errorf("issue: %w", err)
	}
	defer lock.Close()
	cert, err := c.sign(o, draft)
	if err != nil {
		// What can be taken back is taken back now and not by the next writer.
		return nil, fmt.Errorf("issue: %w", errors.Join(err, c.repair()))
	}
	issued := &Issued{Certificate: cert, Key: o.key}
	for _, above := range c.Chain() {
		if !bytes.Equal(above.RawIssuer, above.RawSubject) {
			issued.Chain = append(issued.Chain, above)
		}
	}
	return issued, nil
}

// sign makes the real certificate of an order, in the order of writes that
// the package comment gives. The folder is locked.
func (c *CA) sign(o *order, draft *x509.Certificate) (*x509.Certificate, error) {
	if err := c.repair(); err != nil {
		return nil, err
	}
	if err := c.checkUnique(draft); err != nil {
		return nil, err
	}
	if err := c.writeIntent(draft); err != nil {
		return nil, err
	}
	cert, err := create(o.template, c.cert, o.template.PublicKey, c.key)
	if err != nil {
		return nil, err
	}
	if err := sameButSignature(cert, draft); err != nil {
		return nil, err
	}
	if err := cert.CheckSignatureFrom(c.cert); err != nil {
		return nil, err
	}
	return cert, c.record(cert)
}

// draft makes the certificate with a key that is thrown away, under a CA
// certificate that differs from ours in that key alone, and looks at what
// came out as a stranger would. Nothing that the CA has signed can be taken
// back; this can.
func (c *CA) draft(o *order) (*x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	parent := *c.cert
	parent.PublicKey = nil
	parent.SignatureAlgorithm = 0
	parent.ExtraExtensions = c.cert.Extensions
	issuer, err := create(&parent, &parent, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("draft: %w", err)
	}
	draft, err := create(o.template, issuer, o.template.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("draft: %w", err)
	}
	if err := c.lint(draft, o); err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(issuer)
	_, err = draft.Verify(x509.VerifyOptions{
		Roots:       roots,
		CurrentTime: c.now(),
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

// lint checks what RFC 5280 section 4 demands of every certificate.
func (c *CA) lint(cert *x509.Certificate, o *order) error {
	want := map[string]bool{ // extension: is it critical
		"2.5.29.14": false, // subject key identifier
		"2.5.29.15": true,  // key usage
		"2.5.29.19": true,  // basic constraints
		"2.5.29.35": false, // authority key identifier
	}
	if len(o.template.ExtKeyUsage) > 0 {
		want["2.5.29.37"] = false
	}
	if len(cert.EmailAddresses)+len(cert.DNSNames)+len(cert.IPAddresses) > 0 {
		want["2.5.29.17"] = false // subject alternative name
	}
	for _, e := range cert.Extensions {
		critical, ok := want[e.Id.String()]
		if !ok {
			return fmt.Errorf("lint: extension %v: twice, or not of the profile", e.Id)
		}
		if critical != e.Critical {
			return fmt.Errorf("lint: extension %v: critical %t", e.Id, e.Critical)
		}
		delete(want, e.Id.String())
	}
	switch {
	case len(want) > 0:
		return fmt.Errorf("lint: extensions missing: %v", want)
	case cert.Version != 3:
		return fmt.Errorf("lint: version %d", cert.Version)
	case cert.SerialNumber.Sign() <= 0 || len(cert.SerialNumber.Bytes()) > 20:
		return fmt.Errorf("lint: serial number %v: want 1 to 20 octets, positive", cert.SerialNumber)
	case !bytes.Equal(cert.RawIssuer, c.cert.RawSubject):
		return errors.New("lint: the issuer's name is not the CA's subject, byte for byte")
	case !bytes.Equal(cert.AuthorityKeyId, c.cert.SubjectKeyId) || len(cert.SubjectKeyId) == 0:
		return errors.New("lint: key identifiers do not match")
	case cert.NotAfter.Before(cert.NotBefore):
		return errors.New("lint: ends before it begins")
	case cert.NotBefore.Before(c.cert.NotBefore) || cert.NotAfter.After(c.cert.NotAfter):
		return errors.New("lint: outlives the CA")
	case !samePublicKey(cert.PublicKey, o.template.PublicKey):
		return errors.New("lint: another public key")
	case cert.IsCA != o.template.IsCA || cert.KeyUsage != o.template.KeyUsage:
		return errors.New("lint: another key usage")
	}
	return nil
}

// sameButSignature makes sure that what was linted is what was signed.
func sameButSignature(cert, draft *x509.Certificate) error {
	same := cert.SerialNumber.Cmp(draft.SerialNumber) == 0 &&
		bytes.Equal(cert.RawSubject, draft.RawSubject) && bytes.Equal(cert.RawIssuer, draft.RawIssuer) &&
		bytes.Equal(cert.RawSubjectPublicKeyInfo, draft.RawSubjectPublicKeyInfo) &&
		cert.NotBefore.Equal(draft.NotBefore) && cert.NotAfter.Equal(draft.NotAfter) &&
		len(cert.Extensions) == len(draft.Extensions)
	for i := 0; same && i < len(cert.Extensions); i++ {
		a, b := cert.Extensions[i], draft.Extensions[i]
		same = a.Id.Equal(b.Id) && a.Critical == b.Critical && bytes.Equal(a.Value, b.Value)
	}
	if !same {
		return errors.New("what was signed is not what was linted")
	}
	return nil
}
