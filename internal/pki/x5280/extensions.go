package x5280

import (
	"math"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// BasicConstraints is section 4.2.1.9.
type BasicConstraints struct {
	CA      bool
	PathLen *int
}

// KeyUsage is section 4.2.1.3: bit 0 is digitalSignature, as the standard counts.
type KeyUsage uint16

// Those that matter to paths and signatures.
const (
	DigitalSignature KeyUsage = 1 << 0
	NonRepudiation   KeyUsage = 1 << 1
	KeyEncipherment  KeyUsage = 1 << 2
	KeyAgreement     KeyUsage = 1 << 4
	KeyCertSign      KeyUsage = 1 << 5
	CRLSign          KeyUsage = 1 << 6
)

// A Mapping is one of section 4.2.1.5.
type Mapping struct{ Issuer, Subject OID }

// PolicyConstraints is section 4.2.1.11.
type PolicyConstraints struct {
	RequireExplicit *int
	InhibitMapping  *int
}

// readers know the extensions. A value that one does not understand is a fault.
var readers = map[OID]struct {
	name string
	read func(*Certificate, cryptobyte.String) bool
}{
	SubjectKeyIdentifier:   {"subjectKeyIdentifier", (*Certificate).readSubjectKeyID},
	KeyUsageExtension:      {"keyUsage", (*Certificate).readKeyUsage},
	SubjectAltName:         {"subjectAltName", (*Certificate).readAltNames},
	BasicConstraintsID:     {"basicConstraints", (*Certificate).readBasicConstraints},
	NameConstraintsID:      {"nameConstraints", (*Certificate).readNameConstraints},
	CertificatePolicies:    {"certificatePolicies", (*Certificate).readPolicies},
	PolicyMappings:         {"policyMappings", (*Certificate).readMappings},
	AuthorityKeyIdentifier: {"authorityKeyIdentifier", (*Certificate).readAuthorityKeyID},
	PolicyConstraintsID:    {"policyConstraints", (*Certificate).readPolicyConstraints},
	ExtKeyUsage:            {"extKeyUsage", (*Certificate).readPurposes},
	InhibitAnyPolicy:       {"inhibitAnyPolicy", (*Certificate).readInhibitAny},
	// Where revocation is asked for; who checks that reads them.
	CRLDistributionPoints: {"cRLDistributionPoints", nil},
	FreshestCRL:           {"freshestCRL", nil},
	NoCheck:               {"ocsp-nocheck", nil},
	AuthorityInfoAccess:   {"authorityInfoAccess", nil},
}

// readExtensions reports false when the list itself is malformed.
func (c *Certificate) readExtensions(list cryptobyte.String) bool {
	if list.Empty() {
		return false // section 4.1: SIZE (1..MAX)
	}
	seen := map[OID]bool{}
	for !list.Empty() {
		e, ok := ReadExtension(&list)
		if !ok {
			return false
		}
		if seen[e.ID] {
			c.fault("it has an extension twice: %v", e.ID)
		}
		seen[e.ID] = true
		c.Extensions = append(c.Extensions, e)
		switch r, known := readers[e.ID]; {
		case !known && e.Critical && len(c.Unknown) < maxTold:
			c.Unknown = append(c.Unknown, e.ID)
		case known && r.read != nil && !r.read(c, e.Value):
			c.fault("its %s extension is malformed", r.name)
		}
	}
	return true
}

// ReadExtension reads one of a list.
func ReadExtension(list *cryptobyte.String) (e Extension, ok bool) {
	x, ok := readExtension(list)
	return Extension{OID(x.id), x.critical, x.value}, ok
}

// extension is one of which nothing is copied.
type extension struct {
	id, value cryptobyte.String
	critical  bool
}

func readExtension(list *cryptobyte.String) (x extension, ok bool) {
	var one cryptobyte.String
	ok = list.ReadASN1(&one, asn1.SEQUENCE) && one.ReadASN1(&x.id, asn1.OBJECT_IDENTIFIER) && len(x.id) > 0 &&
		(!one.PeekASN1Tag(asn1.BOOLEAN) || one.ReadASN1Boolean(&x.critical)) &&
		one.ReadASN1(&x.value, asn1.OCTET_STRING) && one.Empty()
	return x, ok
}

// sequence takes the value of an extension that is one SEQUENCE.
func sequence(value cryptobyte.String) (s cryptobyte.String, ok bool) {
	return s, value.ReadASN1(&s, asn1.SEQUENCE) && value.Empty()
}

// readCount reads a number of certificates: what is larger than any path is as good as MAX.
func readCount(s *cryptobyte.String, tag asn1.Tag) (*int, bool) {
	var bytes cryptobyte.String
	if !s.ReadASN1(&bytes, tag) || len(bytes) == 0 || bytes[0]&0x80 != 0 {
		return nil, false
	}
	n := new(big.Int).SetBytes(bytes)
	count := math.MaxInt32
	if n.IsInt64() && n.Int64() < math.MaxInt32 {
		count = int(n.Int64())
	}
	return &count, true
}

// readOIDs reads a SEQUENCE SIZE (1..MAX) OF OBJECT IDENTIFIER.
func readOIDs(value cryptobyte.String) (all []OID, ok bool) {
	s, ok := sequence(value)
	if !ok || s.Empty() {
		return nil, false
	}
	for !s.Empty() {
		var id cryptobyte.String
		if !s.ReadASN1(&id, asn1.OBJECT_IDENTIFIER) || len(id) == 0 {
			return nil, false
		}
		all = append(all, OID(id))
	}
	return all, true
}

func (c *Certificate) readBasicConstraints(value cryptobyte.String) bool {
	s, ok := sequence(value)
	b := &BasicConstraints{}
	if !ok || s.PeekASN1Tag(asn1.BOOLEAN) && !s.ReadASN1Boolean(&b.CA) {
		return false
	}
	if s.PeekASN1Tag(asn1.INTEGER) {
		if b.PathLen, ok = readCount(&s, asn1.INTEGER); !ok {
			return false
		}
	}
	c.Basic = b
	return s.Empty()
}

func (c *Certificate) readKeyUsage(value cryptobyte.String) bool {
	var bits cryptobyte.String
	if !value.ReadASN1(&bits, asn1.BIT_STRING) || !value.Empty() || len(bits) == 0 || bits[0] > 7 {
		return false
	}
	usage := KeyUsage(0)
	for i, b := range bits[1:] {
		for bit := 0; bit < 8 && i < 2; bit++ {
			if b&(0x80>>bit) != 0 {
				usage |= 1 << (8*i + bit)
			}
		}
	}
	c.Usage = &usage
	return true
}

func (c *Certificate) readPurposes(value cryptobyte.String) (ok bool) {
	c.Purposes, ok = readOIDs(value)
	return ok
}

func (c *Certificate) readPolicies(value cryptobyte.String) bool {
	s, ok := sequence(value)
	if !ok || s.Empty() {
		return false
	}
	seen := map[OID]bool{}
	for !s.Empty() {
		var one, id cryptobyte.String // and qualifiers, which restrict nothing
		if !s.ReadASN1(&one, asn1.SEQUENCE) || !one.ReadASN1(&id, asn1.OBJECT_IDENTIFIER) || len(id) == 0 {
			return false
		}
		if seen[OID(id)] {
			return false // section 4.2.1.4: not more than once
		}
		seen[OID(id)] = true
		c.Policies = append(c.Policies, OID(id))
	}
	return true
}

func (c *Certificate) readMappings(value cryptobyte.String) bool {
	s, ok := sequence(value)
	if !ok || s.Empty() {
		return false
	}
	for !s.Empty() {
		var one, issuer, subject cryptobyte.String
		if !s.ReadASN1(&one, asn1.SEQUENCE) || !one.ReadASN1(&issuer, asn1.OBJECT_IDENTIFIER) ||
			!one.ReadASN1(&subject, asn1.OBJECT_IDENTIFIER) || !one.Empty() {
			return false
		}
		c.Mappings = append(c.Mappings, Mapping{OID(issuer), OID(subject)})
	}
	return true
}

func (c *Certificate) readPolicyConstraints(value cryptobyte.String) bool {
	s, ok := sequence(value)
	if !ok || s.Empty() {
		return false // section 4.2.1.11: not empty
	}
	for i, limit := range []**int{&c.PolicyLimits.RequireExplicit, &c.PolicyLimits.InhibitMapping} {
		if tag := asn1.Tag(i).ContextSpecific(); s.PeekASN1Tag(tag) {
			if *limit, ok = readCount(&s, tag); !ok {
				return false
			}
		}
	}
	return s.Empty()
}

func (c *Certificate) readInhibitAny(value cryptobyte.String) (ok bool) {
	c.InhibitAny, ok = readCount(&value, asn1.INTEGER)
	return ok && value.Empty()
}

func (c *Certificate) readSubjectKeyID(value cryptobyte.String) bool {
	return value.ReadASN1Bytes(&c.SubjectKeyID, asn1.OCTET_STRING) && value.Empty()
}

func (c *Certificate) readAuthorityKeyID(value cryptobyte.String) (ok bool) {
	c.AuthorityKeyID, ok = readKeyID(value)
	return ok
}

// readKeyID reads the keyIdentifier of an authorityKeyIdentifier.
func readKeyID(value cryptobyte.String) (id []byte, ok bool) {
	s, ok := sequence(value)
	if !ok {
		return nil, false
	}
	tag := asn1.Tag(0).ContextSpecific()
	ok = !s.PeekASN1Tag(tag) || s.ReadASN1Bytes(&id, tag)
	return id, ok
}
