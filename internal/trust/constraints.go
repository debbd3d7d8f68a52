package trust

import (
	"crypto/x509"
	"strings"

	"mailseal/internal/mailaddr"
	"mailseal/internal/pki"
)

// permitted holds all addresses of a path's leaf against the name constraints
// of the CAs above it. crypto/x509 looks at those in the subjectAltName only;
// as one in the subject names the signer too (RFC 8550 section 3), a CA that may
// certify for its own domain alone could certify anybody (RFC 5280 section
// 4.2.1.10, which applies constraints to emailAddress as well).
func permitted(path []*x509.Certificate) bool {
	for _, text := range pki.Addresses(path[0]) {
		a, err := mailaddr.ParseIA5(text)
		if err != nil {
			continue // it names nobody
		}
		for _, ca := range path[1:] {
			if within(a, ca.ExcludedEmailAddresses) ||
				len(ca.PermittedEmailAddresses) > 0 && !within(a, ca.PermittedEmailAddresses) {
				return false
			}
		}
	}
	return true
}

// within: a constraint is a mailbox, a host ("example.jp") or, with a dot, all
// hosts below one (".example.jp").
func within(a mailaddr.Address, constraints []string) bool {
	for _, c := range constraints {
		if strings.Contains(c, "@") {
			if m, err := mailaddr.ParseIA5(c); err == nil && m.Same(a) {
				return true
			}
		} else if mailaddr.In(a.Domain, []string{strings.ToLower(c)}) {
			return true
		}
	}
	return false
}
