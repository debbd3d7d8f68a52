//go:build unix

//lint:file-ignore SA1019 PKCS #1 v1.5 is what every client reads, so it is the floor

package cms

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"io"
	"testing"

	"mailseal/internal/byturns"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// fixed is a Spool in memory that is there already, so that neither side pays for making it.
type fixed struct {
	b []byte
	n int
}

func (f *fixed) Write(p []byte) (int, error) {
	f.n += copy(f.b[f.n:], p)
	return len(p), nil
}

// ReadFrom gives room of 32 KiB, as the product's spool does.
func (f *fixed) ReadFrom(r io.Reader) (total int64, err error) {
	for {
		n, err := r.Read(f.b[f.n:min(f.n+32<<10, len(f.b))])
		f.n += n
		total += int64(n)
		if err == io.EOF {
			return total, nil
		} else if err != nil {
			return total, err
		}
	}
}

func (f *fixed) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(f.b[:f.n]).ReadAt(p, off)
}
func (f *fixed) Close() error { return nil }

// envelopedRatio runs encrypting and decrypting beside RSA-2048 and the library's cipher on the whole message in memory.
func envelopedRatio(b *testing.B, plaintext []byte, r rivals) {
	id := rsa2048()
	key, public := id.key.(*rsa.PrivateKey), id.cert.PublicKey.(*rsa.PublicKey)
	out := make([]byte, len(plaintext)+64)
	for _, c := range []content.Cipher{content.AES256CBC, content.AES256GCM} {
		e := Encryption{To: []recipient.To{id.recipient()}, Cipher: c}
		cek := make([]byte, c.KeySize())
		wrapped := must(rsa.EncryptPKCS1v15(rand.Reader, public, cek))
		text := floorSeal(c, cek, bytes.Clone(out), plaintext)
		b.Run("encrypt "+c.String(), func(b *testing.B) {
			byturns.Compare(b, func() {
				must(rsa.EncryptPKCS1v15(rand.Reader, public, cek))
				floorSeal(c, cek, out, plaintext)
			}, func() {
				if err := Encrypt(io.Discard, bytes.NewReader(plaintext), int64(len(plaintext)), e); err != nil {
					b.Fatal(err)
				}
			}, r.encrypt(c)...)
		})
		decryptFloor := func() {
			if rsa.DecryptPKCS1v15SessionKey(rand.Reader, key, wrapped, cek) != nil || !floorOpen(c, cek, out, text) {
				b.Fatal("floor does not decrypt")
			}
		}
		for _, known := range []bool{true, false} {
			name := c.String() + map[bool]string{true: " DER", false: " BER"}[known]
			object := r.file(name, func(plaintext []byte) []byte { return encrypted(b, plaintext, known, e) })
			b.Run("decrypt "+name, func(b *testing.B) {
				rivals := r.decrypt(name, object, c)
				byturns.Compare(b, decryptFloor, func() { decryptOnce(b, object, out, len(plaintext)) }, rivals...)
			})
		}
	}
}

func decryptOnce(b *testing.B, object, out []byte, size int) {
	e, err := ReadEnveloped(bytes.NewReader(object), ReadEnvelopedOptions{
		Keys:  recipient.List{rsa2048().opener()},
		Spool: func() (Spool, error) { return &fixed{b: out}, nil },
	})
	if err != nil || e.Content.Size() != int64(size) {
		b.Fatal(err)
	}
}

// floorSeal encrypts into out, floorOpen decrypts.
func floorSeal(c content.Cipher, key, out, plaintext []byte) []byte {
	block := must(aes.NewCipher(key))
	if c.Authenticated() {
		return must(cipher.NewGCM(block)).Seal(out[:0], make([]byte, 12), plaintext, nil)
	}
	whole := len(plaintext) / aes.BlockSize * aes.BlockSize
	mode := cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize))
	mode.CryptBlocks(out, plaintext[:whole])
	last := bytes.Repeat([]byte{byte(aes.BlockSize - len(plaintext)%aes.BlockSize)}, aes.BlockSize)
	copy(last, plaintext[whole:])
	mode.CryptBlocks(out[whole:], last)
	return out[:whole+aes.BlockSize]
}

func floorOpen(c content.Cipher, key, out, text []byte) bool {
	block := must(aes.NewCipher(key))
	if c.Authenticated() {
		_, err := must(cipher.NewGCM(block)).Open(out[:0], make([]byte, 12), text, nil)
		return err == nil
	}
	cipher.NewCBCDecrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(out, text)
	return true
}
