package smime_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/internal/spool"
	"mailseal/internal/testpki"
	"mailseal/smime"
)

// sizes are those of design.md's goals.
var sizes = []struct {
	name  string
	bytes int
}{{"10KB", 10 << 10}, {"1MB", 1 << 20}, {"25MB", 25 << 20}}

// bigMail is a mail with an attachment: what large mail is.
func bigMail(b testing.TB, s *spool.Store, size int) *message.Message {
	b.Helper()
	const head = "From: alice@corp.example\r\nTo: bob@partner.example\r\nSubject: plans\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/mixed; boundary=\"=_outer\"\r\n\r\n" +
		"--=_outer\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nHere they are.\r\n\r\n" +
		"--=_outer\r\nContent-Type: application/pdf; name=plans.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
	const tail = "--=_outer--\r\n"
	line := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("plan", 15))[:57]) + "\r\n"
	n := max((size-len(tail)-300)/len(line), 1)
	m, err := message.Read(io.MultiReader(strings.NewReader(head), strings.NewReader(strings.Repeat(line, n)), strings.NewReader(tail)), s, message.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { m.Body.Close() })
	return m
}

func benchIdentity(b *testing.B) pki.Identity {
	return testpki.New(b).User("alice@corp.example", ca.RSA2048)
}

// BenchmarkSign compares signing with the floor: hash and RSA on the same
// bytes, in memory, and base64 where the format has it.
func BenchmarkSign(b *testing.B) {
	id := benchIdentity(b)
	for _, size := range sizes {
		s := newSpool(b)
		m := bigMail(b, s, size.bytes)
		in := text(b, m.Body)
		b.Run("floor/detached/"+size.name, func(b *testing.B) {
			data := []byte(in)
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				signFloor(b, id, data)
			}
		})
		b.Run("floor/opaque/"+size.name, func(b *testing.B) {
			data := []byte(in)
			out := make([]byte, base64.StdEncoding.EncodedLen(len(data)))
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				signFloor(b, id, data)
				base64.StdEncoding.Encode(out, data)
			}
		})
		for _, format := range []smime.Format{smime.Detached, smime.Opaque} {
			b.Run(fmt.Sprintf("smime/%v/%s", format, size.name), func(b *testing.B) {
				b.SetBytes(m.Body.Size())
				b.ReportAllocs()
				for b.Loop() {
					edits, err := smime.Sign(m, smime.SignOptions{Identity: id, Spool: s, Format: format, Digest: crypto.SHA256})
					if err != nil {
						b.Fatal(err)
					}
					message.Verdict{Edits: edits}.Close()
				}
			})
		}
	}
}

func signFloor(b *testing.B, id pki.Identity, data []byte) {
	sum := sha256.Sum256(data)
	if _, err := id.Key.Sign(rand.Reader, sum[:], crypto.SHA256); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkVerify compares verifying with the floor: hash and RSA on the same
// bytes, in memory, and base64 where the format has it.
func BenchmarkVerify(b *testing.B) {
	id := benchIdentity(b)
	for _, size := range sizes {
		s := newSpool(b)
		m := bigMail(b, s, size.bytes)
		data := []byte(text(b, m.Body))
		sum := sha256.Sum256(data)
		signature, err := id.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
		if err != nil {
			b.Fatal(err)
		}
		verifyFloor := func(b *testing.B) {
			sum := sha256.Sum256(data)
			if rsa.VerifyPKCS1v15(id.Key.Public().(*rsa.PublicKey), crypto.SHA256, sum[:], signature) != nil {
				b.Fatal("bad signature")
			}
		}
		b.Run("floor/detached/"+size.name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				verifyFloor(b)
			}
		})
		b.Run("floor/opaque/"+size.name, func(b *testing.B) {
			coded := []byte(base64.StdEncoding.EncodeToString(data))
			out := make([]byte, len(data)+3)
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := base64.StdEncoding.Decode(out, coded); err != nil {
					b.Fatal(err)
				}
				verifyFloor(b)
			}
		})
		for _, format := range []smime.Format{smime.Detached, smime.Opaque} {
			o := options(b, id, format)
			o.Spool, o.Digest = s, crypto.SHA256
			signed := sign(b, m, o)
			b.Run(fmt.Sprintf("smime/%v/%s", format, size.name), func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					r, err := smime.Verify(signed, smime.VerifyOptions{})
					if err != nil || !good(r) {
						b.Fatal(err, describe(r))
					}
				}
			})
		}
	}
}

// BenchmarkWalk is what finding the parts costs alone.
func BenchmarkWalk(b *testing.B) {
	m := bigMail(b, newSpool(b), 25<<20)
	b.SetBytes(m.Body.Size())
	for b.Loop() {
		if _, err := message.Walk(m.Header, m.Body, message.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
