package cms

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"testing"

	"mailseal/smime/cms/ber"
)

// Every operation stands beside its floor: the bare primitives on the same octets. Read the figures in pairs.
//
//	go test -bench . -benchmem ./smime/cms

var sizes = []struct {
	name string
	size int
}{{"10KB", 10 << 10}, {"1MB", 1 << 20}, {"25MB", 25 << 20}}

func eachSize(b *testing.B, f func(b *testing.B, content []byte)) {
	for _, s := range sizes {
		content := bytes.Repeat([]byte("All work and no play.\r\n"), s.size/23+1)[:s.size]
		b.Run(s.name, func(b *testing.B) {
			b.SetBytes(int64(s.size))
			b.ReportAllocs()
			f(b, content)
		})
	}
}

func BenchmarkSignFloor(b *testing.B) {
	key := rsa2048().key.(*rsa.PrivateKey)
	eachSize(b, func(b *testing.B, content []byte) {
		for b.Loop() {
			sum := sha256.Sum256(content)
			attributes := sha256.Sum256(sum[:])
			if _, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, attributes[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSignDetached(b *testing.B) {
	s := rsa2048().signer()
	eachSize(b, func(b *testing.B, content []byte) {
		for b.Loop() {
			if _, err := SignDetached(bytes.NewReader(content), s); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSignOpaque(b *testing.B) {
	s := rsa2048().signer()
	eachSize(b, func(b *testing.B, content []byte) {
		for b.Loop() {
			if _, _, err := SignOpaque(bytes.NewReader(content), int64(len(content)), s); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkVerifyFloor(b *testing.B) {
	id := rsa2048()
	eachSize(b, func(b *testing.B, content []byte) {
		sum := sha256.Sum256(content)
		attributes := sha256.Sum256(sum[:])
		signature, err := rsa.SignPKCS1v15(rand.Reader, id.key.(*rsa.PrivateKey), crypto.SHA256, attributes[:])
		if err != nil {
			b.Fatal(err)
		}
		public := id.cert.PublicKey.(*rsa.PublicKey)
		for b.Loop() {
			sum := sha256.Sum256(content)
			attributes := sha256.Sum256(sum[:])
			if rsa.VerifyPKCS1v15(public, crypto.SHA256, attributes[:], signature) != nil {
				b.Fatal("floor does not verify")
			}
		}
	})
}

// verifyLoop reads and verifies object, over content if it is detached.
func verifyLoop(b *testing.B, object, content []byte, o ReadOptions) {
	for b.Loop() {
		s, err := ReadSignedData(bytes.NewReader(object), o)
		if err != nil {
			b.Fatal(err)
		}
		if content != nil {
			if err := s.DigestContent(bytes.NewReader(content)); err != nil {
				b.Fatal(err)
			}
		}
		if r := s.Verify(); len(r) != 1 || r[0].Err != nil {
			b.Fatal(r)
		}
	}
}

func BenchmarkVerifyDetached(b *testing.B) {
	eachSize(b, func(b *testing.B, content []byte) {
		verifyLoop(b, detached(b, content, rsa2048().signer()), content, ReadOptions{})
	})
}

// BenchmarkVerifyDetachedKnown has the certificate in a cache, as mail from a partner finds it.
func BenchmarkVerifyDetachedKnown(b *testing.B) {
	o := ReadOptions{ParseCertificate: known(rsa2048())}
	eachSize(b, func(b *testing.B, content []byte) {
		verifyLoop(b, detached(b, content, rsa2048().signer()), content, o)
	})
}

// known parses certificates with id's in a cache.
func known(id identity) func([]byte) (*x509.Certificate, error) {
	return func(der []byte) (*x509.Certificate, error) {
		if bytes.Equal(der, id.cert.Raw) {
			return id.cert, nil
		}
		return x509.ParseCertificate(der)
	}
}

func BenchmarkVerifyOpaqueDER(b *testing.B) {
	eachSize(b, func(b *testing.B, content []byte) {
		verifyLoop(b, opaque(b, content, rsa2048().signer()), nil, ReadOptions{})
	})
}

func BenchmarkVerifyOpaqueBER(b *testing.B) {
	eachSize(b, func(b *testing.B, content []byte) {
		verifyLoop(b, streamed(content, opaque(b, content, rsa2048().signer()), 4096), nil, ReadOptions{})
	})
}

// streamed turns a DER object of ours into what openssl cms -stream writes: everything around the content of indefinite length,
// the content in pieces.
func streamed(content, der []byte, piece int) []byte {
	var b bytes.Buffer
	r := ber.NewReader(bytes.NewReader(der), ber.Limits{})
	raw := func() {
		r.Next()
		e, _ := r.Raw(1 << 30)
		b.Write(e)
	}
	open := func(header ...byte) {
		r.Next()
		r.Enter()
		b.Write(header)
	}
	open(0x30, 0x80)
	raw()
	open(0xa0, 0x80)
	open(0x30, 0x80)
	raw()
	raw()
	open(0x30, 0x80)
	raw()
	open(0xa0, 0x80)
	b.Write([]byte{0x24, 0x80})
	for len(content) > 0 {
		n := min(piece, len(content))
		b.Write(ber.AppendHeader(nil, ber.OctetString, false, int64(n)))
		b.Write(content[:n])
		content = content[n:]
	}
	r.Next()
	r.Leave()
	r.Leave()
	b.Write(make([]byte, 6))
	raw()
	raw()
	b.Write(make([]byte, 6))
	return b.Bytes()
}
