package ca

import (
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"
	"unicode/utf8"

	"mailseal/certmgr/ca/index"
)

// An order is a Request that was found good: all of the certificate but key,
// serial number and signature.
type order struct {
	rule      rule
	name      []byte // the subject, DER
	subject   string // the subject, readable
	names     *sans
	from, to  time.Time
	permitted permitted
	public    crypto.PublicKey // nil where a key has to be made
	kind      KeyKind
	details   Details
	warnings  []string
}

// backdate lets peers whose clocks are slow take a new certificate or list.
const backdate = time.Hour

// newOrder checks a request.
func (a *authority) newOrder(r Request, now time.Time) (*order, error) {
	p, ok := rules[r.Profile]
	if !ok {
		return nil, errors.New("no profile")
	}
	if p.isCA && a.cert.MaxPathLenZero {
		return nil, errors.New("this CA's own certificate allows no CA below it")
	}
	if err := checkMemo(r.Memo); err != nil {
		return nil, err
	}
	if r.CSR != nil {
		if err := r.takeCSR(); err != nil {
			return nil, err
		}
	}
	o := &order{rule: p, public: r.PublicKey, kind: r.Key}
	if err := o.setNames(a, r); err != nil {
		return nil, err
	}
	var err error
	if o.permitted, err = parsePermitted(r.PermitDNS, r.PermitEmail); err != nil {
		return nil, err
	}
	if !o.permitted.none() && !p.isCA {
		return nil, fmt.Errorf("permitted names: a %s certificate has none", p.name)
	}
	if o.from, o.to, err = a.validity(p, r.Days, now); err != nil {
		return nil, err
	}
	if o.public != nil {
		err = checkPublicKey(o.public)
	} else if r.Key < 0 || int(r.Key) >= len(keyKinds) {
		err = fmt.Errorf("there is no %v", r.Key)
	}
	if err != nil {
		return nil, err
	}
	if _, ed := o.public.(ed25519.PublicKey); p.agree && (ed || o.public == nil && o.kind == Ed25519) {
		o.warnings = append(o.warnings, "an Ed25519 key only signs: nobody can encrypt to it")
	}
	if days := a.settings.days(p); r.Days == 0 && o.to.Before(o.from.AddDate(0, 0, days).Add(-time.Second)) {
		o.warnings = append(o.warnings, fmt.Sprintf("it ends with the CA itself, before its %d days are over; renew the CA", days))
	}
	o.details = Details{Profile: p.name, Names: o.names.all, Memo: r.Memo, By: r.By, Renews: r.renews}
	return o, nil
}

// setNames makes subject and alternative names, within the CA's constraints.
func (o *order) setNames(a *authority, r Request) error {
	if err := r.Authority.apply(o.rule, &r); err != nil {
		return err
	}
	var err error
	if o.names, err = o.rule.parseNames(r); err != nil {
		return err
	}
	if err := o.setCommonName(&r.Subject); err != nil {
		return err
	}
	if o.name = r.rawSubject; o.name == nil {
		r.Subject = r.Subject.or(a.cert.Subject)
		if o.name, err = r.Subject.encode(); err != nil {
			return err
		}
	}
	line, err := index.Oneline(o.name)
	if err != nil {
		return err
	}
	o.subject = index.Readable(line)
	for _, p := range r.Subject.Placeholders() {
		o.warnings = append(o.warnings, p+": a placeholder; give the real one")
	}
	return a.checkConstraints(o.names, r.Subject)
}

// setCommonName takes the first name that is short enough where none is given.
// What is longer stands in the alternative names alone, which is where everybody
// looks (RFC 9525 section 6.3).
func (o *order) setCommonName(s *Subject) error {
	long := func(name string) bool { return utf8.RuneCountInString(name) > maxCommonName }
	if o.rule.hostCN && long(s.CommonName) { // it was taken for a name already
		s.CommonName = ""
	}
	if s.CommonName != "" || len(o.names.all) == 0 {
		return s.named()
	}
	for _, name := range o.names.all {
		if !long(name) {
			s.CommonName = name
			return nil
		}
	}
	o.warnings = append(o.warnings, fmt.Sprintf("no common name: it may have %d characters, and %s has more; it is an alternative name, which is where programs look", maxCommonName, o.names.all[0]))
	return nil
}

// template is the certificate but for its signature.
func (o *order) template(a *authority, serial *big.Int) (*x509.Certificate, error) {
	id, err := keyID(o.public)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber:          serial,
		RawSubject:            o.name,
		PublicKey:             o.public,
		NotBefore:             o.from,
		NotAfter:              o.to,
		KeyUsage:              o.rule.keyUsage(o.public),
		ExtKeyUsage:           o.rule.usage,
		BasicConstraintsValid: true,
		IsCA:                  o.rule.isCA,
		MaxPathLenZero:        o.rule.isCA,
		SubjectKeyId:          id,
		AuthorityKeyId:        a.keyID,
		EmailAddresses:        o.names.emails,
		DNSNames:              o.names.hosts,
		IPAddresses:           o.names.addresses,
	}
	o.permitted.apply(t)
	if url := a.settings.URL; url != "" {
		t.CRLDistributionPoints = []string{url + CRLPath}
		t.IssuingCertificateURL = []string{url + CertPath}
		t.OCSPServer = []string{url + OCSPPath}
	}
	return t, nil
}

// validity is from when to when a certificate is good. Both instants belong
// to it (RFC 5280 section 4.1.2.5).
func (a *authority) validity(p rule, days int, now time.Time) (from, to time.Time, err error) {
	now = now.UTC().Truncate(time.Second)
	if err := a.checkClock(now); err != nil {
		return from, to, err
	}
	if days < 0 || days > p.maxDays {
		return from, to, fmt.Errorf("days %d: want 1 to %d in a %s certificate", days, p.maxDays, p.name)
	}
	if from = now.Add(-backdate); from.Before(a.cert.NotBefore) {
		from = a.cert.NotBefore
	}
	asked := days
	if asked == 0 {
		asked = a.settings.days(p)
	}
	to = from.AddDate(0, 0, asked).Add(-time.Second)
	if to.After(a.cert.NotAfter) {
		if days != 0 {
			return from, to, fmt.Errorf("days %d: the CA itself ends at %s", days, a.cert.NotAfter.Format(time.RFC3339))
		}
		to = a.cert.NotAfter
	}
	return from, to, nil
}

// checkClock refuses to sign at a time when the CA is not good.
func (a *authority) checkClock(now time.Time) error {
	if now.Before(a.cert.NotBefore) {
		return fmt.Errorf("the clock says %s, the CA begins at %s; set the clock", now.UTC().Format(time.RFC3339), a.cert.NotBefore.Format(time.RFC3339))
	}
	if now.After(a.cert.NotAfter) {
		return fmt.Errorf("the CA ended at %s; renew it", a.cert.NotAfter.Format(time.RFC3339))
	}
	return nil
}

// nextSerial is the number of the next certificate. The folder is locked.
func (c *CA) nextSerial(a *authority) (*big.Int, error) {
	if a.settings.Serials == RandomSerials {
		return randomSerial(c.rand)
	}
	n, err := c.readNumber(serialFile)
	if err != nil {
		return nil, err
	}
	if n.Sign() == 0 {
		return nil, fmt.Errorf("%s: want a number from 01 on", c.path(serialFile))
	}
	return n, nil
}

// countSerial makes serial say what follows a number that was used. Numbers
// that are drawn have no part in it.
func (c *CA) countSerial(a *authority, used *big.Int) error {
	if a.settings.Serials == RandomSerials {
		return nil
	}
	n, err := c.readNumber(serialFile)
	if err != nil || n.Cmp(used) > 0 {
		return err
	}
	return c.writeNumber(serialFile, n.Add(used, big.NewInt(1)))
}

// randomSerial is 128 random bits, so that nobody foresees what a certificate
// will hold. RFC 5280 section 4.1.2.2 allows 20 octets.
func randomSerial(random io.Reader) (*big.Int, error) {
	for {
		var b [16]byte
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return nil, fmt.Errorf("draw a serial number: %w", err)
		}
		// All serials with as many digits: a first byte of zero is drawn again.
		if b[0] != 0 {
			return new(big.Int).SetBytes(b[:]), nil
		}
	}
}
