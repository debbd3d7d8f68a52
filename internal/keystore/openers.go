package keystore

import (
	"crypto/x509"
	"slices"
	"strings"

	"mailseal/internal/mailaddr"
	"mailseal/internal/pki"
	"mailseal/smime/cms/recipient"
)

// Openers are all keys of the identities, with which mail that comes in is
// decrypted: also those that have expired, as mail is older than certificates.
// They never change once made.
type Openers struct {
	ring  *recipient.Ring
	serve map[*x509.Certificate]Served
}

// NewOpeners takes the identities.
func NewOpeners(all []pki.Identity) *Openers {
	o := &Openers{serve: make(map[*x509.Certificate]Served)}
	var keys []recipient.Key
	for _, id := range all {
		pairs := id.Pairs
		if len(pairs) == 0 && id.Key != nil { // it was not read from a file
			pairs = []pki.Pair{{Certificate: id.Certificate, Key: id.Key}}
		}
		for _, p := range pairs {
			keys = append(keys, recipient.Key{Name: id.Name, Certificate: p.Certificate, Private: p.Key})
			o.serve[p.Certificate] = Serves(p.Certificate)
		}
	}
	o.ring = recipient.NewRing(keys)
	return o
}

// Mail is the keys for one mail and its recipients: those that serve none of
// them open nothing, and what opens serves all of them together. One goroutine
// uses it.
func (o *Openers) Mail(recipients []mailaddr.Address) *Mail {
	return &Mail{openers: o, recipients: recipients, known: make(map[*x509.Certificate]bool)}
}

// A Mail is Openers for the recipients of a mail.
type Mail struct {
	openers    *Openers
	recipients []mailaddr.Address
	known      map[*x509.Certificate]bool // whether it serves any of them
	some       bool
}

var _ recipient.Keys = (*Mail)(nil)

// For returns the keys that a RecipientInfo is for and that serve any of the
// mail's recipients.
func (m *Mail) For(i *recipient.Info) []recipient.Key {
	found := slices.DeleteFunc(m.openers.ring.For(i), func(k recipient.Key) bool { return !m.serves(k.Certificate) })
	m.some = m.some || len(found) > 0
	return found
}

// serves reports whether a certificate's key serves any recipient. A mail may name
// it thousands of times, to thousands of them.
func (m *Mail) serves(c *x509.Certificate) bool {
	is, known := m.known[c]
	if !known {
		is = slices.ContainsFunc(m.recipients, m.openers.serve[c].Serves)
		m.known[c] = is
	}
	return is
}

// Enough reports whether each of the mail's recipients is served by one of the
// keys.
func (m *Mail) Enough(keys []recipient.Key) bool {
	for _, a := range m.recipients {
		if !slices.ContainsFunc(keys, func(k recipient.Key) bool { return m.openers.serve[k.Certificate].Serves(a) }) {
			return false
		}
	}
	return len(m.recipients) > 0
}

// Some reports whether For has found any key: it would have opened the mail for
// some of its recipients.
func (m *Mail) Some() bool { return m.some }

// Served is whose mail a certificate's key may open.
type Served struct {
	Addresses []mailaddr.Address
	// Domains are those of a gateway's or a domain's certificate; a leading dot
	// stands for all sub-domains.
	Domains []string
}

// authorities are the local parts by which RFC 3183 section 3.1.1 and 4.1 name who
// acts for a domain. One key often does both.
var authorities = []string{"domain-confidentiality-authority", "domain-signing-authority"}

// Serves says whose mail the key of a certificate of ours opens: of its own
// addresses, and of the domains that its dNSNames or a name of RFC 3183 say. A
// certificate for other purposes than mail has no dNSNames in that sense.
func Serves(c *x509.Certificate) (s Served) {
	for _, text := range pki.Addresses(c) {
		a, err := mailaddr.ParseIA5(text)
		if err != nil {
			continue
		}
		if a = a.Fold(); slices.Contains(authorities, a.Local) {
			// RFC 3183 section 3.1.1: for the domain and those below it.
			s.Domains = append(s.Domains, a.Domain, "."+a.Domain)
		} else if !slices.Contains(s.Addresses, a) {
			s.Addresses = append(s.Addresses, a)
		}
	}
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) > 0 && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageEmailProtection) {
		return s
	}
	for _, name := range c.DNSNames {
		below, wild := strings.CutPrefix(name, "*.")
		d, err := mailaddr.Domain(below)
		if err != nil || strings.ContainsAny(d, "[]*") {
			continue
		}
		if wild {
			d = "." + d
		}
		s.Domains = append(s.Domains, d)
	}
	return s
}

// Serves reports whether mail to a is among it.
func (s Served) Serves(a mailaddr.Address) bool {
	return slices.Contains(s.Addresses, a.Fold()) || mailaddr.In(a.Domain, s.Domains)
}
