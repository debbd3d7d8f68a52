// Package syntax reads and writes the small types that all of CMS shares:
// AlgorithmIdentifier, IssuerAndSerialNumber, OBJECT IDENTIFIER, and the names of
// the digests. What it reads lies in memory and is DER by then; cryptobyte takes
// it apart without reflection.
//
// RFC 5280 section 4.1.1.2, RFC 5652 section 10, RFC 5754 section 2.
package syntax

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Context0 is the tag of a primitive [0].
const Context0 = der.Tag(0x80)

// Explicit is the tag of a constructed [n], which explicit tagging makes.
func Explicit(n uint8) der.Tag { return der.Tag(n).ContextSpecific().Constructed() }

// maxOID bounds the contents of an OBJECT IDENTIFIER that is taken apart.
const maxOID = 64

// ReadOID reads an OBJECT IDENTIFIER. One that is well-formed but long or with arcs beyond 31 bits comes back empty: it is none
// that is known here.
func ReadOID(s *cryptobyte.String) (asn1.ObjectIdentifier, bool) {
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

// ReadAlgorithm reads an AlgorithmIdentifier (RFC 5280 section 4.1.1.2). Absent parameters have no FullBytes.
func ReadAlgorithm(s *cryptobyte.String, tag der.Tag) (a pkix.AlgorithmIdentifier, ok bool) {
	var body, element, value cryptobyte.String
	var t der.Tag
	if !s.ReadASN1(&body, tag) {
		return a, false
	}
	if a.Algorithm, ok = ReadOID(&body); !ok || body.Empty() {
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

// NoParameters says whether a has none, which some write as NULL (RFC 5754 section 2).
func NoParameters(a pkix.AlgorithmIdentifier) bool {
	return len(a.Parameters.FullBytes) == 0 || bytes.Equal(a.Parameters.FullBytes, asn1.NullBytes)
}

// Algorithm returns an AlgorithmIdentifier with encoded parameters, nil for none.
func Algorithm(oid asn1.ObjectIdentifier, parameters []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddBytes(parameters)
	})
	return b.BytesOrPanic()
}

// ReadSerial reads an INTEGER of any size, also one that is not in its shortest form: such serial numbers were issued.
func ReadSerial(s *cryptobyte.String) (*big.Int, bool) {
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

// ReadIssuerSerial reads an IssuerAndSerialNumber (RFC 5652 section 10.2.4), the issuer as a DER Name.
func ReadIssuerSerial(s *cryptobyte.String) (issuer []byte, serial *big.Int, ok bool) {
	var body, name cryptobyte.String
	if !s.ReadASN1(&body, der.SEQUENCE) || !body.ReadASN1Element(&name, der.SEQUENCE) {
		return nil, nil, false
	}
	serial, ok = ReadSerial(&body)
	return name, serial, ok && body.Empty()
}
