package spoof_test

import (
	"encoding/base64"
	"regexp"
	"strings"

	"mailseal/internal/testpki/forge"
)

// words is what Alice signed one day, and forged what Mallory would have her say.
const (
	words  = "Content-Type: text/plain; charset=us-ascii\n\nPay 100 to Bob.\n"
	forged = "Content-Type: text/plain; charset=us-ascii\n\nPay 900 to Mallory.\n"
)

func b64(b []byte) string {
	return regexp.MustCompile(`.{1,76}`).ReplaceAllString(base64.StdEncoding.EncodeToString(b), "$0\n")
}

// header is that of a mail, with what describes its body last.
func header(from string, content ...string) string {
	return "From: " + from + "\nTo: " + bob + "\nDate: Sat, 21 Nov 2026 12:00:00 +0900\nSubject: payment\nMIME-Version: 1.0\n" + strings.Join(content, "\n") + "\n\n"
}

const signedType = `Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary="=_s"`

// p7s is the part of a detached signature.
func p7s(der []byte) string {
	return "Content-Type: application/pkcs7-signature; name=smime.p7s\nContent-Transfer-Encoding: base64\n\n" + b64(der)
}

// multipart is the body of one.
func multipart(boundary string, parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("--" + boundary + "\n" + p + "\n")
	}
	return b.String() + "--" + boundary + "--\n"
}

// clearSigned is a multipart/signed entity.
func clearSigned(entity string, der []byte) string {
	return signedType + "\n\n" + multipart("=_s", entity, p7s(der))
}

// opaque is an entity with the content inside.
func opaque(der []byte) string {
	return "Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\nContent-Transfer-Encoding: base64\n\n" + b64(der)
}

// mixed is an entity of several.
func mixed(kind string, parts ...string) string {
	return "Content-Type: multipart/" + kind + "; boundary=\"=_m\"\n\n" + multipart("=_m", parts...)
}

// mail is one from somebody, of an entity.
func mail(from, entity string) string {
	fields, body, _ := strings.Cut(entity, "\n\n")
	return header(from, fields) + body
}

// over signs an entity as its bytes go over the wire.
func over(entity string, signers ...signer) []byte {
	return object{content: []byte(crlf(entity)), detached: true, signers: signers}.der()
}

// inside signs an entity and carries it.
func inside(entity string, signers ...signer) []byte {
	return object{content: []byte(crlf(entity)), signers: signers}.der()
}

// signed is a mail signed as it should be.
func signed(from, entity string, who *forge.Issued) string {
	return mail(from, clearSigned(entity, over(entity, by(who))))
}

// with puts fields on top.
func with(mail string, fields ...string) string {
	return strings.Join(fields, "\n") + "\n" + mail
}

// instead changes a mail, and is sure that it does.
func instead(mail, old, new string) string {
	if !strings.Contains(mail, old) {
		panic("nothing to change: " + old)
	}
	return strings.Replace(mail, old, new, 1)
}
