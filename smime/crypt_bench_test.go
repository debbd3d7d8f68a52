//lint:file-ignore SA1019 PKCS #1 v1.5 is what every client reads, so it is the floor

package smime_test

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"testing"

	"mailseal/internal/byturns"
	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/internal/spool"
	"mailseal/smime"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// encryptionRatio runs encrypting and decrypting a mail beside RSA-2048, the
// library's cipher and base64 on the same bytes in memory, and doing both beside
// SHA-256 and RSA besides.
func encryptionRatio(b *testing.B, size string, m *message.Message, s *spool.Store, id pki.Identity) {
	self := newHolder("RSA", pairOf(id), recipient.Transport{})
	plaintext := []byte(text(b, m.Body))
	for _, c := range []content.Cipher{content.AES256CBC, content.AES256GCM} {
		o := smime.EncryptOptions{To: []recipient.To{self.to}, Cipher: c, Spool: s}
		f := newCryptFloor(b, id, c, plaintext)
		b.Run(size+"/encrypt "+c.String(), func(b *testing.B) {
			byturns.Compare(b, func() { f.encrypt(b) }, func() { drop(b)(smime.Encrypt(m, o)) })
		})
		encrypted := encryptWith(b, m, o)
		b.Run(size+"/decrypt "+c.String(), func(b *testing.B) {
			byturns.Compare(b, func() { f.decrypt(b) }, func() {
				edits, _, err := smime.Decrypt(encrypted, smime.DecryptOptions{Keys: recipient.List{self.key}, Spool: s})
				drop(b)(edits, err)
			})
		})
		both := smime.ProtectOptions{Mode: smime.ModeSignEncrypt, Sign: smime.SignOptions{Identity: id, Spool: s, Digest: crypto.SHA256}, Encrypt: o}
		signing := newFloor(b, id, plaintext)
		b.Run(size+"/sign-encrypt "+c.String(), func(b *testing.B) {
			byturns.Compare(b, func() {
				signing.sign(b, smime.Detached)
				f.encrypt(b)
			}, func() { drop(b)(smime.Protect(m, both)) })
		})
	}
}

// drop takes a result and closes it.
func drop(b *testing.B) func([]message.Edit, error) {
	return func(edits []message.Edit, err error) {
		if err != nil {
			b.Fatal(err)
		}
		message.Verdict{Edits: edits}.Close()
	}
}

// A cryptFloor is what no implementation of encryption can do without.
type cryptFloor struct {
	cipher         content.Cipher
	private        *rsa.PrivateKey
	key, wrapped   []byte
	block          cipher.Block
	gcm            cipher.AEAD
	plain, sealed  []byte
	encoded, bytes []byte // base64 of sealed, and room
}

func newCryptFloor(b *testing.B, id pki.Identity, c content.Cipher, plaintext []byte) *cryptFloor {
	f := &cryptFloor{cipher: c, private: id.Key.(*rsa.PrivateKey), key: make([]byte, c.KeySize())}
	f.plain = append(bytes.Clone(plaintext), make([]byte, -len(plaintext)&15)...)
	var err error
	if f.block, err = aes.NewCipher(f.key); err != nil {
		b.Fatal(err)
	}
	if f.gcm, err = cipher.NewGCM(f.block); err != nil {
		b.Fatal(err)
	}
	f.sealed = make([]byte, len(f.plain)+16)
	f.encoded = make([]byte, base64.StdEncoding.EncodedLen(len(f.sealed)))
	f.bytes = make([]byte, len(f.sealed)+3)
	f.encrypt(b)
	return f
}

func (f *cryptFloor) encrypt(b *testing.B) {
	var err error
	if f.wrapped, err = rsa.EncryptPKCS1v15(rand.Reader, &f.private.PublicKey, f.key); err != nil {
		b.Fatal(err)
	}
	if f.cipher.Authenticated() {
		f.gcm.Seal(f.sealed[:0], make([]byte, 12), f.plain, nil)
	} else {
		cipher.NewCBCEncrypter(f.block, make([]byte, 16)).CryptBlocks(f.sealed, f.plain)
	}
	base64.StdEncoding.Encode(f.encoded, f.sealed)
}

func (f *cryptFloor) decrypt(b *testing.B) {
	n, err := base64.StdEncoding.Decode(f.bytes, f.encoded)
	if err == nil {
		err = rsa.DecryptPKCS1v15SessionKey(rand.Reader, f.private, f.wrapped, f.key)
	}
	if err == nil && f.cipher.Authenticated() {
		_, err = f.gcm.Open(f.plain[:0], make([]byte, 12), f.bytes[:n], nil)
	} else if err == nil {
		cipher.NewCBCDecrypter(f.block, make([]byte, 16)).CryptBlocks(f.plain, f.bytes[:len(f.plain)])
	}
	if err != nil {
		b.Fatal(err)
	}
}
