package verdict

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/internal/testpki/forge"
	"mailseal/internal/trust"
	"mailseal/internal/trust/revocation"
	"mailseal/smime"
	"mailseal/smime/cms"
)

// benchChain is a signer with RSA-2048 keys all the way: leaf, CA, root.
func benchChain(b testing.TB) (id cms.Signer, root *x509.Certificate) {
	b.Helper()
	var parent *x509.Certificate
	var by *rsa.PrivateKey
	for i, name := range []string{"Root", "CA", "alice@example.jp"} {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			b.Fatal(err)
		}
		c := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
			BasicConstraintsValid: true, IsCA: i < 2, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
		if i == 2 {
			c.KeyUsage, c.ExtKeyUsage, c.EmailAddresses = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}, []string{name}
		}
		signer := by
		if parent == nil {
			parent, signer = c, key
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
		if err != nil {
			b.Fatal(err)
		}
		if parent, err = x509.ParseCertificate(der); err != nil {
			b.Fatal(err)
		}
		by = key
		switch i {
		case 0:
			root = parent
		case 1:
			id.Chain = append(id.Chain, parent)
		case 2:
			id.Certificate, id.Key = parent, key
		}
	}
	id.SigningTime, id.Digest = now, crypto.SHA256
	return id, root
}

// benchMail is a mail of about 10 KB.
func benchMail(b testing.TB, s cms.Signer) *message.Message {
	b.Helper()
	content := "Content-Type: text/plain\r\n\r\n" + strings.Repeat("Twenty-two characters.\r\n", 420)
	der, err := cms.SignDetached(strings.NewReader(content), s)
	if err != nil {
		b.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(der)
	var lines bytes.Buffer
	for ; len(text) > 76; text = text[76:] {
		lines.WriteString(text[:76] + "\r\n")
	}
	body := "--b\r\n" + content + "\r\n--b\r\nContent-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines.String() + text + "\r\n--b--\r\n"
	return &message.Message{
		Header: fields("From: alice@example.jp\nContent-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256; boundary=b"),
		Body:   message.Bytes([]byte(body)), Newline: "\r\n",
	}
}

// BenchmarkOf judges a mail of 10 KB with a chain of three, its certificates and path
// known from a mail before, or not.
func BenchmarkOf(b *testing.B) {
	s, root := benchChain(b)
	m := benchMail(b, s)
	fresh := func() *trust.Anchors {
		return trust.New(trust.Sources{Mail: []*x509.Certificate{root}}, trust.Options{Revocation: revocation.Off})
	}
	for _, cached := range []bool{true, false} {
		b.Run(fmt.Sprintf("cached=%v", cached), func(b *testing.B) {
			anchors, parser := fresh(), pki.NewParser()
			for b.Loop() {
				if !cached {
					anchors, parser = fresh(), pki.NewParser()
				}
				_, r, err := Of(m, smime.VerifyOptions{ParseCertificate: parser.Parse}, Question{Anchors: anchors, At: now})
				if err != nil || r.Status != Pass {
					b.Fatal(r, err)
				}
			}
		})
	}
}

// BenchmarkOfManyCertificates: a thousand in one mail, all CAs of the name of the
// signer's.
func BenchmarkOfManyCertificates(b *testing.B) {
	s, root := benchChain(b)
	for i := range 1000 - len(s.Chain) - 1 {
		der := forge.Certificate{
			Subject: s.Chain[0].RawSubject, Issuer: s.Chain[0].RawIssuer, KeyOf: fmt.Sprint(i), Serial: []byte{1, byte(i >> 8), byte(i)}, Extensions: forge.CA,
		}.Sign(generalCA).DER
		c, err := x509.ParseCertificate(der)
		if err != nil {
			b.Fatal(err)
		}
		s.Chain = append(s.Chain, c)
	}
	m := benchMail(b, s)
	for b.Loop() {
		anchors := trust.New(trust.Sources{Mail: []*x509.Certificate{root}}, trust.Options{Revocation: revocation.Off})
		_, r, err := Of(m, smime.VerifyOptions{ParseCertificate: pki.NewParser().Parse}, Question{Anchors: anchors, At: now})
		if err != nil || r.Status != Pass {
			b.Fatal(r.Status, r.Reason, err)
		}
	}
}
