package spoof_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"encoding/asn1"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/internal/testpki/forge"
	"mailseal/smime/cms"
	"mailseal/smime/cms/syntax"
)

var (
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	oidECDSA         = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2} // with SHA-256
	oidTimeStamp     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
)

// An object is a SignedData in the making, every part of which may be wrong.
type object struct {
	content  []byte
	detached bool
	pieces   bool // the content in pieces of BER
	kind     asn1.ObjectIdentifier
	signers  []signer
	also     []*forge.Issued // certificates besides the signers'
	without  bool            // the signers' certificates
	crls     [][]byte
}

// A signer is a SignerInfo in the making.
type signer struct {
	who       *forge.Issued
	over      []byte                             // what it digests, the content if nil
	bare      bool                               // no signed attributes
	edit      func(attributes [][]byte) [][]byte // changes them
	at        time.Time                          // signingTime
	keyID     []byte                             // names the certificate
	as        *forge.Issued                      // whose issuer and serial number are said
	algorithm []byte                             // of the signature
	hash      crypto.Hash                        // SHA-256 if 0
	spoil     bool                               // one bit of the signature
	signature []byte                             // one made elsewhere
	set       func(set []byte)                   // looks at what is signed
	unsigned  [][]byte                           // attributes
}

// by is what Alice, or somebody else, signs as everybody does.
func by(who *forge.Issued) signer { return signer{who: who} }

func attribute(oid asn1.ObjectIdentifier, value func(*cryptobyte.Builder)) []byte {
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oid)
			b.AddASN1(der.SET, value)
		})
	})
}

func build(f func(*cryptobyte.Builder)) []byte {
	var b cryptobyte.Builder
	f(&b)
	return b.BytesOrPanic()
}

func tlv(tag der.Tag, parts ...[]byte) []byte {
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(parts, nil)) })
	})
}

func oid(o asn1.ObjectIdentifier) []byte {
	return build(func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(o) })
}

func digest(b []byte) []byte { return signer{}.digest(b) }

// digests are the identifiers of those that signers choose.
var digests = map[crypto.Hash]asn1.ObjectIdentifier{
	0: syntax.SHA256, crypto.MD5: {1, 2, 840, 113549, 2, 5}, crypto.SHA1: syntax.SHA1,
}

func (s signer) digest(b []byte) []byte {
	h := crypto.SHA256.New()
	if s.hash != 0 {
		h = s.hash.New()
	}
	h.Write(b)
	return h.Sum(nil)
}

// attributes are those that are signed, in order.
func (s signer) attributes(kind asn1.ObjectIdentifier) [][]byte {
	list := [][]byte{
		attribute(oidContentType, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(kind) }),
		attribute(oidMessageDigest, func(b *cryptobyte.Builder) { b.AddASN1OctetString(s.digest(s.over)) }),
	}
	if !s.at.IsZero() {
		list = append(list, attribute(oidSigningTime, func(b *cryptobyte.Builder) { b.AddASN1UTCTime(s.at) }))
	}
	if s.edit != nil {
		list = s.edit(list)
	}
	slices.SortFunc(list, bytes.Compare)
	return list
}

// info is the SignerInfo.
func (s signer) info(kind asn1.ObjectIdentifier) []byte {
	as := s.who
	if s.as != nil {
		as = s.as
	}
	version, sid := []byte{2, 1, 1}, []byte(nil)
	if s.keyID != nil {
		version, sid = []byte{2, 1, 3}, tlv(syntax.Context0, s.keyID)
	} else {
		sid = named(as)
	}
	parts := [][]byte{version, sid, syntax.Algorithm(digests[s.hash], nil)}
	message := s.over
	if !s.bare {
		message = tlv(der.SET, s.attributes(kind)...)
		implicit := bytes.Clone(message)
		implicit[0] = 0xa0
		parts = append(parts, implicit)
	}
	if s.set != nil {
		s.set(message)
	}
	signature := s.signature
	if signature == nil {
		var err error
		if signature, err = s.who.Key.Sign(rand.Reader, s.digest(message), crypto.SHA256); err != nil {
			panic(err)
		}
	}
	if s.spoil {
		signature = bytes.Clone(signature)
		signature[len(signature)-1] ^= 1
	}
	algorithm := s.algorithm
	if algorithm == nil {
		algorithm = syntax.Algorithm(oidECDSA, nil)
	}
	parts = append(parts, algorithm, tlv(der.OCTET_STRING, signature))
	if s.unsigned != nil {
		parts = append(parts, tlv(syntax.Explicit(1), s.unsigned...))
	}
	return tlv(der.SEQUENCE, parts...)
}

// named is a certificate's issuer and serial number; no reader of certificates is
// asked, as it may refuse this one.
func named(c *forge.Issued) []byte {
	all := cryptobyte.String(c.DER)
	var tbs, serial, issuer cryptobyte.String
	if !all.ReadASN1(&all, der.SEQUENCE) || !all.ReadASN1(&tbs, der.SEQUENCE) || !tbs.SkipOptionalASN1(syntax.Explicit(0)) ||
		!tbs.ReadASN1Element(&serial, der.INTEGER) || !tbs.SkipASN1(der.SEQUENCE) || !tbs.ReadASN1Element(&issuer, der.SEQUENCE) {
		panic("no certificate")
	}
	return tlv(der.SEQUENCE, issuer, serial)
}

// der is the whole as a ContentInfo.
func (o object) der() []byte {
	kind := o.kind
	if kind == nil {
		kind = cms.OIDData
	}
	var infos, certs, sums [][]byte
	for _, s := range o.signers {
		if s.over == nil {
			s.over = o.content
		}
		infos, sums = append(infos, s.info(kind)), append(sums, syntax.Algorithm(digests[s.hash], nil))
		if !o.without {
			certs = append(certs, s.who.DER)
		}
	}
	for _, c := range o.also {
		certs = append(certs, c.DER)
	}
	encap := [][]byte{oid(kind)}
	if !o.detached {
		content := tlv(der.OCTET_STRING, o.content)
		if n := len(o.content) / 2; o.pieces {
			content = tlv(der.OCTET_STRING.Constructed(), tlv(der.OCTET_STRING, o.content[:n]), tlv(der.OCTET_STRING, o.content[n:]))
		}
		encap = append(encap, tlv(syntax.Explicit(0), content))
	}
	parts := [][]byte{{2, 1, 1}, tlv(der.SET, sums...), tlv(der.SEQUENCE, encap...), tlv(syntax.Explicit(0), certs...)}
	if o.crls != nil {
		parts = append(parts, tlv(syntax.Explicit(1), o.crls...))
	}
	return tlv(der.SEQUENCE, oid(cms.OIDSignedData), tlv(syntax.Explicit(0), tlv(der.SEQUENCE, append(parts, tlv(der.SET, infos...))...)))
}
