package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// carlos is the X25519 pair of RFC 9216 section 8.
func carlos(t *testing.T) (cert, key []byte) {
	t.Helper()
	dir := corpus(t, "rfc9216")
	for name, into := range map[string]*[]byte{
		"19-Carlos_s_Encryption_End_Entity_Certificate.pem": &cert, "20-Carlos_s_Decryption_Private_Key_Material.pem": &key,
	} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		*into = append(b, '\n')
	}
	return cert, key
}

// TestDecryptingPairs: keys that cannot sign are read, beside one that can and alone.
func TestDecryptingPairs(t *testing.T) {
	p := newPerson(t, "P-256")
	cert, key := carlos(t)
	id, err := ParseIdentity(bytes.Join([][]byte{key, cert, pkcs8PEM(t, p.key), pemCerts(p.cert)}, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	if id.Key == nil || !id.Certificate.Equal(p.cert) {
		t.Errorf("the signing pair is not the identity's own: %v", id.Certificate.Subject)
	}
	if len(id.Pairs) != 2 || id.Pairs[0].Certificate.Equal(p.cert) || !id.Pairs[1].Certificate.Equal(p.cert) {
		t.Errorf("got %d pairs, want X25519 and P-256", len(id.Pairs))
	}

	id, err = ParseIdentity(append(key, cert...), nil)
	if err != nil {
		t.Fatal(err)
	}
	if id.Key != nil || len(id.Pairs) != 1 || !id.Certificate.Equal(id.Pairs[0].Certificate) {
		t.Errorf("X25519 alone: key %v, %d pairs", id.Key, len(id.Pairs))
	}
	if _, ok := id.Pairs[0].Key.(*ecdh.PrivateKey); !ok {
		t.Errorf("key of type %T", id.Pairs[0].Key)
	}
	foreign, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.MarshalPKCS8PrivateKey(foreign)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseIdentity(append(block("PRIVATE KEY", other), cert...), nil); err == nil || !strings.Contains(err.Error(), "does not belong") {
		t.Errorf("a foreign key: %v", err)
	}
}

// TestX25519Encrypted: a key that cannot sign is encrypted as any other.
func TestX25519Encrypted(t *testing.T) {
	cert, key := carlos(t)
	bare, _ := pem.Decode(key)
	plain := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(plain, key, 0o600); err != nil {
		t.Fatal(err)
	}
	forms := map[string][]byte{"ours": block("ENCRYPTED PRIVATE KEY", encrypted(t, bare.Bytes, "geheim"))}
	for name, options := range map[string][]string{"openssl, PBKDF2": {"-v2", "aes256"}, "openssl, scrypt": {"-scrypt"}} {
		out := filepath.Join(t.TempDir(), "encrypted.pem")
		openssl(t, append([]string{"pkcs8", "-topk8", "-in", plain, "-out", out, "-passout", "pass:geheim"}, options...)...)
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		forms[name] = b
	}
	for name, form := range forms {
		data := append(form, cert...)
		id, err := ParseIdentity(data, []byte("geheim"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, ok := id.Pairs[0].Key.(*ecdh.PrivateKey); !ok {
			t.Errorf("%s: key of type %T", name, id.Pairs[0].Key)
		}
		if _, err := ParseIdentity(data, []byte("falsch")); !errors.Is(err, ErrPassphrase) {
			t.Errorf("%s: wrong passphrase: %v", name, err)
		}
	}
}

// TestMLKEM reads the examples of RFC 9935.
func TestMLKEM(t *testing.T) {
	dir := filepath.Join(corpus(t, "lamps-pqc-mlkem-cert"), "example")
	file := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, set := range []string{"ML-KEM-768", "ML-KEM-1024"} {
		for _, form := range []string{"seed", "both"} {
			key := file(set + "-" + form + ".priv")
			bare, _ := pem.Decode(key)
			for name, key := range map[string][]byte{"plain": key, "encrypted": block("ENCRYPTED PRIVATE KEY", encrypted(t, bare.Bytes, "geheim"))} {
				data := bytes.Join([][]byte{key, file(set + ".crt")}, []byte("\n"))
				id, err := ParseIdentity(data, []byte("geheim"))
				if err != nil {
					t.Errorf("%s, %s, %s: %v", set, form, name, err)
					continue
				}
				if _, ok := id.Pairs[0].Key.(crypto.Decapsulator); !ok || id.Key != nil {
					t.Errorf("%s, %s, %s: key of type %T", set, form, name, id.Pairs[0].Key)
				}
				if _, err := ParseIdentity(data, []byte("falsch")); name == "encrypted" && !errors.Is(err, ErrPassphrase) {
					t.Errorf("%s, %s: wrong passphrase: %v", set, form, err)
				}
			}
		}
		_, err := ParseIdentity(append(file(set+"-expanded.priv"), file(set+".crt")...), nil)
		if err == nil || !strings.Contains(err.Error(), "export the key again with its seed") {
			t.Errorf("%s, expanded: %v", set, err)
		}
	}
	_, err := ParseIdentity(append(file("ML-KEM-512-seed.priv"), file("ML-KEM-512.crt")...), nil)
	if err == nil || !strings.Contains(err.Error(), "want ML-KEM-768 or ML-KEM-1024") {
		t.Errorf("ML-KEM-512: %v", err)
	}
	_, err = ParseIdentity(append(file("ML-KEM-768-seed.priv"), file("ML-KEM-1024.crt")...), nil)
	if err == nil || !strings.Contains(err.Error(), "does not belong") {
		t.Errorf("a foreign key: %v", err)
	}
}
