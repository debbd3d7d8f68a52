package faults_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mailseal/internal/mtarig"
	"mailseal/test/daemon"
	"mailseal/test/host"
)

// missing skips where the kernel does not let us make a fault.
func missing(t *testing.T, err error, what string) {
	t.Helper()
	if err != nil {
		t.Skipf("%s: %v", what, err)
	}
}

// tinyState has the daemon live in a mount namespace of its own, in which its
// state folder, beside its configuration, has room for 1 MiB. It goes with the
// daemon.
var tinyState = []string{"unshare", "--mount", "/bin/sh", "-c", `mount -t tmpfs -o size=1m none "${4%/*}/state" && exec "$@"`, "sh"}

// The folder of the spool is full. Mails that stay in memory go on, others are
// deferred and come when there is room again.
func TestDiskFull(t *testing.T) {
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			s := settings(t)
			s.Under = tinyState
			h := host.Start(t, setup, s)
			inside := func(name string) string {
				return filepath.Join("/proc", strconv.Itoa(h.Seal.Pid()), "root", h.Seal.Folder(), "state", name)
			}
			before := descriptors(t, h.Seal)

			// Somebody else takes all of it.
			f, err := os.Create(inside("foreign"))
			missing(t, err, "no mount namespace of its own")
			for err == nil {
				_, err = f.Write(make([]byte, 4096))
			}
			f.Close()
			small, large := batch(20, 2000, "small"), batch(20, 700_000, "large")
			var put atomic.Int64
			each(slices.Concat(small, large), 8, func(i int, m mtarig.Mail) {
				err := h.Deliver(m)
				if i < len(small) && err != nil {
					t.Errorf("a small mail: %v", err)
				}
				if i >= len(small) {
					if mtarig.Code(err) != 452 {
						t.Errorf("a large mail: %v; want 452", err)
					}
					put.Add(1)
				}
			})
			eventually(t, "a line on each that is deferred", func() bool {
				return len(h.Seal.Lines(0, `: deferred level=error .*no space left on device`)) == len(large)
			})
			if names, err := os.ReadDir(inside("")); err != nil || len(names) != 1 {
				t.Errorf("left in the spool: %v, %v", names, err)
			}
			ok(t, os.Remove(inside("foreign")))
			// Not all fit at once: 1 MiB is room for one or none beside another.
			var again atomic.Int64
			each(large, 4, func(_ int, m mtarig.Mail) {
				n, err := persist(h, m)
				again.Add(int64(n))
				if err != nil {
					t.Errorf("with room again: %v", err)
				}
			})
			t.Logf("%d of 40 mails deferred while the disk was full; %d times more with room for one", put.Load(), again.Load())
			eventually(t, "all blocks are free", func() bool {
				var room unix.Statfs_t
				ok(t, unix.Statfs(inside(""), &room))
				return room.Bfree == room.Blocks
			})
			arrivedOnce(t, h, append(small, large...))
			settled(t, h.Seal, before)
		})
	}
}

// setLimit sets a soft limit of the running daemon and returns how to undo it.
func setLimit(t *testing.T, d *daemon.Daemon, what int, to uint64) func() {
	t.Helper()
	var old unix.Rlimit
	ok(t, unix.Prlimit(d.Pid(), what, nil, &old))
	ok(t, unix.Prlimit(d.Pid(), what, &unix.Rlimit{Cur: to, Max: old.Max}, nil))
	return func() { ok(t, unix.Prlimit(d.Pid(), what, &old, nil)) }
}

// free is the first descriptor that is free: below it there is none.
func free(t *testing.T, d *daemon.Daemon) uint64 {
	t.Helper()
	for n := uint64(0); ; n++ {
		if _, err := os.Lstat(fmt.Sprintf("/proc/%d/fd/%d", d.Pid(), n)); errors.Is(err, fs.ErrNotExist) {
			return n
		}
	}
}

// There is no descriptor left: connections wait, mails that need a file are
// deferred, those in work are finished, and all is well when there are some
// again.
func TestDescriptors(t *testing.T) {
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			h := host.Start(t, setup, settings(t), roomy(setup, 50))
			ok(t, h.Deliver(mail(recipient("first"), 100)))
			eventually(t, "the session's end", func() bool { return len(links(h.Seal)) == 0 })
			before := descriptors(t, h.Seal)

			var open []*mtarig.Client
			mails := append(batch(5, 2000, "open"), batch(5, 700_000, "file")...)
			for _, m := range mails {
				c, err := h.Dial(daemon.Local)
				ok(t, err)
				defer c.Close()
				ok(t, c.From(m.From))
				ok(t, c.To(m.To[0]))
				open = append(open, c)
			}
			restore := setLimit(t, h.Seal, unix.RLIMIT_NOFILE, free(t, h.Seal))
			mark := h.Seal.Mark()
			late := batch(20, 2000, "late")
			done := make(chan struct{})
			var put atomic.Int64
			go func() {
				defer close(done)
				each(late, len(late), func(_ int, m mtarig.Mail) {
					n, err := persist(h, m)
					put.Add(int64(n))
					if err != nil {
						t.Errorf("one that came late: %v", err)
					}
				})
			}()
			_, err := h.Seal.WaitLog(mark, `: accept level=warn .*too many open files`)
			ok(t, err)
			// Another configuration cannot be read: the old one stays.
			h.Seal.Signal(syscall.SIGHUP)
			line, err := h.Seal.WaitLog(mark, `: kept the old configuration .*too many open files`)
			ok(t, err)
			t.Log(line)
			// One whose body goes to a file cannot be taken.
			if err := open[9].Data(mails[9].Data); mtarig.Code(err) != 452 {
				t.Errorf("mail that needs a file: %v; want 452", err)
			}
			// What needs none is finished. Each gives a descriptor back, and one
			// of those that wait gets it.
			for i, c := range open[:5] {
				if err := c.Data(mails[i].Data); err != nil {
					t.Errorf("mail in work: %v", err)
				}
				ok(t, c.Quit())
			}
			time.Sleep(100 * time.Millisecond) // of the fault
			restore()
			for i, c := range open[5:9] {
				if err := c.Data(mails[5+i].Data); err != nil {
					t.Errorf("with descriptors again: %v", err)
				}
				ok(t, c.Quit())
			}
			<-done
			ok(t, h.Deliver(mails[9]))
			ok(t, open[9].Quit())
			t.Logf("%d tries to accept in vain; %d late mails deferred %d times", len(h.Seal.Lines(mark, ": accept level=warn")), len(late), put.Load())
			mark = h.Seal.Mark()
			h.Seal.Signal(syscall.SIGHUP)
			_, err = h.Seal.WaitLog(mark, ": reloaded config")
			ok(t, err)
			arrivedOnce(t, h, append(late, mails...))
			settled(t, h.Seal, before)
		})
	}
}

// links are the sockets that connect a daemon to MTAs on a Unix socket.
func links(d *daemon.Daemon) []string {
	names, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", d.Pid()))
	var found []string
	for _, n := range names {
		if to, err := os.Readlink(n); err == nil && len(to) > 7 && to[:7] == "socket:" {
			found = append(found, to)
		}
	}
	if len(found) > 0 {
		found = found[1:] // the one that it listens on
	}
	return found
}

// The system gives no more memory: the process ends, as Go has it, and what was
// in work is deferred. Nothing that it had taken is lost, for it never keeps
// any.
func TestNoMemory(t *testing.T) {
	if !lean() {
		t.Skip("the race detector's own end for want of memory is not Go's")
	}
	h := host.Start(t, host.Both[0], settings(t), roomy(host.Both[0], 50))
	ok(t, h.Deliver(mail(recipient("first"), 100)))
	mails := batch(30, 400_000, "memory")
	pid := h.Seal.Pid()
	setLimit(t, h.Seal, unix.RLIMIT_AS, 1<<20) // it has more already
	var put atomic.Int64
	again := make([]bool, len(mails))
	each(mails, 30, func(i int, m mtarig.Mail) {
		err := h.Deliver(m)
		if err == nil {
			return
		}
		again[i] = true
		put.Add(1)
		if !deferred(err) && !hungUp(err) {
			t.Errorf("client is told %v", err)
		}
	})
	ended := gone(pid)
	t.Logf("%d of %d mails deferred; the daemon has ended: %t", put.Load(), len(mails), ended)
	if ended {
		if status := h.Seal.Wait(); status != 2 {
			t.Errorf("status %d", status)
		}
	} else {
		h.Seal.Kill()
	}
	emptyState(t, h.Seal)
	h.Seal.Start()
	for i, m := range mails {
		if again[i] {
			_, err := persist(h, m)
			ok(t, err)
		}
	}
	arrivedOnce(t, h, mails)
}
