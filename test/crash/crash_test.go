// Package crash_test kills the milter at every point of a transaction and looks
// at what becomes of the mail. Both MTAs are set up to defer mail that their
// milter cannot see (default_action=tempfail, F=T), as the documentation asks
// for: then a mail is never lost, never delivered twice and never delivered
// with some of the edits.
package crash_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/internal/mtarig"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/test/cutter"
	"mailseal/test/daemon"
	"mailseal/test/host"
	"mailseal/test/rig"
	"mailseal/test/wire"
)

const author = "alice@example.test"

// mail is for a recipient of its own. It is so large that the MTA gives it in
// several pieces and takes it back in several.
func mail(recipient string) mtarig.Mail {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nSubject: crash\r\nMessage-Id: <%s>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", author, recipient, recipient)
	for i := range 2500 {
		fmt.Fprintf(&b, "line %d of a mail that is not lost, whatever happens to its milter\r\n", i)
	}
	return mtarig.Mail{From: author, To: []string{recipient}, Data: b.Bytes()}
}

// scene is a host with a cutter between the MTA and the milter.
type scene struct {
	*host.Host
	cutter *cutter.Cutter
}

func newScene(t *testing.T, setup host.Setup, onFailure mtarig.Failure) *scene {
	p := testpki.New(t)
	h := host.Prepare(t, setup)
	network, address, socket := "tcp", "127.0.0.1:0", ""
	if setup.Network == "unix" {
		network, address, socket = "unix", h.MTA.MilterSocket(), "unix:"+filepath.Join(h.MTA.Dir(), "behind.sock")
	}
	h.Attach(t, daemon.Settings{
		Socket: socket, Identities: []pki.Identity{p.User(author, ca.P256)}, Trust: p.Roots(),
	})
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if network == "unix" {
		if err := os.Chmod(address, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	c := cutter.Serve(l, h.Seal.Dial)
	t.Cleanup(func() { c.Close() })
	h.MTA.SetMilters(mtarig.Milter{Network: network, Address: l.Addr().String(), OnFailure: onFailure})
	rig.Start(t, h.MTA)
	return &scene{Host: h, cutter: c}
}

// A point is a packet, or the middle of one.
type point struct {
	cutter.Packet
	action cutter.Action
}

func (p point) String() string {
	where := "before "
	if p.action == cutter.Break {
		where = "within "
	}
	return where + p.Packet.String()
}

// points sends a mail and returns every point of its transaction.
func (s *scene) points(t *testing.T) []point {
	t.Helper()
	conn, ended := s.cutter.Next(), make(chan bool)
	seen := make(chan cutter.Packet, 1000)
	s.cutter.Watch(func(p cutter.Packet) cutter.Action {
		if p.Conn == conn {
			seen <- p
			if p.Side == cutter.MTA && p.Code == 'Q' {
				close(ended)
			}
		}
		return cutter.Pass
	})
	if err := s.Deliver(mail("trace@" + host.Modern)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(daemon.Patience):
		t.Fatal("MTA does not take leave of its milter")
	}
	s.cutter.Watch(nil)
	close(seen)
	var all []point
	had := map[string]bool{}
	for p := range seen {
		if p.Side == cutter.Milter && p.Code == 'p' {
			continue // comes when the machine is slow
		}
		had[p.Name()] = true
		all = append(all, point{p, cutter.Cut}, point{p, cutter.Break})
	}
	for _, name := range []string{
		"mta negotiate", "mta connect", "mta helo", "mta mail", "mta rcpt", "mta header", "mta end-of-header", "mta body",
		"mta end-of-message", "milter change-header", "milter replace-body",
	} {
		if !had[name] {
			t.Errorf("no packet %q in the transaction", name)
		}
	}
	return all
}

// kill has the milter die at a point of the next connection.
func (s *scene) kill(at point) (killed <-chan struct{}) {
	conn, done := s.cutter.Next(), make(chan struct{})
	s.cutter.Watch(func(p cutter.Packet) cutter.Action {
		if p.Conn != conn || p.Side != at.Side || p.Code != at.Code || p.Nth != at.Nth {
			return cutter.Pass
		}
		s.Seal.Kill()
		close(done)
		return at.action
	})
	return done
}

// deferred checks that the client was told to try again.
func deferred(t *testing.T, err error) {
	t.Helper()
	if code := mtarig.Code(err); code != 451 {
		t.Errorf("client is told %v; want 451", err)
	}
}

func TestKilled(t *testing.T) {
	setups := host.Both
	if os.Getenv("MAILSEAL_SLOW") != "" {
		setups = append(slices.Clone(setups), host.Setup{MTA: rig.Postfix, Network: "tcp"}, host.Setup{MTA: rig.Sendmail, Network: "tcp"})
	}
	for _, setup := range setups {
		t.Run(setup.String(), func(t *testing.T) {
			t.Parallel()
			s := newScene(t, setup, mtarig.Tempfail)
			var recipients []string
			for i, at := range s.points(t) {
				to := fmt.Sprintf("cut%d@%s", i, host.Modern)
				recipients = append(recipients, to)
				t.Run(at.String(), func(t *testing.T) { s.cut(t, at, to) })
			}
			s.AwaitEmptyQueue(t)
			for _, to := range recipients {
				if n := s.Count(to); n != 1 {
					t.Errorf("mail for %s was delivered %d times", to, n)
				}
			}
		})
	}
}

// Where an MTA is told to go on without its milter, it delivers what the milter
// has edited so far: no milter can prevent that. The documentation and `mailseal
// check` warn of it; and here it shows that these tests would notice.
func TestHalfEditedWithoutTempfail(t *testing.T) {
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			t.Parallel()
			s := newScene(t, setup, mtarig.Accept)
			m := mail("half@" + host.Modern)
			killed := s.kill(point{cutter.Packet{Side: cutter.Milter, Code: 'b'}, cutter.Cut})
			if err := s.Deliver(m); err != nil {
				t.Fatal(err)
			}
			<-killed
			got := s.Arrived(t, m.To[0]).Data
			_, body := wire.Split(got)
			if !strings.Contains(string(got), "\r\nContent-Type: multipart/signed;") || !strings.HasPrefix(body, "line 0 ") {
				t.Errorf("mail is not half-edited:\n%.1000s", got)
			}
			if stdout, _, status := daemon.Run(t, got, "verify", "-ca", s.Seal.Trust()); status != 1 {
				t.Errorf("mailseal verify: status %d, %s", status, stdout)
			}
		})
	}
}

// cut sends a mail, has the milter killed at a point, and does what a client
// does then.
func (s *scene) cut(t *testing.T, at point, recipient string) {
	m := mail(recipient)
	killed := s.kill(at)
	err := s.Deliver(m)
	select {
	case <-killed:
	case <-time.After(daemon.Patience):
		t.Fatalf("the transaction ended without that packet: %v", err)
	}
	s.cutter.Watch(nil)
	if err != nil {
		deferred(t, err)
		deferred(t, s.Deliver(m)) // nobody is there
	}
	s.Seal.Start()
	if err != nil {
		if err := s.Deliver(m); err != nil {
			t.Fatalf("second attempt: %v", err)
		}
	}
	s.whole(t, m)
}

// whole checks that a mail has arrived signed, with all of its text.
func (s *scene) whole(t *testing.T, m mtarig.Mail) {
	t.Helper()
	got := s.Arrived(t, m.To[0]).Data
	stdout, stderr, status := daemon.Run(t, got, "verify", "-ca", s.Seal.Trust())
	if status != 0 || !strings.Contains(stdout, "smime=pass") {
		t.Errorf("mailseal verify: status %d, %s%s", status, stdout, stderr)
	}
	if _, text := wire.Split(m.Data); !strings.Contains(string(got), text) {
		t.Error("mail does not hold all of its text")
	}
}
