package cms

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/ber"
	"mailseal/smime/cms/syntax"
)

// SignerInfo is one signer as received (RFC 5652 section 5.3). Either Issuer and Serial are set, or SubjectKeyID.
type SignerInfo struct {
	Version            int
	Issuer             []byte // DER Name
	Serial             *big.Int
	SubjectKeyID       []byte
	DigestAlgorithm    pkix.AlgorithmIdentifier
	SignatureAlgorithm pkix.AlgorithmIdentifier
	SignedAttributes   []Attribute // nil when there are none at all
	UnsignedAttributes []Attribute
	Signature          []byte

	// signed are the encodings of the signed attributes that the signature may be over: DER, as RFC 5652 section 5.4 wants
	// it, and as received, for signers that forget to sort.
	signed [][]byte
}

// Attribute is an attribute with its values in DER.
type Attribute struct {
	Type   asn1.ObjectIdentifier
	Values [][]byte
}

// Identifies says whether c is named by the signer identifier. Several certificates may be.
func (si *SignerInfo) Identifies(c *x509.Certificate) bool {
	if si.SubjectKeyID != nil {
		return bytes.Equal(si.SubjectKeyID, c.SubjectKeyId)
	}
	return si.Serial.Cmp(c.SerialNumber) == 0 && bytes.Equal(si.Issuer, c.RawIssuer)
}

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }

// parseSignerInfo reads a SignerInfo in any encoding.
func parseSignerInfo(raw []byte, l Limits) (*SignerInfo, error) {
	encoded, err := ber.DER(raw, ber.Limits{Depth: l.Depth, Elements: l.Elements})
	if err != nil {
		return nil, err
	}
	si := &SignerInfo{}
	all := input(encoded)
	var s cryptobyte.String
	if !all.ReadASN1(&s, der.SEQUENCE) || !s.ReadASN1Integer(&si.Version) {
		return nil, malformed("SignerInfo without version")
	}
	if err := si.parseIdentifier(&s); err != nil {
		return nil, err
	}
	var ok bool
	if si.DigestAlgorithm, ok = syntax.ReadAlgorithm(&s, der.SEQUENCE); !ok {
		return nil, malformed("digest algorithm of a SignerInfo")
	}
	if si.SignedAttributes, si.signed, err = parseAttributes(&s, syntax.Explicit(0), l.Attributes); err != nil {
		return nil, err
	}
	if si.SignatureAlgorithm, ok = syntax.ReadAlgorithm(&s, der.SEQUENCE); !ok {
		return nil, malformed("signature algorithm of a SignerInfo")
	}
	var signature cryptobyte.String
	if !s.ReadASN1(&signature, der.OCTET_STRING) {
		return nil, malformed("SignerInfo without signature")
	}
	si.Signature = signature
	if si.UnsignedAttributes, _, err = parseAttributes(&s, syntax.Explicit(1), l.Attributes); err != nil {
		return nil, err
	}
	if !s.Empty() {
		return nil, malformed("something follows in a SignerInfo")
	}
	if si.signed != nil && &encoded[0] != &raw[0] {
		si.signedAsReceived(raw, l)
	}
	return si, nil
}

// parseIdentifier reads the SignerIdentifier.
func (si *SignerInfo) parseIdentifier(s *cryptobyte.String) (err error) {
	var ok bool
	if s.PeekASN1Tag(syntax.Context0) {
		var id cryptobyte.String
		if !s.ReadASN1(&id, syntax.Context0) || len(id) == 0 {
			return malformed("subject key identifier of a signer")
		}
		si.SubjectKeyID = id
		return nil
	}
	if si.Issuer, si.Serial, ok = syntax.ReadIssuerSerial(s); !ok {
		return malformed("signer identifier")
	}
	return nil
}

// parseAttributes reads optional attributes under an implicit tag. Besides the attributes it returns the encodings as a SET
// OF that a digest may have been made of: sorted, and as received.
func parseAttributes(s *cryptobyte.String, tag der.Tag, max int) (attributes []Attribute, encodings [][]byte, err error) {
	if !s.PeekASN1Tag(tag) {
		return nil, nil, nil
	}
	var body cryptobyte.String
	if !s.ReadASN1(&body, tag) {
		return nil, nil, malformed("attributes")
	}
	attributes = []Attribute{}
	received := []byte(body)
	var elements [][]byte
	for !body.Empty() {
		if len(attributes) == max {
			return nil, nil, fmt.Errorf("%w: more than %d attributes of a signer", ErrLimit, max)
		}
		before := body
		a, ok := readAttribute(&body)
		if !ok {
			return nil, nil, malformed("attribute")
		}
		attributes = append(attributes, a)
		elements = append(elements, before[:len(before)-len(body)])
	}
	set := func(contents []byte) []byte {
		return append(ber.AppendHeader(nil, ber.Set, true, int64(len(contents))), contents...)
	}
	encodings = [][]byte{set(received)}
	if !slices.IsSortedFunc(elements, bytes.Compare) {
		slices.SortFunc(elements, bytes.Compare)
		encodings = [][]byte{set(bytes.Join(elements, nil)), encodings[0]}
	}
	return attributes, encodings, nil
}

// readAttribute reads an Attribute (RFC 5652 section 5.3).
func readAttribute(s *cryptobyte.String) (a Attribute, ok bool) {
	var body, values, value cryptobyte.String
	var tag der.Tag
	if !s.ReadASN1(&body, der.SEQUENCE) {
		return a, false
	}
	if a.Type, ok = syntax.ReadOID(&body); !ok || !body.ReadASN1(&values, der.SET) || !body.Empty() {
		return a, false
	}
	for !values.Empty() {
		if !values.ReadAnyASN1Element(&value, &tag) {
			return a, false
		}
		a.Values = append(a.Values, value)
	}
	return a, true
}

// signedAsReceived adds the signed attributes in raw, which is not DER, as one more encoding to try.
func (si *SignerInfo) signedAsReceived(raw []byte, l Limits) {
	r := ber.NewReader(bytes.NewReader(raw), ber.Limits{Depth: l.Depth, Elements: l.Elements})
	if _, err := r.Next(); err != nil || r.Enter() != nil {
		return
	}
	for range 3 { // version, sid, digestAlgorithm
		if _, err := r.Next(); err != nil {
			return
		}
	}
	h, err := r.Next()
	if err != nil || h.Tag != ber.Context(0) || h.Length == ber.Indefinite {
		return
	}
	set, err := r.Raw(int64(len(raw)))
	if err != nil {
		return
	}
	set[0] = byte(der.SET)
	for _, e := range si.signed {
		if bytes.Equal(e, set) {
			return
		}
	}
	si.signed = append(si.signed, set)
}

// attribute returns the value of the attribute of type oid among attributes; ErrAttributes when there are several of the type
// or it has not exactly one value, nil without error when there is none.
func attribute(attributes []Attribute, oid asn1.ObjectIdentifier) (value []byte, err error) {
	found := false
	for _, a := range attributes {
		if !a.Type.Equal(oid) {
			continue
		}
		if found {
			return nil, fmt.Errorf("%w: several attributes %s", ErrAttributes, nameOf(oid))
		}
		if len(a.Values) != 1 {
			return nil, fmt.Errorf("%w: attribute %s with %d values", ErrAttributes, nameOf(oid), len(a.Values))
		}
		found, value = true, a.Values[0]
	}
	return value, nil
}
