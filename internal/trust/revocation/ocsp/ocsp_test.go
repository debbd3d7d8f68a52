package ocsp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/testpki/forge"
)

var at = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func parse(t testing.TB, i *forge.Issued) *x5280.Certificate {
	t.Helper()
	c, err := x5280.Parse(i.DER)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pair is an issuer with an ECDSA key and who it certified.
func pair(t testing.TB) (issuer, leaf *x5280.Certificate, key crypto.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := forge.Certificate{Subject: forge.Name("CA"), Key: key, Extensions: forge.CA, Algorithm: forge.ECDSAWithSHA256}.Sign(nil)
	alice := forge.Certificate{Subject: forge.Name("Alice"), Serial: []byte{0xff, 0x7f}, Algorithm: forge.ECDSAWithSHA256}.Sign(ca)
	return parse(t, ca), parse(t, alice), key
}

// Our request is what x/crypto/ocsp makes.
func TestRequestAsOthers(t *testing.T) {
	issuer, leaf, _ := pair(t)
	got, err := Request(leaf, issuer)
	if err != nil {
		t.Fatal(err)
	}
	want, err := ocsp.CreateRequest(leaf.X509, issuer.X509, nil)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%x, want %x, %v", got, want, err)
	}
}

// What x/crypto/ocsp makes we read as it does.
func TestReadAsOthers(t *testing.T) {
	issuer, leaf, key := pair(t)
	for name, template := range map[string]ocsp.Response{
		"good":                         {Status: ocsp.Good, NextUpdate: at.Add(time.Hour)},
		"SHA-256":                      {Status: ocsp.Good, IssuerHash: crypto.SHA256},
		"revoked":                      {Status: ocsp.Revoked, RevokedAt: at.Add(-time.Hour), RevocationReason: ocsp.PrivilegeWithdrawn},
		"unknown":                      {Status: ocsp.Unknown},
		"with the issuer's own":        {Status: ocsp.Good, Certificate: issuer.X509},
		"revoked for no reason given":  {Status: ocsp.Revoked, RevokedAt: at},
		"revoked, of a stranger's too": {Status: ocsp.Revoked, RevokedAt: at, Certificate: leaf.X509},
	} {
		template.SerialNumber, template.ThisUpdate = leaf.X509.SerialNumber, at
		der, err := ocsp.CreateResponse(issuer.X509, issuer.X509, template, key)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Read(der)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s, ok := r.About(leaf, issuer)
		if !ok || int(s.Status) != template.Status || s.Critical || int(s.Reason) != template.RevocationReason ||
			!s.When.Equal(template.RevokedAt) || !s.ThisUpdate.Equal(at) || !s.NextUpdate.Equal(template.NextUpdate) {
			t.Errorf("%s: %v, %+v", name, ok, s)
		}
		if !r.SignedBy(issuer) || r.SignedBy(leaf) || len(r.Certificates) != 0 != (template.Certificate != nil) {
			t.Errorf("%s: signed by another, or other certificates: %v", name, r.Certificates)
		}
		if _, ok := r.About(issuer, issuer); ok {
			t.Errorf("%s: it is about another", name)
		}
	}
	for text, der := range map[string][]byte{
		"malformedRequest": ocsp.MalformedRequestErrorResponse, "internalError": ocsp.InternalErrorErrorResponse,
		"tryLater": ocsp.TryLaterErrorResponse, "sigRequired": ocsp.SigRequredErrorResponse, "unauthorized": ocsp.UnauthorizedErrorResponse,
	} {
		if _, err := Read(der); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestMalformed(t *testing.T) {
	by := forge.Certificate{Subject: forge.Name("CA"), Extensions: forge.CA}.Sign(nil)
	der := forge.Response{With: []*forge.Issued{by}, ByKey: true, Revoked: true, Critical: true}.Sign(by)
	if _, err := Read(der); err != nil {
		t.Fatal(err)
	}
	for i := range der {
		if _, err := Read(der[:i]); err == nil {
			t.Errorf("taken with %d of %d bytes", i, len(der))
		}
	}
	for name, der := range map[string][]byte{
		"large": make([]byte, maxResponse+1), "a byte behind": append(bytes.Clone(der), 0),
		"status 4": {0x30, 3, 10, 1, 4}, "success without an answer": {0x30, 3, 10, 1, 0},
		"another type": bytes.Replace(bytes.Clone(der), []byte("\x2b\x06\x01\x05\x05\x07\x30\x01\x01"), []byte("\x2b\x06\x01\x05\x05\x07\x30\x01\x09"), 1),
	} {
		if _, err := Read(der); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// Whatever comes, nothing panics, and what is read is bounded.
func FuzzRead(f *testing.F) {
	by := forge.Certificate{Subject: forge.Name("CA"), Extensions: forge.CA}.Sign(nil)
	ca := parse(f, by)
	for _, r := range []forge.Response{{}, {Revoked: true, Reason: 1, ByKey: true, With: []*forge.Issued{by}}, {Unknown: true, NoTo: true, SHA256: true, Critical: true}} {
		f.Add(r.Sign(by))
	}
	f.Add(ocsp.TryLaterErrorResponse)
	f.Fuzz(func(t *testing.T, der []byte) {
		r, err := Read(der)
		if err != nil {
			return
		}
		if len(r.Certificates) > maxResponders || len(r.singles) > maxSingles {
			t.Errorf("%d certificates, %d answers", len(r.Certificates), len(r.singles))
		}
		if s, ok := r.About(ca, ca); ok && (s.Status < Good || s.Status > Unknown) {
			t.Errorf("%+v", s)
		}
		if r.SignedBy(ca) && len(r.Signed.Raw) == 0 {
			t.Error("signed is nothing")
		}
	})
}
