package cms

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// What is kept in memory is DER by then; cryptobyte reads it without reflection.

func input(b []byte) cryptobyte.String { return cryptobyte.String(b) }

var (
	context0 = der.Tag(0).ContextSpecific()
	explicit = func(n uint8) der.Tag { return der.Tag(n).ContextSpecific().Constructed() }
)

// maxOID bounds the contents of an OBJECT IDENTIFIER that is taken apart.
const maxOID = 64

// readOID reads an OBJECT IDENTIFIER. One that is well-formed but long or with arcs beyond 31 bits comes back empty: it is none
// that is known here.
func readOID(s *cryptobyte.String) (asn1.ObjectIdentifier, bool) {
	var element, body cryptobyte.String
	if !s.ReadASN1Element(&element, der.OBJECT_IDENTIFIER) {
		return nil, false
	}
	full := element
	var oid asn1.ObjectIdentifier
	if len(element) <= maxOID+2 && element.ReadASN1ObjectIdentifier(&oid) {
		return oid, true
	}
	if !full.ReadASN1(&body, der.OBJECT_IDENTIFIER) || len(body) == 0 || body[len(body)-1]&0x80 != 0 {
		return nil, false
	}
	return asn1.ObjectIdentifier{}, true
}

// readAlgorithm reads an AlgorithmIdentifier (RFC 5280 section 4.1.1.2). Absent parameters have no FullBytes.
func readAlgorithm(s *cryptobyte.String, tag der.Tag) (a pkix.AlgorithmIdentifier, ok bool) {
	var body, element, value cryptobyte.String
	var t der.Tag
	if !s.ReadASN1(&body, tag) {
		return a, false
	}
	if a.Algorithm, ok = readOID(&body); !ok || body.Empty() {
		return a, ok
	}
	if !body.ReadAnyASN1Element(&element, &t) || !body.Empty() {
		return a, false
	}
	a.Parameters.FullBytes = element
	element.ReadAnyASN1(&value, &t)
	a.Parameters.Bytes = value
	a.Parameters.Class, a.Parameters.IsCompound, a.Parameters.Tag = int(t>>6), t&0x20 != 0, int(t&0x1f)
	return a, true
}

// noParameters says whether a has none, which some write as NULL (RFC 5754 section 2).
func noParameters(a pkix.AlgorithmIdentifier) bool {
	return len(a.Parameters.FullBytes) == 0 || bytes.Equal(a.Parameters.FullBytes, asn1.NullBytes)
}

// readSerial reads an INTEGER of any size, also one that is not in its shortest form: such serial numbers were issued.
func readSerial(s *cryptobyte.String) (*big.Int, bool) {
	var body cryptobyte.String
	if !s.ReadASN1(&body, der.INTEGER) || len(body) == 0 {
		return nil, false
	}
	n := new(big.Int).SetBytes(body)
	if body[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(body))))
	}
	return n, true
}

// readIssuerSerial reads an IssuerAndSerialNumber (RFC 5652 section 10.2.4), the issuer as a DER Name.
func readIssuerSerial(s *cryptobyte.String) (issuer []byte, serial *big.Int, ok bool) {
	var body, name cryptobyte.String
	if !s.ReadASN1(&body, der.SEQUENCE) || !body.ReadASN1Element(&name, der.SEQUENCE) {
		return nil, nil, false
	}
	serial, ok = readSerial(&body)
	return name, serial, ok && body.Empty()
}

// readTime reads a Time (RFC 5652 section 11.3), to the second and in UTC as DER has it.
func readTime(b []byte) (t time.Time, ok bool) {
	s := input(b)
	if s.PeekASN1Tag(der.UTCTime) {
		ok = s.ReadASN1UTCTime(&t)
	} else {
		ok = s.ReadASN1GeneralizedTime(&t)
	}
	return t.UTC(), ok && s.Empty()
}
