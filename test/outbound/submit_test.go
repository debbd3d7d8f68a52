package outbound_test

import (
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

// Programs on the mail host itself hand their mail to the sendmail command.
// Postfix gives it to non_smtpd_milters, with line ends of its own, fields that
// it has added, and no angle brackets in the envelope. sendmail's command puts
// it into a queue of its own and speaks SMTP to the daemon from 127.0.0.1, with
// a Received field that tells of no client.
func TestSendmailCommand(t *testing.T) {
	p := testpki.New(t)
	settings := daemon.Settings{Identities: []pki.Identity{p.User(alice, ca.P256)}, Trust: p.Roots()}
	j := newJudges(t, p, settings.Identities...)
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			t.Parallel()
			h := host.Start(t, setup, settings, nonSMTP)
			t.Run("whole", func(t *testing.T) { sendsLocally(t, h, j, "From: "+alice+"\n") })
			t.Run("no From", func(t *testing.T) { sendsLocally(t, h, j, "") })
			t.Run("milter away", func(t *testing.T) { waitsForMilter(t, h, j) })
		})
	}
}

func nonSMTP(c *mtarig.Config) { c.NonSMTP = len(c.Transport) > 0 }

// sendsLocally: what arrives is signed, says the same, and has the fields that
// a program may leave to the MTA, From by the envelope's sender among them.
func sendsLocally(t *testing.T, h *host.Host, j judges, head string) {
	to := "local" + strings.ToLower(head[:min(len(head), 4)]) + "@" + host.Modern
	body := "Disk full,\nFrom now on.  \n.\n" + latin1 + "\n"
	inject(t, h, mtarig.Mail{From: alice, To: []string{to}, Data: []byte("To: " + to + "\n" + head + "Subject: cron\n\n" + body)})
	got := h.Arrived(t, to)
	inner := j.verify(t, got.Data, j.ids[0].Certificate)
	if c := content(t, inner).Content; c != strings.ReplaceAll(body, "\n", "\r\n") {
		t.Errorf("content is %q", c)
	}
	if got.From != alice || len(got.To) != 1 || got.To[0] != to {
		t.Errorf("envelope %s, %s", got.From, got.To)
	}
	fields, _ := wire.Split(got.Data)
	names := map[string]int{}
	for _, f := range fields {
		names[wire.Name(f)]++
	}
	for _, n := range []string{"from", "to", "subject", "date", "message-id"} {
		if names[n] != 1 {
			t.Errorf("%d fields %s", names[n], n)
		}
	}
}

// waitsForMilter: the program that sends hears of nothing, and the mail leaves
// neither unsigned nor twice when the milter has been away.
func waitsForMilter(t *testing.T, h *host.Host, j judges) {
	h.Seal.Stop()
	to := "later@" + host.Modern
	inject(t, h, mtarig.Mail{From: alice, To: []string{to}, Data: []byte("To: " + to + "\nFrom: " + alice + "\nSubject: cron\n\nLater.\n")})
	retry := h.MTA.Flush
	switch m := h.MTA.(type) {
	case *mtarig.Postfix:
		if _, err := m.WaitLog(`warning: connect to Milter service`, daemon.Patience); err != nil {
			t.Fatal(err)
		}
		retry = func() error { return m.Reload() }
	case *mtarig.Sendmail:
		q, err := m.SubmitQueue()
		if err != nil || len(q) != 1 {
			t.Fatalf("the submission program's queue holds %+v, %v", q, err)
		}
		retry = m.FlushSubmitted
	}
	if n := h.Count(to); n != 0 {
		t.Fatalf("%d mails left without the milter", n)
	}
	h.Seal.Start()
	if err := retry(); err != nil {
		t.Fatal(err)
	}
	got := h.Arrived(t, to)
	j.verify(t, got.Data, j.ids[0].Certificate)
	h.AwaitEmptyQueue(t)
	if n := h.Count(to); n != 1 {
		t.Errorf("%d mails", n)
	}
}

func inject(t *testing.T, h *host.Host, m mtarig.Mail) {
	t.Helper()
	if err := h.MTA.(interface{ Inject(mtarig.Mail) error }).Inject(m); err != nil {
		t.Fatal(err)
	}
}
