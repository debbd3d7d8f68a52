package x5280

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
	"sort"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// entry is one as it stands there.
type entry struct {
	serial     cryptobyte.String // contents
	date       cryptobyte.String // element
	extensions cryptobyte.String // what is in the SEQUENCE
}

// readEntry reads one of revokedCertificates.
func readEntry(s *cryptobyte.String) (e entry, ok bool) {
	var one cryptobyte.String
	var tag asn1.Tag
	if !s.ReadASN1(&one, asn1.SEQUENCE) || !one.ReadASN1(&e.serial, asn1.INTEGER) || len(e.serial) == 0 ||
		!one.ReadAnyASN1Element(&e.date, &tag) || tag != asn1.UTCTime && tag != asn1.GeneralizedTime {
		return e, false
	}
	if one.Empty() {
		return e, true
	}
	return e, one.ReadASN1(&e.extensions, asn1.SEQUENCE) && one.Empty() && !e.extensions.Empty()
}

// scan looks at all entries once: whether they are well-formed, and what is critical
// in them.
func (c *CRL) scan() bool {
	rest := c.entries
	for !rest.Empty() {
		begin := uint32(len(c.entries) - len(rest)) // fits: maxCRL
		e, ok := readEntry(&rest)
		if !ok {
			return false
		}
		c.Count++
		if e.extensions.Empty() {
			continue
		}
		if c.Version != 2 {
			c.fault("it has extensions, and is not of version 2")
		}
		for list := e.extensions; !list.Empty(); {
			x, ok := readExtension(&list)
			if !ok {
				return false
			}
			c.scanExtension(begin, x)
		}
	}
	return true
}

// scanExtension is section 5.3.
func (c *CRL) scanExtension(begin uint32, x extension) {
	ok := true
	switch OID(x.id) { // a conversion that takes no memory
	case reasonCode:
		_, ok = readReason(x.value)
	case invalidityDate:
		_, ok = readTime(&x.value)
		ok = ok && x.value.Empty()
	case certificateIssuer:
		if len(c.issuers) == 0 || c.issuers[len(c.issuers)-1] != begin {
			c.issuers = append(c.issuers, begin)
		}
		_, ok = readCertificateIssuer(x.value)
	default:
		if x.critical {
			c.unknown(OID(x.id))
		}
	}
	if !ok {
		c.fault("an entry's extension %v is malformed", OID(x.id))
	}
}

// readReason reads CRLReason, an ENUMERATED.
func readReason(value cryptobyte.String) (Reason, bool) {
	var contents cryptobyte.String
	if !value.ReadASN1(&contents, asn1.ENUM) || !value.Empty() || len(contents) != 1 || contents[0] > 10 || contents[0] == 7 {
		return 0, false
	}
	return Reason(contents[0]), true
}

// readCertificateIssuer reads the name of who issued the certificates of an entry and
// those that follow.
func readCertificateIssuer(value cryptobyte.String) (Name, bool) {
	s, ok := sequence(value)
	if !ok {
		return Name{}, false
	}
	all, ok := readGeneralNames(s)
	if !ok {
		return Name{}, false
	}
	i := slices.IndexFunc(all, func(g GeneralName) bool { return g.Form == DirectoryName })
	if i < 0 {
		return Name{}, false
	}
	return all[i].Name, true
}

// Find returns the entry of a certificate, by its issuer and serial number. Where
// there are several, one that does not take back the others. The first look-up goes
// through all entries, and then there is an index.
func (c *CRL) Find(issuer Name, serial []byte) (found Entry, ok bool) {
	serial = minimal(serial)
	for begin, e := range c.about(serial) {
		if !c.issuerAt(begin).Equal(issuer) {
			continue
		}
		if this := e.read(); !ok || found.Reason == RemoveFromCRL {
			found, ok = this, true
		}
	}
	return found, ok
}

// read takes an entry apart that scan has seen.
func (e entry) read() Entry {
	r := Entry{Serial: e.serial}
	date := e.date
	r.Date, _ = readTime(&date)
	for list := e.extensions; !list.Empty(); {
		x, ok := readExtension(&list)
		if !ok {
			break
		}
		switch OID(x.id) { // a conversion that takes no memory
		case reasonCode:
			r.Reason, _ = readReason(x.value)
		case invalidityDate:
			r.Invalidity, _ = readTime(&x.value)
		}
	}
	return r
}

// at returns the entry that begins there.
func (c *CRL) at(begin uint32) entry {
	s := c.entries[begin:]
	e, _ := readEntry(&s) // as scan did
	return e
}

// about goes through the entries of a serial number, with where they begin.
func (c *CRL) about(serial []byte) iter.Seq2[uint32, entry] {
	if c.asked.Swap(true) {
		c.once.Do(c.sort)
		return func(yield func(uint32, entry) bool) {
			first := sort.Search(len(c.index), func(i int) bool { return order(minimal(c.at(c.index[i]).serial), serial) >= 0 })
			for _, begin := range c.index[first:] {
				if e := c.at(begin); order(minimal(e.serial), serial) != 0 || !yield(begin, e) {
					return
				}
			}
		}
	}
	return func(yield func(uint32, entry) bool) {
		for rest := c.entries; !rest.Empty(); {
			begin := uint32(len(c.entries) - len(rest))
			e, ok := readEntry(&rest)
			if !ok || order(minimal(e.serial), serial) == 0 && !yield(begin, e) {
				return
			}
		}
	}
}

// sort makes the index.
func (c *CRL) sort() {
	type place struct {
		tail  uint64
		begin uint32
	}
	all := make([]place, 0, c.Count)
	for rest := c.entries; !rest.Empty(); {
		begin := uint32(len(c.entries) - len(rest))
		e, ok := readEntry(&rest)
		if !ok {
			break
		}
		all = append(all, place{tail(minimal(e.serial)), begin})
	}
	slices.SortFunc(all, func(a, b place) int {
		if a.tail != b.tail {
			return cmp.Compare(a.tail, b.tail)
		}
		return cmp.Or(order(minimal(c.at(a.begin).serial), minimal(c.at(b.begin).serial)), cmp.Compare(a.begin, b.begin))
	})
	c.index = make([]uint32, len(all))
	for i, p := range all {
		c.index[i] = p.begin
	}
}

// order is any that puts equal numbers together: here by their ends, which differ most.
func order(a, b []byte) int {
	return cmp.Or(cmp.Compare(tail(a), tail(b)), cmp.Compare(len(a), len(b)), bytes.Compare(a, b))
}

func tail(n []byte) (t uint64) {
	for _, b := range n[max(0, len(n)-8):] {
		t = t<<8 | uint64(b)
	}
	return t
}

// minimal is an INTEGER without octets that say nothing. DER has none, some have.
func minimal(n []byte) []byte {
	for len(n) > 1 && (n[0] == 0 && n[1]&0x80 == 0 || n[0] == 0xff && n[1]&0x80 != 0) {
		n = n[1:]
	}
	return n
}

// issuerAt is whose certificate an entry is about (section 5.3.3): as the last before
// it says, or else the CRL's issuer's.
func (c *CRL) issuerAt(begin uint32) Name {
	i := sort.Search(len(c.issuers), func(i int) bool { return c.issuers[i] > begin })
	if i == 0 {
		return c.Issuer
	}
	for list := c.at(c.issuers[i-1]).extensions; !list.Empty(); {
		x, ok := readExtension(&list)
		if !ok {
			break
		}
		if OID(x.id) == certificateIssuer {
			n, _ := readCertificateIssuer(x.value)
			return n
		}
	}
	return Name{}
}
