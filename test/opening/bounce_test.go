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
// There is nothing of the content in it, though the MTA has no setting for that.
func TestBounceOfWhatWasOpened(t *testing.T) {
	p := testpki.New(t)
	key := p.User(alice, ca.P256)
	entity := sender{T: t}.encrypt(wire.Text("Content-Type: text/plain", "", secret), "aes256", key.Certificate)
	header := wire.Text("From: "+carol, "To: "+alice, "Subject: once more", "MIME-Version: 1.0")
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			t.Parallel()
			next := rig.NewSink(t, mtarig.SinkConfig{Rcpt: func(to string) error {
				if to == alice {
					return &smtp.SMTPError{Code: 550, Message: "over quota"}
				}
				return nil
			}})
			h := host.Start(t, setup, daemon.Settings{Identities: []pki.Identity{key}, Trust: p.Roots()}, func(c *mtarig.Config) { c.Relay = next.Addr() })
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
			if notice.From != "" || strings.Contains(string(notice.Data), secret) {
				t.Errorf("content in the notice:\n%s", notice.Data)
			}
		})
	}
}
