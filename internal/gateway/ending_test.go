package gateway

import (
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/message"
	"mailseal/internal/policy"
	"mailseal/smime"
)

func TestOnVerifyFail(t *testing.T) {
	v := newVault(t)
	mallory := v.pki.User("mallory@partner.example", ca.P256)
	signed := v.sign(letter, v.eve, false)
	mails := map[string]string{
		"policy": v.sign(letter, mallory, false), "fail": strings.Replace(signed, "swordfish", "dolphins", 1),
		"neutral": strings.Replace(letter, "text/plain", "application/pkcs7-mime", 1), "inside": v.encrypt(v.sign(letter, mallory, false), gcm, v.alice),
		"pass": signed, "none": letter,
	}
	for _, treatment := range []policy.Treatment{policy.Deliver, policy.Tag, policy.Quarantine, policy.Reject} {
		v.conf.Policy.OnVerifyFail, v.conf.Policy.VerifyFailTag = treatment, "[bad]"
		for name, mail := range mails {
			got, verdict := v.receive(v.gateway(), mail, aliceAt)
			bad := name != "pass" && name != "none"
			want, event := message.Accept, "verified"
			switch {
			case bad && treatment == policy.Reject:
				want, event = message.Reject, "rejected"
			case bad && treatment == policy.Quarantine:
				want, event = message.Quarantine, "quarantined"
			}
			if verdict.Action != want || strings.Contains(got, "Subject: [bad] a letter\n") != (bad && treatment == policy.Tag) {
				t.Errorf("%v, %s: %v\n%s", treatment, name, verdict.Action, got)
			}
			v.logged(event, "smime=")
			if want == message.Reject && (verdict.Reply.Code != 550 || len(verdict.Edits) > 0) {
				t.Errorf("%+v", verdict)
			}
			if want != message.Reject && !strings.Contains(got, "Authentication-Results: mx.example.jp; smime=") {
				t.Errorf("%v, %s: no result", treatment, name)
			}
		}
	}
}

// A good signature is taken off if that is wanted, and nothing else is.
func TestTakeOff(t *testing.T) {
	v := newVault(t)
	v.conf.TakeOff = true
	mallory := v.pki.User("mallory@partner.example", ca.P256)
	for name, mail := range map[string]string{
		"detached": v.sign(letter, v.eve, false), "opaque": v.sign(letter, v.eve, true),
		"inside": v.encrypt(v.sign(letter, v.eve, true), cbc, v.alice), "inside, detached": v.encrypt(v.sign(letter, v.eve, false), gcm, v.alice),
		"triple": v.protect(letter, smime.ProtectOptions{Mode: smime.ModeTriple, Sign: smime.SignOptions{Identity: v.eve}, Encrypt: smime.EncryptOptions{To: to(v.alice)}}),
	} {
		got, _ := v.receive(v.gateway(), mail, aliceAt)
		v.logged("smime=pass")
		header, body, _ := strings.Cut(got, "\n\n")
		if body != secret+"\n" || !strings.Contains(header+"\n", "\nContent-Type: text/plain; charset=us-ascii\n") || strings.Contains(header, "Content-Disposition") ||
			!strings.Contains(header, "smime=pass") {
			t.Errorf("%s:\n%s", name, got)
		}
	}
	for name, mail := range map[string]string{
		"by another one": v.sign(letter, mallory, false), "plain": letter, "round encryption that is not ours": v.sign(v.encrypt(letter, cbc, v.bob), mallory, true),
	} {
		if got, _ := v.receive(v.gateway(), mail, aliceAt); !strings.HasSuffix(strings.ReplaceAll(got, "\n ", " "), strings.ReplaceAll(mail, "\n ", " ")) {
			t.Errorf("%s:\n%s", name, got)
		}
	}
}

func TestReportFields(t *testing.T) {
	v := newVault(t)
	v.conf.ReportFields = true
	for mail, want := range map[string]string{
		letter: "X-Mailseal-Result: none\n",
		v.encrypt(v.sign(letter, v.eve, false), cbc, v.alice):                    "X-Mailseal-Result: pass\nX-Mailseal-Signer: eve@partner.example\nX-Mailseal-Decrypted: yes\nX-Mailseal-Integrity: signed\n",
		v.encrypt(letter, cbc, v.alice):                                          "X-Mailseal-Result: none\nX-Mailseal-Decrypted: yes\nX-Mailseal-Integrity: none\n",
		v.encrypt(letter, cbc, v.eve):                                            "X-Mailseal-Result: none\nX-Mailseal-Decrypted: no\n",
		strings.Replace(v.sign(letter, v.eve, false), "swordfish", "dolphin", 1): "X-Mailseal-Result: fail\nX-Mailseal-Reason: content was changed after it was signed\nX-Mailseal-Signer: eve@partner.example\n",
	} {
		got, _ := v.receive(v.gateway(), "X-Mailseal-Result: pass\n"+mail, aliceAt)
		_, fields, _ := strings.Cut(strings.ReplaceAll(got, "\n ", " "), "\n")
		if !strings.HasPrefix(fields, want) || strings.Count(got, "X-Mailseal-") != strings.Count(want, "\n") {
			t.Errorf("want\n%sgot\n%s", want, got)
		}
	}
}
