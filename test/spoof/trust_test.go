package spoof_test

import (
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/internal/testpki/forge"
	"mailseal/internal/verdict"
)

func certs(list ...*forge.Issued) []*forge.Issued { return list }

const noPath = "no path to a trust anchor"

// stranger is a mail that says it is Alice's.
func stranger(name string, s signer, also []*forge.Issued, want verdict.Status, says string) attack {
	der := object{content: []byte(crlf(forged)), detached: true, signers: []signer{s}, also: also}.der()
	return attack{class: "C4", name: name, mail: mail(alice, clearSigned(forged, der)), want: want, says: says}
}

// strangers say that they are Alice, with certificates that are worth nothing.
func strangers(w *world) (list []attack) {
	add := func(name string, s signer, also []*forge.Issued, want verdict.Status, says string) {
		list = append(list, stranger(name, s, also, want, says))
	}
	root, trusted := w.root, forge.Name("Trusted CA")
	later := func(c forge.Certificate, from, to int) forge.Certificate {
		c.From, c.To = time.Date(from, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(to, 1, 1, 0, 0, 0, 0, time.UTC)
		return c
	}
	sub := ca("Sub CA").Sign(root)
	add("through a CA below", by(w.person(alice).Sign(sub)), certs(sub), verdict.Pass, "")
	add("through a CA that is not there", by(w.person(alice).Sign(sub)), nil, verdict.Fail, noPath)
	add("self-signed", by(certify(w.person(alice), nil)), nil, verdict.Fail, noPath)
	for _, name := range []string{"Trusted CA", "trusted ca", "Trusted  CA", "Trusted\u00a0CA", "Тrusted CA", "Trusted CA\x00"} {
		other := forge.Certificate{Subject: forge.Name(name), KeyOf: "another", Extensions: forge.CA}.Sign(nil)
		add("CA of the name "+name, by(w.person(alice).Sign(other)), certs(other), verdict.Fail, noPath)
	}
	fakeKey := forge.Certificate{Subject: trusted, KeyOf: "another", NoKeyIDs: true, Extensions: forge.CA}.Sign(nil)
	add("CA of the same name, no key identifiers", by(w.person(alice).Sign(fakeKey)), certs(fakeKey, root), verdict.Fail, noPath)
	evil := ca("Evil CA").Sign(nil)
	claimed := ca("Evil CA")
	claimed.Issuer = trusted
	add("CA that says it is below ours", by(w.person(alice).Sign(evil)), certs(claimed.Sign(evil), evil, root), verdict.Fail, noPath)
	crossed := forge.Certificate{Subject: trusted, Extensions: forge.CA}.Sign(evil) // our CA's key, certified by the evil one
	add("cross certificate of our CA by another", by(w.person(alice).Sign(evil)), certs(crossed, evil, root), verdict.Fail, noPath)
	loop := ca("Loop").Sign(evil)
	back := forge.Certificate{Subject: evil.Subject, Extensions: forge.CA}.Sign(loop)
	add("cross certificates in a circle", by(w.person(alice).Sign(loop)), certs(loop, back, crossed), verdict.Fail, noPath)
	oldCA := later(ca("Old CA"), 2010, 2015).Sign(root)
	add("CA that has expired", by(w.person(alice).Sign(oldCA)), certs(oldCA), verdict.Fail, "a CA certificate above it")
	old := later(w.person(alice), 2010, 2015).Sign(root)
	add("expired", by(old), nil, verdict.Fail, "expired")
	add("expired, with a time of then", signer{who: old, at: time.Date(2012, 1, 1, 0, 0, 0, 0, time.UTC)}, nil, verdict.Fail, "expired")
	add("not valid yet", by(later(w.person(alice), 2030, 2031).Sign(root)), nil, verdict.Fail, "not valid yet")
	return slices.Concat(list, unfit(w), constrained(w), claimants(w))
}

// ca is a CA's certificate.
func ca(name string, extensions ...[]byte) forge.Certificate {
	return forge.Certificate{Subject: forge.Name(name), Extensions: append(extensions, forge.CA...)}
}

// unfit have certificates for something else, or of CAs that are none.
func unfit(w *world) (list []attack) {
	add := func(name string, s signer, also []*forge.Issued, want verdict.Status, says string) {
		list = append(list, stranger(name, s, also, want, says))
	}
	root := w.root
	add("a leaf as a CA", by(certify(w.person(alice), w.mallory)), certs(w.mallory), verdict.Fail, noPath)
	for name, extensions := range map[string][][]byte{
		"that is none":                 {forge.Basic(false, -1), forge.Usage(5, 6)},
		"without basic constraints":    {forge.Usage(5, 6)},
		"that may sign no certificate": {forge.Basic(true, -1), forge.Usage(0)},
	} {
		no := forge.Certificate{Subject: forge.Name("No CA"), Extensions: extensions}.Sign(root)
		add("CA "+name, by(w.person(alice).Sign(no)), certs(no), verdict.Fail, noPath)
	}
	v1 := forge.Certificate{Subject: forge.Name("V1"), Version: 1, NoKeyIDs: true}.Sign(root)
	add("CA of version 1", by(w.person(alice).Sign(v1)), certs(v1), verdict.Fail, noPath)
	short := forge.Certificate{Subject: forge.Name("Short"), Extensions: [][]byte{forge.Basic(true, 0), forge.Usage(5, 6)}}.Sign(root)
	below := ca("Below short").Sign(short)
	add("CA below one that may have none", by(w.person(alice).Sign(below)), certs(short, below), verdict.Fail, "")
	leaf := func(usage []byte, more ...[]byte) forge.Certificate {
		return forge.Certificate{Subject: forge.Name(alice), Key: w.key(alice), Extensions: append(more, usage, forge.AltNames(forge.Mail(alice)))}
	}
	add("for servers", by(leaf(forge.Usage(0), forge.Purposes(forge.ForServers)).Sign(root)), nil, verdict.Fail, "not for e-mail")
	add("for anything", by(leaf(forge.Usage(0), forge.Purposes(forge.ForAny)).Sign(root)), nil, verdict.Pass, "")
	add("for encryption alone", by(leaf(forge.Usage(2)).Sign(root)), nil, verdict.Fail, "key usage")
	servers := ca("Server CA", forge.Purposes(forge.ForServers)).Sign(root)
	add("CA for servers", by(w.person(alice).Sign(servers)), certs(servers), verdict.Fail, "not for e-mail")
	add("something critical that nobody knows", by(leaf(forge.Usage(0), forge.Extension("1.2.3.4", true, []byte{5, 0})).Sign(root)), nil, verdict.Fail, "")
	weak := forge.Certificate{Subject: forge.Name("Weak CA"), Key: w.key("weak"), Extensions: forge.CA}.Sign(root)
	sha1 := w.person(alice)
	sha1.Algorithm = forge.ECDSAWithSHA1
	add("certified with SHA-1", by(sha1.Sign(weak)), certs(weak), verdict.Policy, "weak")
	return list
}

// constrained have a CA that may certify evil.example alone.
func constrained(w *world) (list []attack) {
	add := func(name string, bases [][]byte, leaf forge.Certificate, from string, want verdict.Status) {
		c := forge.Certificate{Subject: forge.Name("Constrained CA"), Extensions: append([][]byte{forge.Constraints(bases, nil)}, forge.CA...)}.Sign(w.root)
		says := ""
		if want == verdict.Fail {
			says = "name constraints"
		}
		der := object{content: []byte(crlf(forged)), detached: true, signers: []signer{by(leaf.Sign(c))}, also: certs(c)}.der()
		list = append(list, attack{class: "C4", name: "constrained: " + name, mail: mail(from, clearSigned(forged, der)), want: want, says: says})
	}
	evil := [][]byte{forge.Mail("evil.example")}
	add("in its place", evil, w.person(mallory), mallory, verdict.Pass)
	add("another domain", evil, w.person(alice), alice, verdict.Fail)
	add("another domain besides", evil, w.named("x", forge.AltNames(forge.Mail(mallory), forge.Mail(alice))), alice, verdict.Fail)
	inName := w.named("x")
	inName.Subject = forge.Name("CN=x", "mail="+alice)
	add("in the name alone", evil, inName, alice, verdict.Fail)
	inName = w.named("x", forge.AltNames(forge.Mail(mallory)))
	inName.Subject = forge.Name("CN=x", "mail="+alice)
	add("in the name, another in its place", evil, inName, alice, verdict.Fail)
	inName.Subject = forge.RDNs(forge.Attribute("1.2.840.113549.1.9.1", asn1.UTF8String, alice))
	add("in the name, as UTF-8", evil, inName, alice, verdict.Fail)
	add("as a UTF-8 mailbox", evil, w.named("x", forge.AltNames(forge.UTF8Mail(alice))), alice, verdict.Fail)
	add("several, the last one fits", append([][]byte{forge.Mail("other.example")}, evil...), w.person(alice), alice, verdict.Fail)
	add("several, the first one fits", [][]byte{forge.Mail("evil.example"), forge.Mail("other.example")}, w.person(mallory), mallory, verdict.Pass)
	add("a domain that ends the same", [][]byte{forge.Mail("ner.example")}, w.person(alice), alice, verdict.Fail)
	return list
}

// claimants name a certificate that is not theirs.
func claimants(w *world) (list []attack) {
	add := func(name string, o object, want verdict.Status, says string) {
		o.content, o.detached = []byte(crlf(forged)), true
		list = append(list, attack{class: "C4", name: name, mail: mail(alice, clearSigned(forged, o.der())), want: want, says: says})
	}
	own := forge.Certificate{Subject: forge.Name(alice), KeyOf: alice}.Sign(nil) // whose key identifier is of another kind of key
	id := w.parse(w.alice).SubjectKeyId
	same := func(key string) *forge.Issued {
		c := w.person(alice, forge.Extension("2.5.29.14", false, append([]byte{4, byte(len(id))}, id...)))
		c.Key, c.NoKeyIDs = w.key(key), true
		return certify(c, nil)
	}
	fake := same(mallory)
	add("Alice's key identifier, her certificate", object{signers: []signer{{who: w.mallory, keyID: id}}, also: certs(w.alice)}, verdict.Fail, "does not match")
	add("Alice's key identifier in a certificate of Mallory's", object{signers: []signer{{who: fake, keyID: id}}, also: certs(w.alice)}, verdict.Fail, "no path")
	add("Alice's key identifier in a certificate of Mallory's, hers first", object{signers: []signer{{who: fake, keyID: id}}, without: true, also: certs(w.alice, fake)}, verdict.Fail, "no path")
	add("Alice by her key identifier", object{signers: []signer{{who: w.alice, keyID: id}}, also: certs(own)}, verdict.Pass, "")
	twin := w.person(alice)
	twin.Issuer, twin.Key, twin.Serial = w.root.Subject, w.key(mallory), w.parse(w.alice).SerialNumber.Bytes()
	stolen := certify(twin, nil)
	add("Alice's issuer and serial number, her certificate", object{signers: []signer{{who: w.mallory, as: w.alice}}, also: certs(w.alice)}, verdict.Fail, "does not match")
	add("Alice's issuer and serial number in another certificate", object{signers: []signer{by(stolen)}}, verdict.Fail, "no path")
	add("Alice's issuer and serial number in another certificate, hers too", object{signers: []signer{by(stolen)}, also: certs(w.alice)}, verdict.Fail, "no path")
	add("her key in a certificate of Mallory's", object{signers: []signer{by(same(alice))}}, verdict.Fail, "no path")
	foreign := w.person(mallory)
	foreign.Key = w.key(alice)
	hers := foreign.Sign(w.root)
	add("Alice's key in a certificate for Mallory", object{signers: []signer{{who: w.alice, as: hers}}, also: certs(hers)}, verdict.Policy, "not for the From address")
	add("Alice's certificate from the mail of before", object{signers: []signer{by(w.alice)}, without: true}, verdict.PermError, "not in the mail")
	return list
}
