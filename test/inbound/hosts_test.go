package inbound_test

import (
	"fmt"
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

// What one mail host signs the next one finds good, with either MTA on either
// side, and whatever is 8-bit or long in it.
func TestFromHostToHost(t *testing.T) {
	p := testpki.New(t)
	sender := daemon.Settings{Identities: []pki.Identity{p.User(alice, ca.P256)}, Trust: p.Roots()}
	for _, far := range host.Both {
		for _, near := range host.Both {
			t.Run(fmt.Sprintf("%s to %s", near.MTA, far.MTA), func(t *testing.T) {
				t.Parallel()
				receiver := host.Start(t, far, daemon.Settings{Trust: p.Roots()})
				h := host.Start(t, near, sender, func(c *mtarig.Config) {
					c.Hostname, c.Relay, c.Source = "near.example.test", receiver.MTA.Addr(), daemon.Outside
				})
				for i, opaque := range []bool{false, true} {
					h.Reload(t, func(s *daemon.Settings) { s.Opaque = opaque })
					m := mtarig.Mail{From: alice, To: []string{fmt.Sprintf("far%d@far.example.org", i)}, Args: []string{"BODY=8BITMIME"}}
					m.Data = []byte(wire.Text("From: "+alice, "To: "+m.To[0], "Date: Sat, 21 Nov 2026 12:00:00 +0900", "Message-ID: <"+m.To[0]+">",
						"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=", "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
						"Content-Transfer-Encoding: 8bit", "", "Grüße  ", "From here", ".", strings.Repeat("日本語", 700)))
					if err := h.Deliver(m); err != nil {
						t.Fatal(err)
					}
					judged(t, receiver.Arrived(t, m.To[0]).Data, `smime=pass reason="revocation status is unknown" body.smime-identifier=`+alice, "", nil)
				}
			})
		}
	}
}
