package revocation

import (
	"slices"

	"mailseal/internal/pki/x5280"
)

// A point is a distribution point, with whose CRLs are there.
type point struct {
	names   []x5280.GeneralName
	issuers []x5280.Name
	reasons x5280.Reasons
	// indirect: the CRL's issuer is not the certificate's.
	indirect bool
}

// pointsOf are a certificate's. The last is what section 6.3.3 assumes besides: one
// with the issuer's name.
func pointsOf(c *x5280.Certificate) (all []point) {
	if e, ok := c.Extension(x5280.CRLDistributionPoints); ok {
		read, _ := x5280.ReadDistributionPoints(e.Value)
		for _, d := range read {
			all = append(all, pointOf(c, d))
		}
	}
	return append(all, point{
		names: []x5280.GeneralName{{Form: x5280.DirectoryName, Name: c.Issuer}}, issuers: []x5280.Name{c.Issuer}, reasons: x5280.AllReasons,
	})
}

func pointOf(c *x5280.Certificate, d x5280.DistributionPoint) point {
	p := point{reasons: d.Reasons}
	for _, g := range d.Issuers {
		if g.Form == x5280.DirectoryName && !slices.ContainsFunc(p.issuers, g.Name.Equal) {
			p.issuers = append(p.issuers, g.Name)
		}
	}
	if len(d.Issuers) == 0 {
		p.issuers = []x5280.Name{c.Issuer}
	}
	// Some CAs name themselves, which section 4.2.1.13 does not want.
	p.indirect = !slices.ContainsFunc(p.issuers, c.Issuer.Equal)
	switch {
	case !d.Name.Given():
		p.names = d.Issuers
	case len(p.issuers) > 0:
		p.names = d.Name.Under(p.issuers[0])
	}
	return p
}

// covers reports for which reasons a CRL of one of the point's issuers would revoke the
// certificate; none if it is about others (section 6.3.3 (b)).
func (p point) covers(l *x5280.CRL, c *x5280.Certificate) x5280.Reasons {
	s := l.Scope
	if s == nil {
		if p.indirect {
			return 0
		}
		return p.reasons
	}
	ca := c.Basic != nil && c.Basic.CA
	switch {
	case p.indirect && !s.Indirect,
		s.OnlyAttributes, s.OnlyUsers && ca, s.OnlyCAs && !ca,
		s.Name.Given() && !meet(s.Name.Under(l.Issuer), p.names):
		return 0
	}
	return p.reasons & s.Reasons
}

// comparisons is how much of names covers compares, at most.
func (p point) comparisons(s *x5280.Scope) int {
	if s == nil {
		return 1
	}
	if len(s.Name.Full) == 0 {
		return 1 + len(s.Raw) // a relative name is made a full one
	}
	return 1 + len(s.Name.Full)*len(p.names)
}

// meet reports whether one name is in both.
func meet(a, b []x5280.GeneralName) bool {
	return slices.ContainsFunc(a, func(g x5280.GeneralName) bool { return slices.ContainsFunc(b, g.Equal) })
}
