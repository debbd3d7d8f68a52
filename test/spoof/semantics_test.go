package spoof_test

import (
	"bytes"
	"crypto"
	_ "crypto/md5"
	"crypto/rand"
	_ "crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"mailseal/internal/message"
	"mailseal/internal/pki/x5280"
	"mailseal/internal/spool"
	"mailseal/internal/testpki/forge"
	"mailseal/internal/trust"
	"mailseal/internal/trust/revocation"
	"mailseal/internal/verdict"
	"mailseal/smime"
	"mailseal/smime/cms/syntax"
)

// A row is something that libraries for CMS take, and a mail with it.
type row struct {
	name    string
	mail    string
	raw     bool // its lines are as they go over the wire
	trust   func() *trust.Anchors
	want    verdict.Status
	reason  string
	control bool // it is as it should be: the row beside it is what is refused
}

// TestVerificationSemantics goes through what mozilla/pkcs7, smallstep/pkcs7,
// digitorus/pkcs7 and ietf-cms were seen to accept, each kind by itself, and wants the
// result that RFC 7281 names.
func TestVerificationSemantics(t *testing.T) {
	w := newWorld(t)
	store, err := spool.New(spool.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	usual := trusting(w, nil)
	for _, r := range slices.Concat(trustRows(w), attributeRows(w), contentRows(w)) {
		t.Run(r.name, func(t *testing.T) {
			text := r.mail
			if !r.raw {
				text = crlf(text)
			}
			m, err := message.Read(strings.NewReader(text), store, message.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Body.Close()
			q := verdict.Question{Anchors: usual, At: now()}
			if r.trust != nil {
				q.Anchors = r.trust()
			}
			_, got, err := verdict.Of(m, smime.VerifyOptions{ParseCertificate: x5280.ParseX509, Spool: store}, q)
			if err != nil || got.Status != r.want || !strings.Contains(got.Reason, r.reason) || (r.want == verdict.Pass) != r.control {
				t.Errorf("%s, %q, %v; want %s, %q", got.Status, got.Reason, err, r.want, r.reason)
			}
		})
	}
}

// trusting trusts the world's CA, with what is revoked.
func trusting(w *world, lists *revocation.Lists) *trust.Anchors {
	mode := revocation.Soft
	if lists == nil {
		mode = revocation.Off
	}
	return trust.New(trust.Sources{Mail: []*x509.Certificate{w.parse(w.root)}, Lists: lists}, trust.Options{Revocation: mode})
}

// trustRows are about who signed.
func trustRows(w *world) []row {
	by := func(s signer) string { return mail(alice, clearSigned(words, over(words, s))) }
	person := func(change func(*forge.Certificate)) *forge.Issued {
		c := w.person(alice)
		change(&c)
		return c.Sign(w.root)
	}
	expired := person(func(c *forge.Certificate) { c.To = time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC) })
	self := certify(w.person(alice), nil)
	alone := func(usage []byte, purposes []byte) *forge.Issued {
		return person(func(c *forge.Certificate) {
			c.Extensions = [][]byte{usage, purposes, forge.AltNames(forge.Mail(alice))}
		})
	}
	server, encrypter := alone(forge.Usage(0), forge.Purposes(forge.ForServers)), alone(forge.Usage(2), forge.Purposes(forge.ForMail))
	nobody := func() *trust.Anchors { return trust.New(trust.Sources{}, trust.Options{Revocation: revocation.Off}) }
	revoked := func() *trust.Anchors { return trusting(w, w.revoked(w.alice)) }
	return []row{
		{name: "as it should be", mail: by(signer{who: w.alice}), want: verdict.Pass, control: true},
		{name: "no roots: trusted by nobody", mail: by(signer{who: w.alice}), trust: nobody, want: verdict.Fail, reason: "no path"},
		{name: "no roots: self-made certificate", mail: by(signer{who: self}), trust: nobody, want: verdict.Fail, reason: "no path"},
		{name: "self-made certificate", mail: by(signer{who: self}), want: verdict.Fail, reason: "no path"},
		{name: "expired, signed with a time when it was valid", mail: by(signer{who: expired, at: time.Date(2020, 6, 1, 0, 0, 0, 0, time.UTC)}), want: verdict.Fail, reason: "expired"},
		{name: "EKU: for servers alone", mail: by(signer{who: server}), want: verdict.Fail, reason: "not for e-mail"},
		{name: "key usage: for encryption alone", mail: by(signer{who: encrypter}), want: verdict.Fail, reason: "key usage"},
		{name: "From is somebody else", mail: mail(mallory, clearSigned(words, over(words, signer{who: w.alice}))), want: verdict.Policy, reason: "not for the From address"},
		{name: "revoked by CRL", mail: by(signer{who: w.alice}), trust: revoked, want: verdict.Fail, reason: "certificate is revoked"},
		{name: "digest SHA-1", mail: strings.Replace(by(signer{who: w.alice, hash: crypto.SHA1, algorithm: forge.ECDSAWithSHA1}), "sha-256", "sha-1", 1), want: verdict.Policy, reason: "too weak"},
		{name: "digest MD5", mail: strings.Replace(by(signer{who: w.alice, hash: crypto.MD5}), "sha-256", "md5", 1), want: verdict.Neutral, reason: "not supported"},
		{name: "a certificate that nobody can parse beside the good one", control: true, want: verdict.Pass,
			mail: mail(alice, clearSigned(words, object{content: []byte(crlf(words)), detached: true, signers: []signer{{who: w.alice}}, also: []*forge.Issued{{DER: []byte{0x30, 3, 2, 1, 1}}}}.der()))},
		{name: "negative serial number in a certificate beside", control: true, want: verdict.Pass,
			mail: mail(alice, clearSigned(words, object{content: []byte(crlf(words)), detached: true, signers: []signer{{who: w.alice}}, also: []*forge.Issued{forge.Certificate{Subject: forge.Name("X"), Serial: []byte{0xff}}.Sign(nil)}}.der()))},
	}
}

// revoked is a CRL of the world's CA.
func (w *world) revoked(c *forge.Issued) *revocation.Lists {
	w.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: now().Add(-time.Hour), NextUpdate: now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: w.parse(c).SerialNumber, RevocationTime: now().Add(-time.Hour)}},
	}, w.parse(w.root), w.root.Key)
	if err != nil {
		w.Fatal(err)
	}
	list, err := x5280.ParseCRL(der)
	if err != nil {
		w.Fatal(err)
	}
	return revocation.NewLists(list)
}

// attributeRows are about the signed attributes.
func attributeRows(w *world) []row {
	with := func(name string, edit func([][]byte) [][]byte) row {
		return row{name: name, mail: mail(alice, clearSigned(words, over(words, signer{who: w.alice, edit: edit}))), want: verdict.PermError, reason: "attributes"}
	}
	same := attribute(oidMessageDigest, func(b *cryptobyte.Builder) { b.AddASN1OctetString(digest([]byte(crlf(words)))) })
	other := attribute(oidMessageDigest, func(b *cryptobyte.Builder) { b.AddASN1OctetString(digest([]byte(crlf(forged)))) })
	kind := func(o asn1.ObjectIdentifier) []byte {
		return attribute(oidContentType, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(o) })
	}
	// The attributes of a good signature take the content's place, and are no
	// attributes any more: the signature is right over them.
	var set []byte
	s := signer{who: w.alice, set: func(b []byte) { set = bytes.Clone(b) }}
	over(words, s)
	stripped := object{content: set, signers: []signer{{who: w.alice, bare: true}}}
	return []row{
		with("contentType is missing", func(a [][]byte) [][]byte { return a[1:] }),
		with("contentType is another", func(a [][]byte) [][]byte { return [][]byte{kind(oidTimeStamp), a[1]} }),
		with("contentType twice", func(a [][]byte) [][]byte { return append(a, a[0]) }),
		with("messageDigest is missing", func(a [][]byte) [][]byte { return a[:1] }),
		with("messageDigest twice, the same", func(a [][]byte) [][]byte { return append(a, same) }),
		with("messageDigest twice, different", func(a [][]byte) [][]byte { return append(a, other) }),
		{name: "signed attributes as the content", mail: mail(alice, opaque(stripped.der())), want: verdict.PermError, reason: "attributes"},
	}
}

// contentRows are about what is signed.
func contentRows(w *world) []row {
	good, inner := over(words, signer{who: w.alice}), inside(words, signer{who: w.alice})
	pieces := object{content: []byte(crlf(words)), pieces: true, signers: []signer{{who: w.alice}}}
	first := object{content: []byte(crlf(words)), pieces: true, signers: []signer{{who: w.alice, over: []byte(crlf(words))[:len(crlf(words))/2]}}}
	return []row{
		{name: "in two pieces", mail: mail(alice, opaque(pieces.der())), want: verdict.Pass, control: true},
		{name: "in two pieces, the digest is of the first", mail: mail(alice, opaque(first.der())), want: verdict.Fail, reason: "content was changed"},
		{name: "detached, and another content in the signature", mail: mail(alice, clearSigned(forged, inner)), want: verdict.PermError, reason: "carries its own content"},
		{name: "detached, and the same content in the signature", mail: mail(alice, clearSigned(words, inner)), want: verdict.PermError, reason: "carries its own content"},
		{name: "detached, and an empty content in the signature", mail: mail(alice, clearSigned(words, inside("", signer{who: w.alice, over: []byte(crlf(words))}))), want: verdict.PermError, reason: "carries its own content"},
		{name: "bytes behind the object", mail: mail(alice, clearSigned(words, append(slices.Clone(good), 0, 0))), want: verdict.Neutral},
		{name: "another object behind the object", mail: mail(alice, opaque(slices.Concat(inner, inner))), want: verdict.Neutral},
		{name: "malformed SignedData", mail: mail(alice, clearSigned(words, bytes.Replace(good, tlv(0x31, syntax.Algorithm(syntax.SHA256, nil)), tlv(0x30, syntax.Algorithm(syntax.SHA256, nil)), 1))), want: verdict.Neutral},
		{name: "no signers", mail: mail(alice, clearSigned(words, over(words))), want: verdict.PermError, reason: "nobody signed"},
		{name: "no signers, opaque", mail: mail(alice, opaque(inside(words))), want: verdict.PermError, reason: "nobody signed"},
		{name: "micalg says another digest", mail: instead(mail(alice, clearSigned(words, good)), "micalg=sha-256", "micalg=sha-512"), want: verdict.PermError, reason: "micalg says"},
		{name: "two signers, one of them spoilt", mail: mail(alice, clearSigned(words, over(words, signer{who: w.alice}, signer{who: w.alice, spoil: true}))), want: verdict.Fail, reason: "does not match"},
	}
}
