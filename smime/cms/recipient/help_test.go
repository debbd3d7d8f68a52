package recipient

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"encoding/asn1"
	"encoding/pem"
	"os"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/ber"
	"mailseal/smime/cms/syntax"
)

var (
	oidData      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidEnveloped = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}
	oidAES256CBC = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// enveloped is an EnvelopedData as far as it is needed to see whether a key is the right one.
type enveloped struct {
	infos  [][]byte
	cipher asn1.ObjectIdentifier
	iv     []byte
	data   []byte
}

// read reads a file with an EnvelopedData or AuthEnvelopedData, PEM or binary.
func read(t testing.TB, path string) enveloped {
	t.Helper()
	return parseEnveloped(t, must(os.ReadFile(path)))
}

func parseEnveloped(t testing.TB, b []byte) (e enveloped) {
	t.Helper()
	if p, _ := pem.Decode(b); p != nil {
		b = p.Bytes
	}
	b, err := ber.DER(b, ber.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var s, body, infos, info, content, parameters, data, piece cryptobyte.String
	var tag der.Tag
	s = b
	ok := s.ReadASN1(&s, der.SEQUENCE) && s.SkipASN1(der.OBJECT_IDENTIFIER) && s.ReadASN1(&s, syntax.Explicit(0)) && s.ReadASN1(&body, der.SEQUENCE) &&
		body.SkipASN1(der.INTEGER) && body.SkipOptionalASN1(syntax.Explicit(0)) && body.ReadASN1(&infos, der.SET)
	for ok && !infos.Empty() {
		ok = infos.ReadAnyASN1Element(&info, &tag)
		e.infos = append(e.infos, info)
	}
	ok = ok && body.ReadASN1(&content, der.SEQUENCE) && content.SkipASN1(der.OBJECT_IDENTIFIER)
	a, readable := syntax.ReadAlgorithm(&content, der.SEQUENCE)
	e.cipher, parameters = a.Algorithm, a.Parameters.FullBytes
	if parameters.PeekASN1Tag(der.OCTET_STRING) {
		parameters.ReadASN1(&parameters, der.OCTET_STRING)
		e.iv = parameters
	}
	if ok = ok && readable && content.ReadAnyASN1(&data, &tag); !ok {
		t.Fatal("not an EnvelopedData")
	}
	if e.data = data; tag == syntax.Explicit(0) { // in pieces
		for e.data = nil; !data.Empty() && data.ReadASN1(&piece, der.OCTET_STRING); {
			e.data = append(e.data, piece...)
		}
	}
	return e
}

// decrypt returns the content, nil if it is not of this key.
func (e enveloped) decrypt(t testing.TB, cek []byte) []byte {
	t.Helper()
	fresh := aes.NewCipher
	if e.cipher.String() == "1.2.840.113549.3.7" {
		fresh = des.NewTripleDESCipher
	}
	block, err := fresh(cek)
	if err != nil || len(e.data) == 0 || len(e.data)%block.BlockSize() != 0 {
		t.Fatalf("content of %d octets by %v: %v", len(e.data), e.cipher, err)
	}
	out := make([]byte, len(e.data))
	cipher.NewCBCDecrypter(block, e.iv).CryptBlocks(out, e.data)
	n := int(out[len(out)-1])
	if n == 0 || n > block.BlockSize() || !bytes.Equal(out[len(out)-n:], bytes.Repeat([]byte{byte(n)}, n)) {
		return nil
	}
	return out[:len(out)-n]
}

// open decrypts content with the first recipient that is k.
func (e enveloped) open(t testing.TB, k Key, cekLen int) []byte {
	t.Helper()
	for _, raw := range e.infos {
		i, err := Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if i.For(k) {
			cek, err := i.Unwrap(k, cekLen)
			if err != nil {
				t.Fatal(err)
			}
			return e.decrypt(t, cek)
		}
	}
	t.Fatal("for nobody here")
	return nil
}

// envelop makes an EnvelopedData with AES-256-CBC for others to open.
func envelop(t testing.TB, content, cek []byte, infos ...[]byte) []byte {
	t.Helper()
	block := must(aes.NewCipher(cek))
	iv := make([]byte, block.BlockSize())
	rand.Read(iv)
	n := block.BlockSize() - len(content)%block.BlockSize()
	data := append(bytes.Clone(content), bytes.Repeat([]byte{byte(n)}, n)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(data, data)
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidEnveloped)
		b.AddASN1(syntax.Explicit(0), func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(int64(Version(infos...)))
				b.AddASN1(der.SET, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(infos, nil)) })
				b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidData)
					b.AddBytes(syntax.Algorithm(oidAES256CBC, must(asn1.Marshal(iv))))
					b.AddASN1(syntax.Context0, func(b *cryptobyte.Builder) { b.AddBytes(data) })
				})
			})
		})
	})
	return b.BytesOrPanic()
}

func oid(o asn1.ObjectIdentifier) []byte { return must(asn1.Marshal(o)) }
