// Package inbound_test sends mail from outside through real MTAs: what other
// people's programs signed is judged right, what anybody said in our name is
// gone, and nothing else has changed.
package inbound_test

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailseal/certmgr/ca"
	"mailseal/internal/mtarig"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/test/daemon"
	"mailseal/test/host"
	"mailseal/test/peers"
	"mailseal/test/wire"
)

const (
	carol = "carol@far.example.org" // outside, whose CA we trust
	alice = "alice@example.test"    // ours
)

// letter is a plain mail with an author.
func letter(author string) []byte {
	return []byte(wire.Text("From: "+author, "To: them@"+host.Modern, "Date: Sat, 21 Nov 2026 12:00:00 +0900",
		"Message-ID: <letter@far.example.org>", "Subject: a letter", "MIME-Version: 1.0", "Content-Type: text/plain; charset=us-ascii", "",
		"Hello,", "", "pay 100 to Bob.", ".", "-- ", "Carol"))
}

// An inbound is a mail from outside and what is to be said of it.
type inbound struct {
	name string
	mail []byte
	// result begins the verdict, as "smime=pass"; the whole value of the field
	// contains says too. Dropped are fields that do not arrive.
	result  string
	says    string
	verify  string // in the log
	dropped func(field string) bool
	kept    func(field string) bool // though it is in our name
}

// as is how the programs sign for somebody.
func as(t *testing.T, id pki.Identity, anchors ...*x509.Certificate) peers.Config {
	t.Helper()
	files := &peers.Identity{
		Certificate: testpki.Write(t, "cert.pem", testpki.CertPEM(id.Certificate)),
		Key:         testpki.Write(t, "key.pem", testpki.KeyPEM(t, id.Key)),
	}
	if len(id.Chain) > 0 {
		files.Chain = testpki.Write(t, "chain.pem", testpki.CertPEM(id.Chain...))
	}
	return peers.Config{Anchors: testpki.Write(t, "ca.pem", testpki.CertPEM(anchors...)), Identity: files}
}

func sign(t *testing.T, p peers.Peer, mail []byte, f peers.Format) []byte {
	t.Helper()
	signed, err := p.Sign(mail, f)
	if err != nil {
		t.Fatalf("%s signs %v: %v", p.Name(), f, err)
	}
	return signed
}

// can lists what each program can sign; openssl alone makes BER.
func formats(p peers.Peer) []peers.Format {
	if strings.HasPrefix(p.Name(), "openssl") {
		return []peers.Format{peers.Detached, peers.Opaque, peers.OpaqueBER}
	}
	return []peers.Format{peers.Detached, peers.Opaque}
}

// tamper changes one byte of what is signed.
func tamper(t *testing.T, mail []byte) []byte {
	t.Helper()
	const before, after = "pay 100 to", "pay 900 to"
	if strings.Contains(string(mail), before) {
		return []byte(strings.Replace(string(mail), before, after, 1))
	}
	header, body, _ := strings.Cut(string(mail), "\r\n\r\n")
	cms, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(body), ""))
	if err != nil || !strings.Contains(string(cms), before) {
		t.Fatalf("nothing to change in the mail: %v", err)
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(strings.Replace(string(cms), before, after, 1)))
	return []byte(header + "\r\n\r\n" + regexp.MustCompile(`.{1,64}`).ReplaceAllString(encoded, "$0\r\n"))
}

// with puts fields on top of a mail.
func with(mail []byte, fields ...string) []byte {
	return append([]byte(wire.Text(fields...)), mail...)
}

const (
	pass = `smime=pass reason="revocation status is unknown" body.smime-identifier=` + carol
	none = "smime=none"
)

// cases makes the mails, once for all MTAs.
func cases(t *testing.T, p *testpki.PKI) []inbound {
	var all []inbound
	add := func(c inbound) { all = append(all, c) }
	for _, s := range peers.All(t, as(t, p.User(carol, ca.RSA2048), p.Root())) {
		for _, f := range formats(s) {
			name := fmt.Sprintf("%s %v", s.Name(), f)
			mail := sign(t, s, letter(carol), f)
			add(inbound{name: name, mail: mail, result: pass, verify: "OK"})
			add(inbound{name: name + ", one byte changed", mail: tamper(t, mail), result: "smime=fail", verify: "FAIL", says: "content was changed"})
		}
	}
	// Who signs is what counts in these; one program stands for all.
	by := func(id pki.Identity, mail []byte) []byte {
		return sign(t, peers.OpenSSL(t, as(t, id, p.Root())), mail, peers.Detached)
	}
	known := p.User(carol, ca.RSA2048)
	detached := by(known, letter(carol))
	add(inbound{name: "with an intermediate CA", result: pass, verify: "OK",
		mail: by(p.Below().User(carol, ca.P256), letter(carol))})
	add(inbound{name: "wrong author", result: "smime=policy", verify: "FAIL", says: "body.smime-identifier=" + carol,
		mail: by(known, letter("mallory@far.example.org"))})
	add(inbound{name: "two authors in a field", result: "smime=policy", verify: "FAIL",
		mail: by(known, letter(carol+", mallory@far.example.org"))})
	add(inbound{name: "two From fields", result: "smime=policy", verify: "FAIL", mail: with(detached, "From: mallory@far.example.org")})
	add(inbound{name: "author is ours, signer is not", result: "smime=policy", verify: "FAIL", mail: by(known, letter(alice))})
	add(inbound{name: "untrusted CA", result: "smime=fail", verify: "FAIL",
		mail: by(p.Stranger().User(carol, ca.P256), letter(carol))})
	add(inbound{name: "another CA of the same name", result: "smime=fail", verify: "FAIL",
		mail: by(testpki.New(t).User(carol, ca.P256), letter(carol))})
	add(inbound{name: "expired", result: "smime=fail", verify: "FAIL",
		mail: by(p.Expired(carol, ca.P256), letter(carol))})
	add(inbound{name: "not for mail", result: "smime=fail", verify: "FAIL",
		mail: by(p.Client(carol, ca.P256), letter(carol))})
	add(inbound{name: "label of a signature, no signature", result: "smime=neutral", verify: "FAIL",
		mail: []byte(strings.Replace(string(letter(carol)), "text/plain; charset=us-ascii", "application/pkcs7-mime; smime-type=signed-data", 1))})

	add(inbound{name: "unsigned", mail: letter(carol), result: none, verify: "NO"})
	add(inbound{name: "our author from outside is not signed", mail: letter(alice), result: none, verify: "NO"})
	add(inbound{name: "no header but From", mail: []byte("From: " + carol + "\r\n\r\nx\r\n"), result: none, verify: "NO"})
	add(forged(letter(carol), none, "NO"))
	signed := forged(detached, pass, "OK")
	signed.name += ", signed"
	add(signed)
	many := slices.Repeat([]string{"Authentication-Results: mx.example.test; smime=pass", "X-Between: x"}, 150)
	add(inbound{name: "very many results in our name", mail: with(letter(carol), many...), result: none, verify: "NO",
		dropped: func(f string) bool { return f == many[0] }})
	return all
}

// forged puts what an attacker would say in our name among what others say.
func forged(mail []byte, result, verify string) inbound {
	ours := []string{
		"Authentication-Results: mx.example.test; smime=pass body.smime-identifier=ceo@example.test",
		"authentication-results:MX.Example.TEST;smime=pass",
		"AUTHENTICATION-RESULTS: \"mx.example.test\" 1;\r\n smime\r\n =\r\n pass",
		"Authentication-Results: (a comment)\r\n mx.example.test (another); dkim=pass; smime=pass",
		"Authentication-Results: mx.example.test; none",
		"Authentication-Results: mx.example.test; (unclosed smime=pass",
		"Authentication-Results : mx.example.test; smime=pass",
	}
	foreign := []string{
		"Authentication-Results: mx.far.example.org; smime=pass body.smime-identifier=carol@far.example.org",
		"Authentication-Results: other.example.test; dkim=pass header.d=far.example.org",
		"X-Authentication-Results: mx.example.test; smime=pass",
		"ARC-Authentication-Results: i=1; mx.example.test; smime=pass",
	}
	var fields []string
	for i, f := range ours {
		fields = append(fields, f)
		if i < len(foreign) {
			fields = append(fields, foreign[i])
		}
	}
	return inbound{
		name: "results in our name", mail: with(mail, fields...), result: result, verify: verify,
		dropped: func(f string) bool { return slices.Contains(ours, f) },
	}
}

func TestInbound(t *testing.T) {
	p := testpki.New(t)
	all := cases(t, p)
	for _, setup := range host.Setups {
		t.Run(setup.String(), func(t *testing.T) {
			t.Parallel()
			h := host.Start(t, setup, daemon.Settings{Identities: []pki.Identity{p.User(alice, ca.P256)}, Trust: p.Roots()})
			for i, c := range all {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.send(t, h, i)
				})
			}
		})
	}
}

// Where a milter before us writes results under the same name, those stay that
// say nothing of S/MIME.
func TestEarlierMilters(t *testing.T) {
	p := testpki.New(t)
	c := forged(letter(carol), none, "NO")
	ours := c.dropped
	c.dropped = func(f string) bool { return ours(f) && strings.Contains(strings.ToLower(f), "smime") }
	c.kept = func(f string) bool { return ours(f) && !c.dropped(f) }
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			t.Parallel()
			c.send(t, host.Start(t, setup, daemon.Settings{Trust: p.Roots(), Milter: []string{"earlier_milters = true"}}), 0)
		})
	}
}

// send sends the mail of a case from outside.
func (c inbound) send(t *testing.T, h *host.Host, i int) {
	m := mtarig.Mail{From: fmt.Sprintf("case%d@far.example.org", i), To: []string{fmt.Sprintf("case%d@%s", i, host.Modern)}, Data: c.mail}
	mark := h.Seal.Mark()
	if err := h.DeliverFrom(daemon.Outside, m); err != nil {
		t.Fatal(err)
	}
	line, err := h.Seal.WaitLog(mark, " from="+m.From+" ")
	if err != nil {
		t.Fatal(err)
	}
	word, _, _ := strings.Cut(strings.TrimPrefix(c.result, "smime="), " ")
	if !strings.Contains(line, ": verified smime="+word+" verify="+c.verify+" ") || !strings.Contains(line, " direction=inbound ") {
		t.Errorf("logged %s; want smime=%s verify=%s", line, word, c.verify)
	}
	got := h.Arrived(t, m.To[0]).Data
	judged(t, got, c.result, c.says, c.kept)
	var want []string
	sent, sentBody := wire.Split(c.mail)
	for _, f := range sent {
		if c.dropped == nil || !c.dropped(f) {
			want = append(want, f)
		}
	}
	same(t, got, want, sentBody)
}

// judged checks the field on top, which is the only one in our name.
func judged(t *testing.T, mail []byte, result, says string, kept func(string) bool) {
	t.Helper()
	fields, _ := wire.Split(mail)
	text := unfold(fields[0])
	if !strings.HasPrefix(text, "Authentication-Results: "+daemon.AuthservID+"; "+result) || !strings.Contains(text, says) {
		t.Errorf("on top is %q; want %s, %s", text, result, says)
	}
	for _, f := range fields[1:] {
		if wire.Name(f) == "authentication-results" && strings.Contains(strings.ToLower(f), daemon.AuthservID) && (kept == nil || !kept(f)) {
			t.Errorf("in our name too: %q", f)
		}
	}
}

func unfold(f string) string { return strings.ReplaceAll(f, "\r\n", "") }

// same checks that below our field and the MTA's is what was sent.
func same(t *testing.T, mail []byte, wantFields []string, wantBody string) {
	t.Helper()
	fields, body := wire.Split(mail)
	if len(fields) < 2 || wire.Name(fields[1]) != "received" {
		t.Fatalf("fields on top: %q", fields)
	}
	fields = added(fields[2:], wantFields)
	if d := cmp.Diff(wantFields, fields); d != "" {
		t.Errorf("header changed (-sent +arrived):\n%s", d)
	}
	if d := cmp.Diff(wantBody, body); d != "" {
		t.Errorf("body changed (-sent +arrived):\n%s", d)
	}
}

// added leaves out the Date and Message-Id that sendmail gives mail that has
// none.
func added(fields, sent []string) []string {
	for _, name := range []string{"date", "message-id"} {
		has := false
		for _, f := range sent {
			has = has || wire.Name(f) == name
		}
		if has {
			continue
		}
		for i, f := range fields {
			if wire.Name(f) == name {
				fields = append(fields[:i:i], fields[i+1:]...)
				break
			}
		}
	}
	return fields
}
