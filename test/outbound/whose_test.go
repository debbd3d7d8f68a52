package outbound_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

const alice = "alice@example.test"

// letter is a plain mail with these fields on top.
func letter(fields ...string) []byte {
	head := append(fields, "To: them@"+host.Modern, "Date: Sat, 21 Nov 2026 12:00:00 +0900", "Message-ID: <letter@example.test>",
		"Subject: a letter", "MIME-Version: 1.0", "Content-Type: text/plain; charset=us-ascii", "", "Hello,", "From here on  ", ".", "end")
	return []byte(wire.Text(head...))
}

// whose is a mail in the name of one of ours and whether that is believed.
type whose struct {
	name   string
	login  string // "" for an internal host without
	mail   []byte
	signed bool
	why    string // it is not
}

func whoseMails(t *testing.T, id pki.Identity) []whose {
	from := "From: " + alice
	all := []whose{
		{name: "internal host", mail: letter(from), signed: true},
		{name: "internal host, From in another case", mail: letter("From: Alice <ALICE@Example.TEST>"), signed: true},
		{name: "through an internal host", mail: letter("Received: from pc (pc.example.test [127.0.0.1]) by relay.example.test with ESMTP id 1;"+
			"\r\n\tSat, 21 Nov 2026 12:00:00 +0900", from), signed: true},
		{name: "two authors", mail: letter("From: alice@example.test, bob@example.test"), why: "From has 2 addresses"},
		{name: "author and a stranger", mail: letter("From: alice@example.test, eve@far.example.org"), why: "From has 2 addresses"},
		{name: "two From fields", mail: letter(from, "From: bob@example.test"), why: "From has 2 addresses"},
		{name: "inbound once, by our results", why: "carries Authentication-Results of ours",
			mail: letter("Authentication-Results: "+daemon.AuthservID+"; smime=none", from)},
		{name: "inbound once, by a hop outside", why: "was received from outside internal_hosts",
			mail: letter("Received: from far.example.org (far.example.org [192.0.2.1]) by list.example.test; Sat, 21 Nov 2026 12:00:00 +0900", from)},
		{name: "inbound once, by a hop that names no address", why: "was received from outside internal_hosts",
			mail: letter("Received: from far.example.org by list.example.test; Sat, 21 Nov 2026 12:00:00 +0900", from)},

		{name: "login is the author", login: alice, mail: letter(from), signed: true},
		{name: "login in another case", login: "Alice@EXAMPLE.test", mail: letter(from), signed: true},
		{name: "login without a domain", login: "alice", mail: letter(from), signed: true},
		{name: "login that may", login: "shared", mail: letter(from), signed: true},
		{name: "login of another", login: "bob@example.test", mail: letter(from), why: "login bob@example.test may not send as alice@example.test"},
		{name: "login of elsewhere", login: "alice@far.example.org", mail: letter(from), why: "may not send as"},
		{name: "login and two authors", login: alice, mail: letter("From: alice@example.test, bob@example.test"), why: "From has 2 addresses"},
	}
	cert := testpki.Write(t, "cert.pem", testpki.CertPEM(id.Certificate))
	key := testpki.Write(t, "key.pem", testpki.KeyPEM(t, id.Key))
	openssl := peers.OpenSSL(t, peers.Config{Anchors: cert, Identity: &peers.Identity{Certificate: cert, Key: key}})
	for _, f := range []peers.Format{peers.Detached, peers.Opaque, peers.OpaqueBER} {
		signed, err := openssl.Sign(letter(from), f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, whose{name: fmt.Sprintf("signed already, %v", f), mail: signed, why: "signed or encrypted already"})
	}
	return append(all, whose{name: "encrypted already", mail: encrypt(t, cert), why: "signed or encrypted already"})
}

// encrypt has OpenSSL make an encrypted mail in alice's name.
func encrypt(t *testing.T, cert string) []byte {
	in := testpki.Write(t, "mail", letter())
	out := filepath.Join(t.TempDir(), "encrypted")
	if b, err := exec.Command("openssl", "cms", "-encrypt", "-aes256", "-in", in, "-out", out, cert).CombinedOutput(); err != nil {
		t.Fatalf("openssl: %v: %s", err, b)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	body := strings.ReplaceAll(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n", "\r\n")
	return []byte(wire.Text("From: "+alice, "To: them@"+host.Modern, "Date: Sat, 21 Nov 2026 12:00:00 +0900", "Message-ID: <e@example.test>") + body)
}

// sasl makes sendmail take the senders in a domain for logins, as it does
// those who have shown a password: it has no XCLIENT.
const sasl = "auth.example.test"

func loggedIn(c *mtarig.Config) {
	if len(c.Transport) > 0 {
		return
	}
	c.Extra = append(c.Extra, "LOCAL_CONFIG", "Kstorage macro", "LOCAL_RULESETS", "SLocal_check_mail",
		"R$*\t$: $1 $| $>CanonAddr $1",
		"R$* $| $+ / $+ < @ "+sasl+" $* >\t$: $1 $(storage {auth_authen} $@ $2 @ $3 $)",
		"R$* $| $+ < @ "+sasl+" $* >\t$: $1 $(storage {auth_authen} $@ $2 $)",
		"R$* $| $*\t$: $1", "divert(0)dnl")
}

// dial opens a session of the login.
func (w whose) dial(h *host.Host) (*mtarig.Client, error) {
	c, err := h.Dial(daemon.Local)
	if err != nil || w.login == "" || h.Setup.MTA == rig.Sendmail {
		return c, err
	}
	if err := c.XClient("ADDR=192.0.2.7", "NAME=far.example.org", "LOGIN="+w.login); err != nil {
		c.Close()
		return nil, err
	}
	return c, c.Hello("far.example.org")
}

func TestWhoseMailIsSigned(t *testing.T) {
	p := testpki.New(t)
	id := p.User(alice, ca.P256)
	mails := whoseMails(t, id)
	settings := daemon.Settings{
		Identities: []pki.Identity{id}, Trust: p.Roots(),
		Milter: []string{`login_domain = "example.test"`}, SMIME: []string{"[logins]", `shared = ["*@example.test"]`},
	}
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			t.Parallel()
			h := host.Start(t, setup, settings, loggedIn)
			for i, w := range mails {
				t.Run(w.name, func(t *testing.T) {
					t.Parallel()
					w.send(t, h, i)
				})
			}
		})
	}
}

func (w whose) send(t *testing.T, h *host.Host, i int) {
	m := mtarig.Mail{From: fmt.Sprintf("case%d@example.test", i), To: []string{fmt.Sprintf("case%d@%s", i, host.Modern)}, Data: w.mail}
	if w.login != "" && h.Setup.MTA == rig.Sendmail {
		m.From = strings.Replace(w.login, "@", "/", 1) + "@" + sasl
	}
	c, err := w.dial(h)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Send(m); err != nil {
		t.Fatal(err)
	}
	got := h.Arrived(t, m.To[0]).Data
	line, err := h.Seal.WaitLog(0, queueID(got)+": ")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(line, " direction=outbound ") {
		t.Errorf("logged %s; want outbound", line)
	}
	if w.login != "" && !strings.Contains(line, " login="+w.login+" ") {
		t.Errorf("logged %s; want the login", line)
	}
	if !w.signed {
		if !strings.Contains(line, ": passed ") || !strings.Contains(line, w.why) {
			t.Errorf("logged %s; want passed, %s", line, w.why)
		}
		unchanged(t, h, m)
		return
	}
	if !strings.Contains(line, ": signed ") {
		t.Errorf("logged %s; want signed", line)
	}
	// Mail that says ALICE is alice's here, and for strangers only where they are
	// told that case means nothing.
	stdout, _, status := daemon.Run(t, got, "verify", "-ca", h.Seal.Trust(), "-ignore-local-case")
	if status != 0 || !strings.Contains(stdout, "body.smime-identifier="+alice) {
		t.Errorf("mailseal verify: status %d, %s", status, stdout)
	}
}

// queueID is the MTA's name for a mail, in its Received field on top.
func queueID(mail []byte) string {
	fields, _ := wire.Split(mail)
	_, after, _ := strings.Cut(fields[0], " id ")
	id, _, _ := strings.Cut(strings.Join(strings.Fields(after), " "), " ")
	return strings.TrimSuffix(id, ";")
}
