package capability_test

import (
	"slices"
	"testing"

	"mailseal/smime/capability"
)

// Lists are told in words, an entry that nobody knows by its numbers.
func TestWords(t *testing.T) {
	got := append(capability.Ours().Words(), parsed(rc2of40, tripleDES, pkcs1, oaepSHA1).Words()...)
	got = append(got, capability.Capability{OID: []int{1, 2, 3}, Parameters: []byte{5, 0}}.String())
	want := []string{
		"AES256-GCM", "ChaCha20-Poly1305", "AES128-GCM", "AES256-CBC", "AES192-CBC", "AES128-CBC",
		"X25519-HKDF-SHA256 with AES256-wrap", "X25519-HKDF-SHA256 with AES128-wrap",
		"ECDH-SHA256 with AES256-wrap", "ECDH-SHA256 with AES128-wrap", "ECDH-SHA384 with AES256-wrap", "ECDH-SHA512 with AES256-wrap",
		"ML-KEM-768", "ML-KEM-1024", "RSAES-OAEP with SHA-256",
		"Ed25519", "ECDSA-SHA256", "ECDSA-SHA384", "ECDSA-SHA512", "RSA-PSS", "RSA-SHA256", "RSA-SHA512",
		"RC2-CBC 40 bits", "3DES-CBC", "RSAES-PKCS1-v1_5", "RSAES-OAEP with SHA-1", "1.2.3",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestProfileNames(t *testing.T) {
	for _, p := range []capability.Profile{capability.Compatible, capability.Modern} {
		var again capability.Profile
		if err := again.UnmarshalText([]byte(p.String())); err != nil || again != p {
			t.Errorf("%v becomes %v, %v", p, again, err)
		}
	}
	var p capability.Profile
	if err := p.UnmarshalText([]byte("new")); err == nil || err.Error() != `"new"; want compatible or rfc8551` {
		t.Errorf("got %v", err)
	}
}
