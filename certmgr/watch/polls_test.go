package watch

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// TestPolls: what the kernel does not tell of is found at the next poll, and told
// when it has lasted for a moment; so it is when the kernel has lost something.
func TestPolls(t *testing.T) {
	y := newYard(t)
	y.mkdir("certs")
	y.write("certs/host.key", "1")
	y.write("other", "1")
	synctest.Test(t, func(t *testing.T) {
		w, k := told(t, Options{}, nil)
		defer w.Close()
		w.Set(map[string][]string{"host": {y.path("certs")}, "other": {y.path("other")}})
		c := count(w)
		for i, change := range []func(){
			func() { y.write("certs/host.key", "2") },
			func() { y.relink("host.key", "certs/12345678.0") },
			func() { y.do(os.Chmod(y.path("certs"), 0o700)) },
			func() { y.remove("certs") },
		} {
			change()
			time.Sleep(time.Until(c.start.Add(time.Duration(i+1) * time.Minute)))
			if names, _ := c.signals(); len(names) != i {
				t.Errorf("change %d is told of before it has lasted: %q", i, names)
			}
			time.Sleep(300 * time.Millisecond)
			if names, _ := c.signals(); len(names) != i+1 || names[i] != "host" {
				t.Errorf("change %d: signals %q; want one more of host", i, names)
			}
		}
		y.write("other", "2")
		k.errs <- fsnotify.ErrEventOverflow
		time.Sleep(time.Second)
		if names, _ := c.signals(); len(names) != 5 || names[4] != "other" {
			t.Errorf("after an overflow: %q; want other", names)
		}
	})
}

// TestLimits: where the kernel watches no more, it is said once, with what to raise,
// and polls go on; and it is asked again.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*folders)
		refuse error
		words  string
	}{
		{"inotify", nil, unix.ENOSPC, "raise=fs.inotify.max_user_watches"},
		{"descriptors", nil, unix.EMFILE, "too many open files"},
		{"kqueue", func(f *folders) { f.descriptors = 5 }, nil, "a quarter of the descriptors"},
		{"none", func(f *folders) { f.notes = nil }, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			y := newYard(t)
			for i := range 10 {
				y.mkdir(fmt.Sprint(i))
				for j := range 5 {
					y.write(fmt.Sprintf("%d/%d", i, j), "1")
				}
			}
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				w, k := told(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, c.change)
				defer w.Close()
				k.answer(c.refuse)
				targets := map[string][]string{}
				for i := range 10 {
					targets[fmt.Sprint(i)] = []string{y.path(fmt.Sprint(i))}
				}
				w.Set(targets)
				tally := count(w)
				y.write("7/3", "2")
				time.Sleep(time.Minute + time.Second)
				if names, _ := tally.signals(); !slices.Equal(names, []string{"7"}) {
					t.Errorf("told: %q; want 7", names)
				}
				if lines := strings.Count(log.String(), "\n"); c.words != "" && (lines != 1 || !strings.Contains(log.String(), c.words) || !strings.Contains(log.String(), "poll=1m0s")) {
					t.Errorf("the log says\n%s; want %q, once", log.String(), c.words)
				}
				if c.refuse == nil {
					return
				}
				k.answer(nil)
				time.Sleep(time.Minute)
				synctest.Wait()
				if watched := k.WatchList(); len(watched) != 11 {
					t.Errorf("%d folders are watched when it is possible; want 10 and that which they are in", len(watched))
				}
			})
		})
	}
}

// TestWatchedAnew: a folder that was removed is asked for again though another has
// its number by now, and so is one that the notifier has lost.
func TestWatchedAnew(t *testing.T) {
	y := newYard(t)
	y.mkdir("certs")
	synctest.Test(t, func(t *testing.T) {
		w, k := told(t, Options{}, nil)
		defer w.Close()
		w.Set(map[string][]string{"host": {y.path("certs/host.key")}})
		for i, happen := range []func(){
			func() {},
			func() { k.events <- fsnotify.Event{Name: y.path("certs"), Op: fsnotify.Remove} },
			func() { k.events <- fsnotify.Event{Name: y.path("certs"), Op: fsnotify.Rename} },
			func() { y.do(k.Remove(y.path("certs"))) },
		} {
			happen()
			time.Sleep(time.Minute + time.Second)
			synctest.Wait()
			if k.added != i+1 || len(k.WatchList()) != 1 {
				t.Errorf("event %d: asked %d times, for %q; want once each", i, k.added, k.WatchList())
			}
		}
	})
}

// TestBudget: what is given back may be taken again.
func TestBudget(t *testing.T) {
	y := newYard(t)
	for _, dir := range []string{"a", "b"} {
		y.mkdir(dir)
		for i := range 6 {
			y.write(fmt.Sprintf("%s/%d", dir, i), "1")
		}
	}
	f := newFolders(Options{}.defaults())
	f.notes, f.descriptors = &kernel{}, 10
	a, b := &target{name: "a"}, &target{name: "b"}
	all := func(dir string) map[string]names { return map[string]names{y.path(dir): nil} }
	if !f.attend(a, all("a")) || f.attend(b, all("b")) || f.descriptors != 3 {
		t.Errorf("%d of 10 descriptors are left after a folder of 6 files; want 3, and no other folder", f.descriptors)
	}
	if f.attend(a, nil); !f.attend(b, all("b")) || f.descriptors != 3 || len(f.byPath) != 1 {
		t.Errorf("%d descriptors are left after another folder; want 3", f.descriptors)
	}
}

// TestWhole: content that has changed where nothing else has is found when files
// are read whole, and where it may have changed in the grain of the clock.
func TestWhole(t *testing.T) {
	y := newYard(t)
	y.write("host.key", "1")
	path := y.path("host.key")
	entries := interestIn([]string{path}).survey().entries
	before := lookAt(entries, nil, false)
	if l := before[path]; !l.racy || l.unread {
		t.Fatalf("a file that was just written: %+v", l)
	}
	for _, c := range []struct{ racy, whole, found bool }{{false, false, false}, {false, true, true}, {true, false, true}} {
		l := before[path]
		l.racy = c.racy
		l.sum[0]++
		if now := lookAt(entries, looks{path: l}, c.whole); now.same(looks{path: l}) == c.found {
			t.Errorf("racy %t, whole %t: found %t; want %t", c.racy, c.whole, !c.found, c.found)
		}
	}
}

// TestFull: of a folder with very many files only its own time counts.
func TestFull(t *testing.T) {
	y := newYard(t)
	y.mkdir("spool")
	for i := range maxEntries + 1 {
		y.write(filepath.Join("spool", fmt.Sprint(i)), "")
	}
	s := interestIn([]string{y.path("spool")}).survey()
	before := lookAt(s.entries, nil, true)
	if len(before) != 1 {
		t.Fatalf("%d files are looked at", len(before))
	}
	y.write("spool/new", "")
	if lookAt(interestIn([]string{y.path("spool")}).survey().entries, before, false).same(before) {
		t.Error("a new file is not noticed")
	}
}
