package spoof_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/internal/testpki/forge"
	"mailseal/smime/cms"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
	"mailseal/smime/cms/syntax"
)

// sealed is encrypted content taken apart: all of it is on the wire, and can be
// changed by who has no key.
type sealed struct {
	kind       asn1.ObjectIdentifier
	infos      [][]byte // RecipientInfos
	algorithm  []byte
	iv         []byte // or nonce
	ciphertext []byte
	tag        []byte // of AuthEnvelopedData
}

// random is n octets.
func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func xor(a, b []byte) []byte {
	out := make([]byte, len(a))
	subtle.XORBytes(out, a, b)
	return out
}

// seal encrypts for all of to: with AES-256 in GCM, or in CBC.
func (w *world) seal(plaintext string, gcm bool, to ...*forge.Issued) sealed {
	w.Helper()
	key := random(32)
	block, err := aes.NewCipher(key)
	if err != nil {
		w.Fatal(err)
	}
	var s sealed
	for _, c := range to {
		info, err := recipient.To{Certificate: w.parse(c)}.Wrap(rand.Reader, key)
		if err != nil {
			w.Fatal(err)
		}
		s.infos = append(s.infos, info)
	}
	if gcm {
		s.kind, s.iv = cms.OIDAuthEnvelopedData, random(12)
		s.algorithm = syntax.Algorithm(content.AES256GCM.OID(), tlv(der.SEQUENCE, tlv(der.OCTET_STRING, s.iv),
			build(func(b *cryptobyte.Builder) { b.AddASN1Int64(16) })))
		mode, err := cipher.NewGCM(block)
		if err != nil {
			w.Fatal(err)
		}
		out := mode.Seal(nil, s.iv, []byte(plaintext), nil)
		s.ciphertext, s.tag = out[:len(plaintext)], out[len(plaintext):]
		return s
	}
	return s.cbc(random(16), func(iv []byte) []byte {
		padded := pad(plaintext)
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(padded, padded)
		return padded
	})
}

// cbc makes it an EnvelopedData.
func (s sealed) cbc(iv []byte, ciphertext func(iv []byte) []byte) sealed {
	s.kind, s.iv, s.tag = cms.OIDEnvelopedData, iv, nil
	s.algorithm = syntax.Algorithm(content.AES256CBC.OID(), tlv(der.OCTET_STRING, iv))
	s.ciphertext = ciphertext(iv)
	return s
}

// pad is RFC 5652 section 6.3.
func pad(plaintext string) []byte {
	n := 16 - len(plaintext)%16
	return append([]byte(plaintext), bytes.Repeat([]byte{byte(n)}, n)...)
}

// der is the whole as a ContentInfo.
func (s sealed) der() []byte {
	version := []byte{2, 1, 2}
	if s.tag != nil {
		version = []byte{2, 1, 0}
	}
	parts := [][]byte{version, tlv(der.SET, s.infos...), tlv(der.SEQUENCE, oid(cms.OIDData), s.algorithm, tlv(syntax.Context0, s.ciphertext))}
	if s.tag != nil {
		parts = append(parts, tlv(der.OCTET_STRING, s.tag))
	}
	return tlv(der.SEQUENCE, oid(s.kind), tlv(syntax.Explicit(0), tlv(der.SEQUENCE, parts...)))
}

// entity is the whole as one.
func (s sealed) entity() string {
	kind := "enveloped-data"
	if s.tag != nil {
		kind = "authEnveloped-data"
	}
	return "Content-Type: application/pkcs7-mime; smime-type=" + kind + "; name=smime.p7m\nContent-Transfer-Encoding: base64\n\n" + b64(s.der())
}

// gadget puts text of Mallory's before what was encrypted in CBC mode, known of
// which is how it begins (EFAIL): the first block is start, then each chunk is in a
// block of its own behind one that nobody can choose.
func (s sealed) gadget(known, start string, chunks ...string) sealed {
	first := s.ciphertext[:16]
	zero := xor(s.iv, []byte(known[:16])) // what the first block decrypts to
	iv := xor(zero, []byte(start))
	out := bytes.Clone(first)
	for _, c := range chunks {
		out = append(append(out, xor(zero, []byte(c))...), first...)
	}
	out = append(append(out, s.iv...), s.ciphertext...) // all of it again
	return s.cbc(iv, func([]byte) []byte { return out })
}

// asCBC makes an EnvelopedData of an AuthEnvelopedData with the same key (RFC 9709
// section 1). Known are the first 16 octets; guess is what the next might be: only
// who guessed right makes right padding. What comes out begins with start.
func (s sealed) asCBC(known, start, guess string) sealed {
	counter := func(n byte) []byte { return append(bytes.Clone(s.iv), 0, 0, 0, n) }
	text := s.ciphertext
	return s.cbc(xor(counter(2), []byte(start)), func([]byte) []byte {
		return bytes.Join([][]byte{
			xor(text[:16], []byte(known)), xor(counter(3), bytes.Repeat([]byte{16}, 16)), xor(text[16:32], []byte(guess)),
		}, nil)
	})
}
