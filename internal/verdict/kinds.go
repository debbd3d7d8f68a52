package verdict

import (
	"encoding/asn1"
	"errors"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms"
)

// oidSignatureType is id-aa-signatureType: RFC 3183 forgot to assign it, RFC 7107
// lists it.
var oidSignatureType = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 28}

// Kinds of signatures (RFC 3183 section 3.1.2), by their numbers below
// 1.2.840.113549.1.9.16.9.
const (
	originatorSig = "originator"
	domainSig     = "domain"
	attributesSig = "additional-attributes"
	reviewSig     = "review"
)

var kindNames = map[string]string{
	"1.2.840.113549.1.9.16.9.1": originatorSig, "1.2.840.113549.1.9.16.9.2": domainSig,
	"1.2.840.113549.1.9.16.9.3": attributesSig, "1.2.840.113549.1.9.16.9.4": reviewSig,
}

// signatureKinds is what a signer says that the signature is: one of the names
// above, or the identifier of another kind. None is what nearly all say.
type signatureKinds []string

// allow reports whether the signature may be taken for one of that kind.
func (k signatureKinds) allow(kind string) bool { return len(k) == 0 || slices.Contains(k, kind) }

// maxKinds bounds the attribute: there are four.
const maxKinds = 8

var errKinds = errors.New("malformed signature type")

// kindsOf reads the attribute, of which there is at most one with one value.
func kindsOf(s *cms.SignerInfo) (kinds signatureKinds, err error) {
	if s == nil {
		return nil, nil
	}
	seen := false
	for _, a := range s.SignedAttributes {
		if !a.Type.Equal(oidSignatureType) {
			continue
		}
		if seen || len(a.Values) != 1 {
			return nil, errKinds
		}
		seen = true
		in := cryptobyte.String(a.Values[0])
		var list cryptobyte.String
		if !in.ReadASN1(&list, der.SEQUENCE) || !in.Empty() || list.Empty() {
			return nil, errKinds
		}
		for !list.Empty() {
			var id asn1.ObjectIdentifier
			if len(kinds) == maxKinds || !list.ReadASN1ObjectIdentifier(&id) {
				return nil, errKinds
			}
			name := id.String()
			if known, ok := kindNames[name]; ok {
				name = known
			}
			kinds = append(kinds, name)
		}
	}
	return kinds, nil
}
