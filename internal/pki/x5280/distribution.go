package x5280

import (
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Reasons are a set of reasons for revocation: bit 1 is keyCompromise, as in
// ReasonFlags (RFC 5280 section 4.2.1.13).
type Reasons uint16

// AllReasons are all. Bit 0 is not used.
const AllReasons Reasons = 0x1fe

// A PointName is the name of a distribution point: full ones, or one relative to the
// issuer of its CRL.
type PointName struct {
	Full     []GeneralName
	relative []byte // contents of a RelativeDistinguishedName
}

// Given reports whether there is a name at all.
func (p PointName) Given() bool { return len(p.Full) > 0 || p.relative != nil }

// Under returns the full names, where issuer is who issues the CRL.
func (p PointName) Under(issuer Name) []GeneralName {
	if p.relative == nil {
		return p.Full
	}
	n, ok := issuer.below(p.relative)
	if !ok {
		return nil
	}
	return []GeneralName{{Form: DirectoryName, Name: n}}
}

// Equal reports whether both names are the same.
func (g GeneralName) Equal(h GeneralName) bool {
	return g.Form == h.Form && (g.Form == DirectoryName && g.Name.Equal(h.Name) || g.Form != DirectoryName && g.Text == h.Text)
}

// below is a name with one more RDN.
func (n Name) below(rdn []byte) (Name, bool) {
	var all cryptobyte.String
	if raw := cryptobyte.String(n.Raw); !raw.ReadASN1(&all, asn1.SEQUENCE) {
		return Name{}, false
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(all)
		b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(rdn) })
	})
	der, err := b.Bytes()
	if err != nil {
		return Name{}, false
	}
	return readName(der)
}

// A DistributionPoint says where to find a CRL for a certificate, and which (section
// 4.2.1.13).
type DistributionPoint struct {
	Name    PointName
	Reasons Reasons // AllReasons without the field
	// Issuers are cRLIssuer: none is the certificate's own.
	Issuers []GeneralName
}

// maxPoints bounds the distribution points of a certificate or CRL.
const maxPoints = 100

// ReadDistributionPoints reads the value of cRLDistributionPoints or freshestCRL.
func ReadDistributionPoints(value []byte) (all []DistributionPoint, ok bool) {
	s, ok := sequence(value)
	if !ok || s.Empty() {
		return nil, false
	}
	for !s.Empty() {
		var one, name, reasons, issuers cryptobyte.String
		var named, some, other bool
		if len(all) == maxPoints || !s.ReadASN1(&one, asn1.SEQUENCE) ||
			!one.ReadOptionalASN1(&name, &named, asn1.Tag(0).Constructed().ContextSpecific()) ||
			!one.ReadOptionalASN1(&reasons, &some, asn1.Tag(1).ContextSpecific()) ||
			!one.ReadOptionalASN1(&issuers, &other, asn1.Tag(2).Constructed().ContextSpecific()) ||
			!one.Empty() || !named && !other { // section 4.2.1.13: not of reasons alone
			return nil, false
		}
		p := DistributionPoint{Reasons: AllReasons}
		if some {
			if p.Reasons, ok = readReasons(reasons); !ok {
				return nil, false
			}
		}
		if named {
			if p.Name, ok = readPointName(name); !ok {
				return nil, false
			}
		}
		if other {
			if p.Issuers, ok = readGeneralNames(issuers); !ok {
				return nil, false
			}
		}
		all = append(all, p)
	}
	return all, true
}

// readReasons reads the contents of ReasonFlags.
func readReasons(bits cryptobyte.String) (r Reasons, ok bool) {
	if len(bits) == 0 || bits[0] > 7 {
		return 0, false
	}
	for i, b := range bits[1:] {
		for bit := 0; bit < 8 && i < 2; bit++ {
			if b&(0x80>>bit) != 0 {
				r |= 1 << (8*i + bit)
			}
		}
	}
	return r & AllReasons, true
}

// readPointName reads a DistributionPointName.
func readPointName(s cryptobyte.String) (p PointName, ok bool) {
	full, relative := asn1.Tag(0).Constructed().ContextSpecific(), asn1.Tag(1).Constructed().ContextSpecific()
	var contents cryptobyte.String
	switch {
	case s.PeekASN1Tag(full) && s.ReadASN1(&contents, full):
		p.Full, ok = readGeneralNames(contents)
	case s.PeekASN1Tag(relative) && s.ReadASN1(&contents, relative):
		p.relative = contents
		_, ok = Name{Raw: []byte{0x30, 0}}.below(contents)
	}
	return p, ok && s.Empty()
}

// readGeneralNames reads what is in a GeneralNames.
func readGeneralNames(s cryptobyte.String) (all []GeneralName, ok bool) {
	for !s.Empty() {
		g, ok := readGeneralName(&s)
		if !ok || len(all) == maxPoints {
			return nil, false
		}
		all = append(all, g)
	}
	return all, len(all) > 0
}

// A Scope is the issuingDistributionPoint of a CRL: which certificates it is about
// (section 5.2.5).
type Scope struct {
	Raw            []byte // two CRLs are of the same scope if it is the same
	Name           PointName
	OnlyUsers      bool
	OnlyCAs        bool
	OnlyAttributes bool
	Indirect       bool
	Reasons        Reasons // AllReasons without onlySomeReasons
}

func readScope(value cryptobyte.String) (*Scope, bool) {
	c := &Scope{Raw: value, Reasons: AllReasons}
	s, ok := sequence(value)
	if !ok {
		return nil, false
	}
	var name, reasons cryptobyte.String
	var named, some bool
	if !s.ReadOptionalASN1(&name, &named, asn1.Tag(0).Constructed().ContextSpecific()) ||
		!readFlag(&s, 1, &c.OnlyUsers) || !readFlag(&s, 2, &c.OnlyCAs) ||
		!s.ReadOptionalASN1(&reasons, &some, asn1.Tag(3).ContextSpecific()) ||
		!readFlag(&s, 4, &c.Indirect) || !readFlag(&s, 5, &c.OnlyAttributes) || !s.Empty() {
		return nil, false
	}
	if named {
		if c.Name, ok = readPointName(name); !ok {
			return nil, false
		}
	}
	if some {
		if c.Reasons, ok = readReasons(reasons); !ok {
			return nil, false
		}
	}
	// Not more than one of the three may be set.
	return c, !(c.OnlyUsers && c.OnlyCAs) && !(c.OnlyUsers && c.OnlyAttributes) && !(c.OnlyCAs && c.OnlyAttributes)
}

// readFlag reads an implicitly tagged BOOLEAN that is false where it is absent.
func readFlag(s *cryptobyte.String, tag int, flag *bool) bool {
	var contents cryptobyte.String
	var given bool
	if !s.ReadOptionalASN1(&contents, &given, asn1.Tag(tag).ContextSpecific()) {
		return false
	}
	if !given {
		return true
	}
	*flag = len(contents) == 1 && contents[0] != 0
	return len(contents) == 1 && (contents[0] == 0 || contents[0] == 0xff)
}
