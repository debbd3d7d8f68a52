package pki_test

import (
	"crypto"
	"encoding/pem"
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
)

// The first key of a file is its key, whatever else is in it.
func TestParseKey(t *testing.T) {
	p := testpki.New(t)
	one, two := p.Host("a.corp.example", ca.P256), p.Host("b.corp.example", ca.P256)
	file := append(testpki.CertPEM(one.Certificate), append(testpki.KeyPEM(t, one.Key), testpki.KeyPEM(t, two.Key)...)...)
	key, err := pki.ParseKey(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	if signer, ok := key.(crypto.Signer); !ok || !one.Key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(signer.Public()) {
		t.Errorf("got %T", key)
	}
	for text, want := range map[string]string{
		"":                                    "holds no private key in PEM",
		string(testpki.CertPEM(p.Root())):     "holds no private key in PEM",
		"-----BEGIN PRIVATE KEY-----\nAAAA\n": "damaged",
		"-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n": "key in PEM block 1: kind",
		strings.Repeat("x", 1<<20+1): "larger than",
		string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: make([]byte, 1<<15)})): "nobody uses one that large",
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: make([]byte, 1<<15)})):     "nobody uses one that large",
	} {
		if key, err := pki.ParseKey([]byte(text), nil); key != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %s", text, err, want)
		}
	}
}
