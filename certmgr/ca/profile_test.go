package ca

import (
	"crypto/x509"
	"testing"
)

// What a key may do is what its profile is for and its algorithm can.
func TestKeyUsage(t *testing.T) {
	const (
		sign     = x509.KeyUsageDigitalSignature
		commit   = x509.KeyUsageContentCommitment
		encipher = x509.KeyUsageKeyEncipherment
		agree    = x509.KeyUsageKeyAgreement
	)
	rows := []struct {
		profile          Profile
		rsa, ec, ed25519 x509.KeyUsage
	}{
		{User, sign | commit | encipher, sign | commit | agree, sign | commit},
		{Gateway, sign | commit | encipher, sign | commit | agree, sign | commit},
		{Host, sign | encipher, sign, sign},
		{Client, sign, sign, sign},
		{SubCA, caUsage, caUsage, caUsage},
	}
	for _, row := range rows {
		for kind, want := range map[KeyKind]x509.KeyUsage{RSA2048: row.rsa, P256: row.ec, Ed25519: row.ed25519} {
			key, err := GenerateKey(kind)
			if err != nil {
				t.Fatal(err)
			}
			if got := rules[row.profile].keyUsage(key.Public()); got != want {
				t.Errorf("%v, %v: %b, want %b", row.profile, kind, got, want)
			}
		}
	}
}

// A CA's certificate says that OCSP answers are among what it signs.
func TestCAKeyUsage(t *testing.T) {
	root := newCA(t)
	below := newCA(t, func(o *InitOptions) { o.Parent, o.Subject.CommonName = root, "Issuing CA" })
	for _, c := range []*CA{root, below} {
		if got := c.Certificate().KeyUsage; got != caUsage || got&x509.KeyUsageDigitalSignature == 0 {
			t.Errorf("%v: %b, want %b", c.Certificate().Subject, got, caUsage)
		}
	}
}
