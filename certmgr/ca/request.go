package ca

import (
	"crypto"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// A Request is a certificate as it is asked for.
type Request struct {
	Profile Profile
	// Subject needs a CommonName, or takes the first name below that is short
	// enough for one. C, ST, L and O are the CA's where they are empty.
	Subject Subject
	// Emails, Hosts and Addresses are the subject alternative names. A common
	// name that is one of these is added where the profile has that kind, and
	// so is the subject's e-mail address. A gateway that names a domain as its
	// common name and nothing else is for the domain and all below it.
	Emails    []string
	Hosts     []string
	Addresses []netip.Addr
	// Authority makes a gateway's certificate one of RFC 3183: that is its
	// common name, and the local part of an address in each of its domains.
	Authority Authority
	// PermitDNS and PermitEmail are the domains to which a CA below this one
	// is bound (RFC 5280 section 4.2.1.10).
	PermitDNS   []string
	PermitEmail []string
	// Days is how long the certificate is good; 0 is the profile's default,
	// cut where the CA itself ends.
	Days int
	// CSR is a certificate request (RFC 2986), PEM or DER. The key is taken
	// from it, and where no name is given above, its subject and names too.
	CSR []byte
	// PublicKey is a key without a request. Without either, a key of the kind
	// Key is made.
	PublicKey crypto.PublicKey
	Key       KeyKind
	// Memo is kept beside the certificate. By says in the audit file who asks.
	Memo string
	By   string

	// What a renewal takes over: the name byte for byte, and the serial.
	rawSubject []byte
	renews     string
}

// An Authority is a name that RFC 3183 gives to who signs or is encrypted to
// for a domain (sections 3.1.1 and 4.1). The zero Authority is none.
type Authority string

// The names.
const (
	DomainSigning         Authority = "domain-signing-authority"
	DomainConfidentiality Authority = "domain-confidentiality-authority"
	Review                Authority = "review-authority"
	Attribute             Authority = "attribute-authority"
)

// ParseAuthority reads such a name. An empty one is none.
func ParseAuthority(s string) (Authority, error) {
	switch a := Authority(s); a {
	case "", DomainSigning, DomainConfidentiality, Review, Attribute:
		return a, nil
	}
	return "", fmt.Errorf("authority %q: want %s, %s, %s or %s", s, DomainSigning, DomainConfidentiality, Review, Attribute)
}

// apply gives a request the names of its authority.
func (a Authority) apply(p rule, r *Request) error {
	if a == "" {
		return nil
	}
	if !p.authority {
		return fmt.Errorf("authority %s: a %s certificate is none", a, p.name)
	}
	if _, err := ParseAuthority(string(a)); err != nil {
		return err
	}
	if cn := r.Subject.CommonName; cn != "" && cn != string(a) {
		r.Hosts = append([]string{cn}, r.Hosts...)
	}
	r.Subject.CommonName = string(a)
	for _, e := range r.Emails {
		if local, _, _ := cutLast(e, '@'); local != string(a) {
			return fmt.Errorf("e-mail address %q: a certificate of the %s has %s@DOMAIN alone (RFC 3183 section 3.1.1)", e, a, a)
		}
	}
	for _, h := range r.Hosts {
		r.Emails = append(r.Emails, string(a)+"@"+strings.TrimPrefix(h, "*."))
	}
	if len(r.Emails) == 0 {
		return fmt.Errorf("no domain for the %s", a)
	}
	return nil
}

// A Preview is what a certificate would be.
type Preview struct {
	Profile Profile
	Subject string   // as index.txt has it, readable
	Names   []string // the subject alternative names
	From    time.Time
	To      time.Time
	Days    int
	// Warnings are what somebody should look at before the CA signs.
	Warnings []string
}

// Preview checks a request as Issue does, and shows what would come of it. No
// key is made, and nothing is written but that it was refused, as Issue does.
func (c *CA) Preview(r Request) (Preview, error) {
	p, err := c.preview(r)
	if err != nil {
		return p, c.refuse("issue", r.By, r.details(), err)
	}
	return p, nil
}

// Names are the alternative names that a certificate would have, for who has
// to look at them before the request is made; nothing is written.
func (c *CA) Names(r Request) ([]string, error) {
	p, err := c.preview(r)
	return p.Names, err
}

func (c *CA) preview(r Request) (Preview, error) {
	a, err := c.refresh()
	if err != nil {
		return Preview{}, err
	}
	o, err := a.newOrder(r, c.now())
	if err != nil {
		return Preview{}, refusal{err}
	}
	return Preview{
		Profile: r.Profile, Subject: o.subject, Names: o.names.all, From: o.from, To: o.to,
		Days: wholeDays(o.from, o.to), Warnings: o.warnings,
	}, nil
}

// details are what the audit file says of a request that is refused.
func (r Request) details() map[string]string {
	return map[string]string{
		"profile": r.Profile.String(), "cn": r.Subject.CommonName,
		"names": strings.Join(append(append([]string{}, r.Emails...), r.Hosts...), " "),
	}
}

// A refusal is an error that is ErrRefused and reads as what it wraps.
type refusal struct{ error }

func (r refusal) Unwrap() []error { return []error{r.error, ErrRefused} }

// refused reports whether asking differently helps.
func refused(err error) bool { return errors.Is(err, ErrRefused) }
