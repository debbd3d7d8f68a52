package watch

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
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
