package recipient

import (
	"bytes"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/ber"
	"mailseal/smime/cms/syntax"
)

// maxInfo bounds one RecipientInfo: a KeyAgreement may name thousands.
const maxInfo = 1 << 20

// input is the DER of which a RecipientInfo is parsed.
type input = cryptobyte.String

// Parse reads one RecipientInfo, in BER or DER. What is well-formed but not known is of kind Other or Unknown and for nobody:
// a mail with such a recipient beside ours must open.
func Parse(raw []byte) (*Info, error) {
	if len(raw) > maxInfo {
		return nil, fmt.Errorf("%w: larger than %d octets", ErrMalformed, maxInfo)
	}
	encoded, err := ber.DER(bytes.Clone(raw), ber.Limits{})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	s := input(encoded)
	var body input
	var tag der.Tag
	if !s.ReadAnyASN1(&body, &tag) || !s.Empty() {
		return nil, ErrMalformed
	}
	i := &Info{Kind: Unknown}
	ok := false
	switch tag {
	case der.SEQUENCE:
		ok = i.readTransport(&body)
	case syntax.Explicit(1):
		ok = i.readAgreement(&body)
	case syntax.Explicit(2):
		ok = i.readKeyOfKeys(&body)
	case syntax.Explicit(3):
		ok = i.readPassword(&body)
	case syntax.Explicit(4):
		ok = i.readOther(&body)
	default:
		return i, nil
	}
	if !ok || !body.Empty() {
		return nil, fmt.Errorf("%w: %s", ErrMalformed, i.Kind)
	}
	return i, nil
}

// readTransport reads a KeyTransRecipientInfo (RFC 5652 section 6.2.1).
func (i *Info) readTransport(s *input) (ok bool) {
	i.Kind = KeyTransport
	var key input
	ok = i.readVersion(s) && i.readRecipient(s) && i.readAlgorithm(s, der.SEQUENCE) && s.ReadASN1(&key, der.OCTET_STRING)
	i.way = transported{i.Algorithm, key}
	return ok
}

// readAgreement reads a KeyAgreeRecipientInfo (RFC 5652 section 6.2.2).
func (i *Info) readAgreement(s *input) bool {
	i.Kind = KeyAgreement
	a := agreed{}
	var keys input
	if !i.readVersion(s) || !a.readOriginator(s) || !readOptionalOctets(s, syntax.Explicit(1), &a.ukm) ||
		!i.readAlgorithm(s, der.SEQUENCE) || !s.ReadASN1(&keys, der.SEQUENCE) {
		return false
	}
	for !keys.Empty() {
		var one, key input
		if !keys.ReadASN1(&one, der.SEQUENCE) {
			return false
		}
		id, ok := readAgreementIdentifier(&one)
		if !ok || !one.ReadASN1(&key, der.OCTET_STRING) || !one.Empty() {
			return false
		}
		i.Recipients = append(i.Recipients, id)
		a.keys = append(a.keys, key)
	}
	a.algorithm = i.Algorithm
	i.way = a
	return true
}

// readKeyOfKeys reads a KEKRecipientInfo (RFC 5652 section 6.2.3).
func (i *Info) readKeyOfKeys(s *input) bool {
	i.Kind = KeyOfKeys
	var id Identifier
	var body, key input
	if !i.readVersion(s) || !s.ReadASN1(&body, der.SEQUENCE) || !id.readKeyID(&body) {
		return false
	}
	i.Recipients = []Identifier{id}
	return i.readAlgorithm(s, der.SEQUENCE) && s.ReadASN1(&key, der.OCTET_STRING)
}

// readPassword reads a PasswordRecipientInfo (RFC 5652 section 6.2.4).
func (i *Info) readPassword(s *input) (ok bool) {
	i.Kind = Password
	p := passworded{}
	var key input
	if !i.readVersion(s) {
		return false
	}
	if s.PeekASN1Tag(syntax.Explicit(0)) {
		if p.derivation, ok = syntax.ReadAlgorithm(s, syntax.Explicit(0)); !ok {
			return false
		}
	}
	ok = i.readAlgorithm(s, der.SEQUENCE) && s.ReadASN1(&key, der.OCTET_STRING)
	p.algorithm, p.key = i.Algorithm, key
	i.way = p
	return ok
}

// readOther reads an OtherRecipientInfo (RFC 5652 section 6.2.5), of which a KEMRecipientInfo is one (RFC 9629 section 3).
func (i *Info) readOther(s *input) (ok bool) {
	i.Kind = Other
	var value input
	var tag der.Tag
	if i.Algorithm.Algorithm, ok = syntax.ReadOID(s); !ok {
		return false
	}
	if !i.Algorithm.Algorithm.Equal(oidKEMRecipient) {
		return s.ReadAnyASN1Element(&value, &tag)
	}
	i.Kind = KEM
	e := encapsulated{}
	var wrapped, ciphertext input
	ok = s.ReadASN1(&value, der.SEQUENCE) && i.readVersion(&value) && i.readRecipient(&value) && i.readAlgorithm(&value, der.SEQUENCE) &&
		value.ReadASN1(&ciphertext, der.OCTET_STRING)
	if !ok {
		return false
	}
	if e.derivation, ok = syntax.ReadAlgorithm(&value, der.SEQUENCE); !ok {
		return false
	}
	if !value.ReadASN1Integer(&e.kekLength) || !readOptionalOctets(&value, syntax.Explicit(0), &e.ukm) {
		return false
	}
	if e.wrap, ok = syntax.ReadAlgorithm(&value, der.SEQUENCE); !ok {
		return false
	}
	ok = value.ReadASN1(&wrapped, der.OCTET_STRING) && value.Empty()
	e.kem, e.ciphertext, e.key = i.Algorithm, ciphertext, wrapped
	i.way = e
	return ok
}

// readVersion reads a CMSVersion. What it says can be seen from the rest, so that a wrong one does no harm.
func (i *Info) readVersion(s *input) bool { return s.ReadASN1Integer(&i.Version) }

func (i *Info) readRecipient(s *input) bool {
	id, ok := readIdentifier(s)
	i.Recipients = []Identifier{id}
	return ok
}

func (i *Info) readAlgorithm(s *input, tag der.Tag) (ok bool) {
	i.Algorithm, ok = syntax.ReadAlgorithm(s, tag)
	return ok
}

// readOptionalOctets reads an explicitly tagged OCTET STRING that may be absent, then nil.
func readOptionalOctets(s *input, tag der.Tag, out *[]byte) bool {
	var body, octets input
	if !s.PeekASN1Tag(tag) {
		return true
	}
	ok := s.ReadASN1(&body, tag) && body.ReadASN1(&octets, der.OCTET_STRING) && body.Empty()
	*out = append([]byte{}, octets...)
	return ok
}

// Version is the CMSVersion of an EnvelopedData with these RecipientInfos, each as Wrap made it, without OriginatorInfo and
// unprotected attributes (RFC 5652 section 6.1). AuthEnvelopedData is always of version 0.
func Version(infos ...[]byte) int {
	version := 0
	for _, raw := range infos {
		s := input(raw)
		var body input
		var tag der.Tag
		var own int
		s.ReadAnyASN1(&body, &tag)
		switch {
		case tag == syntax.Explicit(3), tag == syntax.Explicit(4):
			return 3
		case body.ReadASN1Integer(&own) && own != 0:
			version = 2
		}
	}
	return version
}
