package verdict

import (
	"crypto/x509"
	"slices"

	"mailseal/internal/mailaddr"
	"mailseal/internal/trust"
)

// What is said of an identity.
const (
	domainSignature  = "domain signature"
	senderSignature  = "signer is the address in Sender, not that in From"
	mappedSignature  = "signer is named in smime.signers"
	untrustedDomain  = "domain certificate of a CA that is not trusted for the domain"
	wrongAddress     = "certificate is not for the From address"
	noAddress        = "certificate has no e-mail address"
	otherRole        = "certificate is for a role of RFC 3183 that does not sign mail: "
	notAnOriginator  = "signature says that it is not its author's"
	notADomain       = "signature says that it is not its domain's"
	severalAddresses = "From has several addresses"
)

// Reasons are what is said of signers, besides trust.Reasons: what it begins with.
func Reasons() []string {
	all := []string{
		domainSignature, senderSignature, mappedSignature, unknownRevocation, untrustedDomain, wrongAddress, noAddress, otherRole, notAnOriginator,
		notADomain, severalAddresses,
	}
	for _, f := range faults {
		all = append(all, f.reason)
	}
	return all
}

// An identity is whom a signature is by.
type identity struct {
	// identifier is an address, "@domain", or "".
	identifier string
	domain     bool   // it is a domain's, not a person's
	note       string // about one that is accepted
	problem    string // why it is not accepted, "" if it is
}

// same compares mailboxes: local parts byte for byte, unless the postmaster wants
// them without case, as RFC 8550 section 3 advises.
func (q Question) same(a, b mailaddr.Address) bool {
	return a == b || q.IgnoreLocalCase && a.Same(b)
}

func (q Question) is(people []mailaddr.Address, a mailaddr.Address) bool {
	return slices.ContainsFunc(people, func(p mailaddr.Address) bool { return q.same(p, a) })
}

// author is the one From address, if there is one.
func (q Question) author() (a mailaddr.Address, ok bool) {
	if q.FromProblem != "" || len(q.From) != 1 {
		return a, false
	}
	return q.From[0], true
}

// bySender reports whether the signer is the one in Sender, and that counts.
func (q Question) bySender(n names) bool {
	from, ok := q.author()
	return ok && q.UseSender && q.HasSender && q.is(n.people, q.Sender) && !q.is(n.people, from)
}

// claimed is the domain of the address that the signer claims, "" if it is none.
func (q Question) claimed(n names) string {
	if q.bySender(n) {
		return q.Sender.Domain
	}
	from, _ := q.author()
	return from.Domain
}

// names are those of a certificate, with what the administrator says of one that
// has no address.
func (q Question) names(c *x509.Certificate) names {
	n := namesOf(c)
	if h, ok := q.Mapping.find(c); ok && !n.addressed {
		n.mapped, n.people = &h, h.people
	}
	return n
}

// identify holds a certificate that is trusted on some grounds against the mail's
// author.
func (q Question) identify(n names, basis trust.Basis, kinds signatureKinds) identity {
	from, ok := q.author()
	switch {
	case ok && (q.is(n.people, from) || q.bySender(n)):
		return q.person(n, from, kinds)
	case q.NoAddressCheck:
		return identity{identifier: n.first()}
	case q.FromProblem != "":
		return identity{identifier: n.first(), problem: q.FromProblem}
	case !ok:
		return identity{identifier: n.first(), problem: severalAddresses}
	}
	if d := n.domain(from.Domain); d != "" {
		i := identity{identifier: "@" + d, domain: true, note: domainSignature}
		switch {
		case !kinds.allow(domainSig):
			i.problem = notADomain
		case basis == trust.CA && !n.mappedDomain(from.Domain):
			i.problem = untrustedDomain
		}
		return i
	}
	i := identity{identifier: n.first(), problem: wrongAddress}
	switch {
	case len(n.people) == 0 && n.role != "":
		i.problem = otherRole + n.role
	case !n.addressed && n.mapped == nil:
		i.problem = noAddress
	}
	return i
}

// person is an identity that is the author's, or the sender's.
func (q Question) person(n names, from mailaddr.Address, kinds signatureKinds) (i identity) {
	switch {
	case q.bySender(n):
		i.identifier, i.note = q.Sender.String(), senderSignature
	case n.mapped != nil:
		i.identifier, i.note = from.String(), mappedSignature
	default:
		own := slices.IndexFunc(n.people, func(a mailaddr.Address) bool { return q.same(a, from) })
		i.identifier = n.people[own].String()
	}
	if !kinds.allow(originatorSig) && !q.NoAddressCheck {
		i.problem = notAnOriginator
	}
	return i
}
