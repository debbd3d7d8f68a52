package path

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"mailseal/internal/mailaddr"
	"mailseal/internal/pki/x5280"
)

// names is section 6.1.3 (b) and (c) with all constraints above each certificate.
func (v *validator) names() {
	for depth := len(v.path) - 2; depth >= 0; depth-- {
		c := v.path[depth]
		if depth > 0 && c.SelfIssued() {
			continue
		}
		var all []x5280.GeneralName // made when there is a constraint
		for above := len(v.path) - 1; above > depth; above-- {
			n := v.path[above].Constraints
			if n == nil {
				continue
			}
			if all == nil {
				all = namesOf(c)
			}
			if *v.steps -= len(all) * (len(n.Permitted) + len(n.Excluded)); *v.steps < 0 {
				return
			}
			for _, name := range all {
				if why := constrained(name, n); why != "" {
					v.fail(Names, depth, "has %s, %s by %s", shown(name), why, v.path[above])
				}
			}
		}
	}
}

// namesOf are all names that a certificate is about. Addresses in the subject name
// the signer as well (RFC 8550 section 3), so they count beside a subjectAltName too.
func namesOf(c *x5280.Certificate) (all []x5280.GeneralName) {
	all = []x5280.GeneralName{}
	if !c.Subject.Empty() {
		all = append(all, x5280.GeneralName{Form: x5280.DirectoryName, Name: c.Subject})
	}
	for _, m := range c.Subject.Mails {
		all = append(all, x5280.GeneralName{Form: x5280.Mail, Text: m})
	}
	return append(all, c.AltNames...)
}

// shown is a name for a sentence.
func shown(n x5280.GeneralName) string {
	text := fmt.Sprintf("%q", n.Text)
	switch n.Form {
	case x5280.DirectoryName:
		return "a directory name"
	case x5280.IP:
		if a, ok := netip.AddrFromSlice([]byte(n.Text)); ok {
			text = a.String()
		}
	}
	if r := []rune(text); len(r) > 200 {
		text = string(r[:200]) + "..."
	}
	return fmt.Sprintf("the %v %s", n.Form, text)
}

// constrained says what forbids a name, or nothing.
func constrained(name x5280.GeneralName, n *x5280.NameConstraints) string {
	for _, base := range n.Excluded {
		if concerns(base, name) {
			if in, known := within(name, base, true); !known {
				return "which cannot be held against the name constraints set"
			} else if in {
				return "which is excluded"
			}
		}
	}
	limited, permitted := false, false
	for _, base := range n.Permitted {
		if concerns(base, name) {
			in, known := within(name, base, false)
			if !known {
				return "which cannot be held against the name constraints set"
			}
			limited, permitted = true, permitted || in
		}
	}
	if limited && !permitted {
		return "which is outside what is permitted"
	}
	return ""
}

// concerns reports whether a constraint is about names of this form.
func concerns(base, name x5280.GeneralName) bool {
	switch name.Form {
	case x5280.UTF8Mail: // RFC 9598 section 6; it is an otherName besides
		return base.Form == x5280.Mail || base.Form == x5280.OtherName || base.Form == x5280.UTF8Mail
	case x5280.OtherName:
		return base.Form == x5280.OtherName || base.Form == x5280.UTF8Mail
	}
	return base.Form == name.Form
}

// within reports whether a name is in a subtree. Where that cannot be known the
// certificate is to be refused. Of what is excluded a name may have no part at all.
func within(name, base x5280.GeneralName, excluded bool) (in, known bool) {
	switch {
	case base.Form != x5280.Mail && name.Form == x5280.UTF8Mail:
		return false, false
	case name.Form == x5280.DirectoryName:
		return name.Name.Within(base.Name), true
	case name.Form == x5280.Mail, name.Form == x5280.UTF8Mail:
		return mailWithin(name, base.Text, excluded)
	case name.Form == x5280.DNS:
		return dnsWithin(name.Text, base.Text, excluded), name.Text != ""
	case name.Form == x5280.URI:
		return uriWithin(name.Text, base.Text)
	case name.Form == x5280.IP:
		return ipWithin(name.Text, base.Text)
	}
	return false, false
}

// host brings domain names to one form.
func host(s string) string { return strings.TrimSuffix(strings.ToLower(s), ".") }

// mailWithin: the base is a mailbox, a host, or all hosts below ".domain".
func mailWithin(name x5280.GeneralName, base string, excluded bool) (in, known bool) {
	at := strings.LastIndexByte(name.Text, '@')
	if at < 1 || at == len(name.Text)-1 {
		return false, false
	}
	local, domain := name.Text[:at], host(name.Text[at+1:])
	if name.Form == x5280.UTF8Mail {
		var err error
		if domain, err = mailaddr.Domain(domain); err != nil {
			return false, false
		}
	}
	if i := strings.LastIndexByte(base, '@'); i >= 0 {
		// Section 7.5 compares local parts exactly. Many hosts do not, to whom the
		// excluded mailbox is the same in whatever case.
		same := local == base[:i] || excluded && strings.EqualFold(local, base[:i])
		return same && domain == host(base[i+1:]), true
	}
	return hostWithin(domain, base), true
}

// hostWithin: "" is everything, "host" itself, ".domain" what is below it.
func hostWithin(name, base string) bool {
	base = host(base)
	return base == "" || name == base || strings.HasPrefix(base, ".") && strings.HasSuffix(name, base)
}

// dnsWithin: the base and what is below it. A wildcard is excluded when one of the
// names that it stands for is.
func dnsWithin(name, base string, excluded bool) bool {
	name, base = host(name), host(base)
	if rest, wild := strings.CutPrefix(name, "*."); wild && excluded {
		if label, parent, _ := strings.Cut(base, "."); label != "" && parent == rest {
			return true
		}
		return dnsWithin("x."+rest, base, false)
	}
	return hostWithin(name, base) || !strings.HasPrefix(base, ".") && strings.HasSuffix(name, "."+base)
}

// uriWithin: of a URI only the host is constrained, and one without, or with an
// address, must be refused.
func uriWithin(name, base string) (in, known bool) {
	u, err := url.Parse(name)
	if err != nil || u.Hostname() == "" {
		return false, false
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return false, false
	}
	return hostWithin(host(u.Hostname()), base), true
}

// ipWithin: the base is an address and a mask. Those of one version are no part of
// the other.
func ipWithin(name, base string) (in, known bool) {
	if len(name) != 4 && len(name) != 16 {
		return false, false
	}
	if len(base) != 2*len(name) {
		return false, true
	}
	for i := range len(name) {
		if mask := base[len(name)+i]; name[i]&mask != base[i]&mask {
			return false, true
		}
	}
	return true, true
}
