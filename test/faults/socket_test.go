package faults_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailseal/internal/mtarig"
	"mailseal/test/daemon"
	"mailseal/test/host"
)

// Somebody removes the socket under the running daemon: mail is deferred until
// it is there again, which needs no restart.
func TestSocketRemoved(t *testing.T) {
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			t.Parallel() // it waits for the daemon to look
			h := host.Start(t, setup, settings(t))
			mails := batch(2, 200, "removed")
			session, err := h.Dial(daemon.Local)
			ok(t, err)
			defer session.Close()
			before := descriptors(t, h.Seal)
			ok(t, os.Remove(h.MTA.MilterSocket()))
			if err := h.Deliver(mails[0]); !deferred(err) {
				t.Errorf("without a socket: %v", err)
			}
			ok(t, session.Send(mails[1])) // who is connected stays so
			n, err := persist(h, mails[0])
			ok(t, err)
			line, err := h.Seal.WaitLog(0, ": socket level=warn")
			ok(t, err)
			t.Logf("deferred %d times more; %s", n, line)
			ok(t, session.Quit())
			arrivedOnce(t, h, mails)
			settled(t, h.Seal, before)
		})
	}
}

// The folder of the socket is away, as after a start of the system that has an
// empty /run: the daemon does not start, and says what is missing.
func TestSocketFolderGone(t *testing.T) {
	s := settings(t)
	s.Socket = "unix:" + filepath.Join(t.TempDir(), "gone", "milter.sock")
	d := daemon.New(t, s)
	_, stderr, status := daemon.Run(t, nil, "milter", "-config", d.File())
	if status != 69 || !strings.Contains(stderr, "milter.socket") || !strings.Contains(stderr, "gone") || !strings.Contains(stderr, "no such file or directory") {
		t.Errorf("status %d, %s", status, stderr)
	}
}

// The folder of the spool is removed under the running daemon: mails that need
// it are deferred until it is there again.
func TestStateFolderGone(t *testing.T) {
	h := host.Start(t, host.Both[0], settings(t))
	state := filepath.Join(h.Seal.Folder(), "state")
	ok(t, os.Remove(state))
	small, large := mail(recipient("stateless"), 200), mail(recipient("stateful"), 700_000)
	ok(t, h.Deliver(small))
	if err := h.Deliver(large); mtarig.Code(err) != 452 {
		t.Errorf("a mail that needs a file: %v; want 452", err)
	}
	ok(t, os.Mkdir(state, 0o700))
	ok(t, h.Deliver(large))
	arrivedOnce(t, h, []mtarig.Mail{small, large})
}
