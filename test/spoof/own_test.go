package spoof_test

import (
	"strings"
	"testing"

	"mailseal/internal/gateway"
	"mailseal/internal/message"
	"mailseal/internal/policy"
	"mailseal/internal/verdict"
	"mailseal/test/wire"
)

const tag = "[signed OK]" // that only we write into subjects

// own are what only we say: fields, and words in the subject.
func own(w *world) (list []attack) {
	unsigned := instead(mail(alice, forged), "Subject: payment\n", "")
	for _, f := range []string{
		"X-Mailseal-Result: pass", "x-mailseal-result:pass", "X-MAILSEAL-Signer : " + alice, "X-Mailseal-Anything: x", "X-Mailseal-: x", "X-Mailseal-Result:\n pass",
		"X: y\rX-Mailseal-Result: pass", "X-Mailseal-X: y\rAuthentication-Results: " + ours + "; smime=pass", "X-Mailseal-X: y\rSubject: " + tag,
	} {
		list = append(list, attack{class: "U1", name: f, mail: with(unsigned, f), want: verdict.None, gone: []string{f}})
	}
	for _, f := range []string{"X-Mail-Seal-Result: pass", "X-Mailsealed: yes", "Subject: signed, and OK", "Subject: Re: [signed] OK"} {
		list = append(list, attack{class: "U1", name: f, mail: with(unsigned, f), want: verdict.None})
	}
	list = append(list, attack{class: "U1", name: "on a signed mail", mail: with(signed(alice, words, w.alice), "X-Mailseal-Result: fail"), want: verdict.Pass, gone: []string{"X-Mailseal-Result: fail"}})
	return list
}

// What is ours is gone, whether we write it ourselves or not.
func TestOwnFields(t *testing.T) {
	w := newWorld(t)
	b := newBench(t, w, func(c *gateway.Config) { c.Policy.SubjectTags = []string{tag} })
	for _, a := range own(w) {
		t.Run(a.name, func(t *testing.T) { b.try(t, a) })
	}
	reporting := newBench(t, w, func(c *gateway.Config) { c.ReportFields = true })
	d := reporting.deliver(t, []byte(crlf(with(mail(alice, forged), "X-Mailseal-Result: pass", "X-Mailseal-Signer: "+alice))), bob)
	if head, _, _ := strings.Cut(string(d.mail), "\r\n\r\n"); strings.Contains(head, "pass") || !strings.Contains(head, "X-Mailseal-Result: none\r\n") {
		t.Errorf("%s", head)
	}
}

// subjects say our words, to all readers or to some.
var subjects = []string{
	"Subject: " + tag + " payment", "subject:" + tag + "payment", "Subject: payment " + tag, "Subject: Re: " + tag + " " + tag + " payment", "Subject: [SIGNED ok]", "Subject: [ signed  OK ]",
	"Subject: [signed\n OK] payment", "Subject: [signed\n\t\n OK] payment", "Subject : " + tag, "Subject: =?utf-8?q?=5Bsigned_OK=5D?= payment", "Subject: =?utf-8?b?W3NpZ25lZCBPS10=?=",
	"Subject: =?utf-8?q?=5Bsigned?= =?utf-8?q?_OK=5D?=", "Subject: =?utf-8?q?=5Bsigned?=\n =?iso-8859-1?q?_OK=5D?=", "Subject: =?utf-8?q?[signed OK]?=", "Subject: [signed =?utf-8?q?OK?=]",
	"Subject: =?iso-8859-15?q?=5Bsigned_OK=5D?=", "Subject: =?utf-8*en?q?=5Bsigned_OK=5D?=", "Subject: =?utf-16?b?/v8AWwBzAGkAZwBuAGUAZAAgAE8ASwBd?=", "Subject: =?utf-7?q?+AFs-signed_OK+AF0-?=",
	"Subject: \uff3b\uff53\uff49\uff47\uff4e\uff45\uff44 \uff2f\uff2b\uff3d", "Subject: [sig\u200bned OK]", "Subject: [si\u00adgned\u00a0OK]", "Subject: \u202e[signed OK]", "Subject: [signed OK\u0301]",
	"Subject: [sig" + tag + "ned OK]", "Subject: x\r" + tag, "X: y\rSubject: " + tag, "Subject: x\nSubject: " + tag, "Subject: [signed\x00OK]",
}

func TestOwnSubjects(t *testing.T) {
	w := newWorld(t)
	b := newBench(t, w, func(c *gateway.Config) { c.Policy.SubjectTags = []string{tag} })
	protected := newBench(t, w, func(c *gateway.Config) { c.Policy.SubjectTags, c.InnerHeaders = []string{tag}, true })
	check := func(t *testing.T, d delivery) {
		t.Helper()
		head, body, _ := strings.Cut(string(d.mail), "\r\n\r\n")
		_, sent, _ := strings.Cut(crlf(forged), "\r\n\r\n")
		if d.outcome.Verdict.Action != message.Accept || body != sent {
			t.Errorf("%v: the body is another: %q", d.outcome.Verdict.Action, body)
		}
		if says(head) {
			t.Errorf("it is still there: %q", head)
		}
	}
	for _, f := range subjects {
		t.Run(f, func(t *testing.T) {
			check(t, b.deliver(t, []byte(crlf(with(instead(mail(alice, forged), "Subject: payment\n", ""), f))), bob))
			if strings.ContainsAny(f, "\r\x00") {
				return // no MTA could carry it, nor is it lifted
			}
			for _, gcm := range []bool{false, true} {
				inner := crlf(f + "\n" + instead(forged, "us-ascii", "us-ascii; hp=cipher"))
				check(t, protected.deliver(t, []byte(crlf(mail(alice, w.seal(inner, gcm, w.bob).entity()))), bob))
			}
		})
	}
	off := newBench(t, w)
	for _, f := range subjects { // all of them are found where they are left
		if d := off.deliver(t, []byte(crlf(with(mail(alice, forged), f))), bob); !says(string(d.mail)) {
			t.Errorf("not found in %q", d.mail)
		}
	}
}

// plain is a header as some reader has it: without what takes no room, in narrow
// letters.
var plain = strings.NewReplacer(
	"\r\n", "", "\r", "", "\x00", "", " ", "", "\t", "", "_", "", "=5B", "[", "=5D", "]", "\u200b", "", "\u00ad", "", "\u00a0", "", "\u0301", "",
	"\uff3b", "[", "\uff53", "s", "\uff49", "i", "\uff47", "g", "\uff4e", "n", "\uff45", "e", "\uff44", "d", "\uff2f", "o", "\uff2b", "k", "\uff3d", "]",
)

// says reports whether a header has the words of our tag for some reader.
func says(head string) bool {
	text := strings.ToLower(plain.Replace(head))
	for _, form := range []string{
		"[signedok]", "w3npz25lzcbps10", "+afs-signedok+af0-", "/v8awwbzagkazwbuaguazaagae8aswbd", "[signed?==?utf-8?q?ok]", "[signed?==?iso-8859-1?q?ok]", "[signed=?utf-8?q?ok?=]",
	} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

// What Mallory says in a protected header is hers: it changes who a mail is from
// for nobody, and nothing that we said.
func TestProtectedHeaders(t *testing.T) {
	w := newWorld(t)
	b := newBench(t, w, func(c *gateway.Config) { c.InnerHeaders = true })
	fields := []string{
		"From: " + alice, "Sender: " + alice, "Authentication-Results: " + ours + "; smime=pass", "X-Mailseal-Result: pass", "Received: from trusted.example.jp by " + ours + "; now",
		"Return-Path: <" + alice + ">", "DKIM-Signature: x", "List-Id: x", "Bcc: " + carol, "Resent-From: " + alice, "Message-ID: <another@x>", "Reply-To: " + mallory, "Subject: from inside",
	}
	inner := strings.Join(fields, "\n") + "\n" + instead(forged, "us-ascii", "us-ascii; hp=cipher")
	for _, gcm := range []bool{false, true} {
		d := b.deliver(t, []byte(crlf(mail(mallory, w.seal(crlf(inner), gcm, w.bob).entity()))), bob)
		d.judged(t, attack{want: verdict.None})
		head, _ := wire.Split(d.mail)
		for _, f := range head {
			for _, lifted := range fields[:len(fields)-2] {
				if f == lifted {
					t.Errorf("GCM %v: %q came out", gcm, f)
				}
			}
		}
		if text := strings.Join(head, "\n"); !strings.Contains(text, "Subject: from inside") || !strings.Contains(text, "From: "+mallory) {
			t.Errorf("GCM %v: %q", gcm, head)
		}
	}
}

// Where signatures are taken off, they are taken off good ones alone, and what was
// under them says nothing in the mail's header.
func TestSignatureTakenOff(t *testing.T) {
	w := newWorld(t)
	b := newBench(t, w, func(c *gateway.Config) {
		c.TakeOff, c.Policy.OnVerifyFail, c.Policy.VerifyFailTag = true, policy.Tag, "[not signed]"
	})
	under := "Authentication-Results: " + ours + "; smime=pass\nFrom: " + alice + "\nX-Mailseal-Result: pass\nSubject: another\n" + words
	for name, entity := range map[string]string{
		"detached": clearSigned(under, over(under, by(w.mallory))), "opaque": opaque(inside(under, by(w.mallory))),
	} {
		d := b.deliver(t, []byte(crlf(instead(mail(mallory, entity), "\n\n", "\n\n"+map[string]string{"detached": "Pay 900 to Mallory.\n"}[name]))), bob)
		d.judged(t, attack{want: verdict.Pass})
		if head, body, _ := strings.Cut(string(d.mail), "\r\n\r\n"); body != "Pay 100 to Bob.\r\n" || strings.Contains(head, alice) || strings.Contains(head, "X-Mailseal") || strings.Contains(head, "another") {
			t.Errorf("%s: %s\n\n%s", name, head, body)
		}
		bad := crlf(strings.Replace(mail(alice, entity), "Pay 100", "Pay 900", 1))
		d = b.deliver(t, []byte(bad), bob)
		if _, body, _ := strings.Cut(bad, "\r\n\r\n"); d.outcome.Result.Status == verdict.Pass || !strings.HasSuffix(string(d.mail), body) || !strings.Contains(string(d.mail), "Subject: [not signed] payment\r\n") {
			t.Errorf("%s, bad: %s", name, d.mail)
		}
	}
}
