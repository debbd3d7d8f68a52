package opening_test

import (
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"mailseal/certmgr/ca"
	"mailseal/internal/mtarig"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/test/daemon"
	"mailseal/test/host"
	"mailseal/test/rig"
	"mailseal/test/wire"
)

// Whoever has captured a mail can send it so that it bounces, and gets the notice.
// With the settings of the guides there is nothing of the content in it.
func TestBounceOfWhatWasOpened(t *testing.T) {
	p := testpki.New(t)
	key := p.User(alice, ca.P256)
	entity := sender{T: t}.encrypt(wire.Text("Content-Type: text/plain", "", secret), "aes256", key.Certificate)
	header := wire.Text("From: "+carol, "To: "+alice, "Subject: once more", "MIME-Version: 1.0")
	settings := map[rig.Kind][]string{
		rig.Chrooted: {"bounce_size_limit = 1"},
		rig.Sendmail: {"define(`confPRIVACY_FLAGS', `authwarnings,nobodyreturn')"},
	}
	for _, setup := range host.Both {
		for _, safe := range []bool{false, true} {
			t.Run(setup.String()+map[bool]string{true: ", as the guide has it"}[safe], func(t *testing.T) {
				t.Parallel()
				next := rig.NewSink(t, mtarig.SinkConfig{Rcpt: func(to string) error {
					if to == alice {
						return &smtp.SMTPError{Code: 550, Message: "over quota"}
					}
					return nil
				}})
				h := host.Start(t, setup, daemon.Settings{Identities: []pki.Identity{key}, Trust: p.Roots()}, func(c *mtarig.Config) {
					c.Relay = next.Addr()
					if safe {
						c.Extra = append(c.Extra, settings[setup.MTA]...)
					}
				})
				mark := h.Seal.Mark()
				if err := h.DeliverFrom(daemon.Outside, mtarig.Mail{From: "eve@far.example.org", To: []string{alice}, Data: []byte(header + entity)}); err != nil {
					t.Fatal(err)
				}
				if _, err := h.Seal.WaitLog(mark, "decrypted=yes"); err != nil {
					t.Fatal(err)
				}
				notice, err := next.Next(daemon.Patience)
				if err != nil {
					t.Fatal(err)
				}
				if told := strings.Contains(string(notice.Data), secret); told == safe {
					t.Errorf("content in the notice: %v\n%s", told, notice.Data)
				}
			})
		}
	}
}
