package path

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"slices"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/testpki/forge"
)

// pssAlgorithm is an AlgorithmIdentifier of RSASSA-PSS; salt below 0 has no parameters.
func pssAlgorithm(digest []byte, salt int) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes([]byte("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"))
		if salt < 0 {
			return
		}
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			hash := func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes(digest) })
					b.AddASN1NULL()
				})
			}
			b.AddASN1(asn1.Tag(0).Constructed().ContextSpecific(), hash)
			b.AddASN1(asn1.Tag(1).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddBytes([]byte("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08"))
					hash(b)
				})
			})
			b.AddASN1(asn1.Tag(2).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(salt)) })
		})
	})
	return b.BytesOrPanic()
}

var (
	sha256ID = []byte("\x60\x86\x48\x01\x65\x03\x04\x02\x01")
	sha512ID = []byte("\x60\x86\x48\x01\x65\x03\x04\x02\x03")
)

// What a CA signs whose key is for RSASSA-PSS alone is verified, if the key's own
// parameters allow it.
func TestPSSOnly(t *testing.T) {
	key := rsaKey(t)
	for name, c := range map[string]struct {
		bound, used []byte // AlgorithmIdentifiers
		hash        crypto.Hash
		want        bool
	}{
		"not bound":                {pssAlgorithm(nil, -1), pssAlgorithm(sha256ID, 32), crypto.SHA256, true},
		"not bound, SHA-512":       {pssAlgorithm(nil, -1), pssAlgorithm(sha512ID, 64), crypto.SHA512, true},
		"bound":                    {pssAlgorithm(sha256ID, 32), pssAlgorithm(sha256ID, 32), crypto.SHA256, true},
		"bound to a shorter salt":  {pssAlgorithm(sha256ID, 20), pssAlgorithm(sha256ID, 32), crypto.SHA256, true},
		"bound to a longer salt":   {pssAlgorithm(sha256ID, 33), pssAlgorithm(sha256ID, 32), crypto.SHA256, false},
		"bound to another digest":  {pssAlgorithm(sha512ID, 32), pssAlgorithm(sha256ID, 32), crypto.SHA256, false},
		"PKCS #1 v1.5":             {pssAlgorithm(nil, -1), forge.RSAWithSHA256, 0, false},
		"bound to what is nothing": {slices.Concat([]byte{0x30, 0x0d}, pssAlgorithm(nil, -1)[2:], []byte{5, 0}), pssAlgorithm(sha256ID, 32), crypto.SHA256, false},
	} {
		t.Run(name, func(t *testing.T) {
			root := ca("Root")
			root.SPKI, root.Key, root.Algorithm = spkiOf(t, c.bound, key), key, forge.RSAWithSHA256
			by := root.Sign(nil) // an anchor's own signature is not looked at
			leaf := user()
			leaf.Algorithm = c.used
			issued := leaf.Sign(by)
			if c.hash != 0 {
				issued.DER = signPSS(t, issued.DER, key, c.hash)
			}
			r := Validate([]*x5280.Certificate{parse(t, issued.DER), parse(t, by.DER)}, Options{At: at})
			if r.Good() != c.want {
				t.Errorf("good: %v (%s)", r.Good(), r.Text())
			}
			if _, broken := r.Broke(Signature); broken == c.want {
				t.Errorf("%v", r.Failures)
			}
		})
	}
}

// spkiOf is a SubjectPublicKeyInfo with an algorithm of choice.
func spkiOf(t testing.TB, algorithm []byte, key *rsa.PrivateKey) []byte {
	t.Helper()
	s := cryptobyte.String(spki(t, key.Public()))
	var bits cryptobyte.String
	if !s.ReadASN1(&s, asn1.SEQUENCE) || !s.SkipASN1(asn1.SEQUENCE) || !s.ReadASN1Element(&bits, asn1.BIT_STRING) {
		t.Fatal("no key")
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(algorithm)
		b.AddBytes(bits)
	})
	return b.BytesOrPanic()
}

// signPSS puts another signature under a certificate.
func signPSS(t testing.TB, der []byte, key *rsa.PrivateKey, hash crypto.Hash) []byte {
	t.Helper()
	s, _, ok := x5280.ReadSigned(der)
	if !ok {
		t.Fatal("no certificate")
	}
	var digest []byte
	switch hash {
	case crypto.SHA256:
		d := sha256.Sum256(s.Content)
		digest = d[:]
	default:
		d := sha512.Sum512(s.Content)
		digest = d[:]
	}
	signature, err := rsa.SignPSS(rand.Reader, key, hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	if err != nil {
		t.Fatal(err)
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(s.Content)
		b.AddBytes(s.Algorithm)
		b.AddASN1BitString(signature)
	})
	return b.BytesOrPanic()
}
