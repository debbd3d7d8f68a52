package faults_test

import (
	"bufio"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailseal/internal/mtarig"
	"mailseal/test/daemon"
	"mailseal/test/host"
)

// logTo has a daemon log to a pipe of the test's own, at PIPE.
func logTo(pipe string) []string {
	return []string{"/bin/sh", "-c", `exec 2>"$0" "$@"`, pipe}
}

// fifo makes a pipe, and opens it for both ways, so that nobody waits.
func fifo(t *testing.T) (string, *os.File) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	ok(t, syscall.Mkfifo(path, 0o600))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	ok(t, err)
	t.Cleanup(func() { f.Close() })
	return path, f
}

// chatter has a daemon log so many lines.
func chatter(t *testing.T, d *daemon.Daemon, lines int) {
	t.Helper()
	for range lines {
		c, err := dial(d)
		for errors.Is(err, syscall.EAGAIN) {
			time.Sleep(time.Millisecond)
			c, err = dial(d)
		}
		ok(t, err)
		c.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
		c.Close()
	}
}

// Who reads the log hangs: mail goes on, and the log when he does.
func TestLogStalled(t *testing.T) {
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			path, reader := fifo(t)
			s := settings(t)
			s.Under = logTo(path)
			h := host.Start(t, setup, s)
			chatter(t, h.Seal, 3000) // the pipe holds 64 KiB, the daemon 1024 lines
			mails := batch(20, 200, "stalled")
			begin := time.Now()
			each(mails, 8, func(_ int, m mtarig.Mail) {
				if err := h.Deliver(m); err != nil {
					t.Errorf("while the log stands: %v", err)
				}
			})
			t.Logf("%d mails in %v with nobody to read the log", len(mails), time.Since(begin).Round(time.Millisecond))
			ok(t, reader.SetReadDeadline(time.Now().Add(daemon.Patience)))
			lines := bufio.NewReader(reader)
			after := mail(recipient("flowing"), 200)
			var n int
			for lost := false; !lost; n++ {
				line, err := lines.ReadString('\n')
				ok(t, err)
				if lost = strings.Contains(line, " lost="); lost {
					t.Logf("after %d lines: %s", n, line)
				}
			}
			ok(t, h.Deliver(after))
			for signed := false; !signed; {
				line, err := lines.ReadString('\n')
				ok(t, err)
				signed = strings.Contains(line, ": signed ")
			}
			arrivedOnce(t, h, append(mails, after))
		})
	}
}

// Who reads the log has gone.
func TestLogPipeBroken(t *testing.T) {
	path, reader := fifo(t)
	s := settings(t)
	s.Under = logTo(path)
	h := host.Start(t, host.Both[0], s)
	ok(t, reader.Close())
	mails := batch(20, 200, "broken")
	each(mails, 4, func(_ int, m mtarig.Mail) {
		if err := h.Deliver(m); err != nil {
			t.Errorf("without a log: %v", err)
		}
	})
	h.Seal.Stop() // it has lived until then
	s = h.Seal.Settings()
	s.Under = nil
	h.Seal.Configure(s)
	h.Seal.Start()
	arrivedOnce(t, h, mails)
}

// ownRun has the daemon live in a mount namespace of its own, in which /run is
// another folder, and there is no /dev/log. Go looks for it first, then for
// /var/run/syslog.
func ownRun(dir string) []string {
	return []string{"unshare", "--mount", "/bin/sh", "-c",
		`mount --bind "$0" /run && if [ -e /dev/log ]; then mount --bind /dev/null /dev/log; fi && exec "$@"`, dir}
}

// syslogd stops taking lines, ends, and comes back. Mail goes on, and in the end
// the log does.
func TestSyslogDown(t *testing.T) {
	run := t.TempDir()
	path := filepath.Join(run, "syslog")
	listen := func() *net.UnixConn {
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		ok(t, err)
		ok(t, c.SetReadDeadline(time.Now().Add(daemon.Patience)))
		return c
	}
	syslogd := listen()
	s := settings(t)
	s.SMIME = []string{"[log]", `target = "syslog"`}
	s.Under = ownRun(run)
	h := host.Start(t, host.Both[0], s)
	until := func(word string) string {
		for buf := make([]byte, 8<<10); ; {
			n, err := syslogd.Read(buf)
			if err != nil {
				t.Fatalf("no %q in the log: %v", word, err)
			}
			if line := string(buf[:n]); strings.Contains(line, word) {
				return line
			}
		}
	}
	mails := batch(4, 200, "syslog")
	ok(t, h.Deliver(mails[0]))
	until(": signed ")

	// It stops reading, and some clients have much logged.
	chatter(t, h.Seal, 2000) // net.unix.max_dgram_qlen is 10, with systemd 512
	begin := time.Now()
	ok(t, h.Deliver(mails[1]))
	t.Logf("a mail while syslogd stands: %v", time.Since(begin).Round(time.Millisecond))

	ok(t, syslogd.Close())
	os.Remove(path) // where Close has left it
	ok(t, h.Deliver(mails[2]))

	syslogd = listen()
	defer func() { syslogd.Close() }()
	ok(t, h.Deliver(mails[3]))
	t.Log(until(" lost="))
	arrivedOnce(t, h, mails)
}
