package pki_test

import (
	"crypto/x509"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
)

func TestKeyName(t *testing.T) {
	p := testpki.New(t)
	quantum, _ := testpki.MLDSA(t, "alice@corp.example")
	for want, c := range map[string]*x509.Certificate{
		"RSA 2048":    p.User("alice@corp.example", ca.RSA2048).Certificate,
		"ECDSA P-384": p.User("alice@corp.example", ca.P384).Certificate,
		"Ed25519":     p.User("alice@corp.example", ca.Ed25519).Certificate,
		"X25519":      p.X25519("alice@corp.example").Certificate,
		"ML-KEM-768":  p.MLKEM768("alice@corp.example").Certificate,
		"ML-DSA-65":   quantum.Certificate,
		"unknown":     {},
		"1.2.3":       {RawSubjectPublicKeyInfo: []byte{0x30, 6, 0x30, 4, 6, 2, 42, 3}},
	} {
		if got := pki.KeyName(c); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
