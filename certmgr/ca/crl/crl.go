// Package crl writes and reads lists of revoked certificates (RFC 5280
// section 5) from and beside openssl ca's database.
//
// crypto/x509 makes and reads lists too, but only with a CA certificate that
// has cRLSign and a key identifier, which those of openssl req have not; and
// with memory and time by the entry that a list of 100,000 feels.
package crl

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	asn1tag "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/certmgr/ca/index"
)

// A List is one as it is made or read.
type List struct {
	Issuer     []byte // the CA's name, DER; Parse leaves it out
	KeyID      []byte // what certificates call the CA's key; so here
	Number     *big.Int
	ThisUpdate time.Time
	NextUpdate time.Time
	Revoked    int // how many certificates are on it

	entries []byte // DER, one after the other
}

// The DER of object identifiers.
var (
	oidReason     = []byte{0x55, 0x1d, 0x15} // RFC 5280 section 5.3.1
	oidHold       = []byte{0x55, 0x1d, 0x17} // RFC 3280 section 5.3.2
	oidInvalidity = []byte{0x55, 0x1d, 0x18} // RFC 5280 section 5.3.2
	oidAuthority  = []byte{0x55, 0x1d, 0x23} // section 5.2.1
	oidNumber     = []byte{0x55, 0x1d, 0x14} // section 5.2.3
)

// Encode is the part of a list that is signed (section 5.1.2), by the
// algorithm of which it gets the identifier. It covers all certificates of the
// CA: there is no issuing distribution point.
func (l *List) Encode(algorithm []byte) []byte {
	var revoked []byte
	if len(l.entries) > 0 { // else it must be absent, section 5.1.2.6
		revoked = tlv(tagSequence, l.entries)
	}
	keyID := tlv(tagSequence, tlv(tagKeyID, l.KeyID))
	number := tlv(tagInteger, integer(l.Number.Bytes()))
	return tlv(tagSequence,
		tlv(tagInteger, []byte{1}), // v2
		algorithm,
		l.Issuer,
		encodeTime(l.ThisUpdate), encodeTime(l.NextUpdate),
		revoked,
		tlv(tagExtensions, tlv(tagSequence, extension(oidAuthority, keyID), extension(oidNumber, number))),
	)
}

// Add puts an entry of the database on the list if it is revoked.
func (l *List) Add(e index.Entry) error {
	if e.Status != index.Revoked {
		return nil
	}
	r, err := index.ParseRevocation(e.Revocation)
	if err != nil {
		return err
	}
	serial, err := hex.DecodeString(e.Serial)
	if err != nil {
		return err
	}
	extensions, err := entryExtensions(r)
	if err != nil {
		return err
	}
	number, at := integer(serial), encodeTime(r.At)
	l.Revoked++
	l.entries = appendHead(l.entries, tagSequence, 2+len(number)+len(at)+len(extensions))
	l.entries = append(append(l.entries, tagInteger, byte(len(number))), number...)
	l.entries = append(append(l.entries, at...), extensions...)
	return nil
}

// entryExtensions are those of section 5.3, nil for none.
func entryExtensions(r index.Revocation) ([]byte, error) {
	var extensions []byte
	// removeFromCRL, which openssl ca lets people say, would mean that the
	// certificate is good again (section 5.3.1): it is on the list without.
	if r.Reason != index.Unspecified && r.Reason != index.RemoveFromCRL {
		extensions = extension(oidReason, []byte{tagEnumerated, 1, byte(r.Reason)})
	}
	if r.Hold != nil {
		hold, err := asn1.Marshal(r.Hold)
		if err != nil {
			return nil, err
		}
		extensions = append(extensions, extension(oidHold, hold)...)
	}
	if !r.Since.IsZero() {
		since := tlv(tagTime, []byte(r.Since.UTC().Format("20060102150405Z")))
		extensions = append(extensions, extension(oidInvalidity, since)...)
	}
	if extensions == nil {
		return nil, nil
	}
	return tlv(tagSequence, extensions), nil
}

// extension is one that is not critical.
func extension(oid, value []byte) []byte {
	return tlv(tagSequence, tlv(tagOID, oid), tlv(tagOctetString, value))
}

// integer is a number without a sign as DER has it.
func integer(b []byte) []byte {
	for len(b) > 1 && b[0] == 0 {
		b = b[1:]
	}
	if len(b) == 0 || b[0] >= 0x80 {
		b = append([]byte{0}, b...)
	}
	return b
}

// encodeTime: UTCTime up to 2049 (section 5.1.2.4).
func encodeTime(t time.Time) []byte {
	text := index.Time(t)
	if len(text) == len("060102150405Z") {
		return tlv(tagUTCTime, []byte(text))
	}
	return tlv(tagTime, []byte(text))
}

// Parse reads of a list what is said of all of it, and checks no signature:
// the list is our own, or that of openssl ca -gencrl.
func Parse(der []byte) (*List, error) {
	malformed := errors.New("not a list (RFC 5280 section 5.1)")
	input := cryptobyte.String(der)
	var outer, tbs, revoked cryptobyte.String
	list := &List{Number: new(big.Int)}
	if !input.ReadASN1(&outer, asn1tag.SEQUENCE) || !outer.ReadASN1(&tbs, asn1tag.SEQUENCE) ||
		!tbs.SkipOptionalASN1(asn1tag.INTEGER) || !tbs.SkipASN1(asn1tag.SEQUENCE) || !tbs.SkipASN1(asn1tag.SEQUENCE) ||
		!readTime(&tbs, &list.ThisUpdate) || !readTime(&tbs, &list.NextUpdate) {
		return nil, malformed
	}
	if tbs.PeekASN1Tag(asn1tag.SEQUENCE) {
		if !tbs.ReadASN1(&revoked, asn1tag.SEQUENCE) {
			return nil, malformed
		}
		for !revoked.Empty() {
			if !revoked.SkipASN1(asn1tag.SEQUENCE) {
				return nil, malformed
			}
			list.Revoked++
		}
	}
	var extensions cryptobyte.String
	var some bool
	if !tbs.ReadOptionalASN1(&extensions, &some, asn1tag.Tag(0).Constructed().ContextSpecific()) ||
		(some && !extensions.ReadASN1(&extensions, asn1tag.SEQUENCE)) {
		return nil, malformed
	}
	for !extensions.Empty() {
		var e, id, value cryptobyte.String
		if !extensions.ReadASN1(&e, asn1tag.SEQUENCE) || !e.ReadASN1(&id, asn1tag.OBJECT_IDENTIFIER) ||
			!e.SkipOptionalASN1(asn1tag.BOOLEAN) || !e.ReadASN1(&value, asn1tag.OCTET_STRING) {
			return nil, malformed
		}
		if bytes.Equal(id, oidNumber) && !value.ReadASN1Integer(list.Number) {
			return nil, malformed
		}
	}
	return list, nil
}

func readTime(s *cryptobyte.String, t *time.Time) bool {
	if s.PeekASN1Tag(asn1tag.UTCTime) {
		return s.ReadASN1UTCTime(t)
	}
	return s.ReadASN1GeneralizedTime(t)
}

const (
	tagInteger     = 0x02
	tagOctetString = 0x04
	tagOID         = 0x06
	tagEnumerated  = 0x0a
	tagUTCTime     = 0x17
	tagTime        = 0x18 // GeneralizedTime
	tagSequence    = 0x30
	tagKeyID       = 0x80 // [0] IMPLICIT of an AuthorityKeyIdentifier
	tagExtensions  = 0xa0 // [0] EXPLICIT of a list
)

// tlv is DER of a tag with its parts.
func tlv(tag byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	out := appendHead(make([]byte, 0, n+6), tag, n)
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// appendHead adds tag and length.
func appendHead(out []byte, tag byte, n int) []byte {
	out = append(out, tag)
	if n < 0x80 {
		return append(out, byte(n))
	}
	octets := 0
	for m := n; m > 0; m >>= 8 {
		octets++
	}
	out = append(out, 0x80|byte(octets))
	for i := octets - 1; i >= 0; i-- {
		out = append(out, byte(n>>(8*i)))
	}
	return out
}
