package x5280

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// maxCRL is bytes of a CRL. The largest that CAs for mail are known to issue have
// some 20 MB.
const maxCRL = 64 << 20

// A CRL is one that has been read (RFC 5280 section 5.1). Nobody may change it. Of
// its entries nothing is kept but the bytes, and once they are looked up again and
// again, where they begin: four bytes for each.
type CRL struct {
	Signed
	Version    int // 1 or 2
	Issuer     Name
	ThisUpdate time.Time
	NextUpdate time.Time // zero if it does not say

	Number         *big.Int // nil without cRLNumber, as all that follow
	Base           *big.Int // deltaCRLIndicator: what this changes is at least of that number
	Scope          *Scope
	AuthorityKeyID []byte
	Freshest       []DistributionPoint // where its delta CRLs are

	// Count is how many entries it has.
	Count int
	// Unknown are critical extensions, also of entries, that this package does not know.
	Unknown []OID
	// Faults are what is wrong with its form, in words.
	Faults []string

	entries cryptobyte.String
	issuers []uint32 // where the entries begin that have a certificateIssuer
	asked   atomic.Bool
	once    sync.Once // guards index
	index   []uint32  // where entries begin, by serial number
}

// A Reason is CRLReason (section 5.3.1).
type Reason int

// RemoveFromCRL takes back what a CRL said before.
const (
	CertificateHold Reason = 6
	RemoveFromCRL   Reason = 8
)

var reasonNames = [...]string{"unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded",
	"cessationOfOperation", "certificateHold", "", "removeFromCRL", "privilegeWithdrawn", "aACompromise"}

func (r Reason) String() string {
	if r < 0 || int(r) >= len(reasonNames) || reasonNames[r] == "" {
		return "unspecified"
	}
	return reasonNames[r]
}

// An Entry is of a certificate that has been revoked.
type Entry struct {
	Serial     []byte    // contents of the INTEGER
	Date       time.Time // zero if it cannot be read
	Reason     Reason
	Invalidity time.Time // since when its key may be another's; zero if it does not say
}

// ParseCRL reads a CRL in DER, which must not change any more. What is no CRL at all is
// an error; what is wrong with its extensions is one of its Faults.
func ParseCRL(der []byte) (*CRL, error) {
	if len(der) > maxCRL {
		return nil, fmt.Errorf("CRL of %d bytes; %d are the limit", len(der), maxCRL)
	}
	signed, rest, ok := ReadSigned(der)
	if !ok || len(rest) > 0 {
		return nil, errMalformedCRL
	}
	c := &CRL{Signed: signed}
	if !c.readHead() || !c.scan() {
		return nil, errMalformedCRL
	}
	return c, nil
}

var errMalformedCRL = errors.New("malformed CRL")

// maxFileCRLs is how many there may be in a file.
const maxFileCRLs = 1000

// ParseCRLs reads a file: one CRL in DER, or any number in PEM.
func ParseCRLs(file []byte) (all []*CRL, err error) {
	if len(file) > 0 && file[0] == 0x30 {
		c, err := ParseCRL(file)
		if err != nil {
			return nil, err
		}
		return []*CRL{c}, nil
	}
	begun, blocks := begins(file), 0
	for ; ; blocks++ {
		var block *pem.Block
		if block, file = pem.Decode(file); block == nil {
			break
		}
		if block.Type != "X509 CRL" && block.Type != "CRL" {
			continue
		}
		c, err := ParseCRL(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("CRL %d of the file: %w", len(all)+1, err)
		}
		if all = append(all, c); len(all) > maxFileCRLs {
			return nil, fmt.Errorf("more than %d CRLs in a file", maxFileCRLs)
		}
	}
	switch {
	case blocks != begun: // which encoding/pem passes over
		return nil, fmt.Errorf("%d of %d PEM blocks are damaged or cut short", begun-blocks, begun)
	case len(all) == 0:
		return nil, errors.New("no CRL: neither DER nor PEM")
	}
	return all, nil
}

// begins counts the lines that begin a block of PEM.
func begins(file []byte) int {
	begin := []byte("-----BEGIN ")
	n := bytes.Count(file, append([]byte("\n"), begin...))
	if bytes.HasPrefix(file, begin) {
		n++
	}
	return n
}

func (c *CRL) fault(format string, args ...any) {
	if len(c.Faults) < maxTold {
		c.Faults = append(c.Faults, fmt.Sprintf(format, args...))
	}
}

// readHead reads the tbsCertList but for its entries, which are set apart.
func (c *CRL) readHead() bool {
	in := cryptobyte.String(c.Content)
	var tbs, inner, issuer, list cryptobyte.String
	if !in.ReadASN1(&tbs, asn1.SEQUENCE) {
		return false
	}
	c.Version = 1
	if tbs.PeekASN1Tag(asn1.INTEGER) {
		var version int
		if !tbs.ReadASN1Integer(&version) || version != 1 {
			return false
		}
		c.Version = 2
	}
	var ok bool
	if !tbs.ReadASN1Element(&inner, asn1.SEQUENCE) || !tbs.ReadASN1Element(&issuer, asn1.SEQUENCE) {
		return false
	}
	if c.Issuer, ok = readName(issuer); !ok {
		return false
	}
	if c.ThisUpdate, ok = readTime(&tbs); !ok {
		return false
	}
	if tbs.PeekASN1Tag(asn1.UTCTime) || tbs.PeekASN1Tag(asn1.GeneralizedTime) {
		if c.NextUpdate, ok = readTime(&tbs); !ok {
			return false
		}
	}
	if string(inner) != string(c.Algorithm) { // section 5.1.1.2
		c.fault("it names two different signature algorithms")
	}
	if tbs.PeekASN1Tag(asn1.SEQUENCE) && !tbs.ReadASN1(&c.entries, asn1.SEQUENCE) {
		return false
	}
	if tbs.Empty() {
		return true
	}
	if !tbs.ReadASN1(&list, asn1.Tag(0).Constructed().ContextSpecific()) || !tbs.Empty() ||
		!list.ReadASN1(&tbs, asn1.SEQUENCE) || !list.Empty() {
		return false
	}
	if c.Version != 2 {
		c.fault("it has extensions, and is not of version 2")
	}
	return c.readExtensions(tbs)
}

// crlReaders know the extensions (section 5.2). Those of nil say nothing that matters here.
var crlReaders = map[OID]struct {
	name string
	read func(*CRL, cryptobyte.String) bool
}{
	AuthorityKeyIdentifier:   {"authorityKeyIdentifier", (*CRL).readAuthorityKeyID},
	crlNumber:                {"cRLNumber", func(c *CRL, v cryptobyte.String) bool { return readNumber(v, &c.Number) }},
	deltaCRLIndicator:        {"deltaCRLIndicator", func(c *CRL, v cryptobyte.String) bool { return readNumber(v, &c.Base) }},
	issuingDistributionPoint: {"issuingDistributionPoint", (*CRL).readScope},
	FreshestCRL:              {"freshestCRL", (*CRL).readFreshest},
	issuerAltName:            {"issuerAltName", nil},
	AuthorityInfoAccess:      {"authorityInfoAccess", nil},
}

func (c *CRL) readExtensions(list cryptobyte.String) bool {
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
		switch r, known := crlReaders[e.ID]; {
		case !known && e.Critical:
			c.unknown(e.ID)
		case known && r.read != nil && !r.read(c, e.Value):
			c.fault("its %s extension is malformed", r.name)
		}
	}
	return len(seen) > 0
}

func (c *CRL) unknown(id OID) {
	if len(c.Unknown) < maxTold {
		c.Unknown = append(c.Unknown, id)
	}
}

func (c *CRL) readAuthorityKeyID(value cryptobyte.String) (ok bool) {
	c.AuthorityKeyID, ok = readKeyID(value)
	return ok
}

func (c *CRL) readScope(value cryptobyte.String) (ok bool) {
	c.Scope, ok = readScope(value)
	return ok
}

func (c *CRL) readFreshest(value cryptobyte.String) (ok bool) {
	c.Freshest, ok = ReadDistributionPoints(value)
	return ok
}

// readNumber reads a CRLNumber: not negative, and not longer than 20 octets (section
// 5.2.3), with some more for who did not count.
func readNumber(value cryptobyte.String, n **big.Int) bool {
	var contents cryptobyte.String
	if !value.ReadASN1(&contents, asn1.INTEGER) || !value.Empty() || len(contents) == 0 || len(contents) > 32 || contents[0]&0x80 != 0 {
		return false
	}
	*n = new(big.Int).SetBytes(contents)
	return true
}
