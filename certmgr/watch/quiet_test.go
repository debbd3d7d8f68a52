package watch

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// A kernel is a notifier that tells what a test has it tell.
type kernel struct {
	events chan fsnotify.Event
	errs   chan error

	mu      sync.Mutex
	refuse  error // what Add answers
	watched []string
	added   int
}

func (k *kernel) answer(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refuse = err
}

func (k *kernel) Add(folder string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refuse != nil {
		return fmt.Errorf("add: %w", k.refuse)
	}
	k.added++
	k.watched = append(k.watched, folder)
	return nil
}

func (k *kernel) Remove(folder string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.Index(k.watched, folder)
	if i < 0 {
		return errors.New("not watched")
	}
	k.watched = slices.Delete(k.watched, i, i+1)
	return nil
}

func (k *kernel) WatchList() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.watched)
}

func (k *kernel) Close() error {
	close(k.events)
	close(k.errs)
	return nil
}

// told is a watcher that is told what a test says, in the test's time.
func told(t *testing.T, o Options, change func(*folders)) (*Watcher, *kernel) {
	k := &kernel{events: make(chan fsnotify.Event), errs: make(chan error)}
	f := newFolders(o.defaults())
	f.notes, f.descriptors = k, -1
	if change != nil {
		change(f)
	}
	if f.notes == nil {
		return start(f, nil, nil), k
	}
	return start(f, k.events, k.errs), k
}

// A tally counts the signals, and when they came.
type tally struct {
	start time.Time
	mu    sync.Mutex
	names []string
	at    []time.Duration
	ended chan struct{}
}

func count(w *Watcher) *tally {
	y := &tally{start: time.Now(), ended: make(chan struct{})}
	go func() {
		defer close(y.ended)
		for name := range w.Changed() {
			y.mu.Lock()
			y.names, y.at = append(y.names, name), append(y.at, time.Since(y.start))
			y.mu.Unlock()
		}
	}()
	return y
}

// signals are those so far, once nothing is left to be done but to wait.
func (y *tally) signals() ([]string, []time.Duration) {
	synctest.Wait()
	y.mu.Lock()
	defer y.mu.Unlock()
	return slices.Clone(y.names), slices.Clone(y.at)
}

// TestBurst: ten thousand changes that follow each other are told of once.
func TestBurst(t *testing.T) {
	y := newYard(t)
	y.write("host.key", "1")
	synctest.Test(t, func(t *testing.T) {
		w, k := told(t, Options{}, nil)
		defer w.Close()
		w.Set(map[string][]string{"host": {y.path("host.key")}})
		c := count(w)
		for i := range 10000 {
			if i%2000 == 0 {
				y.write("host.key", fmt.Sprint(i))
			}
			k.events <- fsnotify.Event{Name: y.path("host.key"), Op: fsnotify.Write}
			time.Sleep(50 * time.Microsecond)
		}
		time.Sleep(time.Minute / 2)
		if names, at := c.signals(); !slices.Equal(names, []string{"host"}) || at[0] > 750*time.Millisecond {
			t.Errorf("signals %q at %v; want one, 200 ms after half a second", names, at)
		}
	})
}

// TestStorm: changes that do not end are told of each second, and those of other
// targets as soon as they are quiet.
func TestStorm(t *testing.T) {
	y := newYard(t)
	y.mkdir("other")
	y.write("host.key", "1")
	y.write("other/host.key", "1")
	synctest.Test(t, func(t *testing.T) {
		w, k := told(t, Options{}, nil)
		defer w.Close()
		w.Set(map[string][]string{"host": {y.path("host.key")}, "other": {y.path("other/host.key")}})
		c := count(w)
		for i := range 100 {
			y.write("host.new", fmt.Sprint(i+2)) // a look at the same time sees either, and not half
			y.rename("host.new", "host.key")
			k.events <- fsnotify.Event{Name: y.path("host.key"), Op: fsnotify.Create}
			if i == 50 {
				y.write("other/host.key", "2")
				k.events <- fsnotify.Event{Name: y.path("other/host.key"), Op: fsnotify.Write}
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Minute / 2)
		names, at := c.signals()
		hosts := 0
		for i, name := range names {
			if name == "host" {
				hosts++
			} else if at[i] > 5300*time.Millisecond {
				t.Errorf("the other is told of after %v; want 5.2 s", at[i])
			}
		}
		if hosts < 9 || hosts > 11 || len(names) != hosts+1 {
			t.Errorf("in ten seconds signals %q at %v; want one a second", names, at)
		}
	})
}

// TestSwap: nobody is told of a key before its certificate has come too.
func TestSwap(t *testing.T) {
	y := newYard(t)
	for _, name := range []string{"host.key", "host.cert"} {
		y.write(name, "1")
	}
	synctest.Test(t, func(t *testing.T) {
		w, k := told(t, Options{}, nil)
		defer w.Close()
		w.Set(map[string][]string{"host": {y.path("host.key"), y.path("host.cert")}})
		c := count(w)
		y.write("host.key", "2")
		k.events <- fsnotify.Event{Name: y.path("host.key"), Op: fsnotify.Create}
		time.Sleep(150 * time.Millisecond)
		if names, _ := c.signals(); len(names) > 0 {
			t.Errorf("told between the two: %q", names)
		}
		y.write("host.cert", "2")
		k.events <- fsnotify.Event{Name: y.path("host.cert"), Op: fsnotify.Create}
		time.Sleep(time.Second)
		if names, at := c.signals(); len(names) != 1 || at[0] != 350*time.Millisecond {
			t.Errorf("signals %q at %v; want one after 350 ms", names, at)
		}
	})
}

// TestNothing: what differs in nothing that counts is not told of, nor what happens
// beside.
func TestNothing(t *testing.T) {
	y := newYard(t)
	y.mkdir("certs")
	y.write("certs/host.key", "1")
	y.write("host.key", "1")
	synctest.Test(t, func(t *testing.T) {
		w, k := told(t, Options{Poll: 10 * time.Second}, nil)
		defer w.Close()
		w.Set(map[string][]string{"host": {y.path("certs"), y.path("host.key")}})
		c := count(w)
		for _, step := range []func(){
			func() { y.write("certs/host.key", "1") },
			func() { y.do(os.Chtimes(y.path("certs/host.key"), time.Now(), time.Now())) },
			func() { y.write("host.new", "1"); y.rename("host.new", "host.key") },
			func() { y.write("beside", "1") },
			func() { y.write("certs/.tmp", "1"); y.remove("certs/.tmp") },
			func() { y.do(os.Chmod(y.path("host.key"), 0o644)); y.do(os.Chmod(y.path("host.key"), 0o600)) },
		} {
			step()
			for _, name := range []string{"certs/host.key", "host.key", "beside", "certs", "certs/.tmp", "."} {
				k.events <- fsnotify.Event{Name: y.path(name), Op: fsnotify.Write}
			}
			k.events <- fsnotify.Event{}
			time.Sleep(time.Minute)
		}
		if names, _ := c.signals(); len(names) > 0 {
			t.Errorf("told: %q", names)
		}
	})
}

// TestUnread: whoever does not read waits for nothing, keeps nobody waiting, and
// finds each name once.
func TestUnread(t *testing.T) {
	y := newYard(t)
	targets := map[string][]string{}
	for i := range 10 {
		name := fmt.Sprintf("host%d", i)
		targets[name] = []string{y.path(name)}
	}
	synctest.Test(t, func(t *testing.T) {
		w, k := told(t, Options{}, nil)
		w.Set(targets)
		for round := range 5 {
			for name := range targets {
				y.write(name, fmt.Sprint(round))
				k.events <- fsnotify.Event{Name: y.path(name), Op: fsnotify.Write}
			}
			time.Sleep(time.Second)
		}
		delete(targets, "host3")
		w.Set(targets)
		c := count(w)
		names, _ := c.signals()
		if slices.Sort(names); len(names) != 9 || len(slices.Compact(names)) != 9 || slices.Contains(names, "host3") {
			t.Errorf("told: %q; want each once, and not what is watched no more", names)
		}
		w.Close()
		<-c.ended
		w.Close()
		w.Set(targets)
	})
}

// TestSetAgain: a target with the same paths keeps what is not told of yet.
func TestSetAgain(t *testing.T) {
	y := newYard(t)
	synctest.Test(t, func(t *testing.T) {
		w, k := told(t, Options{}, nil)
		defer w.Close()
		targets := map[string][]string{"host": {y.path("host.key")}}
		w.Set(targets)
		y.write("host.key", "1")
		k.events <- fsnotify.Event{Name: y.path("host.key"), Op: fsnotify.Create}
		targets["other"] = []string{y.path("other/host.key")}
		w.Set(targets)
		c := count(w)
		time.Sleep(time.Second)
		if names, _ := c.signals(); !slices.Equal(names, []string{"host"}) {
			t.Errorf("told: %q; want host", names)
		}
		w.Set(nil)
		if left := k.WatchList(); len(left) > 0 {
			t.Errorf("still watched: %q", left)
		}
	})
}

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
