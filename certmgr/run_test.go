package certmgr

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/install"
	"mailseal/certmgr/probe"
)

// run runs the keeper until the test ends.
func (b *bench) run() (k *Keeper, stop func()) {
	b.t.Helper()
	k = b.keeper()
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	return k, func() {
		b.t.Helper()
		cancel()
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
	}
}

// after lets time go by, and everything that is due be done.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// served reports whether what is served is on the disk and covers all names.
func (b *bench) served() bool {
	disk, leaf := b.read(), b.serving()
	if disk == nil || leaf == nil || !leaf.Equal(disk) {
		return false
	}
	for _, host := range b.target.Hosts {
		if leaf.VerifyHostname(host) != nil {
			return false
		}
	}
	return true
}

// tells the keeper that something has changed.
func (b *bench) touched() { b.watcher.changed <- "sendmail" }

// Run puts right what is not: at the start, when files change, and when time has
// come.
func TestRun(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t)
		b.target.Days = 30
		b.config.Poll = time.Hour // a month is forty thousand minutes
		_, stop := b.run()
		defer stop()
		after(2 * time.Second)
		if !b.served() || b.told() != 1 {
			t.Fatalf("not right after the start\n%s", b.log)
		}
		first := b.read()
		for _, f := range []struct {
			name string
			do   func() error
		}{
			{"deleted", func() error { return os.Remove(b.path("host.key")) }},
			{"truncated", func() error { return os.Truncate(b.path("host.cert"), 0) }},
			{"mode", func() error { return os.Chmod(b.path("host.key"), 0o640) }},
			{"replaced", func() error { return os.WriteFile(b.path("host.key"), testKey(b), 0o600) }},
		} {
			b.do(f.do())
			b.touched()
			if after(2 * time.Second); !b.served() || !b.serving().Equal(first) {
				t.Fatalf("%s: not right\n%s", f.name, b.log)
			}
		}
		if b.ca.issued != 1 {
			t.Errorf("%d issued", b.ca.issued)
		}
		// A third of the life of certificate and list is left.
		for range 5 {
			after(6 * 24 * time.Hour)
			if !b.served() {
				t.Fatalf("not right at %v\n%s", time.Now(), b.log)
			}
		}
		if b.ca.issued != 2 || b.serving().Equal(first) {
			t.Errorf("%d issued in a month", b.ca.issued)
		}
		// Revoked: at once.
		now := b.read()
		_, err := b.ca.Revoke(ca.Revocation{Serial: now.SerialNumber.Text(16)})
		b.do(err)
		_, err = b.ca.IssueCRL(ca.CRLOptions{})
		b.do(err)
		b.watcher.changed <- ofAuthority
		if after(2 * time.Second); !b.served() || b.read().Equal(now) {
			t.Errorf("the revoked one is served\n%s", b.log)
		}
		if n := len(b.mails()); n != 0 {
			t.Errorf("%d mails, %v", n, b.mails())
		}
	})
}

// A server that does not take new files is asked ever more rarely, and somebody is
// told once a day.
func TestBackOff(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t)
		b.right()
		b.plays(picky)
		b.another()
		k, stop := b.run()
		before := b.told()
		after(10 * time.Minute)
		tries := b.log.Count("rolled back")
		if tries < 7 || tries > 11 {
			t.Errorf("%d tries in ten minutes", tries)
		}
		if n := len(b.mails()); n != 1 {
			t.Errorf("%d mails: %v", n, b.mails())
		}
		after(time.Hour)
		if more := b.log.Count("rolled back") - tries; more < 4 || more > 6 {
			t.Errorf("%d tries in the next hour", more)
		}
		if n := len(b.mails()); n != 1 || b.mails()[0][0].Cause != causeServer {
			t.Errorf("%d mails: %v", n, b.mails())
		}
		if b.ca.issued != 2 {
			t.Errorf("%d certificates were issued", b.ca.issued)
		}
		// Each try tells the server twice: of the new, and of the old.
		if told := b.told() - before; told > 2*b.log.Count("rolled back")+1 {
			t.Errorf("told %d times", told)
		}
		// What a try itself changes is no reason for the next one, and neither
		// is a restart to tell everything again.
		tries = b.log.Count("rolled back")
		for range 20 {
			b.touched()
			after(time.Second)
		}
		if more := b.log.Count("rolled back") - tries; more > 1 {
			t.Errorf("%d tries because of its own changes", more)
		}
		stop()
		_, stop = b.run()
		after(time.Hour)
		if n := len(b.mails()); n != 1 {
			t.Errorf("%d mails after a restart", n)
		}
		// Somebody mends it.
		b.plays(reads)
		after(16 * time.Minute)
		if !b.served() || b.log.Count("well again") != 1 {
			t.Errorf("not well again\n%s", b.log)
		}
		if stop(); k.owes(*b.target) {
			t.Error("a proof is owed")
		}
	})
}

// A change that somebody makes is looked at, also while a try is waited for.
func TestMendedByHand(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t)
		b.right()
		b.do(os.MkdirAll(b.path(".host.key.mailseal/x"), 0o700))
		b.another()
		_, stop := b.run()
		defer stop()
		after(2 * time.Hour)
		if b.served() {
			t.Fatal("right too early")
		}
		b.do(os.RemoveAll(b.path(".host.key.mailseal")))
		b.do(os.Remove(b.path("dh.param")))
		b.touched()
		if after(2 * time.Second); !b.served() {
			t.Errorf("waits\n%s", b.log)
		}
	})
}

// The CA is gone, and comes back: who waits for it does so no longer.
func TestAuthorityReturns(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t)
		leaf := b.right()
		b.ca.go_(true)
		b.another()
		_, stop := b.run()
		defer stop()
		after(3 * time.Hour)
		if !b.serving().Equal(leaf) || b.told() != 1 {
			t.Errorf("told %d times", b.told())
		}
		if ms := b.mails(); len(ms) != 1 || ms[0][0].Cause != causeAuthority || ms[0][0].Target != "" {
			t.Errorf("%v", ms)
		}
		b.ca.go_(false)
		if after(time.Minute + 2*time.Second); !b.served() {
			t.Errorf("not right a minute after it came back\n%s", b.log)
		}
	})
}

// One whose command hangs holds nobody up.
func TestHanging(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t)
		hanging := newBench(t)
		hanging.plays(hangs)
		reload, ask := b.config.Reload, b.config.Probe
		b.config.Reload = func(ctx context.Context, t Target) error {
			if t.Name != "sendmail" {
				return hanging.server.reload(ctx, t)
			}
			return reload(ctx, t)
		}
		b.config.Probe = func(ctx context.Context, u probe.URL, w probe.Want) probe.Result {
			if u.Port != "25" {
				return hanging.server.probe(ctx, u, w)
			}
			return ask(ctx, u, w)
		}
		other := *hanging.target
		other.Name = "hanging"
		u, err := probe.Parse("smtp://127.0.0.1:26")
		b.do(err)
		other.Probes = []probe.URL{u}
		b.config.Targets = []Target{other, *b.target}
		b.target = &b.config.Targets[1]
		_, stop := b.run()
		if after(5 * time.Second); !b.served() {
			t.Errorf("held up\n%s", b.log)
		}
		// Ends at once, and takes nothing back that it has not seen fail.
		begun := time.Now()
		stop()
		if took := time.Since(begun); took > time.Second || b.log.Count("rolled back") != 0 {
			t.Errorf("took %v to end\n%s", took, b.log)
		}
		if hanging.read() == nil {
			t.Error("the new files are gone")
		}
		// The next start knows that it is not proven.
		hanging.plays(reads)
		_, stop = b.run()
		defer stop()
		if after(5 * time.Second); !hanging.serving().Equal(hanging.read()) {
			t.Errorf("not read after a restart\n%s", b.log)
		}
	})
}

// Files that are right, and served no more: found within the hour.
func TestServedNoMore(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t)
		_, stop := b.run()
		defer stop()
		after(10 * time.Second)
		b.mu.Lock()
		b.leaf, b.next = nil, nil
		b.mu.Unlock()
		told := b.told()
		if after(61 * time.Minute); !b.served() || b.told() != told+1 {
			t.Errorf("told %d times\n%s", b.told()-told, b.log)
		}
		// And where that does not help: told once an hour, not at each try.
		b.plays(plain)
		b.mu.Lock()
		b.leaf, b.next = nil, nil
		b.mu.Unlock()
		told = b.told()
		if after(50 * time.Hour); b.told()-told < 40 || b.told()-told > 50 {
			t.Errorf("told %d times in 50 hours\n%s", b.told()-told, b.log)
		}
		if ms := b.mails(); len(ms) != 3 || ms[0][0].Cause != causeServer {
			t.Errorf("%v", ms)
		}
	})
}

// A server that does not run is no fault of its files, and told after a while.
func TestAbsent(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t)
		b.up = false
		_, stop := b.run()
		defer stop()
		after(5 * time.Minute)
		if len(b.mails()) != 0 || b.log.Count("ERROR") != 0 || b.log.Count("verify=TEMP") > 2 {
			t.Errorf("%v\n%s", b.mails(), b.log)
		}
		after(30 * time.Minute)
		if ms := b.mails(); len(ms) != 1 || ms[0][0].Cause != "absent" {
			t.Errorf("%v", ms)
		}
		b.mu.Lock()
		b.up = true
		b.mu.Unlock()
		if after(16 * time.Minute); !b.served() || b.log.Count("well again") != 1 {
			t.Errorf("not well again\n%s", b.log)
		}
	})
}

// Somebody else changes files again and again: that is no race that anybody wins.
func TestRepeated(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t)
		_, stop := b.run()
		defer stop()
		after(2 * time.Second)
		for range 600 {
			b.do(os.WriteFile(b.path("host.key"), testKey(b), 0o600))
			b.touched()
			after(time.Second)
		}
		if n := b.told(); n > 20 {
			t.Errorf("told %d times in ten minutes", n)
		}
		if ms := b.mails(); len(ms) != 1 || ms[0][0].Cause != causeRepeated || b.ca.issued != 1 {
			t.Errorf("%v, %d issued", ms, b.ca.issued)
		}
		if after(20 * time.Minute); !b.served() {
			t.Errorf("not right in the end\n%s", b.log)
		}
	})
}

// A server that cannot be written to gets the mail later.
func TestMailLater(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t)
		b.right()
		b.mailing = errors.New("connection refused")
		b.plays(fails)
		b.another()
		_, stop := b.run()
		defer stop()
		after(3 * time.Hour)
		b.mu.Lock()
		b.mailing = nil
		b.mu.Unlock()
		after(15 * time.Minute)
		if ms := b.mails(); len(ms) != 1 || !strings.Contains(ms[0][0].Text, "no such process") {
			t.Errorf("%v", ms)
		}
	})
}

// No bought certificate was dropped: somebody is told, once a day, and it is not
// tried more than once an hour.
func TestNothingDropped(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t)
		b.target.Issuer, b.target.From = install.FromFiles, t.TempDir()
		_, stop := b.run()
		defer stop()
		after(25 * time.Hour)
		ms := b.mails()
		if len(ms) != 2 || ms[0][0].Cause != causeOthers || !strings.Contains(ms[0][0].Text, "is missing") {
			t.Errorf("%v", ms)
		}
		if n := b.log.Count("not right"); n < 24 || n > 27 || b.told() > 27 || b.ca.issued != 0 {
			t.Errorf("%d tries, told %d times\n%s", n, b.told(), b.log)
		}
	})
}

// Without the state folder nothing is begun.
func TestRunWithoutState(t *testing.T) {
	b := newBench(t)
	b.do(os.WriteFile(b.config.State, nil, 0o600))
	if err := b.keeper().Run(t.Context()); !errors.Is(err, ErrState) {
		t.Error(err)
	}
}
