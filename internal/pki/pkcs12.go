package pki

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"

	"software.sslmate.com/src/go-pkcs12"
)

// RFC 7292 section 4, as far as one can see without the passphrase.
type (
	pfx struct {
		Version  int
		AuthSafe contentInfo
		MAC      macData `asn1:"optional"`
	}
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"tag:0,explicit,optional"`
	}
	macData struct {
		MAC    digestInfo
		Salt   []byte
		Rounds int `asn1:"optional,default:1"`
	}
	digestInfo struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	encryptedData struct {
		Version int
		Info    struct {
			Type      asn1.ObjectIdentifier
			Algorithm pkix.AlgorithmIdentifier
			Content   asn1.RawValue `asn1:"optional"`
		}
	}
	safeBag struct {
		ID         asn1.ObjectIdentifier
		Value      asn1.RawValue `asn1:"tag:0,explicit"`
		Attributes asn1.RawValue `asn1:"optional"`
	}
	certBag struct {
		ID   asn1.ObjectIdentifier
		Data []byte `asn1:"tag:0,explicit"`
	}
)

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidEncryptedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}
	oidKeyBag        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1}
	oidShroudedBag   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}
	oidCertBag       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 3}
	oidX509          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}
)

// maxBags bounds the parts of a file: one with more is no identity.
const maxBags = 64

// isPFX reports whether the data begin as PKCS #12 does: SEQUENCE, version 3.
func isPFX(data []byte) bool {
	tag, content, rest, indefinite, err := berHeader(data)
	if indefinite {
		content = rest
	}
	return err == nil && tag == 0x30 && bytes.HasPrefix(content, []byte{asn1.TagInteger, 1, 3})
}

// A safe is one part of the file: encrypted as a whole, or a list of bags that
// can be seen.
type safe struct {
	raw  []byte // the ContentInfo, in DER
	bags [][]byte
}

// parsePKCS12 reads keys and certificates.
func parsePKCS12(ber, passphrase []byte) (bundle, error) {
	der, err := toDER(ber)
	if err != nil {
		return bundle{}, err
	}
	var work budget
	safes, err := openSafes(der, &work)
	if err != nil {
		return bundle{}, err
	}
	// The MAC is over what may be BER within, so the file is not rewritten any
	// further: where the library cannot read it, it still checks its MAC.
	key, first, others, err := pkcs12.DecodeChain(der, string(passphrase))
	if err == nil {
		b := bundle{certs: append([]*x509.Certificate{first}, others...)}
		b.addKey(key, nil)
		return b, nil
	}
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword) && len(passphrase) == 0:
		return bundle{}, ErrNoPassphrase
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		return bundle{}, ErrPassphrase
	}
	return takeApart(safes, string(passphrase))
}

// openSafes reads the outside of a file and refuses one that asks for too
// much work. Bags within encrypted safes cannot be seen from here.
func openSafes(der []byte, work *budget) ([]safe, error) {
	var p pfx
	if err := unmarshal(der, &p); err != nil {
		return nil, errBER
	}
	if !p.AuthSafe.Type.Equal(oidData) {
		return nil, errors.New("PKCS #12 protected by a public key; want one with a passphrase")
	}
	if len(p.MAC.MAC.Algorithm.Algorithm) > 0 {
		if err := work.mac(p.MAC); err != nil {
			return nil, err
		}
	}
	var content []byte
	if err := unmarshal(p.AuthSafe.Content.Bytes, &content); err != nil {
		return nil, errBER
	}
	content, err := toDER(content)
	if err != nil {
		return nil, err
	}
	var infos []asn1.RawValue
	if err := unmarshal(content, &infos); err != nil {
		return nil, errBER
	}
	var safes []safe
	n := len(infos)
	for _, raw := range infos {
		s, err := openSafe(raw.FullBytes, work)
		if err != nil {
			return nil, err
		}
		if n += len(s.bags); n > maxBags {
			return nil, fmt.Errorf("PKCS #12 with more than %d parts", maxBags)
		}
		safes = append(safes, s)
	}
	return safes, nil
}

// mac bounds the work for the MAC, and with it the passphrase's first test.
func (b *budget) mac(m macData) error {
	if !m.MAC.Algorithm.Algorithm.Equal(oidPBMAC1) {
		return b.spend(m.Rounds)
	}
	// RFC 9579: the parameters begin with the key derivation, as in PBES2.
	var p pbes2
	if err := unmarshal(m.MAC.Algorithm.Parameters.FullBytes, &p); err != nil {
		return errBER
	}
	_, err := b.kdf(p.KDF)
	return err
}

func openSafe(der []byte, work *budget) (safe, error) {
	s := safe{raw: der}
	var ci contentInfo
	if err := unmarshal(der, &ci); err != nil {
		return s, errBER
	}
	switch {
	case ci.Type.Equal(oidEncryptedData):
		var e encryptedData
		if err := unmarshal(ci.Content.Bytes, &e); err != nil {
			return s, errBER
		}
		if c := e.Info.Content; c.IsCompound { // a string in pieces, which toDER cannot know
			whole, err := joinOctets(c.Bytes)
			if err != nil {
				return s, err
			}
			s.raw = contentInfoOf(oidEncryptedData, sequence(marshal(e.Version), sequence(
				marshal(e.Info.Type), marshal(e.Info.Algorithm), tlv(0x80, whole))))
		}
		return s, work.pbe(e.Info.Algorithm)
	case !ci.Type.Equal(oidData):
		return s, fmt.Errorf("PKCS #12 with a part of kind %v; want one with a passphrase only", ci.Type)
	}
	var content []byte
	if err := unmarshal(ci.Content.Bytes, &content); err != nil {
		return s, errBER
	}
	content, err := toDER(content)
	if err != nil {
		return s, err
	}
	var bags []asn1.RawValue
	if err := unmarshal(content, &bags); err != nil {
		return s, errBER
	}
	for _, raw := range bags {
		var b safeBag
		if err := unmarshal(raw.FullBytes, &b); err != nil {
			return s, errBER
		}
		if b.ID.Equal(oidShroudedBag) {
			var k encryptedPrivateKeyInfo
			if err := unmarshal(b.Value.Bytes, &k); err != nil {
				return s, errBER
			}
			if err := work.pbe(k.Algorithm); err != nil {
				return s, err
			}
		}
		s.bags = append(s.bags, raw.FullBytes)
	}
	return s, nil
}
