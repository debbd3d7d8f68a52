package capability

import (
	"crypto"
	"encoding/asn1"
	"slices"
	"sync"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
	"mailseal/smime/cms/syntax"
)

var (
	oidMGF1 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}

	// Schemes of key agreement.
	oidECDHSHA256 = asn1.ObjectIdentifier{1, 3, 132, 1, 11, 1}
	oidECDHSHA384 = asn1.ObjectIdentifier{1, 3, 132, 1, 11, 2}
	oidECDHSHA512 = asn1.ObjectIdentifier{1, 3, 132, 1, 11, 3}
	oidX25519HKDF = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 19}

	oidWrap128 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 5}
	oidWrap256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 45}

	oidMLKEM768  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 2}
	oidMLKEM1024 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 3}

	oidEd25519     = asn1.ObjectIdentifier{1, 3, 101, 112}
	oidECDSASHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	oidECDSASHA384 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}
	oidECDSASHA512 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}
	oidPSS         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidRSASHA256   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	oidRSASHA512   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 13}
)

// preference are the ciphers that are written, best first.
var preference = []content.Cipher{
	content.AES256GCM, content.ChaCha20Poly1305, content.AES128GCM, content.AES256CBC, content.AES192CBC, content.AES128CBC,
}

// Ours is what is read here: what peers may send and how they may sign, each kind best first. The ciphers are in front, as many
// look for nothing else. What is read but weak is not in it, nor PKCS #1 v1.5, which nobody needs to be told.
func Ours() List {
	var list List
	for _, c := range preference {
		list = append(list, Capability{OID: c.OID()})
	}
	wrap128, wrap256 := syntax.Algorithm(oidWrap128, nil), syntax.Algorithm(oidWrap256, nil)
	return slices.Concat(list, List{
		// RFC 5753 section 7.2 and RFC 8418 section 4: the parameters are the key wrap.
		{oidX25519HKDF, wrap256}, {oidX25519HKDF, wrap128},
		{oidECDHSHA256, wrap256}, {oidECDHSHA256, wrap128},
		{oidECDHSHA384, wrap256},
		{oidECDHSHA512, wrap256},
		{oidMLKEM768, nil}, {oidMLKEM1024, nil}, // RFC 9936 section 3
		transport(recipient.OAEP(crypto.SHA256)),

		{oidEd25519, nil},
		{oidECDSASHA256, nil}, {oidECDSASHA384, nil}, {oidECDSASHA512, nil},
		{oidPSS, pssSHA256()},
		{oidRSASHA256, asn1.NullBytes}, {oidRSASHA512, asn1.NullBytes},
	})
}

// OursDER is Ours as it stands in every signature that is made.
var OursDER = sync.OnceValues(func() ([]byte, error) { return Ours().DER() })

// transport is the entry of a transport of RSA keys.
func transport(t recipient.Transport) (c Capability) {
	identifier, err := t.DER()
	s := cryptobyte.String(identifier)
	if a, ok := syntax.ReadAlgorithm(&s, der.SEQUENCE); ok && err == nil {
		c = Capability{OID: a.Algorithm, Parameters: a.Parameters.FullBytes}
	}
	return c
}

// pssSHA256 are the parameters of RSASSA-PSS with SHA-256 throughout, as RFC 4056 section 3 has them.
func pssSHA256() []byte {
	digest := syntax.Algorithm(syntax.SHA256, asn1.NullBytes)
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(syntax.Explicit(0), func(b *cryptobyte.Builder) { b.AddBytes(digest) })
		b.AddASN1(syntax.Explicit(1), func(b *cryptobyte.Builder) { b.AddBytes(syntax.Algorithm(oidMGF1, digest)) })
		b.AddASN1(syntax.Explicit(2), func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(crypto.SHA256.Size())) })
	})
	return b.BytesOrPanic()
}
