// Package capability knows what the mail programs of others can read, and chooses
// what to write to them.
//
// Who signs a mail says in it what can be sent back: SMIMECapabilities. A gateway
// reads that from mails whose signature is good, remembers the newest, and asks when
// it encrypts:
//
//	list, err := capability.Parse(attribute)
//	known, err = capability.Update(known, capability.Seen{Verified: true, SigningTime: t, Capabilities: list}, now)
//
//	for _, g := range capability.Choose(capability.Peer{Certificate: cert, Capabilities: known.Capabilities}) {
//		// one message for g.Members, encrypted with g.Cipher
//	}
//
// Everything here is a function of its arguments, and Choose says why.
//
// RFC 8551 sections 2.5.2 and 2.7, RFC 4262 (the extension of certificates), RFC 4055, RFC 5753, RFC 8103, RFC 8418,
// RFC 9936 (the entries).
package capability

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/syntax"
)

// OID is the type of the signed attribute and of the certificate extension.
var OID = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 15}

// ErrMalformed: these are no SMIMECapabilities, or more than anybody has.
var ErrMalformed = errors.New("malformed SMIMECapabilities")

// Bounds of a list. The longest that are met have some thirty entries in a kilobyte.
const (
	maxSize    = 16 << 10
	maxEntries = 200
)

// A Capability is one entry: an algorithm, with the parameters as DER, nil for none.
type Capability struct {
	OID        asn1.ObjectIdentifier
	Parameters []byte
}

func (c Capability) equal(d Capability) bool {
	return c.OID.Equal(d.OID) && bytes.Equal(c.Parameters, d.Parameters)
}

// algorithm is c as what messages have it in.
func (c Capability) algorithm() pkix.AlgorithmIdentifier {
	return pkix.AlgorithmIdentifier{Algorithm: c.OID, Parameters: asn1.RawValue{FullBytes: c.Parameters}}
}

// A List is SMIMECapabilities, best first. nil is the list of somebody of whom nothing is known.
type List []Capability

// Parse reads SMIMECapabilities in DER. Entries that are not known here are kept, whatever their parameters; those that
// occur again, and those that nobody could make sense of, are left out.
func Parse(in []byte) (List, error) {
	if len(in) > maxSize {
		return nil, fmt.Errorf("%w: %d octets", ErrMalformed, len(in))
	}
	s := cryptobyte.String(in)
	var body cryptobyte.String
	if !s.ReadASN1(&body, der.SEQUENCE) || !s.Empty() {
		return nil, ErrMalformed
	}
	list := List{}
	for n := 0; !body.Empty(); n++ {
		var entry cryptobyte.String
		var tag der.Tag
		if !body.ReadAnyASN1Element(&entry, &tag) {
			return nil, ErrMalformed
		}
		if n == maxEntries {
			return nil, fmt.Errorf("%w: more than %d entries", ErrMalformed, maxEntries)
		}
		a, ok := syntax.ReadAlgorithm(&entry, der.SEQUENCE)
		if !ok || len(a.Algorithm) == 0 {
			continue
		}
		c := Capability{OID: a.Algorithm, Parameters: bytes.Clone(a.Parameters.FullBytes)}
		if !list.has(c) {
			list = append(list, c)
		}
	}
	return list, nil
}

// FromCertificate returns what a certificate says of its holder (RFC 4262), nil where it says nothing. What a signed mail says
// counts more.
func FromCertificate(c *x509.Certificate) (List, error) {
	for _, e := range c.Extensions {
		if e.Id.Equal(OID) {
			return Parse(e.Value)
		}
	}
	return nil, nil
}

// DER writes SMIMECapabilities.
func (l List) DER() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, c := range l {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(c.OID)
				b.AddBytes(c.Parameters)
			})
		}
	})
	return b.Bytes()
}

// has says whether c is in the list.
func (l List) has(c Capability) bool {
	for _, other := range l {
		if other.equal(c) {
			return true
		}
	}
	return false
}
