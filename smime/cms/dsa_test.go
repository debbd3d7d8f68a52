package cms

import (
	"crypto"
	//lint:ignore SA1019 see dsa.go
	"crypto/dsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"

	"mailseal/smime/cms/syntax"
)

// Good signatures of others' DSA keys are in the corpora. Here is what no key may be.
func TestDSA(t *testing.T) {
	var k dsa.PrivateKey
	if err := dsa.GenerateParameters(&k.Parameters, rand.Reader, dsa.L1024N160); err != nil {
		t.Fatal(err)
	}
	if err := dsa.GenerateKey(&k, rand.Reader); err != nil {
		t.Fatal(err)
	}
	si := &SignerInfo{}
	si.DigestAlgorithm.Algorithm = syntax.SHA256
	si.SignatureAlgorithm.Algorithm = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 2}
	one, huge := big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 4096)
	huge.Add(huge, one)
	for _, tt := range []struct {
		name   string
		change func(*dsa.PublicKey)
		want   error
	}{
		{"its own", func(*dsa.PublicKey) {}, ErrWeak},
		{"with another's number", func(p *dsa.PublicKey) { p.Y = new(big.Int).Sub(p.Y, one) }, ErrSignature},
		{"of 4097 bits", func(p *dsa.PublicKey) { p.P = huge }, ErrUnsupported},
		{"with an even modulus", func(p *dsa.PublicKey) { p.P = new(big.Int).Sub(p.P, one) }, ErrUnsupported},
		{"with an order above the modulus", func(p *dsa.PublicKey) { p.Q = new(big.Int).Lsh(p.Q, 1024) }, ErrUnsupported},
		{"with generator 1", func(p *dsa.PublicKey) { p.G = one }, ErrUnsupported},
		{"with number 1", func(p *dsa.PublicKey) { p.Y = one }, ErrUnsupported},
	} {
		message := []byte("signed attributes")
		h := crypto.SHA256.New()
		h.Write(message)
		r, s, err := dsa.Sign(rand.Reader, &k, h.Sum(nil)[:20])
		if err != nil {
			t.Fatal(err)
		}
		signature, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
		if err != nil {
			t.Fatal(err)
		}
		public := k.PublicKey
		tt.change(&public)
		v, err := newVerifier(&x509.Certificate{PublicKey: &public}, si)
		if err == nil {
			err = v.verify(message, signature)
		}
		if !errors.Is(err, tt.want) {
			t.Errorf("key %s: %v, want %v", tt.name, err, tt.want)
		}
	}
}
