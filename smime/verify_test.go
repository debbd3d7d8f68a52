package smime_test

import (
	"crypto"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"go.mozilla.org/pkcs7"

	"mailseal/certmgr/ca"
	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/internal/spool"
	"mailseal/internal/testpki"
	"mailseal/smime"
	"mailseal/smime/cms"
)

const entityText = "Content-Type: text/plain; charset=us-ascii\r\n\r\nHello Bob.\r\n"

// b64 is base64 in lines.
func b64(der []byte) string {
	s := base64.StdEncoding.EncodeToString(der)
	var b strings.Builder
	for len(s) > 76 {
		b.WriteString(s[:76] + "\n")
		s = s[76:]
	}
	return b.String() + s + "\n"
}

// multipartSigned builds a multipart/signed by hand; type and name of the
// second part as given, what follows it too.
func multipartSigned(params, content, sigType string, der []byte, after string) string {
	return "From: alice@corp.example\nMIME-Version: 1.0\nContent-Type: multipart/signed; boundary=\"=_s\"" + params + "\n\n" +
		"--=_s\n" + content + "\n--=_s\nContent-Type: " + sigType + "\nContent-Transfer-Encoding: base64\n\n" + b64(der) + after
}

// opaqueMail builds a mail of CMS by hand.
func opaqueMail(contentType string, der []byte) string {
	return "From: alice@corp.example\nMIME-Version: 1.0\nContent-Type: " + contentType +
		"\nContent-Transfer-Encoding: base64\n\n" + b64(der)
}

// A made mail holds what hand-made mails are built of.
type made struct {
	signer   cms.Signer
	detached []byte // over entityText
	opaque   []byte // with it inside
}

func makeParts(t testing.TB, id pki.Identity) made {
	t.Helper()
	s := cms.Signer{Certificate: id.Certificate, Key: id.Key, SigningTime: fixed, Digest: crypto.SHA256}
	return made{s, detachedOver(t, entityText, s), opaqueOver(t, entityText, s)}
}

func detachedOver(t testing.TB, content string, s cms.Signer) []byte {
	t.Helper()
	der, err := cms.SignDetached(strings.NewReader(content), s)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func opaqueOver(t testing.TB, content string, s cms.Signer) []byte {
	t.Helper()
	prefix, suffix, err := cms.SignOpaque(strings.NewReader(content), int64(len(content)), s)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(string(prefix) + content + string(suffix))
}

const (
	p7sParams = "; protocol=\"application/pkcs7-signature\"; micalg=sha-256"
	p7sType   = "application/pkcs7-signature; name=smime.p7s"
	p7mType   = "application/pkcs7-mime; smime-type=signed-data; name=smime.p7m"
	end       = "--=_s--\n"
)

func TestVerify(t *testing.T) {
	m := makeParts(t, testpki.NewAt(t, fixed).User("alice@corp.example", ca.P256))
	const text = "Content-Type: text/plain; charset=us-ascii\n\nHello Bob.\n"
	tampered := strings.Replace(text, "Bob", "Eve", 1)
	never := smime.Class(-1)
	for _, tt := range []struct {
		name  string
		mail  string
		kind  smime.Kind
		part  string
		good  bool
		class smime.Class // of the Problem, never for none
	}{
		{"plain", plain, smime.Plain, "", false, never},
		{"detached", multipartSigned(p7sParams, text, p7sType, m.detached, end), smime.SignedDetached, "2", true, never},
		{"x-pkcs7-signature", multipartSigned("; protocol=\"application/x-pkcs7-signature\"; micalg=sha256", text, "application/x-pkcs7-signature", m.detached, end), smime.SignedDetached, "2", true, never},
		{"pkcs7-mime as signature", multipartSigned(p7sParams, text, p7mType, m.detached, end), smime.SignedDetached, "2", true, never},
		{"octet-stream as signature", multipartSigned(p7sParams, text, "application/octet-stream; name=\"SMIME.P7S\"", m.detached, end), smime.SignedDetached, "2", true, never},
		{"no protocol", multipartSigned("", text, p7sType, m.detached, end), smime.SignedDetached, "2", true, never},
		{"epilogue", multipartSigned(p7sParams, text, p7sType, m.detached, end+"a list's footer\n"), smime.SignedDetached, "2", true, never},
		{"unclosed", multipartSigned(p7sParams, text, p7sType, m.detached, ""), smime.SignedDetached, "2", true, never},
		{"changed", multipartSigned(p7sParams, tampered, p7sType, m.detached, end), smime.SignedDetached, "2", false, never},
		{"changed in the part's header", multipartSigned(p7sParams, strings.Replace(text, "us-ascii", "us-ascij", 1), p7sType, m.detached, end), smime.SignedDetached, "2", false, never},
		{"three parts", multipartSigned(p7sParams, text, p7sType, m.detached, "--=_s\n\nmore\n"+end), smime.Malformed, "", false, smime.BadStructure},
		{"one part", "Content-Type: multipart/signed; boundary=s" + p7sParams + "\n\n--s\n\nx\n--s--\n", smime.Malformed, "", false, smime.BadStructure},
		{"no boundary", "Content-Type: multipart/signed" + p7sParams + "\n\n--s\n\nx\n--s--\n", smime.Malformed, "", false, smime.BadStructure},
		{"two content types", "Content-Type: text/html\n" + multipartSigned(p7sParams, text, p7sType, m.detached, end), smime.Plain, "", false, never},
		{"two content types, signed first", strings.Replace(multipartSigned(p7sParams, text, p7sType, m.detached, end), "\n\n", "\nContent-Type: text/html\n\n", 1), smime.Malformed, "", false, smime.BadStructure},
		{"signature is text", multipartSigned(p7sParams, text, "text/plain", m.detached, end), smime.Malformed, "", false, smime.BadStructure},
		{"signature is garbage", multipartSigned(p7sParams, text, p7sType, []byte("garbage"), end), smime.Malformed, "2", false, smime.BadStructure},
		{"signature is cut off", multipartSigned(p7sParams, text, p7sType, m.detached[:len(m.detached)-1], end), smime.Malformed, "2", false, smime.BadStructure},
		{"signature and more", multipartSigned(p7sParams, text, p7sType, append(m.detached[:len(m.detached):len(m.detached)], 0), end), smime.Malformed, "2", false, smime.BadStructure},
		{"content in the signature", multipartSigned(p7sParams, text, p7sType, m.opaque, end), smime.SignedDetached, "2", false, smime.Contradiction},
		{"content in the signature, another outside", multipartSigned(p7sParams, tampered, p7sType, m.opaque, end), smime.SignedDetached, "2", false, smime.Contradiction},
		{"micalg in other words", multipartSigned("; micalg=RSA-SHA256", text, p7sType, m.detached, end), smime.SignedDetached, "2", true, never},
		{"micalg list", multipartSigned("; micalg=\"sha-1, sha-256\"", text, p7sType, m.detached, end), smime.SignedDetached, "2", true, never},
		{"micalg unknown", multipartSigned("; micalg=md99", text, p7sType, m.detached, end), smime.SignedDetached, "2", true, never},
		{"micalg contradicts", multipartSigned("; micalg=sha-512", text, p7sType, m.detached, end), smime.SignedDetached, "2", false, smime.Contradiction},

		{"opaque", opaqueMail(p7mType, m.opaque), smime.SignedOpaque, "1", true, never},
		{"opaque without smime-type", opaqueMail("application/pkcs7-mime", m.opaque), smime.SignedOpaque, "1", true, never},
		{"opaque called enveloped", opaqueMail("application/pkcs7-mime; smime-type=enveloped-data", m.opaque), smime.SignedOpaque, "1", true, never},
		{"x-pkcs7-mime", opaqueMail("application/x-pkcs7-mime", m.opaque), smime.SignedOpaque, "1", true, never},
		{"octet-stream p7m", opaqueMail("application/octet-stream; name=smime.p7m", m.opaque), smime.SignedOpaque, "1", true, never},
		{"octet-stream bin", opaqueMail("application/octet-stream; name=smime.bin", m.opaque), smime.Plain, "", false, never},
		{"octet-stream p7m of something else", opaqueMail("application/octet-stream; name=x.p7m", []byte("something else")), smime.Plain, "", false, never},
		{"label without CMS", "Content-Type: " + p7mType + "\n\nThis is text.\n", smime.Malformed, "1", false, smime.BadStructure},
		{"opaque and more", opaqueMail(p7mType, append(m.opaque[:len(m.opaque):len(m.opaque)], "more"...)), smime.Malformed, "1", false, smime.BadStructure},
		{"detached without content", opaqueMail(p7mType, m.detached), smime.Malformed, "1", false, smime.BadStructure},
		{"opaque changed", opaqueMail(p7mType, []byte(strings.Replace(string(m.opaque), "Hello", "Hallo", 1))), smime.SignedOpaque, "1", false, never},
		{"opaque of two types", "Content-Type: text/html\n" + opaqueMail(p7mType, m.opaque), smime.Plain, "", false, never},

		{"signed attachment", "Content-Type: multipart/mixed; boundary=m\n\n--m\n\nsee below\n--m\nContent-Type: " + p7mType + "\nContent-Transfer-Encoding: base64\n\n" + b64(m.opaque) + "--m--\n", smime.Plain, "", false, never},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, mail := range []*message.Message{read(t, newSpool(t), tt.mail), readRaw(t, newSpool(t), tt.mail)} {
				r := verify(t, mail)
				if r.Kind != tt.kind || r.Part != tt.part || good(r) != tt.good {
					t.Errorf("%q: %s, part %q; want %v, part %q, good %v", mail.Newline, describe(r), r.Part, tt.kind, tt.part, tt.good)
				}
				p := &smime.Problem{Class: never}
				if r.Err != nil && !errors.As(r.Err, &p) {
					t.Errorf("error is a %T", r.Err)
				}
				if p.Class != tt.class {
					t.Errorf("problem %v of class %v, want %v", r.Err, p.Class, tt.class)
				}
				for _, s := range r.Signers {
					if r.Err != nil && s.Result.Err == nil {
						t.Error("a signer is good in spite of the problem")
					}
				}
			}
		})
	}
}

func TestVerifyWithoutTheSignersCertificate(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	id := p.User("alice@corp.example", ca.P256)
	signed := asOpenSSL(t, plain, testpki.PEM(t, id), "-nocerts")
	r := verify(t, signed)
	if len(r.Signers) != 1 || !errors.Is(r.Signers[0].Result.Err, cms.ErrNoCertificate) {
		t.Fatal(describe(r))
	}
	r, err := smime.Verify(signed, smime.VerifyOptions{Spool: newSpool(t), Certificates: append(p.Roots(), id.Certificate)})
	if err != nil || !good(r) || !r.Signers[0].Result.Certificate.Equal(id.Certificate) {
		t.Errorf("with the certificate known: %v, %s", err, describe(r))
	}
}

func TestMailSignedByOpenSSL(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	rsa, ec := p.User("alice@corp.example", ca.RSA2048), p.User("alice@corp.example", ca.P256)
	ecFile := writeFile(t, "ec.pem", testpki.PEM(t, ec))
	content := "Content-Type: text/plain\n\n" + strings.Repeat("Text from another program.\n", 5000)
	for _, tt := range []struct {
		name string
		pem  []byte
		args []string
		kind smime.Kind
		n    int
	}{
		{"detached", testpki.PEM(t, rsa), nil, smime.SignedDetached, 1},
		{"opaque", testpki.PEM(t, rsa), []string{"-nodetach"}, smime.SignedOpaque, 1},
		{"opaque BER", testpki.PEM(t, rsa), []string{"-nodetach", "-stream"}, smime.SignedOpaque, 1},
		{"detached SHA-512", testpki.PEM(t, rsa), []string{"-md", "sha512"}, smime.SignedDetached, 1},
		{"detached PSS", testpki.PEM(t, rsa), []string{"-keyopt", "rsa_padding_mode:pss"}, smime.SignedDetached, 1},
		{"opaque P-256", testpki.PEM(t, ec), []string{"-nodetach", "-md", "sha384"}, smime.SignedOpaque, 1},
		{"key identifier", testpki.PEM(t, ec), []string{"-keyid"}, smime.SignedDetached, 1},
		{"no attributes", testpki.PEM(t, rsa), []string{"-noattr", "-nodetach"}, smime.SignedOpaque, 1},
		{"CAdES", testpki.PEM(t, rsa), []string{"-cades"}, smime.SignedDetached, 1},
		{"two signers", testpki.PEM(t, rsa), []string{"-signer", ecFile}, smime.SignedDetached, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			signed := asOpenSSL(t, content, tt.pem, tt.args...)
			r := verify(t, signed)
			if r.Kind != tt.kind || len(r.Signers) != tt.n || !good(r) {
				t.Errorf("%s, %d signers", describe(r), len(r.Signers))
			}
			for _, s := range r.Signers {
				if s.Result.Certificate == nil || s.Result.Certificate.EmailAddresses[0] != "alice@corp.example" {
					t.Error("signer has no certificate or not its own")
				}
			}
		})
	}
}

// Signed-data that is no signature over a mail, and what its Problem is.
func TestSignedDataThatIsNoSignature(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	id := p.User("alice@corp.example", ca.P256)
	m := makeParts(t, id)
	unsigned, err := pkcs7.NewSignedData([]byte(entityText))
	if err != nil {
		t.Fatal(err)
	}
	nobody, err := unsigned.Finish()
	if err != nil {
		t.Fatal(err)
	}
	crowd := make([]cms.Signer, 20)
	for i := range crowd {
		crowd[i] = m.signer
	}
	many, err := cms.SignDetached(strings.NewReader(entityText), crowd...)
	if err != nil {
		t.Fatal(err)
	}
	digested, err := openssl(t, []byte(entityText), "cms", "-digest_create", "-outform", "DER")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(entityText, "\r", "")
	for _, tt := range []struct {
		name      string
		mail      *message.Message
		class     smime.Class
		word      string
		protected bool
	}{
		{"nobody signed", read(t, newSpool(t), opaqueMail(p7mType, nobody)), smime.NoSigner, "no signer", false},
		{"a crowd signed", read(t, newSpool(t), multipartSigned(p7sParams, text, p7sType, many, end)), smime.TooLarge, "too large", false},
		{"digested data", read(t, newSpool(t), opaqueMail(p7mType, digested)), smime.Unsupported, "unsupported", false},
		{"a time-stamp", asOpenSSL(t, entityText, testpki.PEM(t, id), "-nodetach", "-econtent_type", "1.2.840.113549.1.9.16.1.4"), smime.Unsupported, "unsupported", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := verify(t, tt.mail)
			p := new(smime.Problem)
			if !errors.As(r.Err, &p) || p.Class != tt.class || p.Class.String() != tt.word || good(r) {
				t.Errorf("%s, class %v, want %v", describe(r), p.Class, tt.word)
			}
			edits, err := smime.Sign(tt.mail, options(t, id, smime.Detached))
			if errors.Is(err, smime.ErrProtected) != tt.protected {
				t.Errorf("Sign: %v", err)
			}
			message.Verdict{Edits: edits}.Close()
		})
	}
}

// brokenBody is a body whose disk breaks.
type brokenBody struct {
	message.Body
	at int64
}

var errDisk = errors.New("the disk broke")

func (b brokenBody) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.at {
		return 0, errDisk
	}
	return b.Body.ReadAt(p, off)
}

// Trouble with the disk is not a bad signature: it comes back as an error, so
// that the mail can be deferred.
func TestDiskTroubleIsAnError(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	s := newSpool(t)
	id := p.User("alice@corp.example", ca.P256)
	m := bigMail(t, s, 300<<10)
	for _, format := range []smime.Format{smime.Detached, smime.Opaque} {
		for at := int64(0); at < m.Body.Size(); at += 70 << 10 {
			broken := *m
			broken.Body = brokenBody{m.Body, at}
			o := options(t, id, format)
			if edits, err := smime.Sign(&broken, o); !errors.Is(err, errDisk) || edits != nil {
				t.Errorf("sign %v, broken at %d: %v", format, at, err)
			}
		}
		signed := sign(t, m, options(t, id, format))
		for at := int64(0); at < signed.Body.Size(); at += 70 << 10 {
			broken := *signed
			broken.Body = brokenBody{signed.Body, at}
			if r, err := smime.Verify(&broken, smime.VerifyOptions{}); !errors.Is(err, errDisk) {
				t.Errorf("verify %v, broken at %d: %v, %v", format, at, r, err)
			}
		}
		if _, err := smime.Classify(signed, walk(t, signed)); err != nil {
			t.Error(err)
		}
	}
	full, err := spool.New(spool.Config{Dir: t.TempDir(), Limit: 100 << 10})
	if err != nil {
		t.Fatal(err)
	}
	o := options(t, id, smime.Opaque)
	o.Spool = full
	if _, err := smime.Sign(m, o); !errors.Is(err, spool.ErrTooLarge) {
		t.Errorf("spool too small: %v", err)
	}
}
