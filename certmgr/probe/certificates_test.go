package probe

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"mailseal/internal/pki"
	"mailseal/internal/testpki"
)

// certificate makes one for a server that no CA of ours would sign.
func certificate(t *testing.T, template, parent *x509.Certificate, by *ecdsa.PrivateKey) pki.Identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if by == nil {
		by = key
	}
	c, err := testpki.Certificate(template, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	return pki.Identity{Certificate: c, Key: key}
}

// selfSignedHost is as FreeBSD's boot script makes them: with a CN, and no name
// where people look for it today, unless some are given.
func selfSignedHost(t *testing.T, cn string, names ...string) pki.Identity {
	return certificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn, Organization: []string{"Some-org"}}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
	}, nil, nil)
}

// outliving is a host whose certificate ends long after its CA's.
func outliving(t *testing.T) (id pki.Identity, root *x509.Certificate) {
	from := time.Now().Add(-time.Hour)
	ca := certificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Old CA"}, NotBefore: from, NotAfter: from.AddDate(0, 1, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, nil)
	return certificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotBefore: from, NotAfter: from.AddDate(1, 0, 0),
	}, ca.Certificate, ca.Key.(*ecdsa.PrivateKey)), ca.Certificate
}
