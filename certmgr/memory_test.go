package certmgr

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What could not be kept is not asked for.
func TestCannotKeep(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t)
		leaf := b.right()
		b.another()
		b.do(os.MkdirAll(filepath.Join(b.config.State, "targets/sendmail.new/x"), 0o700))
		for range 3 {
			if r := b.once(); r.Err == nil || r.cause != causeIssue || !b.read().Equal(leaf) {
				t.Errorf("%+v", r)
			}
		}
		if b.ca.issued != 1 {
			t.Errorf("%d certificates were issued", b.ca.issued)
		}
	})
}

// A target with a prime of its own has a known group until that is found.
func TestOwnPrime(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t)
		b.target.OwnPrime = 512 // which is soon found
		b.right()
		group, err := os.ReadFile(b.path("dh.param"))
		b.do(err)
		if want := b.target.Group.Parameters().PEM(); !bytes.Equal(group, want) {
			t.Error("no group before it is found")
		}
		_, stop := b.run()
		after(2 * time.Second)
		stop()
		own, err := os.ReadFile(b.path("dh.param"))
		b.do(err)
		kept, err := os.ReadFile(filepath.Join(b.config.State, "targets/sendmail.dh"))
		b.do(err)
		if bytes.Equal(own, group) || !bytes.Equal(own, kept) || b.told() != 2 {
			t.Errorf("told %d times\n%s", b.told(), b.log)
		}
		// A restart searches for no other, and what is lost comes back.
		b.do(os.Remove(b.path("dh.param")))
		b.right()
		if again, err := os.ReadFile(b.path("dh.param")); err != nil || !bytes.Equal(again, own) {
			t.Errorf("another one: %v", err)
		}
	})
}

// Two processes do not work on a target at the same time.
func TestLock(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t)
		b.right()
		unlock, err := b.keeper().lock(t.Context(), *b.target)
		b.do(err)
		b.another()
		done := make(chan Report)
		go func() { done <- b.once() }()
		time.Sleep(time.Minute)
		if b.told() != 1 {
			t.Error("the lock holds nobody up")
		}
		unlock()
		if r := <-done; r.Err != nil || !b.served() {
			t.Errorf("%+v", r)
		}
		// Not for ever.
		unlock, err = b.keeper().lock(t.Context(), *b.target)
		b.do(err)
		defer unlock()
		if r := b.once(); r.Err == nil || !strings.Contains(r.Err.Error(), "another mailseal is at work on target sendmail") {
			t.Errorf("%+v", r)
		}
	})
}

// The state folder is root's alone.
func TestState(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(*bench)
		want string // in the error
	}{
		{"not there", func(*bench) {}, ""},
		{"readable", func(b *bench) { b.do(os.MkdirAll(b.config.State, 0o755)) }, ""},
		{"writable", func(b *bench) { b.do(errors.Join(os.MkdirAll(b.config.State, 0o700), os.Chmod(b.config.State, 0o770))) }, "chmod 0700"},
		{"a link", func(b *bench) { b.do(os.Symlink(b.t.TempDir(), b.config.State)) }, "is no folder"},
		{"a file", func(b *bench) { b.do(os.WriteFile(b.config.State, nil, 0o600)) }, "not a directory"},
		{"another's", func(b *bench) {
			if os.Geteuid() != 0 {
				b.t.Skip("only root can")
			}
			b.do(errors.Join(os.MkdirAll(b.config.State, 0o700), os.Chown(b.config.State, 65534, -1)))
		}, "chown"},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			b := newBench(t)
			tt.do(b)
			_, err := b.keeper().Once(t.Context())
			if (err == nil) != (tt.want == "") || err != nil && (!errors.Is(err, ErrState) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if _, lerr := os.Lstat(b.path("host.key")); (lerr == nil) != (tt.want == "") {
				t.Errorf("files: %v", lerr)
			}
			if info, serr := os.Stat(b.config.State); tt.want == "" && (serr != nil || info.Mode().Perm() != 0o700) {
				t.Errorf("%v, %v", info.Mode(), serr)
			}
		})
	}
}

// Two targets are not in each other's way.
func TestApart(t *testing.T) {
	b := newBench(t)
	b.config.Targets = append(b.config.Targets, *b.target)
	if _, err := New(b.config); err == nil || !strings.Contains(err.Error(), "two targets are called sendmail") {
		t.Error(err)
	}
	b.config.Targets[1].Name = "other"
	if _, err := New(b.config); err == nil || !strings.Contains(err.Error(), "that of target") {
		t.Error(err)
	}
}

// Whatever takes the place of a server's files, nobody waits for it or reads it all.
func TestServingOfWhatIsNoFile(t *testing.T) {
	b := newBench(t)
	b.right()
	b.do(os.Remove(b.path("host.cert")))
	b.do(syscall.Mkfifo(b.path("host.cert"), 0o644))
	b.do(os.Remove(b.path("host.key")))
	b.do(os.Symlink("/dev/zero", b.path("host.key")))
	found := make(chan want)
	go func() { found <- b.keeper().serving(*b.target) }()
	select {
	case w := <-found:
		if w.leaf != nil || w.client != nil {
			t.Errorf("%v", w)
		}
	case <-time.After(2 * time.Minute):
		t.Error("a FIFO is waited for")
	}
}
