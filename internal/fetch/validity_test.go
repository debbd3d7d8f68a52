package fetch

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// TestCorpus: every CRL of NIST's PKITS is one, those that crypto/x509 refuses
// too, and says the same of its times where crypto/x509 reads it.
func TestCorpus(t *testing.T) {
	root := os.Getenv("MAILSEAL_CORPORA")
	if root == "" {
		root = "../../../shared/corpora"
	}
	names, err := filepath.Glob(filepath.Join(root, "pkits", "crls", "*.crl"))
	if err != nil || len(names) == 0 {
		t.Skip("no corpora; set MAILSEAL_CORPORA")
	}
	for _, name := range names {
		der, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		v, err := crlValidity(der)
		if err != nil || v.From.IsZero() {
			t.Errorf("%s: %+v, %v", filepath.Base(name), v, err)
			continue
		}
		l, err := x509.ParseRevocationList(der)
		if err != nil {
			continue
		}
		if !v.From.Equal(l.ThisUpdate) || !v.Until.Equal(l.NextUpdate) || l.Number != nil && (v.Number == nil || l.Number.Cmp(v.Number) != 0) {
			t.Errorf("%s: %+v; crypto/x509 reads %v, %v, %v", filepath.Base(name), v, l.ThisUpdate, l.NextUpdate, l.Number)
		}
	}
}

// withoutNext is a CRL of version 1: no nextUpdate, no extension.
func withoutNext(t testing.TB) []byte {
	t.Helper()
	algorithm := asn1.RawValue{FullBytes: []byte{0x30, 0}}
	name := asn1.RawValue{FullBytes: []byte{0x30, 0}}
	der, err := asn1.Marshal(struct {
		TBS struct {
			Algorithm, Issuer asn1.RawValue
			This              time.Time
		}
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}{
		TBS: struct {
			Algorithm, Issuer asn1.RawValue
			This              time.Time
		}{algorithm, name, start},
		Algorithm: algorithm,
	})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestCRLWithoutEnd(t *testing.T) {
	v, err := crlValidity(withoutNext(t))
	if err != nil || !v.From.Equal(start) || !v.Until.IsZero() {
		t.Errorf("%+v, %v", v, err)
	}
	o := newOrigin(t)
	o.has(withoutNext(t))
	b := newBench(t, Config{Settings: on()})
	b.crl(o.URL)
	b.clock.pass(time.Hour)
	b.crl(o.URL)
	if n := o.hits.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

// A number over 20 octets is no number, and does not make a file unreadable.
func TestHugeNumber(t *testing.T) {
	ca, key := authority()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: new(big.Int).Lsh(big.NewInt(1), 8*20-2), ThisUpdate: start, NextUpdate: start.Add(time.Hour),
	}, ca, key)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := crlValidity(der); err != nil || v.Number == nil {
		t.Errorf("20 octets: %+v, %v", v, err)
	}
	// One of more octets, which crypto/x509 does not write.
	short, long := []byte{2, 1, 1}, append([]byte{2, 0x81, 200, 1}, make([]byte, 199)...)
	der, err = x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: start, NextUpdate: start.Add(time.Hour)}, ca, key)
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		TBS struct {
			Version           int
			Algorithm, Issuer asn1.RawValue
			This, Next        time.Time
			Extensions        []struct {
				ID    asn1.ObjectIdentifier
				Value []byte
			} `asn1:"tag:0,explicit"`
		}
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &list); err != nil {
		t.Fatal(err)
	}
	found := false
	for i, e := range list.TBS.Extensions {
		if bytes.Equal(e.Value, short) {
			list.TBS.Extensions[i].Value, found = long, true
		}
	}
	if der, err = asn1.Marshal(list); err != nil || !found {
		t.Fatal(err, found)
	}
	if v, err := crlValidity(der); err != nil || v.Number != nil || !v.From.Equal(start) {
		t.Errorf("200 octets: %+v, %v", v, err)
	}
}

func TestOCSPValidity(t *testing.T) {
	until := start.Add(time.Hour)
	v, err := ocspValidity(reply(t, start, until))
	if err != nil || !v.From.Equal(start) || !v.Until.Equal(until) {
		t.Errorf("%+v, %v", v, err)
	}
	ca, key := authority()
	for what, r := range map[string]ocsp.Response{
		"revoked": {Status: ocsp.Revoked, RevokedAt: start, RevocationReason: ocsp.KeyCompromise},
		"unknown": {Status: ocsp.Unknown}, "with a certificate": {Certificate: ca},
	} {
		r.SerialNumber, r.ThisUpdate, r.NextUpdate = big.NewInt(7), start, until
		der, err := ocsp.CreateResponse(ca, ca, r, key)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := ocspValidity(der); err != nil || !v.From.Equal(start) || !v.Until.Equal(until) {
			t.Errorf("%s: %+v, %v", what, v, err)
		}
	}
	if _, err := ocspValidity(list(t, 1, 0, 1)); err != errNoOCSP {
		t.Errorf("a CRL: %v", err)
	}
	if _, err := crlValidity(reply(t, start, until)); err != errNoCRL {
		t.Errorf("an OCSP answer: %v", err)
	}
}

// FuzzValidity: whatever comes, reading ends, and what crypto/x509 reads too has
// the same times.
func FuzzValidity(f *testing.F) {
	f.Add(list(f, 1, 0, 24))
	f.Add(withoutNext(f))
	f.Add(reply(f, start, start.Add(time.Hour)))
	f.Add([]byte("-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		der := undressed(in)
		if len(der) > len(in) {
			t.Fatalf("%d octets of %d", len(der), len(in))
		}
		v, err := crlValidity(der)
		if l, xerr := x509.ParseRevocationList(der); xerr == nil && len(l.Raw) == len(der) {
			if err != nil || !v.From.Equal(l.ThisUpdate) || !v.Until.Equal(l.NextUpdate) {
				t.Errorf("%x: %+v, %v; crypto/x509 reads %v, %v", der, v, err, l.ThisUpdate, l.NextUpdate)
			}
		}
		w, err := ocspValidity(der)
		if r, xerr := ocsp.ParseResponse(der, nil); xerr == nil && err == nil {
			if !w.From.Equal(r.ThisUpdate) {
				t.Errorf("%x: %+v; x/crypto/ocsp reads %v", der, w, r.ThisUpdate)
			}
		}
		if v.before(v) || w.before(w) {
			t.Errorf("%x: is older than itself", der)
		}
	})
}
