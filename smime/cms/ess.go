package cms

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/syntax"
)

// certID is what a signing certificate attribute says of the signer's certificate: an ESSCertID (RFC 5035 section 6) or an
// ESSCertIDv2 (section 4).
type certID struct {
	hash   crypto.Hash
	sum    []byte
	issuer []byte            // DER Name, nil if there is no issuerSerial
	serial cryptobyte.String // INTEGER
}

// signingCertificates keeps the candidates that the signing certificate attributes name, if there are any (RFC 5035
// section 3, RFC 8550 section 4.2): these bind the signature to one certificate, not just to a key.
func signingCertificates(si *SignerInfo, candidates []*x509.Certificate) ([]*x509.Certificate, error) {
	for _, version := range []int{1, 2} {
		oid := oidSigningCertificate
		if version == 2 {
			oid = oidSigningCertificateV2
		}
		v, err := attribute(si.SignedAttributes, oid)
		if err != nil {
			return nil, err
		}
		if v == nil {
			continue
		}
		id, err := readCertID(v, version)
		if err != nil {
			return nil, err
		}
		candidates = slices.DeleteFunc(slices.Clone(candidates), func(c *x509.Certificate) bool { return !id.names(c) })
		if len(candidates) == 0 {
			return nil, fmt.Errorf("%w: the certificate is another than the signing certificate", ErrAttributes)
		}
	}
	return candidates, nil
}

// readCertID reads the first, which is the signer's, of the identifiers in a SigningCertificate or SigningCertificateV2.
func readCertID(value []byte, version int) (id certID, err error) {
	broken := fmt.Errorf("%w: malformed signing certificate", ErrAttributes)
	var body, certs, first, sum cryptobyte.String
	in := input(value)
	if !in.ReadASN1(&body, der.SEQUENCE) || !in.Empty() || !body.ReadASN1(&certs, der.SEQUENCE) ||
		!certs.ReadASN1(&first, der.SEQUENCE) {
		return id, broken
	}
	id.hash = crypto.SHA1
	if version == 2 {
		id.hash = crypto.SHA256
		if first.PeekASN1Tag(der.SEQUENCE) {
			a, ok := syntax.ReadAlgorithm(&first, der.SEQUENCE)
			if !ok {
				return id, broken
			}
			if id.hash = syntax.Hash(a.Algorithm); id.hash == 0 {
				return id, fmt.Errorf("%w digest %s of the signing certificate", ErrUnsupported, nameOf(a.Algorithm))
			}
		}
	}
	if !first.ReadASN1(&sum, der.OCTET_STRING) {
		return id, broken
	}
	id.sum = sum
	if first.Empty() {
		return id, nil
	}
	// IssuerSerial: GeneralNames, which must hold one directoryName, and the serial number.
	var both, names, name cryptobyte.String
	if !first.ReadASN1(&both, der.SEQUENCE) || !first.Empty() || !both.ReadASN1(&names, der.SEQUENCE) ||
		!names.ReadASN1(&name, syntax.Explicit(4)) || !names.Empty() || !both.ReadASN1Element(&id.serial, der.INTEGER) {
		return id, broken
	}
	id.issuer = name
	return id, nil
}

// names says whether c is that certificate.
func (id certID) names(c *x509.Certificate) bool {
	h := id.hash.New()
	h.Write(c.Raw)
	if !bytes.Equal(h.Sum(nil), id.sum) {
		return false
	}
	if id.issuer == nil {
		return true
	}
	in := id.serial
	serial, ok := syntax.ReadSerial(&in)
	return ok && serial.Cmp(c.SerialNumber) == 0 && bytes.Equal(id.issuer, c.RawIssuer)
}

// addSigningCertificate appends a SigningCertificateV2 for c, by SHA-256 and with issuer and serial.
func addSigningCertificate(b *cryptobyte.Builder, c *x509.Certificate) {
	h := crypto.SHA256.New()
	h.Write(c.Raw)
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1OctetString(h.Sum(nil)) // SHA-256 is the default and so left out
				b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1(syntax.Explicit(4), func(b *cryptobyte.Builder) { b.AddBytes(c.RawIssuer) })
					})
					b.AddASN1BigInt(c.SerialNumber)
				})
			})
		})
	})
}
