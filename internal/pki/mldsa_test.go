package pki

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/mldsa"
)

// TestMLDSA reads the examples of RFC 9881 as identities: the seed, or both forms
// of the key, unencrypted and encrypted.
func TestMLDSA(t *testing.T) {
	dir := filepath.Join(corpus(t, "lamps-pqc-mldsa-cert"), "examples")
	file := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return append(b, '\n')
	}
	for _, set := range []string{"ML-DSA-44", "ML-DSA-65", "ML-DSA-87"} {
		for _, form := range []string{"seed", "both"} {
			key := file(set + "-" + form + ".priv")
			bare, _ := pem.Decode(key)
			for name, data := range map[string][]byte{
				"plain":     append(key, file(set+".crt")...),
				"encrypted": append(block("ENCRYPTED PRIVATE KEY", encrypted(t, bare.Bytes, "geheim")), file(set+".crt")...),
			} {
				id, err := ParseIdentity(data, []byte("geheim"))
				if err != nil {
					t.Errorf("%s, %s, %s: %v", set, form, name, err)
					continue
				}
				if k, ok := id.Key.(*mldsa.PrivateKey); !ok || k.PublicKey().Parameters().String() != set || len(id.Chain) != 0 {
					t.Errorf("%s, %s, %s: key %T, chain of %d", set, form, name, id.Key, len(id.Chain))
				}
				if _, err := ParseIdentity(data, []byte("falsch")); name == "encrypted" && !errors.Is(err, ErrPassphrase) {
					t.Errorf("%s, %s: wrong passphrase: %v", set, form, err)
				}
			}
		}
		_, err := ParseIdentity(append(file(set+"-expanded.priv"), file(set+".crt")...), nil)
		if err == nil || !strings.Contains(err.Error(), "want the seed as well") {
			t.Errorf("%s, expanded: %v", set, err)
		}
	}
	_, err := ParseIdentity(append(file("ML-DSA-44-seed.priv"), file("ML-DSA-65.crt")...), nil)
	if err == nil || !strings.Contains(err.Error(), "does not belong") {
		t.Errorf("a foreign key: %v", err)
	}
}

// TestMLDSAPKCS12: the library gives up on a file with such a key, so it is taken
// apart.
func TestMLDSAPKCS12(t *testing.T) {
	dir := filepath.Join(corpus(t, "lamps-pqc-mldsa-cert"), "examples")
	decode := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		p, _ := pem.Decode(b)
		return p.Bytes
	}
	cert, err := x509.ParseCertificate(decode("ML-DSA-65.crt"))
	if err != nil {
		t.Fatal(err)
	}
	key := decode("ML-DSA-65-seed.priv")
	for name, bag := range map[string][]byte{
		"shrouded": sequence(marshal(oidShroudedBag), explicit(encrypted(t, key, "geheim"))),
		"plain":    sequence(marshal(oidKeyBag), explicit(key)),
	} {
		authSafe := sequence(wrapData(wrapCertificate(cert)), wrapData(bag))
		pfx := sequence(marshal(3), contentInfoOf(oidData, marshal(authSafe)), macOf(authSafe, "geheim"))
		id, err := ParseIdentity(pfx, []byte("geheim"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if _, ok := id.Key.(*mldsa.PrivateKey); !ok || !id.Certificate.Equal(cert) {
			t.Errorf("%s: key %T", name, id.Key)
		}
		if _, err := ParseIdentity(pfx, []byte("falsch")); !errors.Is(err, ErrPassphrase) {
			t.Errorf("%s: wrong passphrase: %v", name, err)
		}
	}
}

// encrypted is a PKCS #8 key as openssl pkey -aes256 writes it.
func encrypted(t *testing.T, key []byte, passphrase string) []byte {
	t.Helper()
	salt, iv := bytes.Repeat([]byte{1}, 8), bytes.Repeat([]byte{2}, 16)
	aesKey, err := pbkdf2.Key(sha256.New, passphrase, salt, 2048, 32)
	if err != nil {
		t.Fatal(err)
	}
	c, err := aes.NewCipher(aesKey)
	if err != nil {
		t.Fatal(err)
	}
	n := 16 - len(key)%16
	padded := append(bytes.Clone(key), bytes.Repeat([]byte{byte(n)}, n)...)
	cipher.NewCBCEncrypter(c, iv).CryptBlocks(padded, padded)
	kdf := sequence(marshal(oidPBKDF2), marshal(pbkdf2Params{
		Salt: asn1.RawValue{Tag: asn1.TagOctetString, Bytes: salt}, Rounds: 2048,
		PRF: pkix.AlgorithmIdentifier{Algorithm: oidHMACSHA256, Parameters: asn1.NullRawValue},
	}))
	scheme := sequence(marshal(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}), marshal(iv))
	return sequence(sequence(marshal(oidPBES2), sequence(kdf, scheme)), marshal(padded))
}
