package forge

import (
	"crypto"
	"crypto/sha1"
	"crypto/sha256"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// A Response is an OCSP response. The zero value of a field is what is usual: good, of
// 2026-10-31, valid for a week, for serial number 1, with SHA-1, the responder by name.
type Response struct {
	Of         *Issued // the certificate's issuer, if it is not who signs
	Issuer     []byte  // a Name, if it is not that of Of
	Serial     []byte
	SHA256     bool
	Revoked    bool
	Unknown    bool
	Reason     int
	From, To   time.Time
	NoTo       bool
	ByKey      bool
	Critical   bool // an extension of the answer
	With       []*Issued
	Extensions [][]byte // of the response
}

// Sign makes it. Keys are Ed25519.
func (r Response) Sign(by *Issued) []byte {
	id := tlv(context(1, true), by.Subject)
	if r.ByKey {
		sum := sha1.Sum(bits(by.Key))
		id = tlv(context(2, true), tlv(asn1.OCTET_STRING, sum[:]))
	}
	parts := [][]byte{id, generalized(listed), sequence(r.single(by))}
	if len(r.Extensions) > 0 {
		parts = append(parts, tlv(context(1, true), sequence(r.Extensions...)))
	}
	tbs := sequence(parts...)
	var with, after [][]byte
	for _, c := range r.With {
		with = append(with, c.DER)
	}
	if len(with) > 0 {
		after = append(after, tlv(context(0, true), sequence(with...)))
	}
	return sequence(tlv(asn1.ENUM, []byte{0}), tlv(context(0, true),
		sequence(dotted("1.3.6.1.5.5.7.48.1.1"), tlv(asn1.OCTET_STRING, signed(tbs, nil, by.Key, after...)))))
}

func (r Response) single(by *Issued) []byte {
	of, issuer, serial, from, to := r.Of, r.Issuer, r.Serial, r.From, r.To
	if of == nil {
		of = by
	}
	if issuer == nil {
		issuer = of.Subject
	}
	if serial == nil {
		serial = []byte{1}
	}
	if from.IsZero() {
		from = listed
	}
	if to.IsZero() {
		to = from.Add(7 * 24 * time.Hour)
	}
	algorithm, hash := "1.3.14.3.2.26", func(b []byte) []byte { s := sha1.Sum(b); return s[:] }
	if r.SHA256 {
		algorithm, hash = "2.16.840.1.101.3.4.2.1", func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }
	}
	status := tlv(context(0, false))
	switch {
	case r.Revoked:
		status = tlv(context(1, true), generalized(listed), tlv(context(0, true), integer(asn1.ENUM, r.Reason)))
	case r.Unknown:
		status = tlv(context(2, false))
	}
	parts := [][]byte{
		sequence(sequence(dotted(algorithm), []byte{5, 0}), tlv(asn1.OCTET_STRING, hash(issuer)),
			tlv(asn1.OCTET_STRING, hash(bits(of.Key))), tlv(asn1.INTEGER, serial)),
		status, generalized(from),
	}
	if !r.NoTo {
		parts = append(parts, tlv(context(0, true), generalized(to)))
	}
	if r.Critical {
		parts = append(parts, tlv(context(1, true), sequence(Extension("1.2.3.4", true, []byte{5, 0}))))
	}
	return sequence(parts...)
}

func generalized(t time.Time) []byte {
	return tlv(asn1.GeneralizedTime, []byte(t.UTC().Format("20060102150405Z")))
}

// bits are the octets of a public key without its algorithm.
func bits(k crypto.Signer) (b []byte) {
	s := cryptobyte.String(publicKey(k))
	if !s.ReadASN1(&s, asn1.SEQUENCE) || !s.SkipASN1(asn1.SEQUENCE) || !s.ReadASN1BitStringAsBytes(&b) {
		panic("forge: malformed key") // it was just made
	}
	return b
}
