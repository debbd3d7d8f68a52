package gateway

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/internal/policy"
	"mailseal/smime"
	"mailseal/smime/cms/content"
)

const (
	cbc = content.AES256CBC
	gcm = content.AES256GCM
)

func TestOpening(t *testing.T) {
	v := newVault(t)
	expired := v.pki.Expired("old@example.jp", ca.P256)
	v.hold(v.alice, v.bob, expired)
	inner := func(by pki.Identity, mail string, c content.Cipher, opaque bool) string {
		return v.encrypt(v.sign(mail, by, opaque), c, v.alice)
	}
	mallory := v.pki.User("mallory@partner.example", ca.P256)
	mixed := "From: eve@partner.example\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nhello\n--b\n" +
		afterHeader(v.encrypt(letter, cbc, v.alice)) + "\n--b--\n"
	for _, tt := range []struct {
		name, mail string
		rcpts      string
		opens      bool
		log        string // words of the line
	}{
		{"AEAD", v.encrypt(letter, gcm, v.alice), aliceAt, true,
			"verified smime=none verify=NO decrypted=yes identity=alice cipher=AES256-GCM integrity=aead layers=auth-enveloped"},
		{"CBC", v.encrypt(letter, cbc, v.alice), aliceAt, true,
			"smime=none verify=NO decrypted=yes identity=alice cipher=AES256-CBC integrity=none layers=enveloped"},
		{"CBC, signed inside", inner(v.eve, letter, cbc, false), aliceAt, true,
			"smime=pass verify=OK decrypted=yes integrity=signed layers=enveloped,signed-detached:pass signer=eve@partner.example"},
		{"CBC, signed inside, opaque", inner(v.eve, letter, cbc, true), aliceAt, true, "smime=pass integrity=signed layers=enveloped,signed-opaque:pass"},
		{"CBC, signed inside by another one", inner(mallory, letter, cbc, false), aliceAt, true,
			"smime=policy verify=FAIL decrypted=yes integrity=none layers=enveloped,signed-detached:policy"},
		{"AEAD, signed inside by another one", inner(mallory, letter, gcm, false), aliceAt, true, "smime=policy integrity=aead"},
		{"triple", v.protect(letter, smime.ProtectOptions{Mode: smime.ModeTriple, Sign: smime.SignOptions{Identity: v.eve}, Encrypt: smime.EncryptOptions{To: to(v.alice)}}),
			aliceAt, true, "smime=pass integrity=signed layers=signed-detached:pass,enveloped,signed-detached:pass"},
		{"triple, outer signature of another one", v.sign(inner(v.eve, letter, cbc, false), mallory, false), aliceAt, true,
			"smime=pass integrity=signed layers=signed-detached:policy,enveloped,signed-detached:pass"},
		{"triple, inner signature of another one", v.sign(inner(mallory, letter, cbc, false), v.eve, true), aliceAt, true,
			"smime=policy verify=FAIL integrity=none layers=signed-opaque:pass,enveloped,signed-detached:policy"},
		{"signed round encryption only", v.sign(v.encrypt(letter, cbc, v.alice), v.eve, false), aliceAt, true,
			"smime=none verify=NO decrypted=yes integrity=none layers=signed-detached:pass,enveloped"},
		{"two signatures round it", v.again(v.sign(v.encrypt(letter, cbc, v.alice), mallory, false), v.eve), aliceAt, true,
			"layers=signed-detached:pass,signed-detached:policy,enveloped"},
		{"encrypted twice", v.encrypt(v.encrypt(letter, cbc, v.alice), gcm, v.alice), aliceAt, true,
			"cipher=AES256-CBC integrity=none layers=auth-enveloped,enveloped"},
		{"for an identity that expired", v.encrypt(letter, gcm, expired), "old@example.jp", true, "decrypted=yes"},
		{"in another case", v.encrypt(letter, gcm, v.alice), "ALICE@Example.JP", true, "decrypted=yes"},
		{"for two, to both", v.encrypt(letter, cbc, v.alice, v.bob), aliceAt + " " + bobAt, true, "decrypted=yes identity=alice,bob"},
		{"for two, to one", v.encrypt(letter, cbc, v.alice, v.bob), bobAt, true, "decrypted=yes identity=bob"},
		{"for one, to two", v.encrypt(letter, cbc, v.alice), aliceAt + " " + bobAt, false, "decrypted=no closed=mixed layers=enveloped"},
		{"to an accomplice besides", v.encrypt(letter, cbc, v.alice), aliceAt + " eve@partner.example", false, "decrypted=no closed=outside"},
		{"captured, to an accomplice", v.encrypt(letter, cbc, v.alice), bobAt, false, "decrypted=no closed=not-for-us"},
		{"captured, to an accomplice outside", v.encrypt(letter, cbc, v.alice), "eve@partner.example", false, "decrypted=no closed=outside"},
		{"for others", v.encrypt(letter, cbc, v.eve), aliceAt, false, "decrypted=no closed=not-for-us smime=none"},
		{"signed round what is for others", v.sign(v.encrypt(letter, cbc, v.eve), v.eve, false), aliceAt, false,
			"decrypted=no closed=not-for-us smime=pass layers=signed-detached:pass"},
		{"changed", spoil(v.encrypt(letter, gcm, v.alice)), aliceAt, false, "decrypted=failed smime=none layers=auth-enveloped"},
		{"a part", mixed, aliceAt, false, "smime=none"},
		{"a part, labelled as a whole", strings.Replace(mixed, "multipart/mixed", "multipart/signed; protocol=\"application/pkcs7-signature\"", 1), aliceAt, false, "smime=neutral"},
		{"plain", letter, aliceAt, false, "smime=none"},
		{"signed", v.sign(letter, v.eve, false), aliceAt, false, "smime=pass"},
		{"signed, opaque", v.sign(letter, v.eve, true), aliceAt, false, "smime=pass"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, verdict := v.receive(v.gateway(), tt.mail, strings.Fields(tt.rcpts)...)
			v.logged(strings.Fields(tt.log)...)
			if verdict.Action != message.Accept {
				t.Fatalf("%v", verdict)
			}
			if slices.Contains(verdict.Edits, message.Edit(message.ReturnHeaders{})) != tt.opens {
				t.Errorf("notices to quote the header alone: %v", !tt.opens)
			}
			_, rest, _ := strings.Cut(strings.ReplaceAll(got, "\n ", " "), "\n")
			if !strings.HasPrefix(got, "Authentication-Results: mx.example.jp; smime=") {
				t.Errorf("no result:\n%s", got)
			}
			switch {
			case tt.opens && (!strings.Contains(readable(got), secret) || !strings.Contains(rest, "Subject: a letter\n")):
				t.Errorf("not opened:\n%s", got)
			case !tt.opens && rest != strings.ReplaceAll(tt.mail, "\n ", " "):
				t.Errorf("changed:\n%s", got)
			}
		})
	}
}

// readable is a mail with what an opaque signature carries.
func readable(mail string) string {
	_, body, _ := strings.Cut(mail, "\n\n")
	der, _ := base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\n", ""))
	return mail + string(der)
}

func afterHeader(mail string) string {
	i := strings.Index(mail, "Content-Type:")
	return mail[i:]
}

// spoil changes the last octets of a body in base64: ciphertext, or a tag.
func spoil(mail string) string {
	header, body, _ := strings.Cut(mail, "\n\n")
	der, _ := base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\n", ""))
	der[len(der)-1] ^= 1
	return header + "\n\n" + base64.StdEncoding.EncodeToString(der) + "\n"
}

// What is for a whole domain opens for everybody in it.
func TestGatewayKey(t *testing.T) {
	v := newVault(t)
	v.hold(v.gate)
	mail := v.encrypt(letter, gcm, v.gate)
	for rcpt, opens := range map[string]bool{aliceAt: true, "anybody@example.jp": true, "x@partner.example": false, "x@sub.example.jp": false} {
		got, _ := v.receive(v.gateway(), mail, rcpt, bobAt)
		if strings.Contains(got, secret) != opens {
			t.Errorf("to %s: opened %v", rcpt, !opens)
		}
	}
}

// No notice goes to the null sender.
func TestReturnHeadersToNobody(t *testing.T) {
	v := newVault(t)
	v.hold(v.alice)
	m := v.read(v.encrypt(letter, gcm, v.alice))
	m.Envelope = message.Envelope{QueueID: "Q1", Client: outside, Recipients: []message.Recipient{{Address: aliceAt}}}
	o := v.gateway().Decide(context.Background(), m)
	defer o.Verdict.Close()
	if o.Opening == nil || o.Opening.Decrypted != DecryptedYes || slices.Contains(o.Verdict.Edits, message.Edit(message.ReturnHeaders{})) {
		t.Errorf("%+v: %v", o.Opening, o.Verdict.Edits)
	}
}

// Mail of ours is never opened, nor any when it is switched off.
func TestNothingIsOpened(t *testing.T) {
	v := newVault(t)
	mail := strings.ReplaceAll(v.encrypt(letter, gcm, v.alice), "eve@partner.example", aliceAt)
	m := v.read(mail)
	m.Envelope = message.Envelope{QueueID: "Q1", Client: inside, Recipients: []message.Recipient{{Address: aliceAt}}}
	if o := v.gateway().Decide(context.Background(), m); o.Direction != policy.Outbound || o.Opening != nil || len(o.Verdict.Edits) != 0 {
		t.Errorf("%+v", o)
	}
	v.conf.Policy.Decrypt = false
	if got, _ := v.receive(v.gateway(), mail, aliceAt); strings.Contains(got, secret) {
		t.Error("opened")
	}
	v.logged("decrypted=no", "closed=off")
}

// Who made the encryption says nothing in the header but what the content is.
func TestInsideSaysNothing(t *testing.T) {
	v := newVault(t)
	const forged = "Authentication-Results: mx.example.jp; smime=pass\nX-Mailseal-Result: pass\nFrom: ceo@example.jp\nReceived: from x\n" +
		"Subject: [signed OK] inside\nDKIM-Signature: x\nList-Id: x\n"
	mail := v.encrypt("From: eve@partner.example\nSubject: outside\nContent-Type: application/octet-stream; x=y\n\n"+secret+"\n", gcm, v.alice)
	hidden := v.protect(strings.Replace(letter, "a letter", "[Signed OK] inside", 1), smime.ProtectOptions{Mode: smime.ModeSignEncrypt,
		Sign: smime.SignOptions{Identity: v.eve}, Encrypt: smime.EncryptOptions{To: to(v.alice)}, Headers: smime.HideSubject})
	v.conf.Policy.SubjectTags = []string{"[signed OK]"}
	for _, restore := range []bool{false, true} {
		v.conf.InnerHeaders = restore
		got, _ := v.receive(v.gateway(), forged+mail, aliceAt)
		header, _, _ := strings.Cut(got, "\n\n")
		if strings.Count(header, "Authentication-Results:") != 1 || strings.Contains(header, "X-Mailseal") || strings.Contains(strings.ToLower(header), "signed ok") {
			t.Errorf("header:\n%s", header)
		}
		got, _ = v.receive(v.gateway(), hidden, aliceAt)
		v.logged("smime=pass")
		header, _, _ = strings.Cut(got, "\n\n")
		want := "\nSubject: [...]\n"
		if restore {
			want = "\nSubject: inside\n"
		}
		if !strings.Contains(header, want) || strings.Contains(strings.ToLower(header), "signed ok") {
			t.Errorf("want %q:\n%s", want, header)
		}
	}
}

// Names that only we speak for go, also when there is nothing else to do, and
// from whatever they hide in.
func TestOwnNames(t *testing.T) {
	v := newVault(t)
	v.conf.Policy.SubjectTags = []string{"[signed OK]"}
	v.conf.OnError = message.Accept
	const kept = "X-Mail: y\nX-Mailsealed: no\n"
	forged := "x-mailseal-RESULT: pass\nX-Mailseal-Signer : ceo@example.jp\nX: y\rX-Mailseal-Result: pass\nZ: y\rSubject: [SIGNED ok]\n" + kept
	got, _ := v.receive(v.gateway(), forged+strings.Replace(letter, "a letter", "=?utf-8?q?=5Bsigned_OK]?= a [signed\n  OK]letter", 1), aliceAt)
	if want := kept + letter; !strings.HasSuffix(got, want) || strings.Count(got, "\n") != strings.Count(want, "\n")+1 {
		t.Errorf("%s", got)
	}
	m := v.read(forged + letter)
	m.Body, m.Envelope.Client = failing{m.Body}, outside
	o := v.gateway().Decide(context.Background(), m)
	after, err := m.Apply(o.Verdict.Edits)
	if err != nil || len(after.Header.All("x-mailseal-result")) > 0 || len(after.Header.All("x-mailseal-signer")) > 0 {
		t.Errorf("%v: %v", err, after)
	}
}

// What the other side sees tells nothing of why a mail was not decrypted.
func TestFailuresLookAlike(t *testing.T) {
	v := newVault(t)
	other := v.pki.User(aliceAt, ca.RSA2048) // not among ours
	mails := map[string]string{
		"tag":            spoil(v.encrypt(letter, gcm, v.alice)),
		"padding":        spoil(v.encrypt(letter, cbc, v.alice)),
		"not for us":     v.encrypt(letter, cbc, other),
		"nobody of ours": v.encrypt(letter, gcm, v.eve),
	}
	for _, treatment := range []policy.Treatment{policy.Deliver, policy.Tag, policy.Quarantine, policy.Reject} {
		v.conf.Policy.OnDecryptFail, v.conf.Policy.DecryptFailTag = treatment, "[closed]"
		for _, fields := range []bool{false, true} {
			v.conf.ReportFields = fields
			var first, firstHeader string
			for name, mail := range mails {
				got, verdict := v.receive(v.gateway(), mail, aliceAt)
				header, _, _ := strings.Cut(got, "Content-Type:")
				told := fmt.Sprintf("%v %+v", verdict.Action, verdict.Reply)
				if first == "" {
					first, firstHeader = told, header
				}
				if told != first || header != firstHeader {
					t.Errorf("%s: %s\n%s; another: %s\n%s", name, told, header, first, firstHeader)
				}
			}
			want := map[policy.Treatment]message.Action{policy.Reject: message.Reject, policy.Quarantine: message.Quarantine, policy.Tag: message.Accept, policy.Deliver: message.Accept}
			if !strings.HasPrefix(first, want[treatment].String()) || treatment != policy.Reject && strings.Contains(firstHeader, "Subject: [closed] a letter") != (treatment == policy.Tag) {
				t.Errorf("%v: %s\n%s", treatment, first, firstHeader)
			}
		}
	}
}
