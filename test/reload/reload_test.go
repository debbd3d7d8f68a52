// Package reload_test changes the configuration under traffic, stops the daemon
// in the midst of a mail and starts it again where one has crashed.
package reload_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/message"
	"mailseal/internal/mtarig"
	"mailseal/internal/pki"
	"mailseal/internal/spool"
	"mailseal/internal/testpki"
	"mailseal/smime"
	"mailseal/test/daemon"
	"mailseal/test/host"
	"mailseal/test/wire"
)

const author = "alice@example.test"

func mail(recipient string) mtarig.Mail {
	return mtarig.Mail{
		From: recipient[:strings.Index(recipient, "@")] + "@sender.example.test", To: []string{recipient},
		Data: []byte(wire.Text("From: "+author, "To: "+recipient, "Date: Sat, 21 Nov 2026 12:00:00 +0900",
			"Message-ID: <"+recipient+">", "Subject: reload", "", "for "+recipient)),
	}
}

func settings(t *testing.T) daemon.Settings {
	p := testpki.New(t)
	return daemon.Settings{Trust: p.Roots(), Identities: []pki.Identity{p.User(author, ca.P256)}}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// signed checks a mail that has arrived.
func signed(t *testing.T, h *host.Host, recipient string) (opaque bool) {
	t.Helper()
	data := h.Arrived(t, recipient).Data
	stdout, _, status := daemon.Run(t, data, "verify", "-ca", h.Seal.Trust())
	if status != 0 {
		t.Errorf("mail for %s: mailseal verify: status %d, %s", recipient, status, stdout)
	}
	return strings.Contains(string(data), "\r\nContent-Type: application/pkcs7-mime;")
}

// good is signed for very many mails: it starts no process.
func good(t *testing.T, mail []byte) {
	t.Helper()
	store, err := spool.New(spool.Config{})
	ok(t, err)
	m, err := message.Read(bytes.NewReader(mail), store, message.Limits{})
	ok(t, err)
	defer m.Body.Close()
	r, err := smime.Verify(m, smime.VerifyOptions{Spool: store})
	ok(t, err)
	if r.Err != nil || len(r.Signers) != 1 || r.Signers[0].Result.Err != nil {
		t.Errorf("%v: %v, signers %+v:\n%s", r.Kind, r.Err, r.Signers, mail)
	}
}

// Traffic is clients that send one mail after the other until they are told to
// stop. Every mail has to be taken.
type traffic struct {
	stop  atomic.Bool
	wait  sync.WaitGroup
	mu    sync.Mutex
	sent  []string // recipients
	fault error
}

func start(t *testing.T, h *host.Host, clients int) *traffic {
	tr := &traffic{}
	t.Cleanup(func() { tr.end(t) })
	for n := range clients {
		tr.wait.Go(func() {
			for i := 0; !tr.stop.Load(); i++ {
				to := fmt.Sprintf("client%d-%d@%s", n, i, host.Modern)
				if err := h.Deliver(mail(to)); err != nil {
					tr.mu.Lock()
					tr.fault = fmt.Errorf("mail for %s: %w", to, err)
					tr.mu.Unlock()
					return
				}
				tr.mu.Lock()
				tr.sent = append(tr.sent, to)
				tr.mu.Unlock()
			}
		})
	}
	return tr
}

func (tr *traffic) end(t *testing.T) []string {
	t.Helper()
	tr.stop.Store(true)
	tr.wait.Wait()
	if tr.fault != nil {
		t.Error(tr.fault)
	}
	return tr.sent
}

// broken are changes to a configuration that make it wrong, and what the log
// says of each.
var broken = []struct {
	name  string
	wreck func(t *testing.T, d *daemon.Daemon)
	says  string
}{
	{"syntax", overwrite("authserv_id = \n"), "mailseal.toml:1:"},
	{"key that is none", add("\nfromat = \"opaque\"\n"), "fromat"},
	{"no trust anchors", func(t *testing.T, d *daemon.Daemon) { ok(t, os.Remove(d.Trust())) }, "ca.pem"},
	{"identity that is none", func(t *testing.T, d *daemon.Daemon) {
		ok(t, os.WriteFile(d.Folder()+"/identities/00.pem", []byte("nothing"), 0o600))
	}, "00.pem"},
	{"key for all to read", func(t *testing.T, d *daemon.Daemon) { ok(t, os.Chmod(d.Folder()+"/identities/00.pem", 0o644)) }, "00.pem"},
	{"no file", func(t *testing.T, d *daemon.Daemon) { ok(t, os.Remove(d.File())) }, "mailseal.toml"},
}

func overwrite(text string) func(*testing.T, *daemon.Daemon) {
	return func(t *testing.T, d *daemon.Daemon) { ok(t, os.WriteFile(d.File(), []byte(text), 0o600)) }
}

func add(text string) func(*testing.T, *daemon.Daemon) {
	return func(t *testing.T, d *daemon.Daemon) {
		b, err := os.ReadFile(d.File())
		ok(t, err)
		ok(t, os.WriteFile(d.File(), append(b, text...), 0o600))
	}
}

func TestReloadUnderTraffic(t *testing.T) {
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			t.Parallel()
			s := settings(t)
			h := host.Start(t, setup, s)
			tr := start(t, h, 2)
			// Nothing changes with a configuration that is wrong.
			for i, b := range broken {
				b.wreck(t, h.Seal)
				mark := h.Seal.Mark()
				h.Seal.Signal([]syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1}[i%2])
				line, err := h.Seal.WaitLog(mark, ": kept the old configuration")
				if err != nil {
					t.Errorf("%s: %v", b.name, err)
				} else if !strings.Contains(line, b.says) {
					t.Errorf("%s: logged %s; want %s", b.name, line, b.says)
				}
				h.Seal.Configure(h.Seal.Settings())
				to := fmt.Sprintf("broken%d@%s", i, host.Modern)
				ok(t, h.Deliver(mail(to)))
				if signed(t, h, to) {
					t.Errorf("%s: mail is opaque", b.name)
				}
			}
			// What begins after the reload goes by the new one.
			for i := range 4 {
				opaque := i%2 == 0
				h.Reload(t, func(s *daemon.Settings) { s.Opaque = opaque })
				to := fmt.Sprintf("reload%d@%s", i, host.Modern)
				ok(t, h.Deliver(mail(to)))
				if signed(t, h, to) != opaque {
					t.Errorf("after reload %d: opaque %t", i, !opaque)
				}
			}
			all := tr.end(t)
			t.Logf("%d mails on the way", len(all))
			for _, to := range all {
				good(t, h.Arrived(t, to).Data)
				if n := h.Count(to); n != 1 {
					t.Errorf("mail for %s was delivered %d times", to, n)
				}
			}
		})
	}
}

// A daemon that is told to end finishes the mail that it has, takes no other,
// and ends with 0.
func TestDrain(t *testing.T) {
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			t.Parallel()
			h := host.Start(t, setup, settings(t))
			idle, err := h.Dial(daemon.Local) // a session without a mail holds nothing up
			ok(t, err)
			defer idle.Close()
			to := "drained@" + host.Modern
			m := mail(to)
			c, err := h.Dial(daemon.Local)
			ok(t, err)
			defer c.Close()
			ok(t, c.From(m.From))
			ok(t, c.To(to))

			mark := h.Seal.Mark()
			h.Seal.Signal(syscall.SIGTERM)
			_, err = h.Seal.WaitLog(mark, ": stopping")
			ok(t, err)
			ok(t, c.Data(m.Data))
			if status := h.Seal.Wait(); status != 0 {
				t.Errorf("mailseal milter ended with status %d", status)
			}
			ok(t, c.Quit())
			signed(t, h, to)
			late := mail("late@" + host.Modern)
			if code := mtarig.Code(h.Deliver(late)); code != 451 {
				t.Errorf("without a milter the client is told %d", code)
			}
			if code := mtarig.Code(idle.Send(late)); code != 451 {
				t.Errorf("session from before is told %d", code)
			}
			h.Seal.Start()
			ok(t, h.Deliver(late))
			signed(t, h, late.To[0])
		})
	}
}

// A daemon that was killed leaves its socket; the next one takes its place.
func TestStaleSocket(t *testing.T) {
	h := host.Start(t, host.Both[0], settings(t))
	socket := h.MTA.MilterSocket()
	h.Seal.Kill()
	if fi, err := os.Lstat(socket); err != nil || fi.Mode()&os.ModeSocket == 0 {
		t.Fatalf("no socket is left: %v", err)
	}
	h.Seal.Start()
	to := "stale@" + host.Modern
	ok(t, h.Deliver(mail(to)))
	signed(t, h, to)

	// One that is in use stays in use.
	stdout, stderr, status := daemon.Run(t, nil, "milter", "-config", h.Seal.File())
	if status != 69 || !strings.Contains(stderr, socket) {
		t.Errorf("second daemon on a socket: status %d, %s%s; want 69 and the socket's name", status, stdout, stderr)
	}
	to = "beside@" + host.Modern
	ok(t, h.Deliver(mail(to)))
	signed(t, h, to)

	// What is no socket is not removed.
	h.Seal.Stop()
	ok(t, os.WriteFile(socket, []byte("precious"), 0o600))
	if _, stderr, status := daemon.Run(t, nil, "milter", "-config", h.Seal.File()); status != 69 || !strings.Contains(stderr, socket) {
		t.Errorf("daemon in the place of a file: status %d, %s", status, stderr)
	}
	if b, err := os.ReadFile(socket); string(b) != "precious" {
		t.Errorf("file in the socket's place holds %q, %v", b, err)
	}
	ok(t, os.Remove(socket))
	h.Seal.Start()
}
