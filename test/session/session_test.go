// Package session_test gives one SMTP session many mails, and breaks some of
// them off: nothing of a mail may be left when the next begins.
package session_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/mtarig"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/test/daemon"
	"mailseal/test/host"
	"mailseal/test/rig"
	"mailseal/test/wire"
)

const (
	alice  = "alice@example.test"
	paula  = "paula@example.test"
	nobody = "nobody@example.test" // ours, without an identity
	carol  = "carol@far.example.org"
)

// A scene is a host, and the names of mails that no other test has.
type scene struct {
	*host.Host
	name string
	n    int
	lost []mtarig.Mail // mails that were broken off
}

// mail makes the next mail.
func (s *scene) mail(author string) mtarig.Mail {
	s.n++
	to := fmt.Sprintf("%s%d@%s", s.name, s.n, host.Modern)
	return mtarig.Mail{
		From: fmt.Sprintf("%s%d@sender.example.test", s.name, s.n), To: []string{to},
		Data: []byte(wire.Text("From: "+author, "To: "+to, "Date: Sat, 21 Nov 2026 12:00:00 +0900", "Message-ID: <"+to+">",
			fmt.Sprintf("X-Mail: %d", s.n), "Subject: session", "MIME-Version: 1.0", "Content-Type: text/plain; charset=us-ascii", "", "for "+to)),
	}
}

// dial opens a session from an internal host.
func (s *scene) dial(t *testing.T) *mtarig.Client {
	t.Helper()
	c, err := s.Dial(daemon.Local)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// signed checks that a mail has arrived, once, signed by its author, and that
// nothing of another mail is in it.
func (s *scene) signed(t *testing.T, m mtarig.Mail, author string) {
	t.Helper()
	line := s.line(t, m)
	if !strings.Contains(line, ": signed ") || !strings.Contains(line, " author="+author+" ") || !strings.Contains(line, " nrcpt=1 ") {
		t.Errorf("logged %s; want signed for %s", line, author)
	}
	got := s.arrived(t, m)
	stdout, _, status := daemon.Run(t, got, "verify", "-ca", s.Seal.Trust())
	if status != 0 || !strings.Contains(stdout, "body.smime-identifier="+author) {
		t.Errorf("mailseal verify: status %d, %s; want %s", status, stdout, author)
	}
}

// unsigned is for mail that is to arrive without a signature, inbound or not.
func (s *scene) unsigned(t *testing.T, m mtarig.Mail, event string) {
	t.Helper()
	if line := s.line(t, m); !strings.Contains(line, ": "+event+" ") || !strings.Contains(line, " nrcpt=1 ") {
		t.Errorf("logged %s; want %s", line, event)
	}
	got := s.arrived(t, m)
	_, want := wire.Split(m.Data)
	fields, body := wire.Split(got)
	if body != want {
		t.Errorf("body %q, want %q", body, want)
	}
	top := wire.Name(fields[0]) == "authentication-results"
	if (event == "verified") != top {
		t.Errorf("on top is %q after %s", fields[0], event)
	}
}

func (s *scene) line(t *testing.T, m mtarig.Mail) string {
	t.Helper()
	line, err := s.Seal.WaitLog(0, " from="+m.From+" ")
	ok(t, err)
	return line
}

// arrived checks the fields that only this mail has.
func (s *scene) arrived(t *testing.T, m mtarig.Mail) []byte {
	t.Helper()
	got := s.Arrived(t, m.To[0])
	if got.From != m.From || len(got.To) != 1 {
		t.Errorf("envelope %s, %s; want %s, %s", got.From, got.To, m.From, m.To)
	}
	count := map[string]int{}
	fields, _ := wire.Split(got.Data)
	for _, f := range fields {
		count[wire.Name(f)]++
	}
	for _, name := range []string{"from", "to", "subject", "x-mail", "mime-version", "content-type", "message-id"} {
		if count[name] != 1 {
			t.Errorf("%d fields %s in\n%s", count[name], name, got.Data)
		}
	}
	return got.Data
}

type test struct {
	name string
	run  func(*testing.T, *scene)
}

func TestSessions(t *testing.T) {
	p := testpki.New(t)
	settings := daemon.Settings{Trust: p.Roots(), Identities: []pki.Identity{p.User(alice, ca.P256), p.User(paula, ca.P256)}}
	server := p.Host(daemon.AuthservID, ca.P256)
	cert, key := testpki.Write(t, "cert.pem", testpki.CertPEM(server.Certificate)), testpki.Write(t, "key.pem", testpki.KeyPEM(t, server.Key))
	withTLS := func(c *mtarig.Config) { c.TLS = mtarig.TLS{Certificate: cert, Key: key} }
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			t.Parallel()
			h := host.Start(t, setup, settings, withTLS)
			var scenes []*scene
			tests := []test{
				{"authors", authors}, {"rset", reset}, {"refused", refusedAll}, {"hangup", hangup}, {"pipelined", pipelined},
				{"starttls", func(t *testing.T, s *scene) { startTLS(t, s, p.Roots()) }},
			}
			if setup.MTA != rig.Sendmail { // which knows neither
				tests = append(tests, test{"xclient", xclient}, test{"bdat", bdat})
			}
			for _, tt := range tests {
				scenes = append(scenes, &scene{Host: h, name: tt.name})
			}
			t.Run("session", func(t *testing.T) {
				for i, s := range scenes {
					t.Run(s.name, func(t *testing.T) {
						t.Parallel()
						tests[i].run(t, s)
					})
				}
			})
			h.AwaitEmptyQueue(t)
			for _, s := range scenes {
				s.lostAll(t)
			}
		})
	}
}

// authors take turns in one session.
func authors(t *testing.T, s *scene) {
	c := s.dial(t)
	var sent []mtarig.Mail
	turns := []string{alice, paula, nobody, carol, alice, carol, paula, nobody, paula, alice}
	for _, author := range turns {
		m := s.mail(author)
		ok(t, c.Send(m))
		sent = append(sent, m)
	}
	ok(t, c.Quit())
	for i, author := range turns {
		switch author {
		case nobody:
			s.unsigned(t, sent[i], "passed")
		case carol: // not ours: from an internal host, and inbound all the same
			s.unsigned(t, sent[i], "verified")
		default:
			s.signed(t, sent[i], author)
		}
	}
}

// reset breaks mails off with RSET, EHLO and a second MAIL.
func reset(t *testing.T, s *scene) {
	c := s.dial(t)
	begin := func(author string) {
		m := s.mail(author)
		ok(t, c.From(m.From))
		ok(t, c.To(m.To[0]))
		s.lost = append(s.lost, m)
	}
	var whole []mtarig.Mail
	send := func() {
		m := s.mail(alice)
		ok(t, c.Send(m))
		whole = append(whole, m)
	}
	begin(paula)
	ok(t, c.Reset())
	send()
	ok(t, c.Reset())
	begin(nobody)
	if code := mtarig.Code(c.From(s.mail(paula).From)); code/100 != 5 {
		t.Errorf("second MAIL is answered %d", code)
	}
	ok(t, c.Hello("again.example.test"))
	send()
	begin(paula)
	ok(t, c.To(s.mail(paula).To[0]))
	ok(t, c.Reset())
	send()
	ok(t, c.Quit())
	for _, m := range whole {
		s.signed(t, m, alice)
	}
}

// lostAll checks that mails which were broken off have left no trace. It is for
// the time when all others have arrived.
func (s *scene) lostAll(t *testing.T) {
	t.Helper()
	for _, m := range s.lost {
		if n := s.Count(m.To[0]); n > 0 {
			t.Errorf("mail for %s was delivered", m.To[0])
		}
		if l := s.Seal.Lines(0, " from="+m.From+" "); len(l) > 0 {
			t.Errorf("decided on a mail that never came: %s", l)
		}
	}
}

// refusedAll has no recipient left, so that there is no mail.
func refusedAll(t *testing.T, s *scene) {
	c := s.dial(t)
	lost := s.mail(paula)
	s.lost = append(s.lost, lost)
	ok(t, c.From(lost.From))
	for _, to := range []string{"<>", "<@>"} {
		if _, err := c.Cmd(250, "RCPT TO:%s", to); err == nil {
			t.Fatalf("recipient %s is not refused", to)
		}
	}
	if code := mtarig.Code(c.Data(lost.Data)); code/100 != 5 {
		t.Fatalf("DATA without recipients is answered %d", code)
	}
	ok(t, c.Reset())
	m := s.mail(alice)
	ok(t, c.From(m.From))
	if _, err := c.Cmd(250, "RCPT TO:<>"); err == nil {
		t.Fatal("recipient <> is not refused")
	}
	ok(t, c.To(m.To[0]))
	if _, err := c.Cmd(250, "RCPT TO:<@>"); err == nil {
		t.Fatal("recipient <@> is not refused")
	}
	ok(t, c.Data(m.Data))
	ok(t, c.Quit())
	s.signed(t, m, alice)
}

// hangup breaks connections off at every stage of a mail.
func hangup(t *testing.T, s *scene) {
	for stage := range 5 {
		c := s.dial(t)
		m := s.mail(paula)
		s.lost = append(s.lost, m)
		if stage > 0 {
			ok(t, c.From(m.From))
		}
		if stage > 1 {
			ok(t, c.To(m.To[0]))
		}
		if stage > 2 {
			_, err := c.Cmd(354, "DATA")
			ok(t, err)
		}
		if stage > 3 {
			ok(t, c.Raw(append(m.Data, strings.Repeat("and more\r\n", 20000)...)))
		}
		ok(t, c.Close())
	}
	m := s.mail(alice)
	ok(t, s.Deliver(m))
	s.signed(t, m, alice)
}

// pipelined sends all commands of two mails at once (RFC 2920).
func pipelined(t *testing.T, s *scene) {
	c := s.dial(t)
	one, two := s.mail(alice), s.mail(paula)
	begin := func(m mtarig.Mail) string {
		return "MAIL FROM:<" + m.From + ">\r\nRCPT TO:<" + m.To[0] + ">\r\nDATA\r\n"
	}
	replies := func(codes ...int) {
		t.Helper()
		for _, code := range codes {
			_, err := c.Reply(code)
			ok(t, err)
		}
	}
	ok(t, c.Raw([]byte(begin(one))))
	replies(250, 250, 354)
	ok(t, c.Raw([]byte(string(mtarig.Stuff(one.Data))+".\r\nRSET\r\n"+begin(two))))
	replies(250, 250, 250, 250, 354)
	ok(t, c.Raw([]byte(string(mtarig.Stuff(two.Data))+".\r\nQUIT\r\n")))
	replies(250, 221)
	s.signed(t, one, alice)
	s.signed(t, two, paula)
}

// startTLS begins a mail in clear text, and another under TLS.
func startTLS(t *testing.T, s *scene, roots []*x509.Certificate) {
	c := s.dial(t)
	before := s.mail(paula)
	ok(t, c.Send(before))
	lost := s.mail(paula)
	s.lost = append(s.lost, lost)
	ok(t, c.From(lost.From))
	ok(t, c.Reset())
	pool := x509.NewCertPool()
	for _, r := range roots {
		pool.AddCert(r)
	}
	ok(t, c.StartTLS(&tls.Config{RootCAs: pool, ServerName: daemon.AuthservID}))
	ok(t, c.Hello("tls.example.test"))
	after := s.mail(alice)
	ok(t, c.Send(after))
	ok(t, c.Quit())
	s.signed(t, before, paula)
	s.signed(t, after, alice)
	// Only sendmail says what it thinks of the client's certificate.
	if s.Setup.MTA != rig.Sendmail {
		return
	}
	if line := s.line(t, before); strings.Contains(line, " tls=") {
		t.Errorf("logged %s; want no tls", line)
	}
	if line := s.line(t, after); !strings.Contains(line, " tls=N") {
		t.Errorf("logged %s; want tls=NO or NOT", line)
	}
}

// xclient makes one session another client's: what the first was allowed to do
// goes with it.
func xclient(t *testing.T, s *scene) {
	c := s.dial(t)
	internal := s.mail(alice)
	ok(t, c.Send(internal))
	ok(t, c.XClient("ADDR=127.0.0.9", "NAME=far.example.org", "LOGIN="+paula))
	ok(t, c.Hello("far.example.org"))
	login := s.mail(paula)
	ok(t, c.Send(login))
	other := s.mail(alice)
	ok(t, c.Send(other))
	ok(t, c.XClient("ADDR=192.0.2.10", "NAME=farther.example.org", "LOGIN=[UNAVAILABLE]"))
	ok(t, c.Hello("farther.example.org"))
	outside := s.mail(paula)
	ok(t, c.Send(outside))
	ok(t, c.Quit())
	s.signed(t, internal, alice)
	s.signed(t, login, paula)
	s.unsigned(t, other, "passed")
	s.unsigned(t, outside, "verified")
}

// bdat sends mails in chunks (RFC 3030), and takes one back.
func bdat(t *testing.T, s *scene) {
	c := s.dial(t)
	chunk := func(b []byte, last string) {
		t.Helper()
		ok(t, c.Raw([]byte(fmt.Sprintf("BDAT %d%s\r\n%s", len(b), last, b))))
		_, err := c.Reply(250)
		ok(t, err)
	}
	lost := s.mail(paula)
	s.lost = append(s.lost, lost)
	ok(t, c.From(lost.From))
	ok(t, c.To(lost.To[0]))
	chunk(lost.Data, "")
	ok(t, c.Reset())
	m := s.mail(alice)
	ok(t, c.From(m.From))
	ok(t, c.To(m.To[0]))
	chunk(m.Data[:100], "")
	chunk(m.Data[100:], " LAST")
	ok(t, c.Quit())
	s.signed(t, m, alice)
}
