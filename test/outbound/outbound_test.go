// Package outbound_test sends mail of ours through real MTAs and looks at what
// leaves: signed mail must verify with other people's programs and say the
// same, whatever the next hop can do; and what is not signed must be as it was.
package outbound_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/mtarig"
	"mailseal/internal/testpki"
	"mailseal/test/daemon"
	"mailseal/test/host"
	"mailseal/test/wire"
)

// Those with an identity, by turns: one for each kind of key that some other
// program reads; none here reads Ed25519.
var authors = []struct {
	address string
	key     ca.KeyKind
}{
	{alice, ca.RSA2048}, {"paula@example.test", ca.P256}, {"petra@example.test", ca.P384}, {"peter@example.test", ca.P521},
}

// mail makes the mail of a sample.
func (s sample) mail(i int, to ...string) mtarig.Mail {
	author := s.author
	if author == "" {
		author = authors[i%len(authors)].address
	}
	for n := range s.to {
		to = append(to, fmt.Sprintf("more%d@%s", n, host.Modern))
	}
	head := fmt.Sprintf("From: %s\r\nTo: them@%s\r\nDate: Sat, 21 Nov 2026 12:00:00 +0900\r\nMessage-ID: <%d.%s>\r\nSubject: =?utf-8?q?%s?=\r\n",
		author, host.Modern, i, to[0], strings.ReplaceAll(s.name, " ", "_"))
	return mtarig.Mail{
		From: fmt.Sprintf("sample%d@example.test", i), To: to, Args: s.args,
		Data: []byte(head + s.fields + "\r\n" + s.body),
	}
}

// refusing makes the MTA refuse a recipient of its own accord.
const refused = "refused@example.org"

func refusing(c *mtarig.Config) {
	if len(c.Transport) > 0 {
		c.Extra = append(c.Extra, "smtpd_recipient_restrictions = check_recipient_access inline:{{"+refused+"=REJECT}}")
		return
	}
	c.Extra = append(c.Extra, "LOCAL_RULESETS", "SLocal_check_rcpt",
		"R$*\t$: $>CanonAddr $1", "Rrefused < @ example.org . >\t$#error $@ 5.7.1 $: \"550 refused\"",
		"Rrefused < @ example.org >\t$#error $@ 5.7.1 $: \"550 refused\"", "divert(0)dnl")
}

func settings(p *testpki.PKI) daemon.Settings {
	s := daemon.Settings{Trust: p.Roots()}
	for _, a := range authors {
		s.Identities = append(s.Identities, p.User(a.address, a.key))
	}
	return s
}

func TestSamples(t *testing.T) {
	setups := host.Both // which socket it is changes no mail, as others see to
	if os.Getenv("MAILSEAL_SLOW") != "" {
		setups = host.Setups
	}
	p := testpki.New(t)
	settings := settings(p)
	j := newJudges(t, p, settings.Identities...)
	for _, setup := range setups {
		t.Run(setup.String(), func(t *testing.T) {
			t.Parallel()
			(&round{Host: host.Start(t, setup, settings, refusing), judges: j, samples: samples}).run(t)
		})
	}
}

// A round is samples that go through a host.
type round struct {
	*host.Host
	judges  judges
	samples []sample
	walks   bool // the MTA writes MIME parts anew, as sendmail does by default
	opaque  bool
}

func (r *round) run(t *testing.T) {
	t.Run("detached", r.send)
	r.Reload(t, func(s *daemon.Settings) { s.Opaque = true })
	r.opaque = true
	t.Run("opaque", r.send)
}

// send sends all samples in one session, with a refused recipient in each, and
// looks at them when they have arrived.
func (r *round) send(t *testing.T) {
	c, err := r.Dial(daemon.Local)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, utf8 := c.Extensions["SMTPUTF8"]
	for i, s := range r.samples {
		if s.utf8 && !utf8 {
			continue // sendmail, as Debian builds it
		}
		to := []string{fmt.Sprintf("s%d-%t@%s", i, r.opaque, host.Modern)}
		if !s.utf8 {
			to = append(to, fmt.Sprintf("s%d-%t@%s", i, r.opaque, host.Plain))
		}
		m := s.mail(i, to...)
		mark := r.Seal.Mark()
		sent := sendWithRefused(c, m)
		if sent != nil {
			c.Reset()
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			if sent != nil {
				t.Fatal(sent)
			}
			r.check(t, s, m, mark)
		})
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
}

// check looks at what became of a mail.
func (r *round) check(t *testing.T, s sample, m mtarig.Mail, mark int) {
	line, err := r.Seal.WaitLog(mark, " from="+regexp.QuoteMeta(m.From)+" ")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf(" nrcpt=%d ", len(m.To)); !strings.Contains(line, want) {
		t.Errorf("logged %s; want%s", line, want)
	}
	switch {
	case s.unsigned != "":
		if !strings.Contains(line, ": passed ") || !strings.Contains(line, s.unsigned) {
			t.Errorf("logged %s; want passed, %s", line, s.unsigned)
		}
		if !s.walked || !r.walks {
			unchanged(t, r.Host, m)
		}
	case !strings.Contains(line, ": signed "):
		t.Fatalf("logged %s; want signed", line)
	case !s.walked || !r.walks || r.opaque:
		r.checkSigned(t, s, m)
	}
}

// sendWithRefused names a recipient in the midst of others that the MTA refuses.
func sendWithRefused(c *mtarig.Client, m mtarig.Mail) error {
	if err := c.From(m.From, m.Args...); err != nil {
		return err
	}
	for i, to := range m.To {
		if i == len(m.To)-1 {
			if err := c.To(refused); mtarig.Code(err)/100 != 5 {
				return fmt.Errorf("recipient is not refused: %v", err)
			}
		}
		if err := c.To(to); err != nil {
			return err
		}
	}
	return c.Data(m.Data)
}

// unchanged checks that a mail is as it was below the MTA's own Received. What
// the MTA does for a hop without 8BITMIME is not our doing.
func unchanged(t *testing.T, h *host.Host, m mtarig.Mail) {
	t.Helper()
	got := h.Arrived(t, m.To[0])
	wantFields, wantBody := wire.Split(m.Data)
	fields, body := wire.Split(got.Data)
	if wire.Name(fields[0]) != "received" {
		t.Errorf("on top is %q", fields[0])
	}
	diff(t, "header", wantFields, fields[1:])
	diff(t, "body", wantBody, body)
}

// checkSigned checks a signed mail as it arrived at both hops.
func (r *round) checkSigned(t *testing.T, s sample, m mtarig.Mail) {
	var before string
	for _, to := range m.To[:min(len(m.To), 2)] {
		mail := r.Arrived(t, to).Data
		fields, body := wire.Split(mail)
		var wantOther, other []string
		sent, sentBody := wire.Split(m.Data)
		for _, f := range sent {
			if !wire.IsContent(f) {
				wantOther = append(wantOther, f)
			}
		}
		var described []string
		for _, f := range fields[1:] {
			if wire.IsContent(f) {
				described = append(described, f)
			} else {
				other = append(other, f)
			}
		}
		// sendmail moves Content-Transfer-Encoding when it has seen 8-bit
		// bytes in what the client sent, though it need not encode any.
		slices.Sort(described)
		diff(t, "other header fields", wantOther, other)
		for i := 0; i < len(body); i++ {
			if body[i] >= 0x80 {
				t.Fatalf("8-bit body at %d", i)
			}
		}
		now := strings.Join(described, "\n") + body
		if now == before {
			continue // as at the other hop: verified already
		}
		if before != "" {
			t.Error("mail differs by hop")
		}
		before = now

		inner := r.judges.verify(t, mail, r.judges.author(m))
		if s.vague {
			continue
		}
		want := content(t, []byte(mimeHeader(sent)+"\r\n"+ended(sentBody)))
		got := content(t, inner)
		diff(t, "content", want.text(""), got.text(""))
	}
}

// ended gives a text the line end that SMTP gives it.
func ended(body string) string {
	if body != "" && !strings.HasSuffix(body, "\r\n") {
		body += "\r\n"
	}
	return body
}

func mimeHeader(fields []string) string {
	var b strings.Builder
	for _, f := range fields {
		if wire.IsContent(f) {
			b.WriteString(f + "\r\n")
		}
	}
	return b.String()
}
