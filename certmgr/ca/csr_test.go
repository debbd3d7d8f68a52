package ca

import (
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
)

// TestLargeKey: a request's key is looked at before its signature is, which
// costs as much as whoever wrote it likes: with a modulus of 64 KiB half a
// minute.
func TestLargeKey(t *testing.T) {
	n := new(big.Int).Lsh(big.NewInt(1), 16384)
	spki, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 1<<31 - 1})
	if err != nil {
		t.Fatal(err)
	}
	type tbs struct {
		Version            int
		Name, Key, Allowed asn1.RawValue
	}
	body, err := asn1.Marshal(tbs{0, asn1.RawValue{FullBytes: []byte{0x30, 0}}, asn1.RawValue{FullBytes: spki}, asn1.RawValue{FullBytes: []byte{0xa0, 0}}})
	if err != nil {
		t.Fatal(err)
	}
	request, err := asn1.Marshal(struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{
		asn1.RawValue{FullBytes: body},
		pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue}, // sha256WithRSAEncryption
		asn1.BitString{Bytes: make([]byte, 2049), BitLength: 2049 * 8},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseCSR(request); err == nil || !strings.Contains(err.Error(), "RSA key of 16385 bits") {
		t.Errorf("%v", err)
	}
}
