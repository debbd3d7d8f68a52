package verdict

import (
	"bytes"
	"crypto/x509"
	"slices"
	"strings"

	"mailseal/internal/mailaddr"
	"mailseal/internal/pki"
	"mailseal/internal/pki/x5280"
)

// names are whom a certificate is about, in forms that compare safely. What is
// none exactly as it stands there is nobody's.
type names struct {
	// people are addresses: rfc822Names, SmtpUTF8Mailboxes, emailAddress attributes
	// (RFC 8550 section 3).
	people []mailaddr.Address
	// hosts are dNSNames; one with a leading dot is all that is below a domain.
	hosts []string
	// authorities are the domains whose mail the holder signs (RFC 3183 section
	// 3.1.1): domain-signing-authority@domain.
	authorities []string
	// role is another one of RFC 3183's, whose signature is neither a person's nor
	// the domain's.
	role string
	// addressed: there is something that should be an address.
	addressed bool
	// mapped is what the administrator says of a certificate that has no address.
	mapped *holder
}

// signingAuthority is the local part of who signs for a domain (RFC 3183 section
// 3.1.1).
const signingAuthority = "domain-signing-authority"

// otherRoles review, add attributes and decrypt (RFC 3183 sections 3.1.1, 4.1).
var otherRoles = []string{"review-authority", "attribute-authority", "domain-confidentiality-authority"}

// utf8Mailbox is the identifier of SmtpUTF8Mailbox as it stands in a certificate.
const utf8Mailbox = "\x06\x08\x2b\x06\x01\x05\x05\x07\x08\x09"

// namesOf reads a certificate.
func namesOf(c *x509.Certificate) (n names) {
	for _, text := range pki.Addresses(c) {
		n.addressed = true
		if a, err := mailaddr.ParseIA5(text); err == nil {
			n.add(a)
		}
	}
	if bytes.Contains(c.Raw, []byte(utf8Mailbox)) {
		n.addUTF8(c)
	}
	if forDomains(c) {
		for _, name := range c.DNSNames {
			if h, ok := hostName(name); ok {
				n.hosts = append(n.hosts, h)
			}
		}
	}
	return n
}

// addUTF8 adds mailboxes beyond ASCII, which crypto/x509 does not read.
func (n *names) addUTF8(c *x509.Certificate) {
	read, err := x5280.Read(c)
	if err != nil {
		return
	}
	for _, g := range read.AltNames {
		if g.Form != x5280.UTF8Mail {
			continue
		}
		n.addressed = true
		if a, err := mailaddr.ParseUTF8Mailbox(g.Text); err == nil {
			n.add(a)
		}
	}
}

func (n *names) add(a mailaddr.Address) {
	switch role := a.Fold().Local; {
	case role == signingAuthority:
		n.authorities = append(n.authorities, a.Domain)
	case slices.Contains(otherRoles, role):
		n.role = role
	default:
		n.people = append(n.people, a)
	}
}

// forDomains reports whether the dNSNames may be those of mail domains: the
// certificate is for mail expressly, or for no purpose in particular. One of a
// web server is not.
func forDomains(c *x509.Certificate) bool {
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageEmailProtection)
}

// hostName reads a dNSName. "*.d" is what is below d, at any depth: the domains of
// an organisation, not the hosts of a web site.
func hostName(name string) (string, bool) {
	below, wild := strings.CutPrefix(name, "*.")
	if strings.ContainsFunc(below, func(r rune) bool { return r >= 0x80 }) || strings.ContainsAny(below, "[]*") {
		return "", false
	}
	d, err := mailaddr.Domain(below)
	switch {
	case err != nil:
		return "", false
	case wild:
		return "." + d, true
	}
	return d, true
}

// domain is the name under which the certificate may speak for a whole domain, ""
// for none.
func (n names) domain(of string) string {
	if mailaddr.In(of, n.hosts) || n.mappedDomain(of) {
		return of
	}
	for _, d := range n.authorities {
		// The domain itself or an ascendant (RFC 3183 section 3.1.1).
		if of == d || strings.HasSuffix(of, "."+d) {
			return d
		}
	}
	return ""
}

// mappedDomain: it is the administrator who lets it speak for the domain.
func (n names) mappedDomain(d string) bool {
	return n.mapped != nil && mailaddr.In(d, n.mapped.domains)
}

// first is the name of a signer who is not the author.
func (n names) first() string {
	switch {
	case len(n.people) > 0:
		return n.people[0].String()
	case len(n.authorities) > 0:
		return "@" + n.authorities[0]
	}
	return ""
}
