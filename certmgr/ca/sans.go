package ca

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

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
	if cn := r.Subject.CommonName; cn != "" && r.Authority == "" {
		if err := s.addCommonName(p, cn); err != nil {
			return nil, err
		}
	}
	emails := r.Emails
	if r.Subject.Email != "" && p.names.emails {
		emails = append(slices.Clip(emails), r.Subject.Email)
	}
	for _, e := range emails {
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
	if p.authority && r.Authority == "" && len(s.all) == 1 && len(s.hosts) == 1 && len(r.Hosts) == 0 && !strings.HasPrefix(s.hosts[0], "*.") {
		s.add(&s.hosts, "*."+s.hosts[0])
	}
	return s, s.check(p)
}

const maxNames = 1000

func (s *sans) check(p rule) error {
	switch {
	case len(s.emails) > 0 && !p.names.emails:
		return fmt.Errorf("e-mail address %q: a %s certificate has none", s.emails[0], p.name)
	case len(s.hosts) > 0 && !p.names.hosts:
		return fmt.Errorf("host name %q: a %s certificate has none", s.hosts[0], p.name)
	case len(s.addresses) > 0 && !p.names.addresses:
		return fmt.Errorf("address %v: a %s certificate has none", s.addresses[0], p.name)
	case len(s.all) == 0 && p.named:
		return fmt.Errorf("no name that a %s certificate could be for: want %s", p.name, p.names)
	case len(s.all) > maxNames:
		return fmt.Errorf("%d names: want up to %d", len(s.all), maxNames)
	}
	return nil
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
