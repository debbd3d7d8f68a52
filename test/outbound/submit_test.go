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
// it has added, and no angle brackets in the envelope. (sendmail's command
// speaks SMTP to the daemon, as all clients here do.)
func TestSendmailCommand(t *testing.T) {
	p := testpki.New(t)
	settings := daemon.Settings{Identities: []pki.Identity{p.User(alice, ca.P256)}, Trust: p.Roots()}
	j := newJudges(t, p, settings.Identities...)
	h := host.Start(t, host.Setups[0], settings, func(c *mtarig.Config) { c.NonSMTP = true })
	to := "local@" + host.Modern
	body := "Disk full,\nFrom now on.  \n.\n" + latin1 + "\n"
	m := mtarig.Mail{From: alice, To: []string{to}, Data: []byte("To: " + to + "\nFrom: " + alice + "\nSubject: cron\n\n" + body)}
	if err := h.MTA.(*mtarig.Postfix).Inject(m); err != nil {
		t.Fatal(err)
	}
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
