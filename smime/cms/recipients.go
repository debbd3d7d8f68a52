package cms

import (
	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/ber"
	"mailseal/smime/cms/syntax"
)

// recipients reads an optional OriginatorInfo and the RecipientInfos (RFC 5652 sections 6.1 and 6.2).
func (p *object) recipients(d *Description) error {
	h, err := p.must()
	if err == nil && h.Tag == ber.Context(0) {
		h, err = p.must()
	}
	if err == nil && h.Tag != ber.Set {
		err = p.Malformed("something else where recipients belong")
	}
	if err != nil {
		return err
	}
	return p.each(p.limits.Elements, "recipients", func(ber.Header) error {
		raw, err := p.raw()
		if err != nil {
			return err
		}
		encoded, err := ber.DER(raw, ber.Limits{Depth: p.limits.Depth, Elements: p.limits.Elements})
		if err != nil {
			return err
		}
		infos, ok := parseRecipient(encoded)
		if !ok {
			return p.Malformed("malformed RecipientInfo")
		}
		d.Recipients = append(d.Recipients, infos...)
		return nil
	})
}

// parseRecipient reads a RecipientInfo. Only a kari may name several recipients.
func parseRecipient(encoded []byte) ([]RecipientDescription, bool) {
	var s, version cryptobyte.String
	var tag der.Tag
	in := input(encoded)
	if !in.ReadAnyASN1(&s, &tag) {
		return nil, false
	}
	r := RecipientDescription{}
	var ok bool
	if tag == syntax.Explicit(4) {
		r.Kind = "ori"
		oid, ok := syntax.ReadOID(&s)
		r.Algorithm = nameOf(oid)
		return []RecipientDescription{r}, ok
	}
	if !s.ReadASN1(&version, der.INTEGER) {
		return nil, false
	}
	switch tag {
	case der.SEQUENCE:
		r.Kind = "ktri"
		ok = r.readIdentifier(&s)
	case syntax.Explicit(1):
		return parseKeyAgreement(s)
	case syntax.Explicit(2):
		r.Kind = "kekri"
		var id, key cryptobyte.String
		ok = s.ReadASN1(&id, der.SEQUENCE) && id.ReadASN1(&key, der.OCTET_STRING)
		r.SubjectKeyID = key
	case syntax.Explicit(3):
		r.Kind = "pwri"
		ok = s.SkipOptionalASN1(syntax.Explicit(0))
	}
	if !ok {
		return nil, false
	}
	a, ok := syntax.ReadAlgorithm(&s, der.SEQUENCE)
	r.Algorithm = nameOf(a.Algorithm)
	return []RecipientDescription{r}, ok
}

// parseKeyAgreement reads a KeyAgreeRecipientInfo behind its version (RFC 5652 section 6.2.2).
func parseKeyAgreement(s cryptobyte.String) ([]RecipientDescription, bool) {
	var list []RecipientDescription
	var keys cryptobyte.String
	if !s.SkipASN1(syntax.Explicit(0)) || !s.SkipOptionalASN1(syntax.Explicit(1)) {
		return nil, false
	}
	a, ok := syntax.ReadAlgorithm(&s, der.SEQUENCE)
	if !ok || !s.ReadASN1(&keys, der.SEQUENCE) {
		return nil, false
	}
	for !keys.Empty() {
		r := RecipientDescription{Kind: "kari", Algorithm: nameOf(a.Algorithm)}
		var key, id, ski cryptobyte.String
		if !keys.ReadASN1(&key, der.SEQUENCE) {
			return nil, false
		}
		if key.PeekASN1Tag(syntax.Explicit(0)) {
			ok = key.ReadASN1(&id, syntax.Explicit(0)) && id.ReadASN1(&ski, der.OCTET_STRING)
			r.SubjectKeyID = ski
		} else {
			ok = r.readIdentifier(&key)
		}
		if !ok {
			return nil, false
		}
		list = append(list, r)
	}
	return list, true
}

// readIdentifier reads a RecipientIdentifier (RFC 5652 section 6.2.1).
func (r *RecipientDescription) readIdentifier(s *cryptobyte.String) bool {
	if s.PeekASN1Tag(syntax.Context0) {
		var ski cryptobyte.String
		ok := s.ReadASN1(&ski, syntax.Context0)
		r.SubjectKeyID = ski
		return ok
	}
	issuer, serial, ok := syntax.ReadIssuerSerial(s)
	if ok {
		r.Issuer, r.Serial = nameString(issuer), serial
	}
	return ok
}
