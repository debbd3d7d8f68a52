package smime_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"sync"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// foreignRSA is made once: that takes its time.
var foreignRSA = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// impostor is another key of the same kind, nil for none.
func impostor(t testing.TB, key any) any {
	t.Helper()
	var other any
	var err error
	switch k := key.(type) {
	case nil:
		return nil
	case *rsa.PrivateKey:
		other, err = foreignRSA()
	case *ecdsa.PrivateKey:
		other, err = ecdsa.GenerateKey(k.Curve, rand.Reader)
	case *ecdh.PrivateKey:
		other, err = k.Curve().GenerateKey(rand.Reader)
	case *mlkem.DecapsulationKey768:
		other, err = mlkem.GenerateKey768()
	default:
		t.Fatalf("key of type %T", key)
	}
	if err != nil {
		t.Fatal(err)
	}
	return other
}

// misplaced is an EnvelopedData with AES-GCM, the tag behind the ciphertext, as
// some write it against RFC 5083 section 1.
func misplaced(t testing.TB, h holder, cek []byte, plaintext string) []byte {
	t.Helper()
	info, err := h.to.Wrap(rand.Reader, cek)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(cek)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, gcm.NonceSize())
	rand.Read(nonce)
	sealed := gcm.Seal(nil, nonce, []byte(plaintext), nil)
	var b cryptobyte.Builder
	explicit := der.Tag(0).Constructed().ContextSpecific()
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(cms.OIDEnvelopedData)
		b.AddASN1(explicit, func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(int64(recipient.Version(info)))
				b.AddASN1(der.SET, func(b *cryptobyte.Builder) { b.AddBytes(info) })
				b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1})
					b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier(content.AES256GCM.OID())
						b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddASN1OctetString(nonce)
							b.AddASN1Int64(16)
						})
					})
					b.AddASN1(der.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(sealed) })
				})
			})
		})
	})
	raw, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
