package cms

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/internal/x509key"
	"mailseal/smime/cms/ber"
	"mailseal/smime/cms/syntax"
)

// assemble puts a SignedData together, around size octets of content or none if size is negative. Every set is sorted: the
// whole is DER.
func assemble(size int64, hashes []crypto.Hash, signers []Signer, infos [][]byte) (prefix, suffix []byte, err error) {
	certificates := make([][]byte, 0, 4)
	for _, s := range signers {
		certificates = append(certificates, s.Certificate.Raw)
		for _, c := range s.Chain {
			if !selfSigned(c) {
				certificates = append(certificates, c.Raw)
			}
		}
	}
	algorithms := make([][]byte, len(hashes))
	for i, h := range hashes {
		algorithms[i] = syntax.Algorithm(syntax.Digest(h), nil) // RFC 5754 section 2: parameters are left out
	}
	var b, v, data, signed cryptobyte.Builder
	b.AddASN1(syntax.Explicit(0), func(b *cryptobyte.Builder) { addSorted(b, certificates) })
	b.AddASN1(der.SET, func(b *cryptobyte.Builder) { addSorted(b, infos) })
	// RFC 5652 section 5.1: version 1 as the content is data and certificates are X.509, unless a SignerInfo is of version 3.
	version := int64(1)
	if slices.ContainsFunc(signers, func(s Signer) bool { return s.KeyID }) {
		version = 3
	}
	v.AddASN1Int64(version)
	v.AddASN1(der.SET, func(b *cryptobyte.Builder) { addSorted(b, algorithms) })
	data.AddASN1ObjectIdentifier(OIDData)
	signed.AddASN1ObjectIdentifier(OIDSignedData)
	if suffix, err = b.Bytes(); err != nil {
		return nil, nil, err
	}

	rest := max(size, 0)
	if size >= 0 {
		prefix = ber.AppendHeader(nil, ber.OctetString, false, size)
		prefix = enclose(ber.Context(0), prefix, rest)
	}
	prefix = enclose(ber.Sequence, append(data.BytesOrPanic(), prefix...), rest)
	rest += int64(len(suffix))
	prefix = enclose(ber.Sequence, append(v.BytesOrPanic(), prefix...), rest)
	prefix = enclose(ber.Context(0), prefix, rest)
	prefix = enclose(ber.Sequence, append(signed.BytesOrPanic(), prefix...), rest)
	return prefix, suffix, nil
}

// selfSigned tells a root, which the other side has or does not trust, from a certificate that leads from a CA's old key to
// its new one, which has the same name twice as well.
func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && x509key.CheckSignature(c, c) == nil
}

// enclose puts the header of a constructed element before b, of which rest more octets are to follow.
func enclose(t ber.Tag, b []byte, rest int64) []byte {
	return append(ber.AppendHeader(nil, t, true, int64(len(b))+rest), b...)
}

// addSorted appends the elements of a SET OF, each once (X.690 section 11.6).
func addSorted(b *cryptobyte.Builder, elements [][]byte) {
	elements = slices.Clone(elements)
	slices.SortFunc(elements, bytes.Compare)
	for _, e := range slices.CompactFunc(elements, bytes.Equal) {
		b.AddBytes(e)
	}
}

// encodedOID returns an OBJECT IDENTIFIER in DER.
func encodedOID(oid asn1.ObjectIdentifier) []byte {
	var b cryptobyte.Builder
	b.AddASN1ObjectIdentifier(oid)
	return b.BytesOrPanic()
}
