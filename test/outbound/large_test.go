package outbound_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"mailseal/certmgr/ca"
	"mailseal/internal/mtarig"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/test/daemon"
	"mailseal/test/host"
	"mailseal/test/peers"
	"mailseal/test/wire"
)

// large is a mail with an attachment, of so many bytes and a few more.
func large(to string, size int) mtarig.Mail {
	var b bytes.Buffer
	b.WriteString(wire.Text("From: "+alice, "To: "+to, "Date: Sat, 21 Nov 2026 12:00:00 +0900", "Message-ID: <"+to+">", "Subject: large",
		"MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=b", "", "--b", "", "See the attachment.", "--b",
		"Content-Type: application/octet-stream; name=large.bin", "Content-Transfer-Encoding: base64", ""))
	chunk := encoded(57 * 1000)
	for b.Len() < size {
		b.WriteString(chunk)
	}
	b.WriteString("--b--\r\n")
	return mtarig.Mail{From: alice, To: []string{to}, Data: b.Bytes()}
}

func TestLarge(t *testing.T) {
	p := testpki.New(t)
	settings := daemon.Settings{Identities: []pki.Identity{p.User(alice, ca.P256)}, Trust: p.Roots()}
	j := newJudges(t, p, settings.Identities...)
	// The older command of OpenSSL is as slow as the newer with such a mail.
	j.peers = slices.DeleteFunc(j.peers, func(p peers.Peer) bool { return p.Name() == "openssl smime" })
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			// One after the other: each has the mail in memory several times.
			h := host.Start(t, setup, settings)
			m := large("large@"+host.Modern, 25<<20)
			var four errgroup.Group
			for i := range 4 { // at once
				one := m
				if i > 0 {
					one.To = []string{fmt.Sprintf("large%d@%s", i, host.Modern)}
				}
				four.Go(func() error { return h.Deliver(one) })
			}
			if err := four.Wait(); err != nil {
				t.Fatal(err)
			}
			inner := j.verify(t, h.Arrived(t, m.To[0]).Data, j.author(m))
			_, want, _ := bytes.Cut(m.Data, []byte("\r\n\r\n"))
			if !bytes.HasSuffix(inner, want) {
				t.Errorf("%d bytes are signed that do not end in the body sent, of %d", len(inner), len(want))
			}
			// A mail is never in memory as a whole.
			if peak := h.Seal.PeakMemory(); peak > 64<<20 && os.Getenv("MAILSEAL_TEST_RACE") == "" {
				t.Errorf("mailseal took %d MiB for four mails of 25 at once", peak>>20)
			} else {
				t.Logf("mailseal took %d MiB for four mails of 25 at once", peak>>20)
			}
		})
	}
}

// A mail that is larger than allowed is refused for good, and the session goes
// on.
func TestTooLarge(t *testing.T) {
	p := testpki.New(t)
	settings := daemon.Settings{
		Identities: []pki.Identity{p.User(alice, ca.P256)}, Trust: p.Roots(), Milter: []string{`max_message_size = "100KiB"`},
	}
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			t.Parallel()
			h := host.Start(t, setup, settings)
			c, err := h.Dial(daemon.Local)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for i := range 3 {
				err := c.Send(large("toolarge@"+host.Modern, 200<<10))
				if mtarig.Code(err) != 552 || !strings.Contains(fmt.Sprint(err), "5.3.4 message too large") {
					t.Errorf("client is told %v; want 552 5.3.4", err)
				}
				to := fmt.Sprintf("small%d@%s", i, host.Modern)
				if err := c.Send(large(to, 1000)); err != nil {
					t.Fatal(err)
				}
				if stdout, _, status := daemon.Run(t, h.Arrived(t, to).Data, "verify", "-ca", h.Seal.Trust()); status != 0 {
					t.Errorf("mailseal verify: status %d, %s", status, stdout)
				}
			}
			h.AwaitEmptyQueue(t)
			if n := h.Count("toolarge@" + host.Modern); n > 0 {
				t.Errorf("%d mails that are too large were delivered", n)
			}
		})
	}
}
