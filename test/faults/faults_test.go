// Package faults_test takes from the daemon what it needs, one thing at a time,
// while mail runs: room on disk, descriptors, memory, its log, its socket, its
// life. Whatever happens, no mail is lost, none is delivered twice and none
// leaves without its signature; and when the fault has gone, what it had taken
// is given back. doc/reliability.md tells of each with its figures.
package faults_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/internal/message"
	"mailseal/internal/mtarig"
	"mailseal/internal/pki"
	"mailseal/internal/spool"
	"mailseal/internal/testpki"
	"mailseal/smime"
	"mailseal/test/daemon"
	"mailseal/test/host"
	"mailseal/test/rig"
	"mailseal/test/wire"
)

const author = "alice@example.test"

// lean says whether the daemon is as it is shipped: with the race detector it
// takes memory of another order.
func lean() bool { return os.Getenv("MAILSEAL_TEST_RACE") == "" }

// slow skips a test that takes long.
func slow(t *testing.T) {
	t.Helper()
	if os.Getenv("MAILSEAL_SLOW") == "" {
		t.Skip("slow: make check runs it")
	}
}

// many is how many of something there are, or a tenth of it where the slow tests
// are not run.
func many(n int) int {
	if os.Getenv("MAILSEAL_SLOW") == "" {
		return n / 10
	}
	return n
}

// mail is for a recipient of its own and has so many bytes, or a few more.
func mail(to string, size int) mtarig.Mail {
	var b bytes.Buffer
	b.WriteString(wire.Text("From: "+author, "To: "+to, "Date: Sat, 21 Nov 2026 12:00:00 +0900", "Message-ID: <"+to+">",
		"Subject: faults", "MIME-Version: 1.0", "Content-Type: text/plain; charset=us-ascii", "", "for "+to))
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "line %d of a mail that is not lost, whatever happens to its milter\r\n", i)
	}
	return mtarig.Mail{From: author, To: []string{to}, Data: b.Bytes()}
}

func recipient(format string, args ...any) string {
	return fmt.Sprintf(format, args...) + "@" + host.Modern
}

func settings(t *testing.T) daemon.Settings {
	p := testpki.New(t)
	return daemon.Settings{Trust: p.Roots(), Identities: []pki.Identity{p.User(author, ca.P256)}}
}

// roomy lets a host have so many sessions at once. sendmail has no limit.
func roomy(s host.Setup, sessions int) host.Option {
	return func(c *mtarig.Config) {
		if s.MTA != rig.Sendmail {
			c.Extra = append(c.Extra, fmt.Sprintf("default_process_limit = %d", sessions+50))
		}
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// deferred reports whether the client was told to try again.
func deferred(err error) bool {
	code := mtarig.Code(err)
	return code >= 400 && code < 500
}

// persist sends a mail until it is taken, as an MTA does, and returns how often
// it was deferred.
func persist(h *host.Host, m mtarig.Mail) (int, error) {
	until := time.Now().Add(daemon.Patience)
	for n := 0; ; n++ {
		err := h.Deliver(m)
		if err == nil || !deferred(err) && !hungUp(err) || time.Now().After(until) {
			return n, err
		}
		time.Sleep(50 * time.Millisecond) // a client's own pause
	}
}

// hungUp reports whether the session ended without an answer.
func hungUp(err error) bool {
	told := new(textproto.Error)
	return err != nil && !errors.As(err, &told)
}

// arrivedOnce checks that each mail has arrived, once and signed, and that
// nothing is left in the queue.
func arrivedOnce(t *testing.T, h *host.Host, mails []mtarig.Mail, by ...*x509.Certificate) {
	t.Helper()
	h.AwaitEmptyQueue(t)
	for _, m := range mails {
		for _, to := range m.To {
			got := h.Arrived(t, to).Data
			signed(t, got, by...)
			if _, text := wire.Split(m.Data); !strings.Contains(string(got), text) {
				t.Errorf("mail for %s does not hold all of its text", to)
			}
			if n := h.Count(to); n != 1 {
				t.Errorf("mail for %s was delivered %d times", to, n)
			}
		}
	}
}

// signed checks a signature, and whose it is.
func signed(t *testing.T, mail []byte, by ...*x509.Certificate) {
	t.Helper()
	store, err := spool.New(spool.Config{})
	ok(t, err)
	m, err := message.Read(bytes.NewReader(mail), store, message.Limits{})
	ok(t, err)
	defer m.Body.Close()
	r, err := smime.Verify(m, smime.VerifyOptions{Spool: store})
	ok(t, err)
	if r.Err != nil || len(r.Signers) != 1 || r.Signers[0].Result.Err != nil {
		t.Errorf("%v: %v, signers %+v:\n%.2000s", r.Kind, r.Err, r.Signers, mail)
		return
	}
	for _, c := range by {
		if r.Signers[0].Result.Certificate.Equal(c) {
			return
		}
	}
	if len(by) > 0 {
		t.Errorf("signed with the certificate %v", r.Signers[0].Result.Certificate.SerialNumber)
	}
}

// each has something done to all mails, by so many clients at a time.
func each(mails []mtarig.Mail, clients int, do func(i int, m mtarig.Mail)) {
	var wait sync.WaitGroup
	next := make(chan int)
	for range clients {
		wait.Go(func() {
			for i := range next {
				do(i, mails[i])
			}
		})
	}
	for i := range mails {
		next <- i
	}
	close(next)
	wait.Wait()
}

func batch(n, size int, name string) []mtarig.Mail {
	mails := make([]mtarig.Mail, n)
	for i := range mails {
		mails[i] = mail(recipient("%s%d", name, i), size)
	}
	return mails
}

// descriptors is how many a process has open.
func descriptors(t *testing.T, d *daemon.Daemon) int {
	t.Helper()
	names, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.Pid()))
	if err != nil {
		t.Skipf("no /proc here: %v", err)
	}
	n := 0
	for _, name := range names {
		// That by which the files of trust are followed comes a moment after the start.
		if to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", d.Pid(), name.Name())); !strings.Contains(to, "inotify") {
			n++
		}
	}
	return n
}

// resident is what a process has in memory, in MiB, from a line of its status.
func resident(t *testing.T, d *daemon.Daemon, line string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.Pid()))
	ok(t, err)
	_, after, _ := strings.Cut(string(b), line+":")
	var kib int
	fmt.Sscan(after, &kib)
	return kib >> 10
}

// eventually waits for something that comes about by itself.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	until := time.Now().Add(daemon.Patience)
	for !done() {
		if time.Now().After(until) {
			t.Fatalf("not within %v: %s", daemon.Patience, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// idle waits until no thread of a daemon has anything to do: what a client that
// has gone left to be done is done.
func idle(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	eventually(t, "all threads asleep", func() bool {
		stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", d.Pid()))
		ok(t, err)
		for _, path := range stats {
			if state, err := readStat(path); err == nil && state != 'S' {
				return false
			}
		}
		return true
	})
}

// settled checks that a daemon without connections has no more descriptors than
// it had before and no goroutine for a connection or a mail. It ends the daemon:
// SIGQUIT has Go print every goroutine.
func settled(t *testing.T, d *daemon.Daemon, before int) {
	t.Helper()
	eventually(t, fmt.Sprintf("no more than %d descriptors", before), func() bool { return descriptors(t, d) <= before })
	idle(t, d)
	mark := d.Mark()
	d.Signal(syscall.SIGQUIT)
	if status := d.Wait(); status != 2 {
		t.Errorf("status %d after SIGQUIT", status)
	}
	goroutines := d.Lines(mark, `^goroutine \d+ `)
	if busy := d.Lines(mark, `mailseal/milter\.\(\*(conn|session|Server)\)\.(Read|take|decide|call|adopt)|gateway\.\(\*Gateway\)`); len(busy) > 0 || len(goroutines) == 0 {
		t.Errorf("%d goroutines are left, some of them at work: %q", len(goroutines), busy)
	}
	t.Logf("%d goroutines and %d descriptors are left", len(goroutines), before)
}
