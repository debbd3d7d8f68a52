package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"os"
	"testing"
)

func TestParser(t *testing.T) {
	data, err := os.ReadFile(corpus(t, "mimekit/smroot.pem"))
	if err != nil {
		t.Fatal(err)
	}
	cs, err := ParseCertificates(data)
	if err != nil {
		t.Fatal(err)
	}
	p := NewParser()
	first, err := p.Parse(cs[0].Raw)
	if err != nil || !first.Equal(cs[0]) {
		t.Fatalf("%v, %v", first, err)
	}
	if again, err := p.Parse(cs[0].Raw); err != nil || again != first {
		t.Errorf("parsed twice, %v", err)
	}
	for range 2 {
		if c, err := p.Parse([]byte("garbage")); err == nil || c != nil {
			t.Errorf("garbage is %v", c)
		}
	}
}

// A flood of large certificates is not kept.
func TestParserForgetsLargeCertificates(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := NewParser()
	for size, remembered := range map[int]bool{100: true, maxRemembered: false, 1 << 20: false} {
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), ExtraExtensions: []pkix.Extension{
			{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: make([]byte, size)},
		}}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		first, err := p.Parse(der)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := p.Parse(der); err != nil || (again == first) != remembered {
			t.Errorf("extension of %d bytes: remembered %v, %v", size, again == first, err)
		}
	}
}
