//go:build unix

package cms

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"mailseal/internal/byturns"
)

// BenchmarkRatio runs every operation beside its floor and its rivals.
func BenchmarkRatio(b *testing.B) {
	id := rsa2048()
	key, public := id.key.(*rsa.PrivateKey), id.cert.PublicKey.(*rsa.PublicKey)
	signFloor := func(b *testing.B, content []byte) []byte {
		sum := sha256.Sum256(content)
		attributes := sha256.Sum256(sum[:])
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, attributes[:])
		if err != nil {
			b.Fatal(err)
		}
		return signature
	}
	eachSize(b, func(b *testing.B, content []byte) {
		signature := signFloor(b, content)
		floors := map[string]func(){
			"sign": func() { signFloor(b, content) },
			"verify": func() {
				sum := sha256.Sum256(content)
				attributes := sha256.Sum256(sum[:])
				if rsa.VerifyPKCS1v15(public, crypto.SHA256, attributes[:], signature) != nil {
					b.Fatal("floor does not verify")
				}
			},
		}
		r := newRivals(b, content)
		outside := r.file("outside", func(content []byte) []byte { return detached(b, content, id.signer()) })
		inside := r.file("inside", func(content []byte) []byte { return opaque(b, content, id.signer()) })
		pieces := r.file("pieces", func(content []byte) []byte { return streamed(content, opaque(b, content, id.signer()), 4096) })
		for _, op := range []struct {
			name, floor string
			run         func()
			rivals      []byturns.Rival
		}{
			{"sign detached", "sign", func() { detached(b, content, id.signer()) }, r.sign()},
			{"verify detached", "verify", func() { verifyOnce(b, outside, content, ReadOptions{}) }, r.verify("outside", outside, true)},
			{"verify detached, certificate known", "verify", func() { verifyOnce(b, outside, content, ReadOptions{ParseCertificate: known(id)}) }, nil},
			{"verify opaque DER", "verify", func() { verifyOnce(b, inside, nil, ReadOptions{}) }, r.verify("inside", inside, false)},
			{"verify opaque BER", "verify", func() { verifyOnce(b, pieces, nil, ReadOptions{}) }, r.verify("pieces", pieces, false)},
		} {
			b.Run(op.name, func(b *testing.B) { byturns.Compare(b, floors[op.floor], op.run, op.rivals...) })
		}
		envelopedRatio(b, content, r)
	})
}

func verifyOnce(b *testing.B, object, content []byte, o ReadOptions) {
	s, err := ReadSignedData(bytes.NewReader(object), o)
	if err == nil && content != nil {
		err = s.DigestContent(bytes.NewReader(content))
	}
	if err != nil {
		b.Fatal(err)
	}
	if r := s.Verify(); len(r) != 1 || r[0].Err != nil {
		b.Fatal(r)
	}
}
