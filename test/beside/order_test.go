package beside_test

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/mtarig"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/test/daemon"
	"mailseal/test/host"
	"mailseal/test/peers"
	"mailseal/test/rig"
	"mailseal/test/wire"
)

// A sample is a mail of ours, and what of it is to be found in what was signed.
type sample struct {
	name         string
	fields, body string
	says         string
	author       string // From, where it is more than the address: a name that sendmail puts in quotes
}

var samples = []sample{
	{name: "plain", body: wire.Text("Hello,", ".", "From here", "trailing  "), says: "Hello,"},
	{name: "From as many write it in Japan", author: alice + " <" + alice + ">", body: wire.Text("Hello,"), says: "Hello,"},
	{name: "From with an apostrophe", author: "Pat O'Brien <" + alice + ">", body: wire.Text("Hello,"), says: "Hello,"},
	{
		name: "8 bit and long lines", fields: "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n",
		body: wire.Text("Grüße  ", strings.Repeat("日本語", 700), "."), says: "R3LDvMOfZSAg", // in base64
	},
	{
		name: "attachments", fields: "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=outer\r\n",
		body: wire.Text("--outer", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit", "", "見てください。",
			"--outer", "Content-Type: application/pdf; name=a.pdf", "Content-Disposition: attachment; filename=a.pdf", "Content-Transfer-Encoding: base64", "") +
			strings.Repeat(strings.Repeat("QUJD", 19)+"\r\n", 300) + wire.Text("--outer--"),
		says: "filename=a.pdf",
	},
	{
		name: "iso-2022-jp", fields: "X-Folded: one\r\n two\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-2022-jp\r\n",
		body: wire.Text("\x1b$BF|K\\8l\x1b(B"), says: "\x1b$BF|K\\8l\x1b(B",
	},
}

func (s sample) mail(to string) mtarig.Mail {
	head := wire.Text("From: "+cmp.Or(s.author, alice), "To: "+to, "Date: Sun, 22 Nov 2026 12:00:00 +0900", "Message-ID: <"+to+">", "Subject: "+s.name)
	return mtarig.Mail{From: alice, To: []string{to}, Args: []string{"BODY=8BITMIME"}, Data: []byte(head + s.fields + "\r\n" + s.body)}
}

// Two hosts with OpenDKIM and mailseal, in the order of the manual: at the other
// end both signatures hold and both results are there. In the wrong order the
// DKIM signature is over a mail that nobody gets; ours does not mind.
func TestBothSignatures(t *testing.T) {
	p := testpki.New(t)
	openssl := peers.OpenSSL(t, peers.Config{Anchors: testpki.Write(t, "ca.pem", testpki.CertPEM(p.Roots()...))})
	signs := daemon.Settings{Identities: []pki.Identity{p.User(alice, ca.RSA2048)}, Trust: p.Roots()}
	for _, far := range host.Both {
		for _, near := range host.Both {
			t.Run(fmt.Sprintf("%s to %s", near.MTA, far.MTA), func(t *testing.T) {
				t.Parallel()
				receiver := receiving(t, far, daemon.Settings{Trust: p.Roots()}, true)
				for _, turned := range []bool{false, true} {
					h := sending(t, near, signs, receiver.MTA.Addr(), turned)
					for _, opaque := range []bool{false, true} {
						h.Reload(t, func(s *daemon.Settings) { s.Opaque = opaque })
						for i, s := range samples {
							if turned && i > 1 {
								break // it is the same for all
							}
							m := s.mail(fmt.Sprintf("%d-%t-%t@far.example.org", i, opaque, turned))
							if err := h.Deliver(m); err != nil {
								t.Fatal(err)
							}
							got := receiver.Arrived(t, m.To[0]).Data
							// sendmail puts such a name in quotes when it hands the
							// mail on, which is after every milter.
							holds(t, got, turned || s.author != "" && near.MTA == rig.Sendmail)
							if r, err := openssl.Verify(got); err != nil {
								t.Errorf("%s: %v", m.To[0], err)
							} else if !strings.Contains(string(r.Content), s.says) {
								t.Errorf("%s: no %q is signed", m.To[0], s.says)
							}
						}
					}
				}
			})
		}
	}
}

// holds checks the two results: ours is good, OpenDKIM's is unless it had to
// break.
func holds(t *testing.T, mail []byte, broken bool) {
	t.Helper()
	dkim := "dkim=pass"
	if broken {
		dkim = "dkim=fail"
	}
	rs := results(mail)
	if len(rs) != 2 || !strings.HasPrefix(rs[0], daemon.AuthservID+`; smime=pass reason="revocation status is unknown" body.smime-identifier=`+alice) ||
		!strings.HasPrefix(rs[1], daemon.AuthservID+";") || !strings.Contains(rs[1], dkim) || !strings.Contains(rs[1], "header.d="+daemon.Domain) {
		t.Errorf("results %q; want smime=pass and %s\n%s", rs, dkim, mail)
	}
}
