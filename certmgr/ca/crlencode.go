package ca

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

// crypto/x509 makes and reads lists too, but only with a CA certificate that
// has cRLSign and a key identifier, which those of openssl req have not; and
// with memory and time by the entry that a list of 100,000 feels.

// The DER of object identifiers.
var (
	oidReason     = []byte{0x55, 0x1d, 0x15} // RFC 5280 section 5.3.1
	oidHold       = []byte{0x55, 0x1d, 0x17} // RFC 3280 section 5.3.2
	oidInvalidity = []byte{0x55, 0x1d, 0x18} // RFC 5280 section 5.3.2
	oidAuthority  = []byte{0x55, 0x1d, 0x23} // section 5.2.1
	oidNumber     = []byte{0x55, 0x1d, 0x14} // section 5.2.3
)

// encodeCRL is the part of a list that is signed (section 5.1.2). It covers
// all certificates of the CA: there is no issuing distribution point.
func encodeCRL(a *authority, list *CRL, entries []byte, s scheme) []byte {
	var revoked []byte
	if len(entries) > 0 { // else it must be absent, section 5.1.2.6
		revoked = tlv(tagSequence, entries)
	}
	keyID := tlv(tagSequence, tlv(0x80, a.keyID)) // [0] IMPLICIT
	number := tlv(tagInteger, integer(list.Number.Bytes()))
	return tlv(tagSequence,
		tlv(tagInteger, []byte{1}), // v2
		s.id,
		a.cert.RawSubject,
		encodeTime(list.ThisUpdate), encodeTime(list.NextUpdate),
		revoked,
		tlv(tagExtensions, tlv(tagSequence, extension(oidAuthority, keyID), extension(oidNumber, number))),
	)
}

// appendRevoked adds one entry.
func appendRevoked(out []byte, e index.Entry) ([]byte, error) {
	r, err := index.ParseRevocation(e.Revocation)
	if err != nil {
		return nil, err
	}
	serial, err := hex.DecodeString(e.Serial)
	if err != nil {
		return nil, err
	}
	number, at := integer(serial), encodeTime(r.At)
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
	if extensions != nil {
		extensions = tlv(tagSequence, extensions)
	}
	out = appendHead(out, tagSequence, 2+len(number)+len(at)+len(extensions))
	out = append(append(out, tagInteger, byte(len(number))), number...)
	return append(append(out, at...), extensions...), nil
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

// parseCRL reads of a list what is said of all of it. It is our own, or that
// of openssl ca -gencrl.
func parseCRL(der []byte) (*CRL, error) {
	malformed := errors.New("not a list (RFC 5280 section 5.1)")
	input := cryptobyte.String(der)
	var outer, tbs, revoked cryptobyte.String
	list := &CRL{DER: der, Number: new(big.Int)}
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
