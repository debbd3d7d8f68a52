// Package opening_test sends mail that OpenSSL has encrypted through real MTAs:
// it arrives open at those whom it is for, and as it came at all others.
package opening_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/mtarig"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/test/daemon"
	"mailseal/test/host"
	"mailseal/test/wire"
)

const (
	carol  = "carol@far.example.org" // outside, whose CA we trust
	alice  = "alice@example.test"    // ours, and so is bob
	bob    = "bob@example.test"
	secret = "pay 100 to Dora."
)

// openssl runs the command cms on an input.
func openssl(t *testing.T, in string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, append([]string{"cms"}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(in), &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("openssl %q: %v\n%s", args, err, &problems)
	}
	return strings.ReplaceAll(strings.ReplaceAll(out.String(), "\r\n", "\n"), "\n", "\r\n")
}

// A sender is somebody outside who has openssl.
type sender struct {
	*testing.T
	cert, key string
}

func (s sender) sign(entity string) string {
	return openssl(s.T, entity, "-sign", "-signer", s.cert, "-inkey", s.key)
}

func (s sender) encrypt(entity, cipher string, to ...*x509.Certificate) string {
	args := []string{"-encrypt", "-" + cipher}
	for _, c := range to {
		args = append(args, testpki.Write(s.T, "to.pem", testpki.CertPEM(c)))
	}
	return openssl(s.T, entity, args...)
}

// An opening is a mail, and what is to become of it.
type opening struct {
	name   string
	entity string // of which the mail consists
	to     []string
	opens  bool
	result string
	log    []string
	held   bool // refused with on_decrypt_fail = "reject"
}

func cases(s sender, keys map[string]pki.Identity) []opening {
	text := wire.Text("Content-Type: text/plain; charset=us-ascii", "", "Hello,", "", secret)
	cert := func(who string) *x509.Certificate { return keys[who].Certificate }
	both := []string{alice, bob}
	spoiled := []byte(s.encrypt(text, "aes-256-gcm", cert(alice)))
	at := bytes.LastIndex(spoiled, []byte("\r\n\r\n")) - 8 // of the tag, before the padding of base64
	if spoiled[at] == 'A' {
		spoiled[at] = 'B'
	} else {
		spoiled[at] = 'A'
	}
	return []opening{
		{name: "AEAD", entity: s.encrypt(text, "aes-256-gcm", cert(alice)), to: []string{alice}, opens: true, result: "none",
			log: []string{"decrypted=yes", "integrity=aead", "layers=auth-enveloped"}},
		{name: "signed, CBC", entity: s.encrypt(s.sign(text), "aes256", cert(alice)), to: []string{alice}, opens: true, result: "pass",
			log: []string{"decrypted=yes", "integrity=signed", "layers=enveloped,signed-detached:pass", "signer=" + carol}},
		{name: "triple", entity: s.sign(s.encrypt(s.sign(text), "aes256", cert(alice))), to: []string{alice}, opens: true, result: "pass",
			log: []string{"layers=signed-detached:pass,enveloped,signed-detached:pass"}},
		{name: "CBC", entity: s.encrypt(text, "aes256", cert(alice)), to: []string{alice}, opens: true, result: "none",
			log: []string{"integrity=none"}},
		{name: "for two, to both", entity: s.encrypt(text, "aes256", cert(alice), cert(bob)), to: both, opens: true, result: "none",
			log: []string{"decrypted=yes"}},
		{name: "for one, to two", entity: s.encrypt(text, "aes256", cert(alice)), to: both, result: "none", log: []string{"decrypted=no closed=mixed"}},
		{name: "captured, to an accomplice outside", entity: s.encrypt(text, "aes256", cert(alice)), to: []string{alice, "eve@" + host.Modern}, result: "none",
			log: []string{"decrypted=no closed=outside"}},
		{name: "captured, to an accomplice here", entity: s.encrypt(text, "aes256", cert(alice)), to: []string{bob}, result: "none", held: true,
			log: []string{"decrypted=no closed=not-for-us"}},
		{name: "changed", entity: string(spoiled), to: []string{alice}, result: "none", held: true, log: []string{"decrypted=failed"}},
	}
}

// mail is a case's with a header, and for recipients of its own.
func (c opening) mail(n int) mtarig.Mail {
	header := wire.Text("From: "+carol, "To: "+alice, "Date: Sun, 22 Nov 2026 12:00:00 +0900", fmt.Sprintf("Message-ID: <case%d@far.example.org>", n),
		"Subject: [signed OK] a letter", "X-Mailseal-Result: pass", "Authentication-Results: "+daemon.AuthservID+"; smime=pass")
	entity := c.entity
	if !strings.HasPrefix(entity, "MIME-Version:") {
		entity = "MIME-Version: 1.0\r\n" + entity
	}
	return mtarig.Mail{From: fmt.Sprintf("case%d@far.example.org", n), To: c.to, Data: []byte(header + entity)}
}

func TestOpening(t *testing.T) {
	p := testpki.New(t)
	keys := map[string]pki.Identity{alice: p.User(alice, ca.RSA2048), bob: p.User(bob, ca.P256)}
	by := p.User(carol, ca.P256)
	s := sender{t, testpki.Write(t, "cert.pem", testpki.CertPEM(by.Certificate)), testpki.Write(t, "key.pem", testpki.KeyPEM(t, by.Key))}
	all := cases(s, keys)
	settings := daemon.Settings{Identities: []pki.Identity{keys[alice], keys[bob]}, Trust: p.Roots(),
		SMIME: []string{`subject_tags = ["[signed OK]"]`, `decrypt_failures = 0`}}
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			t.Parallel()
			h := host.Start(t, setup, settings)
			for i, c := range all {
				t.Run(c.name, func(t *testing.T) { c.delivered(t, h, i) })
			}
			h.Reload(t, func(s *daemon.Settings) { s.SMIME = append(s.SMIME, `on_decrypt_fail = "reject"`) })
			for i, c := range all {
				t.Run("reject, "+c.name, func(t *testing.T) { c.rejected(t, h, 100+i) })
			}
		})
	}
}

// delivered sends the mail and looks at what arrives at each recipient.
func (c opening) delivered(t *testing.T, h *host.Host, n int) {
	m := c.mail(n)
	before := map[string]int{}
	for _, to := range m.To {
		before[to] = h.Count(to)
	}
	mark := h.Seal.Mark()
	if err := h.DeliverFrom(daemon.Outside, m); err != nil {
		t.Fatal(err)
	}
	line, err := h.Seal.WaitLog(mark, " from="+m.From+" ")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range append([]string{": verified smime=" + c.result + " ", " direction=inbound "}, c.log...) {
		if !strings.Contains(line, w) {
			t.Errorf("%q lacks %q", line, w)
		}
	}
	h.AwaitEmptyQueue(t)
	for _, to := range m.To {
		if got := h.Count(to) - before[to]; got != 1 {
			t.Fatalf("%d mails for %s", got, to)
		}
	}
	looked := 0
	for _, got := range h.Mails(host.Modern) {
		if got.From == m.From {
			c.look(t, string(got.Data))
			looked += len(got.To)
		}
	}
	if looked != len(m.To) {
		t.Errorf("looked at mail for %d of %d", looked, len(m.To))
	}
}

// look checks a mail that arrived.
func (c opening) look(t *testing.T, mail string) {
	fields, body := wire.Split([]byte(mail))
	_, sent := wire.Split([]byte(c.entity))
	if !strings.HasPrefix(fields[0], "Authentication-Results: "+daemon.AuthservID+"; smime="+c.result) {
		t.Errorf("on top is %q", fields[0])
	}
	for _, f := range fields[1:] {
		if strings.HasPrefix(f, "X-Mailseal") || strings.HasPrefix(f, "Authentication-Results") || strings.Contains(f, "signed OK") {
			t.Errorf("%q is still there", f)
		}
	}
	if c.opens != strings.Contains(body, secret) || !c.opens && body != sent {
		t.Errorf("opened %v:\n%s", !c.opens, mail)
	}
}

// rejected sends the mail where what cannot be opened is refused.
func (c opening) rejected(t *testing.T, h *host.Host, n int) {
	err := h.DeliverFrom(daemon.Outside, c.mail(n))
	if c.held != (err != nil && strings.Contains(err.Error(), "550") && strings.Contains(err.Error(), "message refused by policy")) || !c.held && err != nil {
		t.Errorf("refused %v: %v", c.held, err)
	}
}
