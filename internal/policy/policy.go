// Package policy decides what is done with a mail from facts that others have
// gathered. It does no I/O and knows no cryptography: the same facts always
// give the same plan, and the plan says which rules made it.
package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mailseal/internal/mailaddr"
)

// A Direction is whose mail it is: ours that leaves, or anybody's that comes.
type Direction int

const (
	Inbound Direction = iota
	Outbound
)

func (d Direction) String() string {
	if d == Outbound {
		return "outbound"
	}
	return "inbound"
}

// Facts is all that a decision may rest on.
type Facts struct {
	// Client is the address that the mail came from; the zero Addr is unknown
	// and so not internal.
	Client netip.Addr
	// Login is the user that the client authenticated as, "" for none.
	Login string
	// From is the addresses of all From fields in order; FromProblem says why
	// they cannot be read, "" when they can.
	From        []mailaddr.Address
	FromProblem string
	// Hops are the clients that Received fields name, from the top down.
	Hops []Hop
	// Recipients are those of the envelope; RecipientProblem says why they
	// cannot be read, "" when they can.
	Recipients       []mailaddr.Address
	RecipientProblem string
	// Results are the Authentication-Results fields that speak in our name: for
	// each, how many of Hops stand above it.
	Results []int
}

// A Plan is what is to be done. The zero Plan takes a mail for an inbound one.
type Plan struct {
	Direction Direction
	// Insider: the client may send mail of ours, by login or by address.
	Insider bool
	// Sign asks for a signature of Signer's identity.
	Sign   bool
	Signer mailaddr.Address
	// Forged are those of Facts.Results, by index, that are not ours.
	Forged []int
	// Why lists the reasons in the order in which they were found.
	Why []string
}

// A Set is the rules. It is made once and then only read.
type Set struct {
	// LocalDomains are ours, in lower case and A-labels; a leading dot stands
	// for sub-domains.
	LocalDomains []string
	// InternalHosts may send mail of ours without authentication.
	InternalHosts []netip.Prefix
	// Logins maps a login to what it may send as: addresses, "*@domain".
	Logins map[string][]string
	// LoginDomain is put behind a login that has no domain, "" for none.
	LoginDomain string
	// Sign says whether mail of ours is signed at all, Decrypt whether mail that
	// comes in is opened.
	Sign, Decrypt bool
	// OnVerifyFail and OnDecryptFail are what becomes of inbound mail whose
	// signature is bad, and of such that could not be opened; the tags are for Tag.
	OnVerifyFail, OnDecryptFail   Treatment
	VerifyFailTag, DecryptFailTag string
	// SubjectTags are further words that nobody but us may put into a subject.
	SubjectTags []string
}

// Decide makes the plan for a mail.
func (s *Set) Decide(f Facts) Plan {
	d, why := s.direction(f)
	p := Plan{Direction: d, Insider: s.insider(f), Forged: s.forged(f, d), Why: []string{why}}
	if d == Inbound {
		return p
	}
	if no := s.unsigned(f); no != "" {
		p.Why = append(p.Why, no)
		return p
	}
	p.Sign, p.Signer = true, f.From[0]
	return p
}

func (s *Set) insider(f Facts) bool { return f.Login != "" || s.internal(f.Client) }

// direction: mail is ours when who brought it is ours and who wrote it is.
func (s *Set) direction(f Facts) (Direction, string) {
	if !s.insider(f) {
		return Inbound, "client is neither authenticated nor in internal_hosts"
	}
	for _, a := range f.From {
		switch {
		case !mailaddr.In(a.Domain, s.LocalDomains):
		case f.Login != "":
			return Outbound, "client is authenticated as " + f.Login
		default:
			return Outbound, "client is in internal_hosts"
		}
	}
	if f.FromProblem != "" {
		return Inbound, f.FromProblem
	}
	return Inbound, "From is not of a local domain"
}

// forged finds the results in our name that we cannot have written (RFC 8601
// section 5). We write them on top, so ours stand above the Received of the
// outside hop that the mail came by before; what stands below one came with
// the mail. Users have none to bring, and to inbound mail we give new ones.
func (s *Set) forged(f Facts, d Direction) (forged []int) {
	outside := slices.IndexFunc(f.Hops, func(h Hop) bool { return s.strangers(h) != nil })
	for i, above := range f.Results {
		if d == Inbound || f.Login != "" || outside >= 0 && above > outside {
			forged = append(forged, i)
		}
	}
	return forged
}

// unsigned gives the reason why a mail of ours is not signed, "" when it is.
// Whoever can make the gateway sign speaks with the voice of the From address,
// so every doubt leaves the mail unsigned.
func (s *Set) unsigned(f Facts) string {
	switch {
	case !s.Sign:
		return "signing is off"
	case f.FromProblem != "":
		return f.FromProblem
	case len(f.From) != 1:
		return fmt.Sprintf("From has %d addresses, not one", len(f.From))
	}
	if f.Login != "" {
		if !s.maySendAs(f.Login, f.From[0]) {
			return fmt.Sprintf("login %s may not send as %s", f.Login, f.From[0])
		}
		return ""
	}
	// Mail that an internal host hands on may have come from anywhere: through
	// a list server or fetched from a mailbox elsewhere.
	if len(f.Results) > 0 {
		return "mail carries Authentication-Results of ours, so it has been inbound before"
	}
	for _, h := range f.Hops {
		if found := s.strangers(h); found != nil {
			return "mail was received from outside internal_hosts before: " + told(found[0])
		}
	}
	return ""
}

func told(hop netip.Addr) string {
	if !hop.IsValid() {
		return "its Received tells no address"
	}
	return "from " + hop.String()
}

// Outside are the addresses that an inbound mail came from as far as we can
// tell: the client's, or, where that is a host of ours, those of the first hop
// that is not. An MTA writes what it saw before or behind what the client calls
// itself, which may be any number of addresses, so the outer ones count.
func (s *Set) Outside(f Facts) []netip.Addr {
	if !s.internal(f.Client) {
		return []netip.Addr{f.Client}
	}
	for _, h := range f.Hops {
		switch found := s.strangers(h); {
		case len(found) > 4:
			return slices.Concat(found[:2], found[len(found)-2:])
		case found != nil:
			return found
		}
	}
	return []netip.Addr{f.Client}
}

// strangers are the addresses of a hop that are none of ours.
func (s *Set) strangers(h Hop) (found []netip.Addr) {
	for _, a := range h {
		if !s.internal(a) {
			found = append(found, a)
		}
	}
	return found
}

func (s *Set) internal(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range s.InternalHosts {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// maySendAs: the login is the address itself, or mapped to it.
func (s *Set) maySendAs(login string, from mailaddr.Address) bool {
	for _, as := range s.Logins[login] {
		if d, ok := strings.CutPrefix(as, "*@"); ok {
			if mailaddr.In(from.Domain, []string{d}) {
				return true
			}
			continue
		}
		if a, err := mailaddr.Parse(as); err == nil && a.Same(from) {
			return true
		}
	}
	if !strings.Contains(login, "@") && s.LoginDomain != "" {
		login += "@" + s.LoginDomain
	}
	a, err := mailaddr.Parse(login)
	return err == nil && a.Same(from)
}
