package smime_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/testpki"
	"mailseal/smime"
)

// A mail with certificates is one to us and to OpenSSL.
func TestWriteCertificates(t *testing.T) {
	p := testpki.New(t).Below()
	bob := p.User("bob@partner.example", ca.P256)
	var b bytes.Buffer
	if err := smime.WriteCertificates(&b, "bob@partner.example", "証明書", append(bob.Chain, bob.Certificate)...); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	if strings.Contains(text, "\r") || !strings.Contains(text, "\nSubject: =?utf-8?b?") {
		t.Errorf("got %q", text)
	}
	r, err := smime.Verify(read(t, newSpool(t), text), smime.VerifyOptions{Spool: newSpool(t)})
	if err != nil || r.Kind != smime.CertsOnly || len(r.Certificates) != 2 || !slices.ContainsFunc(r.Certificates, bob.Certificate.Equal) {
		t.Errorf("got %+v, %v", r, err)
	}
	if out, err := openssl(t, b.Bytes(), "smime", "-pk7out"); err != nil || !strings.Contains(string(out), "BEGIN PKCS7") {
		t.Errorf("openssl: %s, %v", out, err)
	}
	if err := smime.WriteCertificates(&b, "", ""); err == nil {
		t.Error("no certificate, and no error")
	}
}
