package cms

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/asn1"
	"slices"
	"time"

	"filippo.io/mldsa"
	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/ber"
	"mailseal/smime/cms/syntax"
)

// forgery is a SignedData in the making, every part of which may be wrong.
type forgery struct {
	id          identity
	content     []byte
	outside     bool // detached
	contentType asn1.ObjectIdentifier
	digest      asn1.ObjectIdentifier // of the SignerInfo
	announced   []asn1.ObjectIdentifier
	hash        crypto.Hash // that the signature is made with
	options     crypto.SignerOpts
	algorithm   []byte   // of the signature
	attributes  [][]byte // signed; nil: none at all
	unsigned    [][]byte
	unsorted    bool
	sid         []byte
	certs       [][]byte
	signers     int // how often the SignerInfo is there
}

// forge starts with everything right: RSA, SHA-256, opaque.
func forge(content string) *forgery {
	id := rsa2048()
	f := &forgery{
		id: id, content: []byte(content), contentType: OIDData, digest: syntax.SHA256, hash: crypto.SHA256,
		algorithm: syntax.Algorithm(oidRSA, asn1.NullBytes), certs: [][]byte{id.cert.Raw}, signers: 1,
	}
	f.attributes = f.usual()
	return f
}

func (f *forgery) usual() [][]byte {
	return [][]byte{f.typeAttribute(), f.digestAttribute(), attr(oidSigningTime, func(b *cryptobyte.Builder) { addTime(b, time.Unix(1.7e9, 0)) })}
}

func (f *forgery) typeAttribute() []byte {
	return attr(oidContentType, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(f.contentType) })
}

func (f *forgery) digestAttribute() []byte {
	return attr(oidMessageDigest, func(b *cryptobyte.Builder) { b.AddASN1OctetString(sum(f.hash, f.content)) })
}

func sum(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}

func attr(oid asn1.ObjectIdentifier, value func(*cryptobyte.Builder)) []byte {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(der.SET, value)
	})
	return b.BytesOrPanic()
}

func tlv(t der.Tag, parts ...[]byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(t, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(parts, nil)) })
	return b.BytesOrPanic()
}

func oidDER(oid asn1.ObjectIdentifier) []byte {
	var b cryptobyte.Builder
	b.AddASN1ObjectIdentifier(oid)
	return b.BytesOrPanic()
}

// signedSet is what the signature is made over.
func (f *forgery) signedSet() []byte {
	list := slices.Clone(f.attributes)
	if !f.unsorted {
		slices.SortFunc(list, bytes.Compare)
	}
	return tlv(der.SET, list...)
}

func (f *forgery) sign() []byte {
	message := f.content
	if f.attributes != nil {
		message = f.signedSet()
	}
	switch f.id.key.(type) {
	case ed25519.PrivateKey, *mldsa.PrivateKey:
		return must(f.id.key.Sign(rand.Reader, message, crypto.Hash(0)))
	}
	options := f.options
	if options == nil {
		options = f.hash
	}
	return must(f.id.key.Sign(rand.Reader, sum(f.hash, message), options))
}

func (f *forgery) signerInfo() []byte {
	sid := f.sid
	version := []byte{2, 1, 1}
	if sid == nil {
		var b cryptobyte.Builder
		b.AddASN1BigInt(f.id.cert.SerialNumber)
		sid = tlv(der.SEQUENCE, f.id.cert.RawIssuer, b.BytesOrPanic())
	} else {
		version = []byte{2, 1, 3}
	}
	parts := [][]byte{version, sid, syntax.Algorithm(f.digest, nil)}
	if f.attributes != nil {
		set := f.signedSet()
		set[0] = 0xa0
		parts = append(parts, set)
	}
	parts = append(parts, f.algorithm, tlv(der.OCTET_STRING, f.sign()))
	if f.unsigned != nil {
		parts = append(parts, tlv(syntax.Explicit(1), f.unsigned...))
	}
	return tlv(der.SEQUENCE, parts...)
}

func (f *forgery) build() []byte {
	announced := f.announced
	if announced == nil {
		announced = []asn1.ObjectIdentifier{f.digest}
	}
	var digests, infos [][]byte
	for _, oid := range announced {
		digests = append(digests, syntax.Algorithm(oid, nil))
	}
	for range f.signers {
		infos = append(infos, f.signerInfo())
	}
	encap := [][]byte{oidDER(f.contentType)}
	if !f.outside {
		encap = append(encap, tlv(syntax.Explicit(0), tlv(der.OCTET_STRING, f.content)))
	}
	return tlv(der.SEQUENCE, oidDER(OIDSignedData), tlv(syntax.Explicit(0), tlv(der.SEQUENCE,
		[]byte{2, 1, 1}, tlv(der.SET, digests...), tlv(der.SEQUENCE, encap...),
		tlv(syntax.Explicit(0), f.certs...), tlv(der.SET, infos...))))
}

// berEncode writes every constructed element below depth levels with indefinite length, and all OCTET STRINGs in pieces.
func berEncode(b []byte) []byte {
	var out bytes.Buffer
	r := ber.NewReader(bytes.NewReader(b), ber.Limits{})
	for {
		h, err := r.Next()
		switch {
		case err != nil && r.Depth() == 0:
			return out.Bytes()
		case err != nil:
			r.Leave()
			out.Write([]byte{0, 0})
			continue
		}
		if !h.Constructed {
			raw, _ := r.Raw(1 << 30)
			if h.Tag != ber.OctetString || len(raw)-h.Size < 2 {
				out.Write(raw)
				continue
			}
			body := raw[h.Size:]
			out.Write([]byte{0x24, 0x80})
			for _, piece := range [][]byte{body[:1], body[1:]} {
				out.Write(tlv(der.OCTET_STRING, piece))
			}
			out.Write([]byte{0, 0})
			continue
		}
		head := ber.AppendHeader(nil, h.Tag, true, 0)
		out.Write(head[:len(head)-1])
		out.WriteByte(0x80)
		r.Enter()
	}
}

var hashesAll = []crypto.Hash{crypto.SHA256, crypto.SHA512}
