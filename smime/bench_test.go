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
	"mailseal/internal/byturns"
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

// BenchmarkRatio runs every operation beside its floor: hash, cipher and RSA on
// the same bytes in memory, and base64 where the format has it.
func BenchmarkRatio(b *testing.B) {
	id := benchIdentity(b)
	parser := pki.NewParser() // as the gateway has one
	for _, size := range sizes {
		s := newSpool(b)
		m := bigMail(b, s, size.bytes)
		floor := newFloor(b, id, []byte(text(b, m.Body)))
		for _, format := range []smime.Format{smime.Detached, smime.Opaque} {
			o := smime.SignOptions{Identity: id, Spool: s, Format: format, Digest: crypto.SHA256}
			b.Run(fmt.Sprintf("%s/sign %v", size.name, format), func(b *testing.B) {
				byturns.Compare(b, func() { floor.sign(b, format) }, func() {
					edits, err := smime.Sign(m, o)
					if err != nil {
						b.Fatal(err)
					}
					message.Verdict{Edits: edits}.Close()
				})
			})
			signed := sign(b, m, o)
			b.Run(fmt.Sprintf("%s/verify %v", size.name, format), func(b *testing.B) {
				byturns.Compare(b, func() { floor.verify(b, format) }, func() {
					r, err := smime.Verify(signed, smime.VerifyOptions{ParseCertificate: parser.Parse})
					if err != nil || !good(r) {
						b.Fatal(err, describe(r))
					}
				})
			})
		}
		encryptionRatio(b, size.name, m, s, id)
	}
}

// A floor is what no implementation can do without.
type floor struct {
	key            *rsa.PrivateKey
	data           []byte
	signature      []byte
	encoded, plain []byte // for base64
}

func newFloor(b *testing.B, id pki.Identity, data []byte) *floor {
	f := &floor{key: id.Key.(*rsa.PrivateKey), data: data}
	f.encoded = []byte(base64.StdEncoding.EncodeToString(data))
	f.plain = make([]byte, len(data)+3)
	f.sign(b, smime.Detached)
	return f
}

func (f *floor) sign(b *testing.B, format smime.Format) {
	sum := sha256.Sum256(f.data)
	var err error
	if f.signature, err = rsa.SignPKCS1v15(rand.Reader, f.key, crypto.SHA256, sum[:]); err != nil {
		b.Fatal(err)
	}
	if format == smime.Opaque {
		base64.StdEncoding.Encode(f.encoded, f.data)
	}
}

func (f *floor) verify(b *testing.B, format smime.Format) {
	data := f.data
	if format == smime.Opaque {
		n, err := base64.StdEncoding.Decode(f.plain, f.encoded)
		if err != nil {
			b.Fatal(err)
		}
		data = f.plain[:n]
	}
	sum := sha256.Sum256(data)
	if rsa.VerifyPKCS1v15(&f.key.PublicKey, crypto.SHA256, sum[:], f.signature) != nil {
		b.Fatal("bad signature")
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
