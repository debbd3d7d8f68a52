package beside_test

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/emersion/go-milter"

	"mailseal/certmgr/ca"
	"mailseal/internal/mtarig"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/test/daemon"
	"mailseal/test/host"
	"mailseal/test/rig"
	"mailseal/test/wire"
)

// An other is a milter that does with a mail what its X-Do field says.
type other struct {
	milter.NoOpMilter
	do string
}

func (o *other) MailFrom(string, *milter.Modifier) (milter.Response, error) {
	o.do = ""
	return milter.RespContinue, nil
}

func (o *other) RcptTo(to string, _ *milter.Modifier) (milter.Response, error) {
	if strings.Contains(to, "refused") {
		return final('y', "550 5.7.1 not this one"), nil
	}
	return milter.RespContinue, nil
}

func (o *other) Header(name, value string, _ *milter.Modifier) (milter.Response, error) {
	if strings.EqualFold(name, "X-Do") {
		o.do = strings.TrimSpace(value)
	}
	return milter.RespContinue, nil
}

func (o *other) BodyChunk([]byte, *milter.Modifier) (milter.Response, error) {
	if o.do == "skip" {
		return milter.NewResponse('s', nil), nil
	}
	return milter.RespContinue, nil
}

func (o *other) Body(m *milter.Modifier) (milter.Response, error) {
	switch o.do {
	case "replace":
		return milter.RespContinue, m.ReplaceBody([]byte("-- \r\nThis mail was looked at.\r\n"))
	case "add":
		return milter.RespContinue, m.AddHeader("X-Other", "was here")
	case "quarantine":
		return milter.RespContinue, m.Quarantine("looks odd")
	case "reject":
		return final('y', "554 5.7.1 not this mail"), nil
	case "tempfail":
		return final('y', "451 4.7.1 not now"), nil
	case "discard":
		return final('d', ""), nil
	}
	return milter.RespContinue, nil
}

// final is an answer after which the library keeps the milter: to it the
// session would otherwise be over.
func final(code byte, text string) milter.Response {
	if text != "" {
		text += "\x00"
	}
	return answer{&milter.Message{Code: code, Data: []byte(text)}}
}

type answer struct{ m *milter.Message }

func (a answer) Response() *milter.Message { return a.m }
func (a answer) Continue() bool            { return true }

// serveOther starts one where the host's MTA reaches it.
func serveOther(t *testing.T, h *host.Host) mtarig.Milter {
	t.Helper()
	path := socket(h, "other.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	s := milter.Server{
		NewMilter: func() milter.Milter { return &other{} },
		Actions:   milter.OptAddHeader | milter.OptChangeBody | milter.OptQuarantine,
		Protocol:  milter.OptSkip,
	}
	done := make(chan struct{})
	go func() { s.Serve(l); close(done) }()
	t.Cleanup(func() { l.Close(); <-done })
	return mtarig.Milter{Name: "other", Network: "unix", Address: path}
}

// Whatever another milter says to a mail, before us or after us, the next one in
// the same session is signed or judged as it has to be. What replaces the body
// is to stand before us: after us it breaks the signature.
func TestOtherMilters(t *testing.T) {
	p := testpki.New(t)
	settings := daemon.Settings{Identities: []pki.Identity{p.User(alice, ca.P256)}, Trust: p.Roots()}
	for _, setup := range host.Both {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s after=%v", setup, after), func(t *testing.T) {
				t.Parallel()
				h := host.Prepare(t, setup)
				h.Attach(t, settings)
				milters := []mtarig.Milter{serveOther(t, h), h.Milter()}
				if after {
					milters[0], milters[1] = milters[1], milters[0]
				}
				h.MTA.SetMilters(milters...)
				rig.Start(t, h.MTA)
				for _, source := range []string{daemon.Local, daemon.Outside} {
					c, err := h.Dial(source)
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close()
					s := otherSession{h, c, source == daemon.Local, after, testpki.Write(t, "ca.pem", testpki.CertPEM(p.Roots()...))}
					s.run(t)
				}
			})
		}
	}
}

// An otherSession is one SMTP session with such a host.
type otherSession struct {
	host    *host.Host
	client  *mtarig.Client
	inside  bool
	after   bool // the other milter stands after us
	anchors string
}

func (s otherSession) run(t *testing.T) {
	for i, do := range []string{"reject", "skip", "tempfail", "add", "quarantine", "discard", "replace", "refused", "nothing"} {
		want := map[string]int{"reject": 554, "tempfail": 451}[do]
		to := fmt.Sprintf("%s%d-%t@%s", do, i, s.inside, host.Modern)
		m := s.mail(to, do)
		if do == "refused" {
			m.To = append(m.To, fmt.Sprintf("kept%d-%t@%s", i, s.inside, host.Modern))
			s.refused(t, m)
			continue
		}
		if code := mtarig.Code(s.client.Send(m)); code != want {
			t.Errorf("%s: answered %d, want %d", to, code, want)
		}
		if want == 0 && do != "quarantine" && do != "discard" {
			s.check(t, to, do)
		}
		next := s.mail("next-"+to, "nothing")
		if err := s.client.Send(next); err != nil {
			t.Fatalf("after %s: %v", do, err)
		}
		s.check(t, next.To[0], "nothing")
		if n := s.host.Count(to); n > 0 && (want != 0 || do == "quarantine" || do == "discard") {
			t.Errorf("%s: arrived", to)
		}
	}
}

// refused: one recipient of two is.
func (s otherSession) refused(t *testing.T, m mtarig.Mail) {
	t.Helper()
	if err := s.client.From(m.From); err != nil {
		t.Fatal(err)
	}
	if code := mtarig.Code(s.client.To(m.To[0])); code != 550 {
		t.Errorf("%s: answered %d", m.To[0], code)
	}
	if err := s.client.To(m.To[1]); err != nil {
		t.Fatal(err)
	}
	if err := s.client.Data(m.Data); err != nil {
		t.Fatal(err)
	}
	s.check(t, m.To[1], "refused")
}

func (s otherSession) mail(to, do string) mtarig.Mail {
	author := carol
	if s.inside {
		author = alice
	}
	return mtarig.Mail{From: author, To: []string{to}, Data: []byte(wire.Text("From: "+author, "To: "+to, "Date: Sun, 22 Nov 2026 12:00:00 +0900",
		"Message-ID: <"+to+">", "Subject: beside others", "X-Do: "+do, "", "Hello.") + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 2000))}
}

// check looks at a mail that had to arrive.
func (s otherSession) check(t *testing.T, to, do string) {
	t.Helper()
	mail := s.host.Arrived(t, to).Data
	if !s.inside {
		if rs := results(mail); len(rs) != 1 || rs[0] != daemon.AuthservID+"; smime=none" {
			t.Errorf("%s: %q", to, rs)
		}
		return
	}
	stdout, _, status := daemon.Run(t, mail, "verify", "-ca", s.anchors)
	word := "pass"
	if do == "replace" && s.after {
		word = "neutral" // no part of it is left
	}
	if !strings.Contains(stdout, "smime="+word) || (status == 0) != (word == "pass") {
		t.Errorf("%s: %s; want smime=%s", to, stdout, word)
	}
}
