package forge

import (
	"time"

	"golang.org/x/crypto/cryptobyte/asn1"
)

// A CRL is what there will be one of. The zero value of a field is what is usual:
// version 2, of 2026-10-31, valid for a week, with number 1.
type CRL struct {
	Issuer     []byte // a Name, if it is not that of who signs
	Version1   bool
	From, To   time.Time
	NoTo       bool
	Number     int // below 0 there is none
	Base       int // of a delta CRL
	Entries    []Entry
	Extensions [][]byte
	NoKeyID    bool
	Algorithm  []byte // of the signature, if it is not Ed25519's
}

// An Entry is one of a CRL.
type Entry struct {
	Serial     []byte // contents of the INTEGER
	Reason     int    // 0 for none
	Date       time.Time
	Extensions [][]byte
}

// listed is when CRLs are of, and entries.
var listed = time.Date(2026, 10, 31, 0, 0, 0, 0, time.UTC)

// Sign makes it.
func (c CRL) Sign(by *Issued) []byte { return signed(c.tbs(by), c.Algorithm, by.Key) }

func (c CRL) tbs(by *Issued) []byte {
	issuer, algorithm, from, to := c.Issuer, c.Algorithm, c.From, c.To
	if algorithm == nil {
		algorithm = ed25519Algorithm
	}
	if issuer == nil {
		issuer = by.Subject
	}
	if from.IsZero() {
		from = listed
	}
	if to.IsZero() {
		to = from.Add(7 * 24 * time.Hour)
	}
	var parts [][]byte
	if !c.Version1 {
		parts = append(parts, integer(asn1.INTEGER, 1))
	}
	parts = append(parts, algorithm, issuer, utc(from))
	if !c.NoTo {
		parts = append(parts, utc(to))
	}
	var entries [][]byte
	for _, e := range c.Entries {
		entries = append(entries, e.der())
	}
	if len(entries) > 0 {
		parts = append(parts, sequence(entries...))
	}
	if list := c.extensions(by); len(list) > 0 {
		parts = append(parts, tlv(context(0, true), sequence(list...)))
	}
	return sequence(parts...)
}

func (c CRL) extensions(by *Issued) (list [][]byte) {
	if c.Version1 {
		return nil
	}
	if !c.NoKeyID {
		list = append(list, Extension("2.5.29.35", false, sequence(tlv(context(0, false), keyID(publicKey(by.Key))))))
	}
	if c.Number >= 0 {
		list = append(list, Extension("2.5.29.20", false, integer(asn1.INTEGER, max(c.Number, 1))))
	}
	if c.Base > 0 {
		list = append(list, Extension("2.5.29.27", true, integer(asn1.INTEGER, c.Base)))
	}
	return append(list, c.Extensions...)
}

func (e Entry) der() []byte {
	date := e.Date
	if date.IsZero() {
		date = listed
	}
	parts := [][]byte{tlv(asn1.INTEGER, e.Serial), utc(date)}
	list := e.Extensions
	if e.Reason != 0 {
		list = append([][]byte{Extension("2.5.29.21", false, integer(asn1.ENUM, e.Reason))}, list...)
	}
	if len(list) > 0 {
		parts = append(parts, sequence(list...))
	}
	return sequence(parts...)
}

// CertificateIssuer is that extension of an entry.
func CertificateIssuer(name []byte) []byte {
	return Extension("2.5.29.29", true, sequence(Directory(name)))
}

// FullName is a DistributionPointName of these GeneralNames.
func FullName(names ...[]byte) []byte { return tlv(context(0, true), names...) }

// RelativeName is one of an RDN as Attribute makes it.
func RelativeName(rdn []byte) []byte {
	relative := append([]byte{}, rdn...)
	relative[0] = byte(context(1, true)) // in place of SET
	return relative
}

// A Point is a distribution point: its name, its issuers (GeneralNames), and reasons by
// their bits.
type Point struct {
	Name    []byte
	Issuers [][]byte
	Reasons []int
}

// Points is cRLDistributionPoints.
func Points(points ...Point) []byte {
	return Extension("2.5.29.31", false, sequence(pointParts(points)...))
}

// Freshest is freshestCRL.
func Freshest(points ...Point) []byte {
	return Extension("2.5.29.46", false, sequence(pointParts(points)...))
}

func pointParts(points []Point) (all [][]byte) {
	for _, p := range points {
		var parts [][]byte
		if p.Name != nil {
			parts = append(parts, tlv(context(0, true), p.Name))
		}
		if p.Reasons != nil {
			parts = append(parts, flags(1, p.Reasons))
		}
		if p.Issuers != nil {
			parts = append(parts, tlv(context(2, true), p.Issuers...))
		}
		all = append(all, sequence(parts...))
	}
	return all
}

// flags is a BIT STRING of up to 16 bits, implicitly tagged.
func flags(tag int, bits []int) []byte {
	b := []byte{0, 0, 0}
	for _, n := range bits {
		b[1+n/8] |= 0x80 >> (n % 8)
	}
	return tlv(context(tag, false), b)
}

// A Scope is issuingDistributionPoint.
type Scope struct {
	Name                                         []byte
	OnlyUsers, OnlyCAs, OnlyAttributes, Indirect bool
	Reasons                                      []int
}

// Extension is the extension.
func (s Scope) Extension() []byte {
	var parts [][]byte
	if s.Name != nil {
		parts = append(parts, tlv(context(0, true), s.Name))
	}
	flag := func(tag int, set bool) {
		if set {
			parts = append(parts, tlv(context(tag, false), []byte{0xff}))
		}
	}
	flag(1, s.OnlyUsers)
	flag(2, s.OnlyCAs)
	if s.Reasons != nil {
		parts = append(parts, flags(3, s.Reasons))
	}
	flag(4, s.Indirect)
	flag(5, s.OnlyAttributes)
	return Extension("2.5.29.28", true, sequence(parts...))
}

// Responder is authorityInfoAccess with OCSP responders.
func Responder(urls ...string) []byte {
	var all [][]byte
	for _, u := range urls {
		all = append(all, sequence(dotted("1.3.6.1.5.5.7.48.1"), URI(u)))
	}
	return Extension("1.3.6.1.5.5.7.1.1", false, sequence(all...))
}

// ForOCSP is a purpose, and NoCheck an extension, of OCSP responders.
const ForOCSP = "1.3.6.1.5.5.7.3.9"

// NoCheck says that a responder's certificate is not to be asked for.
func NoCheck() []byte { return Extension("1.3.6.1.5.5.7.48.1.5", false, []byte{5, 0}) }
