package smime_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/pem"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailseal/certmgr/ca"
	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/smime"
)

const plain = `From: alice@corp.example
To: bob@partner.example
Subject: hello

Hello Bob.
`

func TestEveryKindOfKey(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	for _, tt := range []struct {
		kind   ca.KeyKind
		digest crypto.Hash
		pss    bool
		micalg string
		peers  bool // whether OpenSSL 3.0 and pkcs7 can verify it
	}{
		{ca.RSA2048, 0, false, "sha-256", true},
		{ca.RSA2048, crypto.SHA512, false, "sha-512", true},
		{ca.RSA2048, crypto.SHA256, true, "sha-256", false},
		{ca.P256, crypto.SHA256, false, "sha-256", true},
		{ca.P384, crypto.SHA384, false, "sha-384", true},
		{ca.P521, crypto.SHA512, false, "sha-512", true},
		{ca.Ed25519, 0, false, "sha-512", false},
		{ca.Ed25519, crypto.SHA256, false, "sha-512", false},
	} {
		for _, format := range []smime.Format{smime.Detached, smime.Opaque} {
			t.Run(tt.kind.String()+" "+tt.micalg+" "+format.String(), func(t *testing.T) {
				m := read(t, newSpool(t), plain)
				o := options(t, p.User("alice@corp.example", tt.kind), format)
				o.Digest, o.PSS = tt.digest, tt.pss
				signed := sign(t, m, o)
				checkSigned(t, m, signed)
				if got := walk(t, signed).Params["micalg"]; format == smime.Detached && got != tt.micalg {
					t.Errorf("micalg=%s, want %s", got, tt.micalg)
				}
				if tt.peers {
					checkWithOpenSSL(t, signed, p.Root())
					checkWithPKCS7(t, signed, p.Root())
				}
			})
		}
	}
}

func TestChainIsSentWithoutItsRoot(t *testing.T) {
	root := testpki.NewAt(t, fixed)
	id := root.Below().User("alice@corp.example", ca.P256)
	signed := sign(t, read(t, newSpool(t), plain), options(t, id, smime.Detached))
	r := verify(t, signed)
	if len(r.Certificates) != 2 || !good(r) {
		t.Fatalf("%s with %d certificates", describe(r), len(r.Certificates))
	}
	for _, c := range r.Certificates {
		if c.Equal(root.Root()) {
			t.Error("the root is sent along")
		}
	}
	checkWithOpenSSL(t, signed, root.Root())
}

// The keys of RFC 9216 stand for those that others made.
func TestAliceOfRFC9216(t *testing.T) {
	dir := filepath.Join(corpora(t), "rfc9216")
	p12, err := os.ReadFile(filepath.Join(dir, "08-PKCS_12_Object_for_Alice.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(p12)
	if block == nil {
		t.Fatal("no PEM")
	}
	id, err := pki.ParseIdentity(block.Bytes, []byte("alice"))
	if err != nil {
		t.Fatal(err)
	}
	roots, err := pki.ReadCertificates(filepath.Join(dir, "01-RSA_Certification_Authority_Root_Certificate.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []smime.Format{smime.Detached, smime.Opaque} {
		m := read(t, newSpool(t), plain)
		signed := sign(t, m, options(t, id, format))
		checkSigned(t, m, signed)
		checkWithOpenSSL(t, signed, roots[0])
	}
}

// What the outside of a signed mail looks like, to the byte.
func TestLayout(t *testing.T) {
	id := testpki.NewAt(t, fixed).User("alice@corp.example", ca.P256)
	m := read(t, newSpool(t), "From: alice@corp.example\nMIME-version: 1.0 (x)\nMIME-Version: 1.0\nContent-Type: text/plain;\n\tcharset=us-ascii\nContent-Language: en\nSubject: hello\nContent-Language: fr\n\nHello Bob.\n")
	o := options(t, id, smime.Detached)
	o.Rand = rand.NewChaCha8([32]byte{})
	got := string(whole(t, sign(t, m, o)))
	_, boundary, _ := strings.Cut(got, "boundary=\"")
	boundary, _, _ = strings.Cut(boundary, "\"")
	_, signature, _ := strings.Cut(got, "filename=smime.p7s\r\n\r\n")
	signature, _, _ = strings.Cut(signature, "\r\n--")
	want := "From: alice@corp.example\nMIME-Version: 1.0\n" +
		"Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\n micalg=sha-256; boundary=\"" + boundary + "\"\n" +
		"Subject: hello\n\n" +
		"--" + boundary + "\nContent-Type: text/plain;\n\tcharset=us-ascii\nContent-Language: en\nContent-Language: fr\n\nHello Bob.\n\n" +
		"--" + boundary + "\nContent-Type: application/pkcs7-signature; name=smime.p7s\nContent-Transfer-Encoding: base64\n" +
		"Content-Disposition: attachment; filename=smime.p7s\n\n" + strings.ReplaceAll(signature, "\r\n", "\n") + "\n--" + boundary + "--\n"
	if diff := cmp.Diff(strings.ReplaceAll(want, "\n", "\r\n"), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for line := range strings.SplitSeq(got, "\r\n") {
		if len(line) > 78 {
			t.Errorf("long line %q", line)
		}
	}

	opaque := sign(t, m, options(t, id, smime.Opaque))
	var fields []string
	for _, f := range opaque.Header {
		fields = append(fields, f.Raw())
	}
	wantFields := []string{
		"From: alice@corp.example", "MIME-Version: 1.0",
		"Content-Type: application/pkcs7-mime; smime-type=signed-data;\r\n name=smime.p7m",
		"Subject: hello", "Content-Transfer-Encoding: base64", "Content-Disposition: attachment; filename=smime.p7m",
	}
	if diff := cmp.Diff(wantFields, fields); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if der, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(text(t, opaque.Body), "\r\n", "")); err != nil || der[0] != 0x30 {
		t.Errorf("body is no base64 of CMS: %v", err)
	}
}

// A milter's field values have folds of LF alone.
func TestFoldsOfLF(t *testing.T) {
	id := testpki.NewAt(t, fixed).User("alice@corp.example", ca.P256)
	m := &message.Message{
		Header:  message.Header{message.NewField("Content-Type", " text/plain;\n charset=us-ascii"), message.NewField("Subject", " a\n b")},
		Body:    message.Bytes([]byte("Hello Bob.\r\n")),
		Newline: "\r\n",
	}
	signed := sign(t, m, options(t, id, smime.Detached))
	if got, want := entityOf(t, signed), "Content-Type: text/plain;\r\n charset=us-ascii\r\n\r\nHello Bob.\r\n"; got != want {
		t.Errorf("signed %q, want %q", got, want)
	}
}

func TestMailIsNotTouched(t *testing.T) {
	id := testpki.NewAt(t, fixed).User("alice@corp.example", ca.P256)
	mail := "Content-Type: text/plain; charset=utf-8\r\n\r\nGr\u00fc\u00dfe \r\n"
	m := readRaw(t, newSpool(t), mail)
	sign(t, m, options(t, id, smime.Detached))
	if got := whole(t, m); !bytes.Equal(got, []byte(mail)) {
		t.Errorf("mail became %q", got)
	}
}

func TestSignNeedsAKey(t *testing.T) {
	m := read(t, newSpool(t), plain)
	for _, o := range []smime.SignOptions{{}, {Spool: newSpool(t)}, {Spool: newSpool(t), Identity: pki.Identity{Certificate: testpki.NewAt(t, fixed).Root()}}} {
		if edits, err := smime.Sign(m, o); err == nil || edits != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestLimits(t *testing.T) {
	id := testpki.NewAt(t, fixed).User("alice@corp.example", ca.P256)
	m := read(t, newSpool(t), "Content-Type: multipart/mixed; boundary=b\n\n"+strings.Repeat("--b\n\nx\n", 2000))
	o := options(t, id, smime.Detached)
	if _, err := smime.Sign(m, o); err == nil || !strings.Contains(err.Error(), "parts") {
		t.Errorf("2000 parts: %v", err)
	}
	if _, err := smime.Verify(m, smime.VerifyOptions{}); err == nil {
		t.Error("2000 parts are verified")
	}
}
