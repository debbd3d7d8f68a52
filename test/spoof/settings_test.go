package spoof_test

import (
	"crypto/x509"
	"fmt"
	"testing"

	"mailseal/internal/gateway"
	"mailseal/internal/testpki/forge"
	"mailseal/internal/trust"
	"mailseal/internal/verdict"
)

// Settings of the postmaster's make more mails pass, and not more than they say.
func TestSpoofingBySetting(t *testing.T) {
	w := newWorld(t)
	pinned := w.person(alice, forge.Basic(true, -1))
	pinned.Subject, pinned.Key, pinned.Extensions[0] = forge.Name("Alice herself"), w.key("pinned"), forge.Usage(0, 5, 6)
	self := certify(pinned, nil)
	nameless := w.named("machine").Sign(w.root)
	numbered := w.named("another machine").Sign(w.root)
	sum := digest(nameless.DER)
	mapping, err := verdict.ParseMapping("signers", fmt.Appendf(nil, "sha256:%x %s\nserial:%x issuer:%q %s\n",
		sum, alice, w.parse(numbered).SerialNumber, w.parse(numbered).Issuer.String(), alice))
	if err != nil {
		t.Fatal(err)
	}
	for name, set := range map[string]struct {
		set     func(*gateway.Config)
		attacks []attack
	}{
		"use_sender":        {func(c *gateway.Config) { c.Verify.UseSender = true }, senders(w)},
		"ignore_local_case": {func(c *gateway.Config) { c.Verify.IgnoreLocalCase = true }, cases(w)},
		"signers":           {func(c *gateway.Config) { c.Verify.Mapping = mapping }, machines(w, nameless, numbered)},
		"pinned": {func(c *gateway.Config) {
			c.Anchors = trust.New(trust.Sources{Pinned: []*x509.Certificate{w.parse(self)}}, trust.Options{})
		}, pins(w, self)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, w, set.set)
			passes := 0
			for _, a := range set.attacks {
				if a.want == verdict.Pass {
					passes++
				}
				t.Run(a.name, func(t *testing.T) { b.try(t, a) })
			}
			if passes == 0 {
				t.Error("the setting lets nothing pass")
			}
		})
	}
}

// senders are mails where the signer may be the one in Sender.
func senders(w *world) (list []attack) {
	add := func(name, fields string, who *forge.Issued, want verdict.Status) {
		list = append(list, attack{name: name, mail: instead(signed("%FROM%", forged, who), "From: %FROM%", fields), want: want})
	}
	add("signed by the sender", "From: "+alice+"\nSender: "+mallory, w.mallory, verdict.Pass)
	add("signed by somebody else", "From: "+alice+"\nSender: carol@partner.example", w.mallory, verdict.Policy)
	add("two senders", "From: "+alice+"\nSender: "+mallory+"\nSender: "+alice, w.mallory, verdict.Policy)
	add("two in one", "From: "+alice+"\nSender: "+mallory+", "+alice, w.mallory, verdict.Policy)
	add("a sender's name", "From: "+alice+"\nSender: \""+mallory+"\" <carol@partner.example>", w.mallory, verdict.Policy)
	add("a sender behind a CR", "From: "+alice+"\nX: y\rSender: "+mallory, w.mallory, verdict.Policy)
	add("two senders, one behind a CR", "From: "+alice+"\nSender: "+mallory+"\rSender: "+alice, w.mallory, verdict.Policy)
	add("a group", "From: "+alice+"\nSender: x: "+mallory+";", w.mallory, verdict.Policy)
	add("several authors", "From: "+alice+", carol@partner.example\nSender: "+mallory, w.mallory, verdict.Policy)
	add("no author", "Sender: "+mallory, w.mallory, verdict.Policy)
	add("an author that cannot be read", "From: <<>>\nSender: "+mallory, w.mallory, verdict.Policy)
	return list
}

// cases are addresses that differ in case, or in more.
func cases(w *world) (list []attack) {
	add := func(name, from, in string, want verdict.Status) {
		list = append(list, attack{name: name, mail: signed(from, forged, w.person(in).Sign(w.root)), want: want})
	}
	add("From in capitals", "ALICE@partner.example", alice, verdict.Pass)
	add("certificate in capitals", alice, "Alice@Partner.Example", verdict.Pass)
	add("a letter that folds to s", "bo\u017fs@partner.example", "boss@partner.example", verdict.Policy)
	add("a letter that folds to k", "\u212aate@partner.example", "kate@partner.example", verdict.Policy)
	add("Turkish i", "al\u0131ce@partner.example", alice, verdict.Policy)
	add("wide letters", "\uff21lice@partner.example", alice, verdict.Policy)
	return list
}

// machines have certificates without a name, which the postmaster knows.
func machines(w *world, nameless, numbered *forge.Issued) (list []attack) {
	add := func(name, from string, o object, want verdict.Status) {
		o.content, o.detached = []byte(crlf(forged)), true
		list = append(list, attack{name: name, mail: mail(from, clearSigned(forged, o.der())), want: want})
	}
	by := func(c *forge.Issued) object { return object{signers: []signer{by(c)}} }
	serial := w.parse(numbered).SerialNumber.Bytes()
	add("by fingerprint", alice, by(nameless), verdict.Pass)
	add("by serial number", alice, by(numbered), verdict.Pass)
	add("for somebody else", "carol@partner.example", by(nameless), verdict.Policy)
	add("another certificate without a name", alice, by(w.named("third").Sign(w.root)), verdict.Policy)
	same := w.named("another machine")
	same.Serial, same.Issuer, same.Key = serial, w.root.Subject, w.key(mallory)
	add("the same serial number, self-made", alice, by(certify(same, nil)), verdict.Fail)
	named := w.person(mallory)
	named.Serial = serial
	add("the same serial number, with an address", alice, by(named.Sign(w.root)), verdict.Policy)
	twin := forge.Certificate{Subject: forge.Name("Trusted CA"), KeyOf: "twin", Extensions: forge.CA}.Sign(w.root)
	same = w.named("another machine")
	same.Serial, same.Key = serial, w.key(mallory)
	add("the same serial number, of a CA for another domain", alice, object{signers: []signer{{who: same.Sign(&forge.Issued{Subject: w.root.Subject, Key: w.evil.Key})}}, also: certs(w.evil, twin)}, verdict.Fail)
	return list
}

// pins is a certificate that is trusted as itself, though it says that it is a CA.
func pins(w *world, self *forge.Issued) (list []attack) {
	add := func(name string, s signer, also []*forge.Issued, want verdict.Status) {
		o := object{content: []byte(crlf(forged)), detached: true, signers: []signer{s}, also: also}
		list = append(list, attack{name: name, mail: mail(alice, clearSigned(forged, o.der())), want: want})
	}
	own := w.person(alice)
	own.Subject = self.Subject
	own.Key = w.key("impostor")
	fake := certify(own, nil)
	add("Alice's own", by(self), nil, verdict.Pass)
	add("signed by somebody it certifies", by(certify(w.person(alice), self)), certs(self), verdict.Fail)
	add("another of the same name", by(fake), nil, verdict.Fail)
	add("another of the same name, the pinned one beside", by(fake), certs(self), verdict.Fail)
	add("signed by the CA of before", by(w.alice), nil, verdict.Fail)
	return list
}
