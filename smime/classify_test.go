package smime_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.mozilla.org/pkcs7"

	"mailseal/certmgr/ca"
	"mailseal/internal/message"
	"mailseal/internal/testpki"
	"mailseal/smime"
	"mailseal/smime/cms"
)

const pgpSigned = `Content-Type: multipart/signed; protocol="application/pgp-signature"; micalg=pgp-sha512; boundary=p

--p
Content-Type: text/plain

Signed otherwise.
--p
Content-Type: application/pgp-signature; name=signature.asc

-----BEGIN PGP SIGNATURE-----

iHUEABYKAB0
-----END PGP SIGNATURE-----
--p--
`

const pgpEncrypted = `Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary=p

--p
Content-Type: application/pgp-encrypted

Version: 1

--p
Content-Type: application/octet-stream

-----BEGIN PGP MESSAGE-----

hQEMA
-----END PGP MESSAGE-----
--p--
`

// What is signed or encrypted is found by what is in the mail, and exactly
// that is left alone.
func TestProtectedMailIsLeftAlone(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	id := p.User("alice@corp.example", ca.P256)
	m := makeParts(t, p.User("alice@corp.example", ca.P256))
	certsOnly, err := pkcs7.DegenerateCertificate(id.Certificate.Raw)
	if err != nil {
		t.Fatal(err)
	}
	cert := writeFile(t, "bob.pem", testpki.CertPEM(p.User("bob@partner.example", ca.RSA2048).Certificate))
	encrypt := func(args ...string) string {
		out, err := openssl(t, []byte(entityText), append(append([]string{"cms", "-encrypt", "-aes256"}, args...), cert)...)
		if err != nil {
			t.Fatal(err)
		}
		return "From: alice@corp.example\n" + string(out)
	}
	for _, tt := range []struct {
		name      string
		mail      string
		kind      smime.Kind
		protected bool
	}{
		{"plain", plain, smime.Plain, false},
		{"detached", multipartSigned(p7sParams, strings.ReplaceAll(entityText, "\r", ""), p7sType, m.detached, end), smime.SignedDetached, true},
		{"detached and wrong", multipartSigned(p7sParams, "\nsomething else\n", p7sType, m.detached, end), smime.SignedDetached, true},
		{"opaque", opaqueMail(p7mType, m.opaque), smime.SignedOpaque, true},
		{"opaque called text", opaqueMail("text/plain; name=smime.p7m", m.opaque), smime.Plain, false},
		{"opaque octet-stream", opaqueMail("application/octet-stream; name=smime.p7m", m.opaque), smime.SignedOpaque, true},
		{"encrypted", encrypt(), smime.Enveloped, true},
		{"encrypted, BER", encrypt("-stream"), smime.Enveloped, true},
		{"encrypted, called signed", strings.Replace(encrypt(), "enveloped-data", "signed-data", 1), smime.Enveloped, true},
		{"encrypted and cut off", cutOff(encrypt()), smime.Malformed, false},
		{"certificates only", opaqueMail("application/pkcs7-mime; smime-type=certs-only; name=smime.p7c", certsOnly), smime.CertsOnly, false},
		{"text called signed", "Content-Type: application/pkcs7-mime; smime-type=signed-data\n\nText.\n", smime.Malformed, false},
		{"text called multipart/signed", "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=s\n\n--s\n\nx\n--s\n\ny\n--s--\n", smime.Malformed, false},
		{"PGP signed", pgpSigned, smime.OpenPGP, true},
		{"PGP encrypted", pgpEncrypted, smime.OpenPGP, true},
		{"text called PGP signed", strings.Replace(pgpSigned, "-----BEGIN", "BEGIN", 1), smime.Plain, false},
		{"text called PGP encrypted", strings.Replace(pgpEncrypted, "-----BEGIN", "BEGIN", 1), smime.Plain, false},
		{"some other multipart/signed", strings.ReplaceAll(pgpSigned, "pgp-signature", "x-sig"), smime.Plain, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mail := read(t, newSpool(t), tt.mail)
			kind, err := smime.Classify(mail, walk(t, mail))
			if err != nil || kind != tt.kind {
				t.Errorf("%v, %v, want %v", kind, err, tt.kind)
			}
			if r := verify(t, mail); r.Kind != tt.kind {
				t.Errorf("Verify says %s", describe(r))
			}
			edits, err := smime.Sign(mail, options(t, id, smime.Detached))
			if errors.Is(err, smime.ErrProtected) != tt.protected {
				t.Fatalf("Sign: %v", err)
			}
			if err == nil {
				checkSigned(t, mail, apply(t, mail, edits))
			}
		})
	}
}

// cutOff takes the last lines of base64 away.
func cutOff(mail string) string {
	lines := strings.SplitAfter(strings.TrimRight(mail, "\r\n"), "\n")
	return strings.Join(lines[:len(lines)-3], "")
}

// Mails that others made: what they are, and whether each signer signed
// exactly what is in the mail. OpenSSL says the same of them, but for what is
// weak.
func TestCorpora(t *testing.T) {
	dir := corpora(t)
	for _, tt := range []struct {
		file string
		kind smime.Kind
		want string // of the signer: what is wrong
	}{
		{"rfc4134/4.8.eml", smime.SignedDetached, "weak algorithm or key: DSA key of 1024 bits, SHA-1"},
		{"rfc4134/4.9.eml", smime.SignedOpaque, "weak algorithm or key: DSA key of 1024 bits, SHA-1"},
		{"rfc4134/5.3.eml", smime.Enveloped, ""},
		{"mimekit/thunderbird-signed.txt", smime.SignedDetached, "weak algorithm or key: SHA-1"},
		{"kmail/404698-smime.mbox", smime.Plain, ""},
		{"kmail/smime-cert.mbox", smime.Malformed, ""},
		{"kmail/smime-encrypted-octet-stream.mbox", smime.Enveloped, ""},
		{"kmail/smime-encrypted.mbox", smime.Enveloped, ""},
		{"kmail/smime-opaque-enc+sign.mbox", smime.Enveloped, ""},
		{"kmail/smime-opaque-sign.mbox", smime.SignedOpaque, "no certificate of the signer"},
		{"kmail/smime-opaque-signed-encrypted-attachment.mbox", smime.Enveloped, ""},
		{"kmail/smime-signed-apple.mbox", smime.SignedDetached, "content is not what was signed"},
		{"kmail/smime-signed-encrypted.mbox", smime.Enveloped, ""},
	} {
		t.Run(filepath.Base(tt.file), func(t *testing.T) {
			mail, err := os.ReadFile(filepath.Join(dir, tt.file))
			if err != nil {
				t.Fatal(err)
			}
			r := verify(t, readRaw(t, newSpool(t), string(mail)))
			got := ""
			for _, s := range r.Signers {
				got += s.Result.Err.Error()
			}
			if r.Kind != tt.kind || got != tt.want {
				t.Errorf("%s, want %v, %s", describe(r), tt.kind, tt.want)
			}
		})
	}
}

// The mails of PKITS are about paths: every signature in them is good. What
// is not good here is DSA, which is weak, and what is signed with a certificate that crypto/x509 does not parse.
func TestPKITSMailsAreSignedByWhomTheySay(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpora(t), "pkits", "smime", "*.eml"))
	if err != nil || len(files) == 0 {
		t.Skipf("no PKITS mails: %v", err)
	}
	unverified := map[string]error{
		"SignedValidDSASignaturesTest4.eml":       cms.ErrWeak,
		"SignedInvalidDSASignatureTest6.eml":      cms.ErrWeak,
		"SignedValiddistributionPointTest4.eml":   cms.ErrNoCertificate,
		"SignedInvaliddistributionPointTest6.eml": cms.ErrNoCertificate,
	}
	for _, file := range files {
		mail, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m, err := message.Read(strings.NewReader(string(mail)), newSpool(t), message.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		r := verify(t, m)
		if want := unverified[filepath.Base(file)]; want == nil && !good(r) || want != nil && !errors.Is(r.Signers[0].Result.Err, want) {
			t.Errorf("%s: %s, want %v", filepath.Base(file), describe(r), want)
		}
		m.Body.Close()
	}
}
