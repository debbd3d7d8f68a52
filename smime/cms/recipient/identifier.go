package recipient

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/syntax"
)

// Identifier names a recipient: by issuer and serial number, or by key identifier (RFC 5652 section 6.2.1). For a KeyOfKeys the
// key identifier is one that sender and recipient have agreed on.
type Identifier struct {
	Issuer       []byte // DER
	Serial       *big.Int
	SubjectKeyID []byte
}

// placeOf returns which of ids is the first that names c, -1 for none.
func placeOf(c *x509.Certificate, ids []Identifier) int {
	own := c.SubjectKeyId
	return slices.IndexFunc(ids, func(id Identifier) bool {
		if id.Serial != nil {
			return id.Serial.Cmp(c.SerialNumber) == 0 && bytes.Equal(id.Issuer, c.RawIssuer)
		}
		if len(own) == 0 { // once for all, as a forger may name thousands
			own = keyDigest(c)
		}
		return len(own) > 0 && bytes.Equal(id.SubjectKeyID, own)
	})
}

// name is the same for those that are the same recipient.
func (id Identifier) name() string {
	if id.Serial != nil {
		return "serial " + id.Serial.Text(62) + " " + string(id.Issuer)
	}
	return "key " + string(id.SubjectKeyID)
}

// namesOf are the names that placeOf finds c by.
func namesOf(c *x509.Certificate) []string {
	names := []string{Identifier{Issuer: c.RawIssuer, Serial: c.SerialNumber}.name()}
	own := c.SubjectKeyId
	if len(own) == 0 {
		own = keyDigest(c)
	}
	if len(own) > 0 {
		names = append(names, Identifier{SubjectKeyID: own}.name())
	}
	return names
}

// keyDigest is the key identifier that senders reckon with for a certificate that has none (RFC 5280 section 4.2.1.2).
func keyDigest(c *x509.Certificate) []byte {
	var spki struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &spki); err != nil {
		return nil
	}
	sum := sha1.Sum(spki.Key.Bytes)
	return sum[:]
}

// readIdentifier reads a RecipientIdentifier.
func readIdentifier(s *cryptobyte.String) (id Identifier, ok bool) {
	if s.PeekASN1Tag(syntax.Context0) {
		var ski cryptobyte.String
		ok = s.ReadASN1(&ski, syntax.Context0) && len(ski) > 0
		return Identifier{SubjectKeyID: ski}, ok
	}
	id.Issuer, id.Serial, ok = syntax.ReadIssuerSerial(s)
	return id, ok
}

// readAgreementIdentifier reads a KeyAgreeRecipientIdentifier, whose key identifier may bear a date and more
// (RFC 5652 section 6.2.2).
func readAgreementIdentifier(s *cryptobyte.String) (id Identifier, ok bool) {
	if !s.PeekASN1Tag(syntax.Explicit(0)) {
		id.Issuer, id.Serial, ok = syntax.ReadIssuerSerial(s)
		return id, ok
	}
	var body cryptobyte.String
	return id, s.ReadASN1(&body, syntax.Explicit(0)) && id.readKeyID(&body)
}

// readKeyID reads RecipientKeyIdentifier and KEKIdentifier, which are alike.
func (id *Identifier) readKeyID(s *cryptobyte.String) bool {
	var ski cryptobyte.String
	ok := s.ReadASN1(&ski, der.OCTET_STRING) && len(ski) > 0 &&
		s.SkipOptionalASN1(der.GeneralizedTime) && s.SkipOptionalASN1(der.SEQUENCE) && s.Empty()
	id.SubjectKeyID = ski
	return ok
}

// addIdentifier appends t's RecipientIdentifier. It is said by the version too, which is 0 with issuer and serial number
// and 2 with a key identifier (RFC 5652 section 6.2.1).
func (t To) addIdentifier(b *cryptobyte.Builder) {
	if t.ByKeyID {
		b.AddASN1(syntax.Context0, func(b *cryptobyte.Builder) { b.AddBytes(t.Certificate.SubjectKeyId) })
		return
	}
	t.addIssuerSerial(b)
}

// addAgreementIdentifier appends t's KeyAgreeRecipientIdentifier.
func (t To) addAgreementIdentifier(b *cryptobyte.Builder) {
	if t.ByKeyID {
		b.AddASN1(syntax.Explicit(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(t.Certificate.SubjectKeyId) })
		return
	}
	t.addIssuerSerial(b)
}

func (t To) addIssuerSerial(b *cryptobyte.Builder) {
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(t.Certificate.RawIssuer)
		b.AddASN1BigInt(t.Certificate.SerialNumber)
	})
}
