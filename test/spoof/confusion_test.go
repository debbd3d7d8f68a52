package spoof_test

import (
	"crypto"
	"crypto/rand"
	"encoding/asn1"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"

	"mailseal/internal/verdict"
)

// confusions are one content that is verified and another that is shown.
func confusions(w *world) (list []attack) {
	add := func(name, mail string, want verdict.Status, says string) {
		list = append(list, attack{class: "C1", name: name, mail: mail, want: want, says: says})
	}
	const own = "carries its own content"
	real, inner := over(words, by(w.alice)), inside(words, by(w.alice))

	add("signed, detached", mail(alice, clearSigned(words, real)), verdict.Pass, "")
	add("signed, opaque", mail(alice, opaque(inner)), verdict.Pass, "")
	add("the same content in the signature", mail(alice, clearSigned(words, inner)), verdict.PermError, own)
	add("what Alice signed in the signature, other words outside", mail(alice, clearSigned(forged, inner)), verdict.PermError, own)
	add("nothing in the signature, but a place for it", mail(alice, clearSigned(words, object{content: []byte{}, signers: []signer{{who: w.alice, over: []byte(crlf(words))}}}.der())), verdict.PermError, own)
	add("other words in the signature", mail(alice, clearSigned(words, object{content: []byte(crlf(forged)), signers: []signer{{who: w.alice, over: []byte(crlf(words))}}}.der())), verdict.PermError, own)
	add("signature of another mail", mail(alice, clearSigned(forged, real)), verdict.Fail, "content was changed")
	add("digest of other words", mail(alice, clearSigned(forged, over(forged, signer{who: w.alice, over: []byte(crlf(words))}))), verdict.Fail, "content was changed")
	add("words exchanged in the object", mail(alice, opaque([]byte(strings.Replace(string(inner), "Pay 100 to Bob.", "Pay 900 to Eve.", 1)))), verdict.Fail, "content was changed")
	add("more words in the last piece", mail(alice, opaque(object{content: []byte(crlf(words + words)), pieces: true, signers: []signer{{who: w.alice, over: []byte(crlf(words))}}}.der())), verdict.Fail, "content was changed")
	add("the words in two pieces", mail(alice, opaque(object{content: []byte(crlf(words)), pieces: true, signers: []signer{by(w.alice)}}.der())), verdict.Pass, "")
	add("something behind the object", mail(alice, opaque(append(slices.Clone(inner), 5, 0))), verdict.Neutral, "")
	add("two objects", mail(alice, opaque(slices.Concat(inner, inside(forged, by(w.mallory))))), verdict.Neutral, "")
	add("no content at all", mail(alice, opaque(real)), verdict.Neutral, "without the content")
	add("micalg says another digest", instead(mail(alice, clearSigned(words, real)), "micalg=sha-256", "micalg=sha-512"), verdict.PermError, "micalg says")
	add("a time-stamp", mail(alice, opaque(object{content: []byte(crlf(words)), kind: oidTimeStamp, signers: []signer{by(w.alice)}}.der())), verdict.Neutral, "no mail")
	add("signed as a time-stamp", mail(alice, opaque(object{content: []byte(crlf(words)), signers: []signer{{who: w.alice, edit: func(a [][]byte) [][]byte {
		a[0] = attribute(oidContentType, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidTimeStamp) })
		return a
	}}}}.der())), verdict.PermError, "attributes")
	list = append(list, attributes(w)...)
	return append(list, nested(w, real, inner)...)
}

// attributes are what is signed, or stands in the content's place.
func attributes(w *world) (list []attack) {
	add := func(name, mail string, want verdict.Status, says string) {
		list = append(list, attack{class: "C1", name: name, mail: mail, raw: true, want: want, says: says})
	}
	// The signed attributes of a mail of Alice's, as a content of their own: her
	// signature is right over these bytes.
	var set, signature []byte
	real := by(w.alice)
	real.set = func(s []byte) {
		set = s
		signature, _ = w.alice.Key.Sign(rand.Reader, digest(s), crypto.SHA256)
	}
	over(words, real)
	stripped := signer{who: w.alice, bare: true, signature: signature}
	add("attributes as the content", crlf(mail(alice, opaque(object{content: set, signers: []signer{stripped}}.der()))), verdict.PermError, "attributes")
	add("attributes as the content, in pieces", crlf(mail(alice, opaque(object{content: set, pieces: true, signers: []signer{stripped}}.der()))), verdict.PermError, "attributes")
	detached := object{detached: true, content: set, signers: []signer{stripped}}.der()
	add("attributes left out", crlf(mail(alice, clearSigned(words, detached))), verdict.Fail, "does not match")
	add("attributes as the part", instead(crlf(mail(alice, clearSigned("%SET%", detached))), "%SET%", string(set)), verdict.PermError, "attributes")

	edited := func(name string, edit func([][]byte) [][]byte, want verdict.Status) {
		add(name, crlf(mail(alice, clearSigned(words, over(words, signer{who: w.alice, edit: edit})))), want, map[verdict.Status]string{verdict.PermError: "attributes", verdict.Fail: "content was changed"}[want])
	}
	digestOf := func(of ...string) []byte {
		return attribute(oidMessageDigest, func(b *cryptobyte.Builder) {
			for _, o := range of {
				b.AddASN1OctetString(digest([]byte(crlf(o))))
			}
		})
	}
	edited("no content type", func(a [][]byte) [][]byte { return a[1:] }, verdict.PermError)
	edited("no digest", func(a [][]byte) [][]byte { return a[:1] }, verdict.PermError)
	edited("no attributes, but a place for them", func([][]byte) [][]byte { return [][]byte{} }, verdict.PermError)
	edited("two digests", func(a [][]byte) [][]byte { return append(a, digestOf(forged)) }, verdict.PermError)
	edited("two digests in one", func(a [][]byte) [][]byte { return append(a[:1], digestOf(words, forged)) }, verdict.PermError)
	edited("the same digest twice", func(a [][]byte) [][]byte { return append(a, a[1]) }, verdict.PermError)
	edited("a digest of none", func(a [][]byte) [][]byte { return append(a[:1], digestOf()) }, verdict.PermError)
	edited("two content types", func(a [][]byte) [][]byte {
		return append(a, attribute(oidContentType, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidTimeStamp) }))
	}, verdict.PermError)
	edited("two times", func(a [][]byte) [][]byte {
		at := attribute(oidSigningTime, func(b *cryptobyte.Builder) { b.AddASN1UTCTime(now()) })
		return append(a, at, at)
	}, verdict.PermError)
	add("another digest that is not signed", crlf(mail(alice, clearSigned(forged, over(words, signer{who: w.alice, unsigned: [][]byte{digestOf(forged)}})))), verdict.PermError, "attributes")
	add("an attribute that nobody knows", crlf(mail(alice, clearSigned(words, over(words, signer{who: w.alice, edit: func(a [][]byte) [][]byte {
		return append(a, attribute(asn1.ObjectIdentifier{1, 2, 3, 4}, func(b *cryptobyte.Builder) { b.AddASN1Int64(1) }))
	}})))), verdict.Pass, "")
	add("no attributes", crlf(mail(alice, clearSigned(words, over(words, signer{who: w.alice, bare: true})))), verdict.Pass, "")
	return list
}

// nested are signatures further in, and structures that only seem to be signed.
func nested(w *world, real, inner []byte) (list []attack) {
	add := func(name, mail string, want verdict.Status, says string) {
		list = append(list, attack{class: "C1", name: name, mail: mail, want: want, says: says})
	}
	good := clearSigned(words, real)
	other := strings.ReplaceAll(good, "=_s", "=_t")
	add("two signed parts", mail(alice, mixed("mixed", good, other)), verdict.None, "")
	add("signed and clear as alternatives", mail(alice, mixed("alternative", good, forged)), verdict.None, "")
	add("a signed mail attached", mail(alice, mixed("mixed", forged, "Content-Type: message/rfc822\n\n"+mail(alice, good))), verdict.None, "")
	add("a signed mail as the content", header(alice, "Content-Type: message/rfc822")+mail(alice, good), verdict.None, "")
	add("a signed mail as the content, of Mallory's", header(mallory, "Content-Type: message/rfc822")+mail(alice, good), verdict.None, "")
	add("three parts", mail(alice, signedType+"\n\n"+multipart("=_s", words, forged, p7s(real))), verdict.Neutral, "3 parts")
	add("signature first", mail(alice, signedType+"\n\n"+multipart("=_s", p7s(real), words)), verdict.Neutral, "no CMS signature")
	add("two signatures", mail(alice, signedType+"\n\n"+multipart("=_s", p7s(real), p7s(real))), verdict.Fail, "content was changed")
	add("one part", mail(alice, signedType+"\n\n"+multipart("=_s", words)), verdict.Neutral, "1 parts")
	add("no part", mail(alice, signedType+"\n\n"), verdict.Neutral, "")
	add("multipart/mixed with the protocol", instead(mail(alice, good), "multipart/signed", "multipart/mixed"), verdict.None, "")
	add("multipart/report with the protocol", instead(mail(alice, good), "multipart/signed", "multipart/report"), verdict.None, "")
	add("the protocol of OpenPGP", instead(mail(alice, clearSigned(forged, real)), "application/pkcs7-signature\"; micalg", "application/pgp-signature\"; micalg"), verdict.Fail, "content was changed")
	add("opaque of Alice in detached of Mallory", mail(alice, clearSigned(opaque(inner), over(opaque(inner), by(w.mallory)))), verdict.Policy, "not for the From address")
	add("opaque of Alice in detached of Mallory, from her", mail(mallory, clearSigned(opaque(inner), over(opaque(inner), by(w.mallory)))), verdict.Pass, "")
	add("detached of Alice in opaque of Mallory", mail(alice, opaque(inside(good, by(w.mallory)))), verdict.Policy, "not for the From address")
	add("detached of Alice in detached of Mallory", mail(alice, clearSigned(other, over(other, by(w.mallory)))), verdict.Policy, "not for the From address")
	add("detached of Alice in a signature that is none", mail(alice, signedType+"\n\n"+multipart("=_s", other, p7s([]byte("none")))), verdict.Neutral, "cannot be read")
	add("certificates alone in the place of the signature", mail(alice, clearSigned(words, object{content: []byte(crlf(words)), detached: true}.der())), verdict.PermError, "nobody signed")
	add("an attachment behind, in the signature's part", mail(alice, signedType+"\n\n"+multipart("=_s", words, mixed("mixed", p7s(real), forged))), verdict.Neutral, "no CMS signature")
	add("external body", mail(alice, clearSigned("Content-Type: message/external-body; access-type=URL; URL=\"http://evil.example/\"\n\n"+words, real)), verdict.Fail, "content was changed")
	return list
}

// crowds are signatures of several, and of nobody.
func crowds(w *world) (list []attack) {
	class := "C2"
	add := func(name, mail string, want verdict.Status, says string) {
		list = append(list, attack{class: class, name: name, mail: mail, want: want, says: says})
	}
	both := func(name string, bad signer, want verdict.Status, says string) {
		add("good and "+name, mail(alice, clearSigned(words, over(words, by(w.alice), bad))), want, says)
		add(name+" and good", mail(alice, clearSigned(words, over(words, bad, by(w.alice)))), want, says)
		add("opaque, "+name+" and good", mail(alice, opaque(inside(words, bad, by(w.alice)))), want, says)
	}
	both("bad", signer{who: w.alice, spoil: true}, verdict.Fail, "does not match")
	both("one of other words", signer{who: w.mallory, over: []byte(crlf(forged))}, verdict.Fail, "content was changed")
	both("one of Mallory's", by(w.mallory), verdict.Policy, "not for the From address")
	both("one of a stranger's", by(certify(w.person(alice), nil)), verdict.Fail, "no path")
	both("one nobody can check", signer{who: w.alice, algorithm: []byte{0x30, 4, 6, 2, 0x2a, 3}}, verdict.Neutral, "not supported")
	both("one without a certificate", signer{who: w.alice, keyID: []byte("nobody")}, verdict.PermError, "not in the mail")
	add("Alice twice", mail(alice, clearSigned(words, over(words, by(w.alice), by(w.alice)))), verdict.Pass, "")
	add("other words signed by both", mail(alice, clearSigned(forged, over(words, by(w.alice), by(w.mallory)))), verdict.Fail, "content was changed")

	class = "C3"
	add("nobody, detached", mail(alice, clearSigned(words, over(words))), verdict.PermError, "nobody signed")
	add("nobody, opaque", mail(alice, opaque(inside(words))), verdict.PermError, "nobody signed")
	add("nobody, with Alice's certificate", mail(alice, clearSigned(words, object{content: []byte(crlf(words)), detached: true, also: certs(w.alice, w.root)}.der())), verdict.PermError, "nobody signed")
	add("nobody and nothing", mail(alice, opaque(object{detached: true, also: certs(w.alice)}.der())), verdict.None, "")
	add("an empty signature", mail(alice, clearSigned(words, nil)), verdict.Neutral, "cannot be read")
	add("somebody", mail(alice, clearSigned(words, over(words, by(w.alice)))), verdict.Pass, "")
	return list
}
