package fetch

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	tags "golang.org/x/crypto/cryptobyte/asn1"
)

// A validity is from when to when a CRL or an OCSP answer speaks, as it says
// itself: who signed it is for others to find out.
type validity struct {
	From  time.Time // thisUpdate; of several OCSP answers the latest
	Until time.Time // nextUpdate, the earliest; zero where there is none
	// Number is a CRL's, 0 without and nil where it is none.
	Number *big.Int
}

var (
	errNoCRL  = errors.New("what came is no CRL")
	errNoOCSP = errors.New("what came is no OCSP answer")
)

// before reports whether v was issued before w. The time comes first: a number
// can be any, and a forged one would keep the true lists out for ever, but no
// list is from the future.
func (v validity) before(w validity) bool {
	if !v.From.Equal(w.From) {
		return v.From.Before(w.From)
	}
	return v.Number != nil && w.Number != nil && v.Number.Cmp(w.Number) < 0
}

// undressed is the DER within PEM, or what it was given.
func undressed(b []byte) []byte {
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("-----BEGIN ")) {
		if block, _ := pem.Decode(b); block != nil {
			return block.Bytes
		}
	}
	return b
}

// crlValidity reads a CertificateList (RFC 5280 section 5.1), as far as needed.
func crlValidity(der []byte) (validity, error) {
	in := cryptobyte.String(der)
	var list, tbs, issuer cryptobyte.String
	v := validity{Number: new(big.Int)}
	if !in.ReadASN1(&list, tags.SEQUENCE) || !in.Empty() || !list.ReadASN1(&tbs, tags.SEQUENCE) ||
		!tbs.SkipOptionalASN1(tags.INTEGER) || !tbs.SkipASN1(tags.SEQUENCE) || !tbs.ReadASN1(&issuer, tags.SEQUENCE) ||
		!readTime(&tbs, &v.From) {
		return v, errNoCRL
	}
	if (tbs.PeekASN1Tag(tags.UTCTime) || tbs.PeekASN1Tag(tags.GeneralizedTime)) && !readTime(&tbs, &v.Until) {
		return v, errNoCRL
	}
	if !tbs.SkipOptionalASN1(tags.SEQUENCE) { // revokedCertificates
		return v, errNoCRL
	}
	var wrapped, extensions cryptobyte.String
	var has bool
	if !tbs.ReadOptionalASN1(&wrapped, &has, tags.Tag(0).Constructed().ContextSpecific()) || has && !wrapped.ReadASN1(&extensions, tags.SEQUENCE) {
		return v, errNoCRL
	}
	for !extensions.Empty() {
		var e, value cryptobyte.String
		var id asn1.ObjectIdentifier
		if !extensions.ReadASN1(&e, tags.SEQUENCE) || !e.ReadASN1ObjectIdentifier(&id) ||
			!e.SkipOptionalASN1(tags.BOOLEAN) || !e.ReadASN1(&value, tags.OCTET_STRING) {
			return v, errNoCRL
		}
		if id.Equal(asn1.ObjectIdentifier{2, 5, 29, 20}) && !value.ReadASN1Integer(v.Number) { // cRLNumber
			return v, errNoCRL
		}
	}
	if v.Number.BitLen() > 8*20 { // section 5.2.3: up to 20 octets
		v.Number = nil
	}
	return v, nil
}

// ocspStates are OCSPResponseStatus (RFC 6960 section 4.2.1).
var ocspStates = map[int]string{
	1: "the responder does not understand the request", 2: "the responder has an error", 3: "the responder says to try later",
	5: "the responder wants signed requests", 6: "the responder does not answer for this CA",
}

// ocspValidity reads an OCSPResponse (RFC 6960 section 4.2.1), as far as needed.
func ocspValidity(der []byte) (validity, error) {
	in := cryptobyte.String(der)
	var response, wrapped, typed, octets, basic, data, answers cryptobyte.String
	var v validity
	var state int
	if !in.ReadASN1(&response, tags.SEQUENCE) || !in.Empty() || !response.ReadASN1Enum(&state) {
		return v, errNoOCSP
	}
	if state != 0 {
		if s, ok := ocspStates[state]; ok {
			return v, errors.New(s)
		}
		return v, errNoOCSP
	}
	explicit := func(n uint8) tags.Tag { return tags.Tag(n).Constructed().ContextSpecific() }
	if !response.ReadASN1(&wrapped, explicit(0)) || !wrapped.ReadASN1(&typed, tags.SEQUENCE) ||
		!typed.SkipASN1(tags.OBJECT_IDENTIFIER) || !typed.ReadASN1(&octets, tags.OCTET_STRING) ||
		!octets.ReadASN1(&basic, tags.SEQUENCE) || !basic.ReadASN1(&data, tags.SEQUENCE) ||
		!data.SkipOptionalASN1(explicit(0)) || // version
		!(data.SkipASN1(explicit(1)) || data.SkipASN1(explicit(2))) || // responderID
		!data.SkipASN1(tags.GeneralizedTime) || // producedAt
		!data.ReadASN1(&answers, tags.SEQUENCE) || answers.Empty() {
		return v, errNoOCSP
	}
	for !answers.Empty() {
		var one, next, status cryptobyte.String
		var tag tags.Tag
		var from, until time.Time
		var has bool
		if !answers.ReadASN1(&one, tags.SEQUENCE) || !one.SkipASN1(tags.SEQUENCE) || !one.ReadAnyASN1(&status, &tag) ||
			!readTime(&one, &from) || !one.ReadOptionalASN1(&next, &has, explicit(0)) || has && !readTime(&next, &until) {
			return v, errNoOCSP
		}
		if from.After(v.From) {
			v.From = from
		}
		if has && (v.Until.IsZero() || until.Before(v.Until)) {
			v.Until = until
		}
	}
	return v, nil
}

// readTime reads a Time: UTCTime or GeneralizedTime.
func readTime(s *cryptobyte.String, t *time.Time) bool {
	if s.PeekASN1Tag(tags.UTCTime) {
		return s.ReadASN1UTCTime(t)
	}
	return s.ReadASN1GeneralizedTime(t)
}
