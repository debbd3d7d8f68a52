package faults_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"mailseal/internal/mtarig"
	"mailseal/test/daemon"
	"mailseal/test/host"
	"mailseal/test/rig"
)

// A mail for 10,000 recipients goes out, one signature for all. The recipient
// after that is told to wait for the next mail (RFC 5321 section 4.5.3.1.10),
// and the others get theirs.
func TestRecipients(t *testing.T) {
	slow(t)
	const most = 10_000
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			h := host.Start(t, setup, settings(t), func(c *mtarig.Config) {
				if setup.MTA != rig.Sendmail {
					c.Extra = append(c.Extra, fmt.Sprintf("smtpd_recipient_limit = %d", most+10), "smtpd_recipient_overshoot_limit = 100")
				}
			})
			m := mail(recipient("many"), 1000)
			m.To = nil
			c, err := h.Dial(daemon.Local)
			ok(t, err)
			defer c.Close()
			begin := time.Now()
			ok(t, c.From(m.From))
			for i := range most {
				to := recipient("r%d", i)
				m.To = append(m.To, to)
				ok(t, c.To(to))
			}
			over := c.To(recipient("over"))
			if mtarig.Code(over) != 452 || !strings.Contains(fmt.Sprint(over), "4.5.3") {
				t.Errorf("one recipient too many: %v; want 452 4.5.3", over)
			}
			ok(t, errors.Join(c.Data(m.Data), c.Quit()))
			took := time.Since(begin)
			if n := len(h.Seal.Lines(0, fmt.Sprintf(": signed .* nrcpt=%d ", most))); n != 1 {
				t.Errorf("%d lines on a mail for %d", n, most)
			}
			h.AwaitEmptyQueue(t)
			got := map[string]int{}
			for _, mail := range h.Mails(host.Modern) {
				signed(t, mail.Data)
				for _, to := range mail.To {
					got[to]++
				}
			}
			for _, to := range m.To {
				if got[to] != 1 {
					t.Fatalf("mail for %s was delivered %d times", to, got[to])
				}
			}
			if len(got) != most {
				t.Errorf("%d recipients; want %d", len(got), most)
			}
			t.Logf("%d recipients in %v, %d MiB at most", most, took.Round(time.Millisecond), resident(t, h.Seal, "VmHWM"))
		})
	}
}
