package testpki

import (
	"crypto"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"slices"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/mlkemkey"
	"mailseal/internal/pki"
)

// X25519 is who may get encrypted mail by key agreement (RFC 8418) and signs nothing. The CA's signature on the certificate
// does not hold: it was issued for another key.
func (p *PKI) X25519(address string) pki.Pair {
	p.t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.PublicKey())
	if err != nil {
		p.t.Fatal(err)
	}
	return pki.Pair{Certificate: p.about(address, spki), Key: key}
}

// MLKEM768 is the same with ML-KEM-768 (RFC 9935).
func (p *PKI) MLKEM768(address string) pki.Pair {
	p.t.Helper()
	key, err := mlkem.GenerateKey768()
	if err != nil {
		p.t.Fatal(err)
	}
	spki, err := mlkemkey.MarshalPublicKey(key.EncapsulationKey())
	if err != nil {
		p.t.Fatal(err)
	}
	return pki.Pair{Certificate: p.about(address, spki), Key: key}
}

// about is the certificate of a user with another public key in it.
func (p *PKI) about(address string, spki []byte) *x509.Certificate {
	p.t.Helper()
	var outer, fields []asn1.RawValue // RFC 5280 section 4.1
	issued := p.Issue(ca.Request{Profile: ca.User, Emails: []string{address}}).Certificate
	if _, err := asn1.Unmarshal(issued.Raw, &outer); err != nil {
		p.t.Fatal(err)
	}
	if _, err := asn1.Unmarshal(outer[0].FullBytes, &fields); err != nil {
		p.t.Fatal(err)
	}
	at := slices.IndexFunc(fields, func(f asn1.RawValue) bool { return slices.Equal(f.FullBytes, issued.RawSubjectPublicKeyInfo) })
	fields[at] = asn1.RawValue{FullBytes: spki}
	body, err := asn1.Marshal(fields)
	if err != nil {
		p.t.Fatal(err)
	}
	outer[0] = asn1.RawValue{FullBytes: body}
	der, err := asn1.Marshal(outer)
	if err != nil {
		p.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// PairPEM is a pair as a file has it: key and certificate.
func PairPEM(t testing.TB, p pki.Pair) []byte {
	t.Helper()
	der, err := marshal(p.Key)
	if err != nil {
		t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), CertPEM(p.Certificate)...)
}

// marshal writes PKCS #8. Of ML-KEM it is the seed (RFC 9935 section 6).
func marshal(key crypto.PrivateKey) ([]byte, error) {
	k, ok := key.(*mlkem.DecapsulationKey768)
	if !ok {
		return x509.MarshalPKCS8PrivateKey(key)
	}
	type algorithm struct{ OID asn1.ObjectIdentifier }
	seed := append([]byte{0x80, mlkem.SeedSize}, k.Bytes()...)
	return asn1.Marshal(struct {
		Version   int
		Algorithm algorithm
		Key       []byte
	}{0, algorithm{mlkemkey.OID768}, seed})
}
