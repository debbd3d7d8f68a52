package ca

import (
	"crypto/x509"
	"fmt"
	"net"
	"strings"
)

// permitted are the names to which a CA is bound (RFC 5280 section 4.2.1.10).
type permitted struct{ dns, email []string }

func (p permitted) none() bool { return len(p.dns)+len(p.email) == 0 }

// apply makes it an extension, critical as the RFC wants it.
func (p permitted) apply(t *x509.Certificate) {
	t.PermittedDNSDomains, t.PermittedEmailAddresses = p.dns, p.email
	t.PermittedDNSDomainsCritical = !p.none()
}

// parsePermitted reads domains for hosts, and domains, those below a domain
// (".example.jp") or whole addresses for mail.
func parsePermitted(dns, email []string) (permitted, error) {
	var p permitted
	for _, d := range dns {
		host, err := parseHost(strings.TrimPrefix(d, "."))
		if err != nil || strings.HasPrefix(host, "*") {
			return p, fmt.Errorf("permitted domain %q: want a domain, as example.jp; names below it belong to it", d)
		}
		p.dns = append(p.dns, host)
	}
	for _, e := range email {
		if strings.Contains(strings.TrimPrefix(e, "@"), "@") {
			address, err := parseEmail(e)
			if err != nil {
				return p, fmt.Errorf("permitted %w", err)
			}
			p.email = append(p.email, address)
			continue
		}
		// "@example.jp" is how people write it; in a constraint there is no @.
		domain := strings.TrimPrefix(e, "@")
		host, err := parseHost(strings.TrimPrefix(domain, "."))
		if err != nil || strings.HasPrefix(host, "*") {
			return p, fmt.Errorf("permitted e-mail domain %q: want example.jp, .example.jp for all below it, or an address", e)
		}
		if strings.HasPrefix(domain, ".") {
			host = "." + host
		}
		p.email = append(p.email, host)
	}
	return p, nil
}

// checkConstraints refuses names that verifiers would not take from this CA
// or those above it. OpenSSL looks at more than the alternative names: at the
// subject's e-mail address, and at a common name that reads as a host where
// there are no hosts besides.
func (a *authority) checkConstraints(names *sans, subject Subject) error {
	emails, hosts := names.emails, names.hosts
	if subject.Email != "" {
		emails = append([]string{subject.Email}, emails...)
	}
	if host, err := parseHost(subject.CommonName); err == nil && len(hosts) == 0 && strings.Contains(host, ".") {
		hosts = []string{host}
	}
	for _, ca := range a.all() {
		for _, h := range hosts {
			if !bound(h, ca.PermittedDNSDomains, ca.ExcludedDNSDomains, hostIn) {
				return outside("host name", h, ca.PermittedDNSDomains, ca.ExcludedDNSDomains)
			}
		}
		for _, e := range emails {
			if !bound(e, ca.PermittedEmailAddresses, ca.ExcludedEmailAddresses, emailIn) {
				return outside("e-mail address", e, ca.PermittedEmailAddresses, ca.ExcludedEmailAddresses)
			}
		}
		for _, ip := range names.addresses {
			if !bound(ip, ca.PermittedIPRanges, ca.ExcludedIPRanges, func(ip net.IP, n *net.IPNet) bool { return n.Contains(ip) }) {
				return fmt.Errorf("address %v: outside the name constraints of the CA", ip)
			}
		}
	}
	return nil
}

func outside(kind, name string, permitted, excluded []string) error {
	if len(permitted) == 0 {
		return fmt.Errorf("%s %q: outside the name constraints of the CA, which exclude %s", kind, name, strings.Join(excluded, " "))
	}
	return fmt.Errorf("%s %q: outside the name constraints of the CA, which permit %s", kind, name, strings.Join(permitted, " "))
}

// bound reports whether a name is in one of the permitted sets, if there are
// any, and in none of the excluded.
func bound[N, S any](name N, permitted, excluded []S, in func(N, S) bool) bool {
	ok := len(permitted) == 0
	for _, p := range permitted {
		ok = ok || in(name, p)
	}
	for _, e := range excluded {
		ok = ok && !in(name, e)
	}
	return ok
}

// hostIn: the domain itself and every name below it. A wildcard counts as the
// names that it stands for.
func hostIn(host, domain string) bool {
	host, domain = strings.ToLower(strings.TrimPrefix(host, "*.")), strings.ToLower(strings.TrimPrefix(domain, "."))
	return host == domain || strings.HasSuffix(host, "."+domain)
}

// emailIn: an address is in itself, in the host behind its @, and in a domain
// with a leading dot where the host is below that.
func emailIn(address, domain string) bool {
	_, host, _ := cutLast(strings.ToLower(address), '@')
	if local, permittedHost, ok := cutLast(domain, '@'); ok {
		mine, _, _ := cutLast(address, '@')
		return mine == local && host == strings.ToLower(permittedHost)
	}
	domain = strings.ToLower(domain)
	if strings.HasPrefix(domain, ".") {
		return strings.HasSuffix(host, domain)
	}
	return host == domain
}
