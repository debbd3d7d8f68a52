package testpki

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"
	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/internal/pki"
	"mailseal/internal/x509key"
)

// Certificate is x509.CreateCertificate for keys of any kind, ML-DSA too, and
// parses what it makes. A nil parent is the template itself.
func Certificate(template, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) (*x509.Certificate, error) {
	if parent == nil {
		parent = template
	}
	_, about := public.(*mldsa.PublicKey)
	issuer, signs := by.Public().(*mldsa.PublicKey)
	if !about && !signs {
		raw, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
		if err != nil {
			return nil, err
		}
		return x509.ParseCertificate(raw)
	}
	// crypto/x509 makes one with other keys; these are exchanged, and it is signed anew.
	standIn := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	parent = &x509.Certificate{Subject: parent.Subject, RawSubject: parent.RawSubject, SubjectKeyId: parent.SubjectKeyId}
	signer := by
	if signs {
		signer = standIn
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, standIn.Public(), signer)
	if err != nil {
		return nil, err
	}
	spki, err := mldsax509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	tbs, algorithm, err := exchange(raw, spki, issuer)
	if err != nil {
		return nil, err
	}
	signature, err := signTBS(tbs, by, raw)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes(algorithm)
		b.AddASN1BitString(signature)
	})
	if raw, err = b.Bytes(); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(raw)
}

// MLDSA is who may sign mail from an address with ML-DSA-65 (RFC 9881), and the
// root that certified it with ML-DSA-87: certmgr/ca issues no such certificates.
func MLDSA(t testing.TB, address string) (id pki.Identity, root *x509.Certificate) {
	t.Helper()
	certify := func(set mldsa.Parameters, template, parent *x509.Certificate, by crypto.Signer) (*x509.Certificate, crypto.Signer) {
		key, err := mldsa.GenerateKey(set)
		if err != nil {
			t.Fatal(err)
		}
		if by == nil {
			by = key
		}
		template.SerialNumber, template.BasicConstraintsValid = big.NewInt(time.Now().UnixNano()), true
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(2, 0, 0)
		sum := sha256.Sum256(key.PublicKey().Bytes())
		template.SubjectKeyId = sum[:20]
		c, err := Certificate(template, parent, key.Public(), by)
		if err != nil {
			t.Fatal(err)
		}
		return c, key
	}
	root, rootKey := certify(mldsa.MLDSA87(), &x509.Certificate{
		Subject: pkix.Name{CommonName: "ML-DSA CA"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, nil, nil)
	id.Certificate, id.Key = certify(mldsa.MLDSA65(), &x509.Certificate{
		Subject: pkix.Name{CommonName: address}, EmailAddresses: []string{address},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}, root, rootKey)
	return id, root
}

// exchange puts another key into the certificate and, if an issuer is given, the
// identifier of its signatures. It returns the TBSCertificate and the identifier.
func exchange(raw, spki []byte, issuer *mldsa.PublicKey) (tbs, algorithm []byte, err error) {
	in := cryptobyte.String(raw)
	var outer, inner cryptobyte.String
	if !in.ReadASN1(&outer, der.SEQUENCE) || !outer.ReadASN1(&inner, der.SEQUENCE) {
		return nil, nil, errors.New("no certificate")
	}
	var fields []cryptobyte.String // version, serialNumber, signature, issuer, validity, subject, key, extensions
	for !inner.Empty() {
		var f cryptobyte.String
		var tag der.Tag
		if !inner.ReadAnyASN1Element(&f, &tag) {
			return nil, nil, errors.New("no certificate")
		}
		fields = append(fields, f)
	}
	if issuer != nil {
		var b cryptobyte.Builder
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(x509key.OIDMLDSA(issuer)) })
		fields[2] = b.BytesOrPanic()
	}
	fields[6] = spki
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, f := range fields {
			b.AddBytes(f)
		}
	})
	tbs, err = b.Bytes()
	return tbs, fields[2], err
}

// signTBS signs as the certificate that crypto/x509 made is signed.
func signTBS(tbs []byte, by crypto.Signer, raw []byte) ([]byte, error) {
	c, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, err
	}
	var hash crypto.Hash
	switch c.SignatureAlgorithm {
	case x509.PureEd25519: // and ML-DSA in its place
		return by.Sign(rand.Reader, tbs, crypto.Hash(0))
	case x509.SHA256WithRSA, x509.ECDSAWithSHA256:
		hash = crypto.SHA256
	case x509.ECDSAWithSHA384:
		hash = crypto.SHA384
	case x509.ECDSAWithSHA512:
		hash = crypto.SHA512
	default:
		return nil, errors.New("no way to sign this")
	}
	h := hash.New()
	h.Write(tbs)
	return by.Sign(rand.Reader, h.Sum(nil), hash)
}
