package ca

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"testing"
	"time"
)

// A request of anybody makes an order or an error, and no order has a name
// that was not read.
func FuzzCSR(f *testing.F) {
	c := newCA(f)
	key, err := GenerateKey(P256)
	if err != nil {
		f.Fatal(err)
	}
	for _, template := range []x509.CertificateRequest{
		{Subject: issue(f, c, alice).Certificate.Subject, EmailAddresses: []string{"a@corp.example"}},
		{DNSNames: []string{"mx.corp.example", "*.corp.example"}},
	} {
		der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
		f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	}
	a := c.current.Load()
	f.Fuzz(func(t *testing.T, csr []byte) {
		for p := range rules {
			o, err := a.newOrder(Request{Profile: p, CSR: csr}, time.Now())
			if err == nil && (o.public == nil || len(o.name) == 0 || (o.rule.named && len(o.names.all) == 0)) {
				t.Errorf("%v: %+v", p, o)
			}
		}
	})
}

// intent.pem is read or refused.
func FuzzIntent(f *testing.F) {
	c := newCA(f)
	if err := c.begin(intent{Draft: issue(f, c, alice).Certificate, Details: Details{Memo: "x"}}); err != nil {
		f.Fatal(err)
	}
	in, err := c.readIntent()
	if err != nil || in.Draft == nil || in.Details.Memo != "x" {
		f.Fatalf("%+v, %v", in, err)
	}
	f.Add([]byte("-----BEGIN MAILSEAL INTENT-----\ne30=\n-----END MAILSEAL INTENT-----\n"))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: draftType, Bytes: in.Draft.Raw}))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: intentType, Bytes: []byte(`{"revoke":{"Serial":"01","Column":"261121203127Z"}}`)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := parseIntent(b)
		if err == nil && in.Draft == nil && in.Revoke == nil && in.CRL == nil {
			t.Errorf("%q intends nothing", b)
		}
	})
}

// A subject that is read and written is a name that says the same.
func FuzzParseSubject(f *testing.F) {
	f.Add(`/C=JP/ST=Osaka/O=A\/B\\C/CN=日本/emailAddress=a@b.example`)
	f.Add("/CN=")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSubject(text)
		if err != nil {
			return
		}
		der, err := s.encode()
		if err != nil {
			return
		}
		var rdns pkix.RDNSequence
		if _, err := asn1.Unmarshal(der, &rdns); err != nil {
			t.Fatal(err)
		}
		var name pkix.Name
		name.FillFromRDNSequence(&rdns)
		if got := SubjectOf(name); got != s {
			t.Errorf("%q: %+v became %+v", text, s, got)
		}
	})
}
