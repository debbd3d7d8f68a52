package mlkemkey

import (
	"bytes"
	"crypto/mlkem"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func corpus(t testing.TB, name string) string {
	t.Helper()
	base := os.Getenv("MAILSEAL_CORPORA")
	if base == "" {
		base = filepath.Join("..", "..", "..", "shared", "corpora")
	}
	path := filepath.Join(base, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("corpus %s is not there: set MAILSEAL_CORPORA", name)
	}
	return path
}

func block(t testing.TB, path string) []byte {
	t.Helper()
	p, _ := pem.Decode(must(os.ReadFile(path)))
	if p == nil {
		t.Fatalf("%s is not PEM", path)
	}
	return p.Bytes
}

// TestCertificates reads the keys and certificates of RFC 9935 appendix C.
func TestCertificates(t *testing.T) {
	dir := corpus(t, "lamps-pqc-mlkem-cert/example")
	for _, name := range []string{"ML-KEM-768", "ML-KEM-1024"} {
		spki := block(t, filepath.Join(dir, name+".pub"))
		public, err := ParsePublicKey(spki)
		if err != nil {
			t.Fatal(name, err)
		}
		if again, err := MarshalPublicKey(public); err != nil || !bytes.Equal(again, spki) {
			t.Errorf("%s: marshalled as %x, %v", name, again, err)
		}
		c := must(x509.ParseCertificate(block(t, filepath.Join(dir, name+".crt"))))
		if !bytes.Equal(c.RawSubjectPublicKeyInfo, spki) {
			t.Errorf("%s: certificate of another key", name)
		}
		for _, form := range []string{"seed", "both"} {
			private, err := ParsePrivateKey(block(t, filepath.Join(dir, name+"-"+form+".priv")))
			if err != nil {
				t.Fatal(name, form, err)
			}
			if !bytes.Equal(private.Encapsulator().Bytes(), public.Bytes()) {
				t.Errorf("%s-%s is another key", name, form)
			}
		}
		if _, err := ParsePrivateKey(block(t, filepath.Join(dir, name+"-expanded.priv"))); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s-expanded: got %v", name, err)
		}
		both := block(t, filepath.Join(dir, name+"-both.priv"))
		for _, at := range []int{len(both) - 1, len(both) - 40, len(both) - 100, 40} { // z, digest, public key, seed
			forged := bytes.Clone(both)
			forged[at] ^= 1
			if _, err := ParsePrivateKey(forged); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: halves that differ at %d: got %v", name, at, err)
			}
		}
	}
	for _, name := range []string{"ML-KEM-512-seed", "ML-KEM-512-both", "bad-ML-KEM-512-1", "bad-ML-KEM-512-4"} {
		if _, err := ParsePrivateKey(block(t, filepath.Join(dir, name+".priv"))); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := ParsePublicKey(block(t, filepath.Join(dir, "ML-KEM-512.pub"))); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("ML-KEM-512: got %v", err)
	}
}

// pkcs8 is the seed form of a private key.
func pkcs8(seed []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(OID768) })
		b.AddASN1(der.OCTET_STRING, func(b *cryptobyte.Builder) {
			b.AddASN1(der.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(seed) })
		})
	})
	return b.BytesOrPanic()
}

func TestWycheproof(t *testing.T) {
	var file struct {
		TestGroups []struct {
			Tests []struct {
				TcID                   int
				Seed, Ek, C, K, Result string
			}
		}
	}
	if err := json.Unmarshal(must(os.ReadFile(corpus(t, "wycheproof/mlkem_768_test.json"))), &file); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, g := range file.TestGroups {
		for _, test := range g.Tests {
			counts[test.Result]++
			var shared, ek []byte
			key, err := ParsePrivateKey(pkcs8(must(hex.DecodeString(test.Seed))))
			if err == nil {
				ek = key.Encapsulator().Bytes()
				shared, err = key.Decapsulate(must(hex.DecodeString(test.C)))
			}
			good := err == nil && hex.EncodeToString(shared) == test.K && hex.EncodeToString(ek) == test.Ek
			if good != (test.Result == "valid") {
				t.Errorf("%d is %s: got %x, %v", test.TcID, test.Result, shared, err)
			}
		}
	}
	if counts["valid"] < 100 || counts["invalid"] < 30 {
		t.Errorf("too few vectors: %v", counts)
	}
}

// TestOther: what is no ML-KEM key is told from what is a broken one.
func TestOther(t *testing.T) {
	rsa := must(hex.DecodeString("300d06092a864886f70d0101010500"))
	spki := append([]byte{0x30, byte(len(rsa) + 3)}, append(rsa, 3, 1, 0)...)
	if _, err := ParsePublicKey(spki); !errors.Is(err, ErrOther) {
		t.Errorf("RSA: got %v", err)
	}
	good := must(MarshalPublicKey(must(mlkem.GenerateKey768()).EncapsulationKey()))
	for name, b := range map[string][]byte{"nothing": nil, "cut": good[:len(good)-1], "more": append(bytes.Clone(good), 0)} {
		if _, err := ParsePublicKey(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := ParsePrivateKey(pkcs8(make([]byte, 63))); !errors.Is(err, ErrMalformed) {
		t.Errorf("short seed: got %v", err)
	}
}

// FuzzPublicKey: what is read is written as it was.
func FuzzPublicKey(f *testing.F) {
	f.Add(must(MarshalPublicKey(must(mlkem.NewDecapsulationKey768(make([]byte, 64))).EncapsulationKey())))
	f.Add(must(MarshalPublicKey(must(mlkem.NewDecapsulationKey1024(make([]byte, 64))).EncapsulationKey())))
	f.Fuzz(func(t *testing.T, spki []byte) {
		key, err := ParsePublicKey(spki)
		if err != nil {
			return
		}
		if again, err := MarshalPublicKey(key); err != nil || !bytes.Equal(again, spki) {
			t.Errorf("%x is marshalled as %x, %v", spki, again, err)
		}
	})
}
