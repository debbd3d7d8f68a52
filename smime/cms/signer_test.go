package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/syntax"
)

// signingCertificate and signingCertificateV2 bind the signature to a certificate (RFC 5035).
func TestSigningCertificate(t *testing.T) {
	cert := rsa2048().cert
	twin := reissue(t, rsa2048()) // the same name, number and key
	id := func(h crypto.Hash, named bool, c *x509.Certificate, rest ...[]byte) []byte {
		var parts [][]byte
		if named {
			parts = append(parts, syntax.Algorithm(syntax.Digest(h), nil))
		}
		return tlv(der.SEQUENCE, append(append(parts, tlv(der.OCTET_STRING, sum(h, c.Raw))), rest...)...)
	}
	issuerSerial := func(issuer []byte, serial *big.Int) []byte {
		var b cryptobyte.Builder
		b.AddASN1BigInt(serial)
		return tlv(der.SEQUENCE, tlv(der.SEQUENCE, tlv(syntax.Explicit(4), issuer)), b.BytesOrPanic())
	}
	value := func(ids ...[]byte) []byte { return tlv(der.SEQUENCE, tlv(der.SEQUENCE, ids...)) }
	v1, v2 := oidSigningCertificate, oidSigningCertificateV2
	for _, test := range []struct {
		name   string
		oid    asn1.ObjectIdentifier
		values [][]byte
		want   error
	}{
		{"v1", v1, [][]byte{value(id(crypto.SHA1, false, cert))}, nil},
		{"v1 of another", v1, [][]byte{value(id(crypto.SHA1, false, twin))}, ErrAttributes},
		{"v2", v2, [][]byte{value(id(crypto.SHA256, false, cert))}, nil},
		{"v2, SHA-512", v2, [][]byte{value(id(crypto.SHA512, true, cert))}, nil},
		{"v2, SHA-256 said", v2, [][]byte{value(id(crypto.SHA256, true, cert))}, nil},
		{"v2 of another", v2, [][]byte{value(id(crypto.SHA256, false, twin))}, ErrAttributes},
		{"v2, the second only", v2, [][]byte{value(id(crypto.SHA256, false, twin), id(crypto.SHA256, false, cert))}, ErrAttributes},
		{"v2 and the chain", v2, [][]byte{value(id(crypto.SHA256, false, cert), id(crypto.SHA256, false, root().cert))}, nil},
		{"v2 with issuer", v2, [][]byte{value(id(crypto.SHA256, false, cert, issuerSerial(cert.RawIssuer, cert.SerialNumber)))}, nil},
		{"v2 with another issuer", v2, [][]byte{value(id(crypto.SHA256, false, cert, issuerSerial(cert.RawSubject, cert.SerialNumber)))}, ErrAttributes},
		{"v2 with another serial", v2, [][]byte{value(id(crypto.SHA256, false, cert, issuerSerial(cert.RawIssuer, big.NewInt(1))))}, ErrAttributes},
		{"v2 with an issuer of another form", v2, [][]byte{value(id(crypto.SHA256, false, cert, tlv(der.SEQUENCE)))}, ErrAttributes},
		{"v2 with an unknown digest", v2, [][]byte{value(tlv(der.SEQUENCE, syntax.Algorithm(oidRSA, nil), tlv(der.OCTET_STRING, []byte("x"))))}, ErrUnsupported},
		{"v2 without certificates", v2, [][]byte{value()}, ErrAttributes},
		{"v2 of another type", v2, [][]byte{{5, 0}}, ErrAttributes},
		{"v2 without value", v2, nil, ErrAttributes},
		{"v2 twice", v2, [][]byte{value(id(crypto.SHA256, false, cert)), value(id(crypto.SHA256, false, cert))}, ErrAttributes},
	} {
		f := forge("x")
		f.attributes = append(f.attributes, attr(test.oid, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(test.values, nil)) }))
		wantErr(t, test.name, verdict(t, f).Err, test.want)
	}
	// The attribute chooses among certificates that the signer identifier cannot tell apart.
	f := forge("x")
	f.certs = [][]byte{twin.Raw, cert.Raw}
	f.attributes = append(f.attributes, attr(v2, func(b *cryptobyte.Builder) { b.AddBytes(value(id(crypto.SHA256, false, cert))) }))
	res := verdict(t, f)
	wantErr(t, "choice", res.Err, nil)
	if !res.Certificate.Equal(cert) {
		t.Error("took another certificate than the attribute says")
	}
}

// reissue makes another certificate with the same issuer, number, key identifier and key.
func reissue(t *testing.T, id identity) *x509.Certificate {
	t.Helper()
	c := *id.cert
	c.NotAfter = c.NotAfter.AddDate(1, 0, 0)
	r := root()
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, &c, r.cert, id.key.Public(), r.key))))
}

// Several certificates may have the name of the signer; the one whose key fits is taken, after a bounded number of tries.
func TestCandidates(t *testing.T) {
	stranger := identity{key: must(rsa.GenerateKey(rand.Reader, 2048))}
	for _, bySKI := range []bool{false, true} {
		f := forge("x")
		stranger.cert = f.id.cert
		if bySKI {
			f.sid = tlv(syntax.Context0, f.id.cert.SubjectKeyId)
		}
		wrong := reissue(t, stranger)
		f.certs = [][]byte{wrong.Raw, f.id.cert.Raw}
		res := verdict(t, f)
		wantErr(t, "the second fits", res.Err, nil)
		if !res.Certificate.Equal(f.id.cert) {
			t.Error("took the certificate whose key does not fit")
		}
		f.certs = f.certs[:1]
		wantErr(t, "none fits", verdict(t, f).Err, ErrSignature)
		wantErr(t, "the one that fits is given besides", verdict(t, f, f.id.cert).Err, nil)
	}
}

// CMSAlgorithmProtection (RFC 6211) names the algorithms once more, signed.
func TestAlgorithmProtection(t *testing.T) {
	protect := func(parts ...[]byte) []byte {
		return attr(oidAlgorithmProtection, func(b *cryptobyte.Builder) { b.AddBytes(tlv(der.SEQUENCE, parts...)) })
	}
	signature := func(oid asn1.ObjectIdentifier) []byte {
		return tlv(syntax.Explicit(1), syntax.Algorithm(oid, asn1.NullBytes)[2:])
	}
	for _, test := range []struct {
		name string
		attr []byte
		want error
	}{
		{"same", protect(syntax.Algorithm(syntax.SHA256, nil), signature(oidRSA)), nil},
		{"same with NULL", protect(syntax.Algorithm(syntax.SHA256, asn1.NullBytes), signature(oidRSA)), nil},
		{"another digest", protect(syntax.Algorithm(syntax.SHA512, nil), signature(oidRSA)), ErrAttributes},
		{"another signature", protect(syntax.Algorithm(syntax.SHA256, nil), signature(oidPSS)), ErrAttributes},
		{"a MAC", protect(syntax.Algorithm(syntax.SHA256, nil), tlv(syntax.Explicit(2), syntax.Algorithm(oidRSA, nil)[2:])), ErrAttributes},
		{"nothing", protect(), ErrAttributes},
	} {
		f := forge("x")
		f.attributes = append(f.attributes, test.attr)
		wantErr(t, test.name, verdict(t, f).Err, test.want)
	}
}

func TestWeak(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*forgery)
		reason string
	}{
		{"SHA-1", func(f *forgery) { f.digest, f.hash = syntax.SHA1, crypto.SHA1 }, "SHA-1"},
		{"RSA 1024", func(f *forgery) { f.id = rsa1024(); f.certs = [][]byte{f.id.cert.Raw} }, "1024"},
	} {
		f := forge("x")
		test.change(f)
		f.attributes = f.usual()
		res := verdict(t, f)
		wantErr(t, test.name, res.Err, ErrWeak)
		if res.Err != nil && !strings.Contains(res.Err.Error(), test.reason) {
			t.Errorf("%s: %v", test.name, res.Err)
		}
		f.id.key = must(rsa.GenerateKey(rand.Reader, 2048))
		if err := verdict(t, f).Err; errors.Is(err, ErrWeak) || !errors.Is(err, ErrSignature) {
			t.Errorf("%s: bad signature is told as %v", test.name, err)
		}
	}
}

// Keys nobody should have must neither pass nor panic nor take long.
func TestKeys(t *testing.T) {
	si := &SignerInfo{}
	si.DigestAlgorithm.Algorithm = syntax.SHA256
	huge := new(big.Int).Lsh(big.NewInt(1), 16384)
	odd := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 2047), big.NewInt(1))
	rsaKey := func(n *big.Int, e int) crypto.PublicKey { return &rsa.PublicKey{N: n, E: e} }
	for _, test := range []struct {
		name string
		key  crypto.PublicKey
	}{
		{"none", nil},
		{"unknown", "key"},
		{"RSA without modulus", rsaKey(nil, 65537)},
		{"RSA of 512 bits", rsaKey(big.NewInt(1).Lsh(big.NewInt(1), 511), 65537)},
		{"RSA of 16384 bits", rsaKey(huge, 65537)},
		{"RSA of negative modulus", rsaKey(new(big.Int).Neg(big.NewInt(35)), 3)},
		{"RSA with even modulus", rsaKey(new(big.Int).Lsh(big.NewInt(1), 2047), 65537)},
		{"RSA with exponent 1", rsaKey(odd, 1)},
		{"RSA with exponent 0", rsaKey(odd, 0)},
		{"RSA with negative exponent", rsaKey(odd, -3)},
		{"RSA with even exponent", rsaKey(odd, 4)},
		{"RSA with huge exponent", rsaKey(odd, math.MaxInt)},
		{"ECDSA P-224", &ecdsa.PublicKey{Curve: elliptic.P224()}},
		{"ECDSA without curve", &ecdsa.PublicKey{}},
		{"Ed25519 cut short", ed25519.PublicKey{1, 2, 3}},
	} {
		for name, algorithm := range map[string][]byte{
			"PKCS #1": syntax.Algorithm(oidRSA, nil), "PSS": pssParameters{crypto.SHA256, crypto.SHA256, crypto.SHA256.Size()}.identifier(), "ECDSA": syntax.Algorithm(ecdsaWith(crypto.SHA256), nil),
			"Ed25519": syntax.Algorithm(oidEd25519, nil),
		} {
			in := input(algorithm)
			si.SignatureAlgorithm, _ = syntax.ReadAlgorithm(&in, der.SEQUENCE)
			_, err := newVerifier(&x509.Certificate{PublicKey: test.key}, si)
			if !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrSignature) {
				t.Errorf("%s for %s: got %v", test.name, name, err)
			}
		}
	}
}

// Ed25519 goes with SHA-512 and with signed attributes only (RFC 8419).
func TestEd25519(t *testing.T) {
	f := forge("x")
	f.id = ed()
	f.certs, f.algorithm = [][]byte{f.id.cert.Raw}, syntax.Algorithm(oidEd25519, nil)
	wantErr(t, "SHA-256", verdict(t, f).Err, ErrUnsupported)
	f.digest, f.hash = syntax.SHA512, crypto.SHA512
	f.attributes = f.usual()
	wantErr(t, "SHA-512", verdict(t, f).Err, nil)
	f.attributes = nil
	wantErr(t, "no signed attributes", verdict(t, f).Err, ErrUnsupported)
}
