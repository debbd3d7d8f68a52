package spoof_test

import (
	"mailseal/internal/testpki/forge"
	"mailseal/internal/verdict"
)

// authors are header fields that say who a mail is from. All of these are signed
// by Mallory, with a good certificate of hers, or were by Alice.
func authors(w *world) (list []attack) {
	add := func(name, from string, want verdict.Status, says string) {
		m := signed("%FROM%", forged, w.mallory)
		list = append(list, attack{class: "I1", name: name, mail: instead(m, "From: %FROM%", from), want: want, says: says})
	}
	const wrong, unread = "not for the From address", "From: "
	add("Mallory", "From: "+mallory, verdict.Pass, "")
	add("Mallory with a name", "From: Mallory E. <"+mallory+">", verdict.Pass, "")
	add("Alice", "From: "+alice, verdict.Policy, wrong)
	add("Alice with Mallory's name", `From: "`+mallory+`" <`+alice+`>`, verdict.Policy, wrong)
	add("Alice's address in a comment", "From: "+mallory+" ("+alice+")", verdict.Pass, "")
	add("Alice in a name without quotes", "From: "+alice+" <"+mallory+">", verdict.Policy, unread)
	add("Alice in angle brackets, twice", "From: <"+alice+"> <"+mallory+">", verdict.Policy, unread)
	add("Alice in brackets within brackets", "From: <"+alice+"<"+mallory+">>", verdict.Policy, unread)
	add("a route by Alice", "From: <@partner.example:"+mallory+">", verdict.Policy, unread)
	add("Alice quoted, at Mallory's", `From: "`+alice+`"@evil.example`, verdict.Policy, wrong)
	add("Alice and Mallory", "From: "+alice+", "+mallory, verdict.Policy, "several addresses")
	add("Mallory and Alice", "From: "+mallory+", "+alice, verdict.Policy, "several addresses")
	add("Mallory twice", "From: "+mallory+", "+mallory, verdict.Policy, "several addresses")
	add("an empty address beside", "From: "+mallory+", <>", verdict.Policy, unread)
	add("a comma and nothing", "From: "+mallory+",", verdict.Pass, "")
	add("a group", "From: Alice: "+mallory+";", verdict.Policy, "group")
	add("an empty group", "From: Alice:;", verdict.Policy, "group")
	add("no From", "X-From: "+alice, verdict.Policy, "no From")
	add("nothing in From", "From:", verdict.Policy, unread)
	add("two fields, hers first", "From: "+mallory+"\nFrom: "+alice, verdict.Policy, "several addresses")
	add("two fields, hers last", "From: "+alice+"\nFrom: "+mallory, verdict.Policy, "several addresses")
	add("the same field twice", "From: "+mallory+"\nFrom: "+mallory, verdict.Policy, "several addresses")
	add("one with a blank before the colon", "From : "+alice+"\nFrom: "+mallory, verdict.Neutral, "is no field")
	add("one behind a CR", "Subject: x\rFrom: "+alice+"\nFrom: "+mallory, verdict.Policy, "only some readers see")
	add("one behind a CR in From", "From: "+mallory+"\rFrom: "+alice, verdict.Policy, unread)
	add("one behind a NUL", "From: "+mallory+"\x00"+alice, verdict.Policy, unread)
	add("one behind a fold", "From: "+alice+"\n <"+mallory+">", verdict.Policy, unread)
	add("an encoded word", "From: =?utf-8?q?alice=40partner=2Eexample_=3C?= <"+mallory+">", verdict.Pass, "")
	add("an encoded word for an address", "From: =?utf-8?q?alice=40partner.example=00?=@evil.example", verdict.Policy, "encoded word")
	add("an encoded word for brackets", "From: =?utf-8?q?=3Calice=40partner.example=3E?=", verdict.Policy, unread)
	add("a name that is not ASCII nor UTF-8", "From: \xe9 <"+mallory+">", verdict.Policy, unread)
	add("an address literal", "From: mallory@[192.0.2.1]", verdict.Policy, wrong)

	senders := func(name string, fields string, who *forge.Issued, want verdict.Status, says string) {
		m := signed("%FROM%", forged, who)
		list = append(list, attack{class: "I2", name: name, mail: instead(m, "From: %FROM%", fields), want: want, says: says})
	}
	senders("From Alice, sent by Mallory", "From: "+alice+"\nSender: "+mallory, w.mallory, verdict.Policy, wrong)
	senders("From Mallory, sent by Alice", "From: "+mallory+"\nSender: "+alice, w.alice, verdict.Policy, wrong)
	senders("sent by Alice", "Sender: "+alice, w.alice, verdict.Policy, "no From")
	senders("From both, sent by Mallory", "From: "+alice+", "+mallory+"\nSender: "+mallory, w.mallory, verdict.Policy, "several addresses")
	senders("answers to Mallory", "From: "+alice+"\nReply-To: "+mallory, w.mallory, verdict.Policy, wrong)
	senders("resent from Mallory", "From: "+alice+"\nResent-From: "+mallory, w.mallory, verdict.Policy, wrong)
	senders("From Mallory, sent by nobody", "From: "+mallory+"\nSender: ", w.mallory, verdict.Pass, "")

	// Fields under the signature say nothing outside, and the reverse.
	hidden := "From: " + mallory + "\n" + forged
	list = append(list, attack{class: "I2", name: "From under the signature", mail: mail(alice, clearSigned(hidden, over(hidden, by(w.mallory)))), want: verdict.Policy, says: wrong})
	protected := instead(hidden, "us-ascii", "us-ascii; hp=clear")
	list = append(list, attack{class: "I2", name: "From under the signature, protected", mail: mail(alice, clearSigned(protected, over(protected, by(w.mallory)))), want: verdict.Policy, says: wrong})
	return list
}

// addresses are in certificates, and are not the author's but to those who trim,
// cut, fold or decode them.
func addresses(w *world) (list []attack) {
	add := func(name, from string, want verdict.Status, altNames ...[]byte) {
		c := w.named("x", forge.AltNames(altNames...)).Sign(w.root)
		says := map[verdict.Status]string{verdict.Policy: "certificate"}[want]
		list = append(list, attack{class: "I3", name: name, mail: signed(from, forged, c), want: want, says: says})
	}
	add("Alice's", alice, verdict.Pass, forge.Mail(alice))
	add("her name in capitals", alice, verdict.Policy, forge.Mail("ALICE@partner.example"))
	add("From's name in capitals", "Alice@partner.example", verdict.Policy, forge.Mail(alice))
	add("her domain in capitals", alice, verdict.Pass, forge.Mail("alice@PARTNER.Example"))
	for _, odd := range []string{
		" " + alice, alice + " ", "\t" + alice, alice + "\t", alice + "\n", "\r\n" + alice, alice + "\x00", alice + "\x00.evil.example", "\x00" + alice,
		"alice @partner.example", "alice@ partner.example", "al\x00ice@partner.example", "alice@partner\x00.example", "alice\x08@partner.example",
		"<" + alice + ">", "Alice <" + alice + ">", "\"" + alice + "\"", "mailto:" + alice, "smtp:" + alice, alice + "," + mallory, alice + ";" + mallory, mallory + " " + alice,
		alice + ".", "@" + alice, alice + "@evil.example", alice + "%evil.example", alice + "(x)", "(x)" + alice, "alice@@partner.example",
		"alice+x@partner.example", "alice%40partner.example", "=?utf-8?q?alice?=@partner.example", "partner.example", "@partner.example", "*@partner.example", ".partner.example",
		"alice@sub.partner.example", "alice@partner.example.evil.example", "xalice@partner.example", "alic@partner.example", "alice@partner.exampl",
	} {
		add(odd, alice, verdict.Policy, forge.Mail(odd))
	}
	add("in a DNS name", alice, verdict.Policy, forge.DNS(alice))
	add("in a URI", alice, verdict.Policy, forge.URI("mailto:"+alice))
	add("in a directory name", alice, verdict.Policy, forge.Directory(forge.Name("mail="+alice)))
	add("in a name of another kind", alice, verdict.Policy, forge.Other("1.2.3.4", []byte("\x0c\x15"+alice)))
	inName := func(name string, subject []byte, want verdict.Status) {
		c := w.named("x")
		c.Subject = subject
		list = append(list, attack{class: "I3", name: name, mail: signed(alice, forged, c.Sign(w.root)), want: want})
	}
	inName("in the common name", forge.Name(alice), verdict.Policy)
	inName("in the unit", forge.Name("OU="+alice, "x"), verdict.Policy)
	inName("in the common name, with its attribute", forge.Name("mail="+alice+",CN=x"), verdict.Policy)
	inName("in the common name, as an attribute", forge.Name("CN=x/emailAddress="+alice), verdict.Policy)
	inName("as the attribute of the name", forge.Name("x", "mail="+alice), verdict.Pass)
	inName("as the attribute of the name, with a blank", forge.Name("x", "mail="+alice+" "), verdict.Policy)
	return append(list, letters(w)...)
}

// domains sign for all of their people, by certificates of CAs that are trusted
// for them.
func domains(w *world) (list []attack) {
	add := func(name, from string, by *forge.Issued, want verdict.Status, extensions ...[]byte) {
		c := w.named("gateway", extensions...).Sign(by)
		list = append(list, attack{class: "I4", name: name, mail: signed(from, forged, c), want: want})
	}
	dns := func(names ...string) []byte {
		var list [][]byte
		for _, n := range names {
			list = append(list, forge.DNS(n))
		}
		return forge.AltNames(list...)
	}
	const authority = "domain-signing-authority@"
	add("Alice's domain", alice, w.partners, verdict.Pass, dns("partner.example"))
	add("the authority of Alice's domain", alice, w.partners, verdict.Pass, forge.AltNames(forge.Mail(authority+"partner.example")))
	add("Mallory's own domain", mallory, w.evil, verdict.Pass, dns("evil.example"))
	add("below Mallory's own domain", "mallory@sub.evil.example", w.evil, verdict.Pass, dns("*.evil.example"))
	add("Alice's domain, by the CA for persons", alice, w.root, verdict.Policy, dns("partner.example"))
	add("the authority of Alice's domain, by the CA for persons", alice, w.root, verdict.Policy, forge.AltNames(forge.Mail(authority+"partner.example")))
	add("Alice's domain, by Mallory's CA", alice, w.evil, verdict.Fail, dns("partner.example"))
	add("both domains, by Mallory's CA", alice, w.evil, verdict.Fail, dns("evil.example", "partner.example"))
	add("Alice herself, by Mallory's CA", alice, w.evil, verdict.Fail, forge.AltNames(forge.Mail(alice)))
	add("both people, by Mallory's CA", alice, w.evil, verdict.Fail, forge.AltNames(forge.Mail(mallory), forge.Mail(alice)))
	add("somebody of Alice's domain, by its CA", "carol@partner.example", w.partners, verdict.Policy, forge.AltNames(forge.Mail(alice)))
	for _, name := range []string{
		"*.partner.example", "*", "*partner.example", "p*.example", "partner.*", "partner.example.", ".partner.example", " partner.example", "partner.example\x00", "*.*.example",
		"mail.partner.example", "example", "xn--prtner-4nf.example", alice,
	} {
		c := w.named("gateway", dns(name)).Sign(w.partners)
		list = append(list, attack{class: "I4", name: "of the name " + name, mail: signed(alice, forged, c), want: verdict.Policy})
	}
	add("a confidentiality authority", alice, w.partners, verdict.Policy, forge.AltNames(forge.Mail("domain-confidentiality-authority@partner.example")))
	add("all domains of a kind", alice, w.partners, verdict.Pass, dns("*.example"))
	add("an authority above", alice, w.partners, verdict.Pass, forge.AltNames(forge.Mail(authority+"example")))
	add("an authority that is a person", authority+"partner.example", w.root, verdict.Policy, forge.AltNames(forge.Mail(mallory)))
	server := forge.Certificate{Subject: forge.Name("www"), Key: w.key("www"), Extensions: [][]byte{forge.Usage(0), forge.Purposes(forge.ForServers), dns("partner.example")}}
	list = append(list, attack{class: "I4", name: "a web server's", mail: signed(alice, forged, server.Sign(w.partners)), want: verdict.Fail})
	return list
}

// letters look alike, or fold to one another.
func letters(w *world) (list []attack) {
	add := func(name, from string, want verdict.Status, altNames ...[]byte) {
		c := w.named("x", forge.AltNames(altNames...)).Sign(w.root)
		list = append(list, attack{class: "I3", name: name, mail: signed(from, forged, c), want: want})
	}
	add("Cyrillic a in From", "\u0430lice@partner.example", verdict.Policy, forge.Mail(alice))
	add("Cyrillic a in From's domain", "alice@p\u0430rtner.example", verdict.Policy, forge.Mail(alice))
	add("Cyrillic a in From's domain, as an A-label", "alice@xn--prtner-4nf.example", verdict.Policy, forge.Mail(alice))
	add("Cyrillic a in a UTF-8 mailbox", alice, verdict.Policy, forge.UTF8Mail("\u0430lice@partner.example"))
	add("Cyrillic a in the certificate's domain", alice, verdict.Policy, forge.UTF8Mail("alice@p\u0430rtner.example"))
	add("letters beyond ASCII in an IA5 name", alice, verdict.Fail, forge.Mail("alice@p\uff41rtner.example"))
	add("wide letters in From's domain", "alice@\uff50artner.example", verdict.Pass, forge.Mail(alice)) // IDNA: it is the same domain
	add("wide letters in From's local part", "\uff41lice@partner.example", verdict.Policy, forge.Mail(alice))
	add("a letter that folds to s", "bo\u017fs@partner.example", verdict.Policy, forge.Mail("boss@partner.example"))
	add("a letter that folds to k", "\u212aate@partner.example", verdict.Policy, forge.Mail("kate@partner.example"))
	add("a letter that is not printed", "alice\u200b@partner.example", verdict.Policy, forge.Mail(alice))
	add("written backwards", "\u202ealice@partner.example", verdict.Policy, forge.Mail(alice))
	add("an accent apart", "re\u0301ne@partner.example", verdict.Policy, forge.UTF8Mail("r\u00e9ne@partner.example"))
	add("Turkish i", "al\u0131ce@partner.example", verdict.Policy, forge.Mail(alice))
	return list
}
