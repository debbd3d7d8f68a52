package x5280

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	tags "golang.org/x/crypto/cryptobyte/asn1"
)

// standIn makes what crypto/x509 would have made of a certificate that it refuses.
// Algorithms and keys it still reads itself, from a certificate that has nothing
// else in it.
func standIn(c *Certificate, o outline, der []byte) *x509.Certificate {
	bare, err := x509.ParseCertificate(skeleton(o.spki, c.SignatureAlgorithm))
	if err != nil { // it does not like the key
		if bare, err = x509.ParseCertificate(skeleton(anyKey, c.SignatureAlgorithm)); err != nil {
			bare = &x509.Certificate{}
		}
		bare.PublicKey, bare.PublicKeyAlgorithm = nil, keyKind(o.spki)
	}
	x := &x509.Certificate{
		Raw: der, RawTBSCertificate: o.tbs, RawSubjectPublicKeyInfo: o.spki, RawIssuer: o.issuer, RawSubject: o.subject,
		Signature: c.Signature, SignatureAlgorithm: bare.SignatureAlgorithm,
		PublicKeyAlgorithm: bare.PublicKeyAlgorithm, PublicKey: bare.PublicKey,
		Version: c.Version, SerialNumber: number(c.Serial), Issuer: displayed(o.issuer), Subject: displayed(o.subject),
		NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		SubjectKeyId: c.SubjectKeyID, AuthorityKeyId: c.AuthorityKeyID,
	}
	for _, e := range c.Extensions {
		if id, ok := e.ID.std(); ok {
			x.Extensions = append(x.Extensions, pkix.Extension{Id: id, Critical: e.Critical, Value: e.Value})
		}
	}
	for _, id := range c.Unknown {
		if id, ok := id.std(); ok {
			x.UnhandledCriticalExtensions = append(x.UnhandledCriticalExtensions, id)
		}
	}
	if c.Usage != nil {
		x.KeyUsage = x509.KeyUsage(*c.Usage)
	}
	if c.Basic != nil {
		x.BasicConstraintsValid, x.IsCA, x.MaxPathLen = true, c.Basic.CA, -1
		if c.Basic.PathLen != nil {
			x.MaxPathLen = *c.Basic.PathLen
			x.MaxPathLenZero = x.MaxPathLen == 0
		}
	}
	addPurposes(x, c.Purposes)
	for _, g := range c.AltNames {
		switch g.Form {
		case Mail:
			x.EmailAddresses = append(x.EmailAddresses, g.Text)
		case DNS:
			x.DNSNames = append(x.DNSNames, g.Text)
		}
	}
	return x
}

func addPurposes(x *x509.Certificate, purposes []OID) {
	for _, p := range purposes {
		switch p {
		case AnyPurpose:
			x.ExtKeyUsage = append(x.ExtKeyUsage, x509.ExtKeyUsageAny)
		case EmailProtection:
			x.ExtKeyUsage = append(x.ExtKeyUsage, x509.ExtKeyUsageEmailProtection)
		case OCSPSigning:
			x.ExtKeyUsage = append(x.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning)
		default:
			id, _ := p.std()
			x.UnknownExtKeyUsage = append(x.UnknownExtKeyUsage, id)
		}
	}
}

// anyKey is a SubjectPublicKeyInfo that crypto/x509 reads: Ed25519, all zeros.
var anyKey = slices.Concat([]byte{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}, make([]byte, 32))

// skeleton is a certificate of version 1 with no names.
func skeleton(spki, algorithm []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(1)
			b.AddBytes(algorithm)
			b.AddASN1(tags.SEQUENCE, func(*cryptobyte.Builder) {})
			b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
				for range 2 {
					b.AddASN1(tags.UTCTime, func(b *cryptobyte.Builder) { b.AddBytes([]byte("000101000000Z")) })
				}
			})
			b.AddASN1(tags.SEQUENCE, func(*cryptobyte.Builder) {})
			b.AddBytes(spki)
		})
		b.AddBytes(algorithm)
		b.AddASN1BitString(nil)
	})
	der, err := b.Bytes()
	if err != nil {
		return nil
	}
	return der
}

// keyKind knows DSA, of which it is said that it is weak whatever its parameters.
func keyKind(spki cryptobyte.String) x509.PublicKeyAlgorithm {
	var body, algorithm, id cryptobyte.String
	if spki.ReadASN1(&body, tags.SEQUENCE) && body.ReadASN1(&algorithm, tags.SEQUENCE) &&
		algorithm.ReadASN1(&id, tags.OBJECT_IDENTIFIER) && OID(id) == dsaKey {
		return x509.DSA
	}
	return x509.UnknownPublicKeyAlgorithm
}

// number is an INTEGER in two's complement.
func number(contents []byte) *big.Int {
	n := new(big.Int).SetBytes(contents)
	if contents[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(contents))))
	}
	return n
}

// displayed is a name for people. One that encoding/asn1 does not read is shown as none.
func displayed(name []byte) (n pkix.Name) {
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(name, &rdns); err == nil && len(rest) == 0 {
		n.FillFromRDNSequence(&rdns)
	}
	return n
}

// std is the identifier as encoding/asn1 has it; one with a large arc has none.
func (o OID) std() (id asn1.ObjectIdentifier, ok bool) {
	s := cryptobyte.String(slices.Concat([]byte{byte(tags.OBJECT_IDENTIFIER), byte(len(o))}, []byte(o)))
	return id, len(o) < 0x80 && s.ReadASN1ObjectIdentifier(&id)
}
