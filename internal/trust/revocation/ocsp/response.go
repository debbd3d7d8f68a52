package ocsp

import (
	"errors"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/internal/pki/x5280"
)

// maxResponse is bytes of an OCSP response. Most have less than 3 KiB; with an ML-DSA
// signature and certificate some 20.
const maxResponse = 256 << 10

var errResponse = errors.New("malformed OCSP response")

// basicResponse is OCSP's id-pkix-ocsp-basic.
const basicResponse x5280.OID = "\x2b\x06\x01\x05\x05\x07\x30\x01\x01"

// refusals are OCSPResponseStatus (RFC 6960 section 4.2.1).
var refusals = map[int]string{
	1: "malformedRequest", 2: "internalError", 3: "tryLater", 5: "sigRequired", 6: "unauthorized",
}

// A Response is what a responder says, not yet believed.
type Response struct {
	x5280.Signed
	// Certificates came along: that of who signed it should be among them.
	Certificates []*x5280.Certificate
	// Who signed it: one of the two.
	name    []byte
	keyHash []byte

	producedAt time.Time
	singles    []Single
	critical   bool
}

// A Status is what a responder says of a certificate.
type Status int

// The statuses (RFC 6960 section 2.2).
const (
	Good Status = iota
	Revoked
	Unknown // the responder does not know the certificate
)

// A Single is about one certificate.
type Single struct {
	Status     Status
	Reason     x5280.Reason
	When       time.Time // of the revocation
	ThisUpdate time.Time
	NextUpdate time.Time // zero if it does not say
	// Critical: with an extension that must be understood, and is not here.
	Critical bool

	algorithm         x5280.OID // of the CertID, as those that follow
	nameHash, keyHash []byte
	serial            []byte
}

const (
	maxSingles    = 100
	maxResponders = 5 // certificates
)

// Read reads an OCSPResponse. One that says that there is no answer is an error.
func Read(der []byte) (*Response, error) {
	in := cryptobyte.String(der)
	var outer, box, bytes, id, basic cryptobyte.String
	var status int
	if len(der) > maxResponse || !in.ReadASN1(&outer, asn1.SEQUENCE) || !in.Empty() || !outer.ReadASN1Enum(&status) {
		return nil, errResponse
	}
	if status != 0 {
		if text, ok := refusals[status]; ok {
			return nil, errors.New("it answers: " + text)
		}
		return nil, errResponse
	}
	if !outer.ReadASN1(&box, explicit(0)) || !outer.Empty() || !box.ReadASN1(&bytes, asn1.SEQUENCE) || !box.Empty() ||
		!bytes.ReadASN1(&id, asn1.OBJECT_IDENTIFIER) || !bytes.ReadASN1(&basic, asn1.OCTET_STRING) || !bytes.Empty() {
		return nil, errResponse
	}
	if x5280.OID(id) != basicResponse {
		return nil, errors.New("OCSP response of an unknown type")
	}
	signed, rest, ok := x5280.ReadSigned(basic)
	r := &Response{Signed: signed}
	if !ok || !r.readCertificates(rest) || !r.readData() {
		return nil, errResponse
	}
	return r, nil
}

func explicit(n int) asn1.Tag { return asn1.Tag(n).Constructed().ContextSpecific() }

func (r *Response) readCertificates(rest cryptobyte.String) bool {
	var box, list cryptobyte.String
	var given bool
	if !rest.ReadOptionalASN1(&box, &given, explicit(0)) || !rest.Empty() {
		return false
	}
	if !given {
		return true
	}
	if !box.ReadASN1(&list, asn1.SEQUENCE) || !box.Empty() {
		return false
	}
	for !list.Empty() && len(r.Certificates) < maxResponders {
		var one cryptobyte.String
		if !list.ReadASN1Element(&one, asn1.SEQUENCE) {
			return false
		}
		if c, err := x5280.Parse(one); err == nil {
			r.Certificates = append(r.Certificates, c)
		}
	}
	return true
}

// readData reads ResponseData.
func (r *Response) readData() bool {
	in := cryptobyte.String(r.Content)
	var data, version, id, list cryptobyte.String
	var given bool
	if !in.ReadASN1(&data, asn1.SEQUENCE) || !data.ReadOptionalASN1(&version, &given, explicit(0)) {
		return false
	}
	if given {
		var number int
		if !version.ReadASN1Integer(&number) || number != 0 || !version.Empty() {
			return false
		}
	}
	switch {
	case data.PeekASN1Tag(explicit(1)):
		if !data.ReadASN1(&id, explicit(1)) {
			return false
		}
		r.name = id
	default:
		if !data.ReadASN1(&id, explicit(2)) || !id.ReadASN1Bytes(&r.keyHash, asn1.OCTET_STRING) || !id.Empty() {
			return false
		}
	}
	if !data.ReadASN1GeneralizedTime(&r.producedAt) || !data.ReadASN1(&list, asn1.SEQUENCE) {
		return false
	}
	for !list.Empty() {
		s, ok := readSingle(&list)
		if !ok || len(r.singles) == maxSingles {
			return false
		}
		r.singles = append(r.singles, s)
	}
	var ok bool
	r.critical, ok = readCritical(&data, explicit(1))
	return ok && data.Empty()
}

// readSingle reads a SingleResponse.
func readSingle(list *cryptobyte.String) (s Single, ok bool) {
	var one, certID, algorithm, id, serial, revoked, next cryptobyte.String
	if !list.ReadASN1(&one, asn1.SEQUENCE) || !one.ReadASN1(&certID, asn1.SEQUENCE) ||
		!certID.ReadASN1(&algorithm, asn1.SEQUENCE) || !algorithm.ReadASN1(&id, asn1.OBJECT_IDENTIFIER) ||
		!certID.ReadASN1Bytes(&s.nameHash, asn1.OCTET_STRING) || !certID.ReadASN1Bytes(&s.keyHash, asn1.OCTET_STRING) ||
		!certID.ReadASN1(&serial, asn1.INTEGER) || !certID.Empty() || len(serial) == 0 {
		return s, false
	}
	s.algorithm, s.serial = x5280.OID(id), serial
	none := asn1.Tag(0).ContextSpecific()
	switch {
	case one.PeekASN1Tag(none):
		s.Status, ok = Good, one.SkipASN1(none)
	case one.PeekASN1Tag(explicit(1)):
		s.Status, ok = Revoked, one.ReadASN1(&revoked, explicit(1)) && s.readRevoked(revoked)
	default:
		s.Status, ok = Unknown, one.SkipASN1(asn1.Tag(2).ContextSpecific())
	}
	var given bool
	if !ok || !one.ReadASN1GeneralizedTime(&s.ThisUpdate) || !one.ReadOptionalASN1(&next, &given, explicit(0)) ||
		given && (!next.ReadASN1GeneralizedTime(&s.NextUpdate) || !next.Empty()) {
		return s, false
	}
	s.Critical, ok = readCritical(&one, explicit(1))
	return s, ok && one.Empty()
}

// readRevoked reads what is in RevokedInfo.
func (s *Single) readRevoked(info cryptobyte.String) bool {
	var reason cryptobyte.String
	var given bool
	var number int
	if !info.ReadASN1GeneralizedTime(&s.When) || !info.ReadOptionalASN1(&reason, &given, explicit(0)) || !info.Empty() {
		return false
	}
	if given && (!reason.ReadASN1Enum(&number) || !reason.Empty()) {
		return false
	}
	s.Reason = x5280.Reason(number)
	return true
}

// readCritical reads Extensions, of which none that is critical is known.
func readCritical(s *cryptobyte.String, tag asn1.Tag) (critical, ok bool) {
	var box, list cryptobyte.String
	var given bool
	if !s.ReadOptionalASN1(&box, &given, tag) {
		return false, false
	}
	if !given {
		return false, true
	}
	if !box.ReadASN1(&list, asn1.SEQUENCE) || !box.Empty() {
		return false, false
	}
	for !list.Empty() {
		e, ok := x5280.ReadExtension(&list)
		if !ok {
			return false, false
		}
		critical = critical || e.Critical
	}
	return critical, true
}
