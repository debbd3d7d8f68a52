package recipient

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"mailseal/internal/mlkemkey"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// issuer is a DER Name: what it says does not matter here.
var issuer = []byte{0x30, 0x00}

// person makes the parts of a certificate that matter here, around any private key.
func person(serial int64, private crypto.PrivateKey) Key {
	c := &x509.Certificate{RawIssuer: issuer, SerialNumber: big.NewInt(serial), SubjectKeyId: fmt.Appendf(nil, "key %d", serial)}
	switch key := private.(type) {
	case *rsa.PrivateKey:
		c.PublicKey = &key.PublicKey
	case *ecdsa.PrivateKey:
		c.PublicKey = &key.PublicKey
	case *ecdh.PrivateKey:
		c.PublicKey = key.PublicKey()
	case crypto.Decapsulator:
		c.RawSubjectPublicKeyInfo = must(mlkemkey.MarshalPublicKey(key.Encapsulator()))
	}
	return Key{Certificate: c, Private: private}
}

// A sort is a way to give somebody a key.
type sort struct {
	name string
	to   To
	key  Key
	kind Kind
}

// sorts has every way that Wrap knows, but for passwords, which are slow.
var sorts = sync.OnceValue(func() []sort {
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	var list []sort
	add := func(name string, k Key, kind Kind, t Transport) {
		for _, byKeyID := range []bool{false, true} {
			list = append(list, sort{fmt.Sprint(name, " ", byKeyID), To{Certificate: k.Certificate, ByKeyID: byKeyID, Transport: t}, k, kind})
		}
	}
	add("RSA v1.5", person(1, rsaKey), KeyTransport, Transport{})
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		add("OAEP "+h.String(), person(1, rsaKey), KeyTransport, OAEP(h))
	}
	add("OAEP mixed", person(1, rsaKey), KeyTransport, Transport{Hash: crypto.SHA256, MGFHash: crypto.SHA1})
	add("OAEP, mask of the same", person(1, rsaKey), KeyTransport, Transport{Hash: crypto.SHA512})
	for n, c := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		k := must(ecdsa.GenerateKey(c, rand.Reader))
		add("ECDSA "+c.Params().Name, person(int64(10+n), k), KeyAgreement, Transport{})
		add("ECDH "+c.Params().Name, person(int64(20+n), must(k.ECDH())), KeyAgreement, Transport{})
	}
	add("X25519", person(30, must(ecdh.X25519().GenerateKey(rand.Reader))), KeyAgreement, Transport{})
	add("ML-KEM-768", person(40, must(mlkem.GenerateKey768())), KEM, Transport{})
	add("ML-KEM-1024", person(41, must(mlkem.GenerateKey1024())), KEM, Transport{})
	return list
})

// TestRoundTrip: what is wrapped for somebody is unwrapped by him, and by nobody else.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom(sorts()).Draw(t, "sort")
		cek := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "cek")
		if more := rapid.IntRange(0, 2).Draw(t, "more"); more > 0 {
			cek = append(cek, make([]byte, 8*more)...)
		}
		info, err := s.to.Wrap(rand.Reader, cek)
		if err != nil {
			t.Fatal(s.name, err)
		}
		i, err := Parse(info)
		if err != nil {
			t.Fatal(s.name, err)
		}
		if i.Kind != s.kind || !i.For(s.key) {
			t.Fatal(s.name, i.Kind, "not for its recipient")
		}
		got, err := i.Unwrap(s.key, len(cek))
		if err != nil || !bytes.Equal(got, cek) {
			t.Fatalf("%s: got %x, %v; want %x", s.name, got, err, cek)
		}
		for _, other := range sorts() {
			if other.key.Certificate.SerialNumber.Cmp(s.key.Certificate.SerialNumber) != 0 && i.For(other.key) {
				t.Fatalf("what is for %s is for %s", s.name, other.name)
			}
		}
	})
}

func TestPassword(t *testing.T) {
	cek := []byte("0123456789abcdefghijklmn")
	info := must(To{Password: []byte("秘密"), Rounds: 1000}.Wrap(rand.Reader, cek))
	i := must(Parse(info))
	if i.Kind != Password || i.For(Key{}) || i.For(sorts()[0].key) {
		t.Errorf("%s is for somebody without a password", i.Kind)
	}
	for password, want := range map[string]bool{"秘密": true, "": false, "secret": false} {
		got, err := i.Unwrap(Key{Password: []byte(password)}, len(cek))
		if bytes.Equal(got, cek) != want || (err != nil) != (password == "") {
			t.Errorf("%q: got %x, %v", password, got, err)
		}
	}
}

// TestVersion: RFC 5652 section 6.1.
func TestVersion(t *testing.T) {
	cek := make([]byte, 16)
	wrap := func(to To) []byte { return must(to.Wrap(rand.Reader, cek)) }
	by := func(kind Kind, keyID bool) []byte {
		n := slices.IndexFunc(sorts(), func(s sort) bool { return s.kind == kind && s.to.ByKeyID == keyID })
		return wrap(sorts()[n].to)
	}
	password := wrap(To{Password: []byte("x"), Rounds: 1})
	for n, test := range []struct {
		infos [][]byte
		want  int
	}{
		{[][]byte{by(KeyTransport, false)}, 0},
		{[][]byte{by(KeyTransport, false), by(KeyTransport, false)}, 0},
		{[][]byte{by(KeyTransport, false), by(KeyTransport, true)}, 2},
		{[][]byte{by(KeyAgreement, false), by(KeyTransport, false)}, 2},
		{[][]byte{by(KeyAgreement, false), by(KEM, false)}, 3},
		{[][]byte{by(KeyTransport, false), password}, 3},
	} {
		if got := Version(test.infos...); got != test.want {
			t.Errorf("%d: got %d, want %d", n, got, test.want)
		}
	}
}

// TestCannotWrap: what cannot be done is said, and never a panic.
func TestCannotWrap(t *testing.T) {
	key := sorts()[0].key.Certificate
	large := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 16000), E: 65537}
	x448 := append(unhex("3042300506032b656f033900"), make([]byte, 56)...)
	for name, to := range map[string]To{
		"nobody":               {},
		"no key identifier":    {Certificate: &x509.Certificate{PublicKey: key.PublicKey}, ByKeyID: true},
		"P-224":                {Certificate: person(1, must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))).Certificate},
		"Ed25519":              {Certificate: &x509.Certificate{PublicKey: ed25519.PublicKey(make([]byte, 32))}},
		"X448":                 {Certificate: &x509.Certificate{RawSubjectPublicKeyInfo: x448}},
		"no key at all":        {Certificate: &x509.Certificate{}},
		"RSA of 16000 bits":    {Certificate: &x509.Certificate{PublicKey: large}},
		"too many rounds":      {Password: []byte("x"), Rounds: maxRounds + 1},
		"no rounds":            {Password: []byte("x"), Rounds: -1},
		"OAEP with MD5":        {Certificate: key, Transport: OAEP(crypto.MD5)},
		"OAEP with mask only":  {Certificate: key, Transport: Transport{MGFHash: crypto.SHA256}},
		"OAEP beyond all size": {Certificate: key, Transport: OAEP(crypto.Hash(99))},
	} {
		if info, err := to.Wrap(rand.Reader, make([]byte, 32)); err == nil {
			t.Errorf("%s: wrapped, %x", name, info)
		}
	}
	for _, n := range []int{0, 8, 15, 65, 4096} {
		if _, err := sorts()[0].to.Wrap(rand.Reader, make([]byte, n)); !errors.Is(err, ErrUnsupported) {
			t.Errorf("key of %d octets: got %v", n, err)
		}
	}
}
