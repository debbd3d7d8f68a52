package ca

import (
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A Request is a certificate as it is asked for.
type Request struct {
	Profile Profile
	// Subject needs a CommonName, or takes the first name below. C, ST, L and
	// O are the CA's where they are empty.
	Subject Subject
	// Emails, Hosts and Addresses are the subject alternative names. A common
	// name that is one of these is added where the profile has that kind.
	Emails    []string
	Hosts     []string
	Addresses []netip.Addr
	// Days is how long the certificate is good; 0 is the profile's default,
	// cut where the CA itself ends.
	Days int
	// PublicKey is that of a certificate request. Without one, a key of the
	// kind Key is made.
	PublicKey crypto.PublicKey
	Key       KeyKind
}

// An order is a Request that was found good, complete but for the signature.
type order struct {
	template *x509.Certificate
	key      crypto.Signer // nil where the request brought a public key
}

// backdate lets peers whose clocks are slow take a new certificate.
const backdate = time.Hour

func newOrder(c *CA, r Request) (*order, error) {
	p, ok := rules[r.Profile]
	if !ok {
		return nil, errors.New("no profile")
	}
	if p.isCA && c.cert.MaxPathLenZero {
		return nil, errors.New("this CA's own certificate allows no CA below it")
	}
	sans, err := p.parseNames(r)
	if err != nil {
		return nil, err
	}
	if r.Subject.CommonName == "" && len(sans.all) > 0 {
		r.Subject.CommonName = sans.all[0]
	}
	name, err := r.Subject.or(c.cert.Subject).encode()
	if err != nil {
		return nil, err
	}
	from, to, err := c.validity(p, r.Days)
	if err != nil {
		return nil, err
	}
	serial, err := randomSerial(c.rand)
	if err != nil {
		return nil, err
	}
	o := &order{}
	if r.PublicKey == nil {
		if o.key, err = GenerateKey(r.Key); err != nil {
			return nil, err
		}
		r.PublicKey = o.key.Public()
	}
	if err := checkPublicKey(r.PublicKey); err != nil {
		return nil, err
	}
	id, err := keyID(r.PublicKey)
	if err != nil {
		return nil, err
	}
	o.template = &x509.Certificate{
		SerialNumber:          serial,
		RawSubject:            name,
		PublicKey:             r.PublicKey,
		NotBefore:             from,
		NotAfter:              to,
		KeyUsage:              p.keyUsage(r.PublicKey),
		ExtKeyUsage:           p.usage,
		BasicConstraintsValid: true,
		IsCA:                  p.isCA,
		MaxPathLenZero:        p.isCA,
		SubjectKeyId:          id,
		AuthorityKeyId:        c.cert.SubjectKeyId,
		EmailAddresses:        sans.emails,
		DNSNames:              sans.hosts,
		IPAddresses:           sans.addresses,
	}
	return o, nil
}

// sans are a certificate's subject alternative names.
type sans struct {
	emails    []string
	hosts     []string
	addresses []net.IP
	all       []string // in the order in which they were asked for
}

// parseNames checks the names of a request against what its profile may have.
func (p rule) parseNames(r Request) (*sans, error) {
	s := &sans{}
	if r.Subject.CommonName != "" {
		if err := s.addCommonName(p, r.Subject.CommonName); err != nil {
			return nil, err
		}
	}
	for _, e := range r.Emails {
		email, err := parseEmail(e)
		if err != nil {
			return nil, err
		}
		s.add(&s.emails, email)
	}
	for _, h := range r.Hosts {
		host, err := parseHost(h)
		if err != nil {
			return nil, err
		}
		s.add(&s.hosts, host)
	}
	for _, a := range r.Addresses {
		if !a.IsValid() || a.Zone() != "" {
			return nil, fmt.Errorf("address %q: want an IP address without a zone", a)
		}
		s.addAddress(a)
	}
	switch {
	case len(s.emails) > 0 && !p.names.emails:
		return nil, fmt.Errorf("e-mail address %q: a %s certificate has none", s.emails[0], p.name)
	case len(s.hosts) > 0 && !p.names.hosts:
		return nil, fmt.Errorf("host name %q: a %s certificate has none", s.hosts[0], p.name)
	case len(s.addresses) > 0 && !p.names.addresses:
		return nil, fmt.Errorf("address %v: a %s certificate has none", s.addresses[0], p.name)
	case len(s.all) == 0 && p.named:
		return nil, fmt.Errorf("no name that a %s certificate could be for: want %s", p.name, p.names)
	}
	return s, nil
}

// addCommonName adds a common name that is a name of a kind the profile has:
// programs look at the SAN alone.
func (s *sans) addCommonName(p rule, cn string) error {
	if email, err := parseEmail(cn); err == nil && p.names.emails {
		s.add(&s.emails, email)
		return nil
	}
	if a, err := netip.ParseAddr(cn); err == nil && p.names.addresses && a.Zone() == "" {
		s.addAddress(a)
		return nil
	}
	host, err := parseHost(cn)
	if p.hostCN {
		if err != nil {
			return fmt.Errorf("common name %q: a %s certificate's is a host name or an address", cn, p.name)
		}
		s.add(&s.hosts, host)
	} else if err == nil && p.names.hosts && strings.Contains(cn, ".") {
		s.add(&s.hosts, host)
	}
	return nil
}

func (s *sans) add(to *[]string, name string) {
	if !slices.Contains(*to, name) {
		*to = append(*to, name)
		s.all = append(s.all, name)
	}
}

func (s *sans) addAddress(a netip.Addr) {
	a = a.Unmap()
	if !slices.Contains(s.all, a.String()) {
		s.addresses = append(s.addresses, a.AsSlice())
		s.all = append(s.all, a.String())
	}
}

// validity is from when to when a certificate is good. Both instants belong
// to it (RFC 5280 section 4.1.2.5).
func (c *CA) validity(p rule, days int) (from, to time.Time, err error) {
	now := c.now().UTC().Truncate(time.Second)
	if now.Before(c.cert.NotBefore) {
		return from, to, fmt.Errorf("the clock says %s, the CA begins at %s; set the clock", now.Format(time.RFC3339), c.cert.NotBefore.Format(time.RFC3339))
	}
	if now.After(c.cert.NotAfter) {
		return from, to, fmt.Errorf("the CA ended at %s; renew it", c.cert.NotAfter.Format(time.RFC3339))
	}
	if days < 0 || days > p.maxDays {
		return from, to, fmt.Errorf("days %d: want 1 to %d in a %s certificate", days, p.maxDays, p.name)
	}
	if from = now.Add(-backdate); from.Before(c.cert.NotBefore) {
		from = c.cert.NotBefore
	}
	asked := days
	if asked == 0 {
		asked = p.days
	}
	to = from.AddDate(0, 0, asked).Add(-time.Second)
	if to.After(c.cert.NotAfter) {
		if days != 0 {
			return from, to, fmt.Errorf("days %d: the CA itself ends at %s", days, c.cert.NotAfter.Format(time.RFC3339))
		}
		to = c.cert.NotAfter
	}
	return from, to, nil
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

// serialHex writes a serial as the folder has it: capital hexadecimal digits,
// an even number of them.
func serialHex(serial *big.Int) string {
	b := serial.Bytes()
	if len(b) == 0 {
		b = []byte{0}
	}
	return strings.ToUpper(hex.EncodeToString(b))
}
