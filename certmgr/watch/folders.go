package watch

import (
	"errors"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// A notifier tells of changes in folders. It is an *fsnotify.Watcher.
type notifier interface {
	Add(folder string) error
	Remove(folder string) error
	WatchList() []string
	Close() error
}

// A burst is when changes of a target were told of that nobody has looked at yet.
type burst struct {
	first, last time.Time
	// whole: content may have changed where nothing else has.
	whole bool
}

// due is when a burst is looked at: when nothing has come for a while, or it does
// not end.
func (b burst) due(o Options) time.Time {
	due, latest := b.last.Add(o.quiet), b.first.Add(o.storm)
	if latest.Before(due) {
		return latest
	}
	return due
}

// A folder is one that is watched, or should be.
type folder struct {
	// interest is which names count, by target.
	interest map[*target]names
	// stat tells whether it is still the folder that is watched.
	stat    stat
	watched bool
	// descriptors are what the watch costs.
	descriptors int
}

// folders are what the notifier is asked to tell of, and what it has told. The
// notifier's own lock is held while it waits for somebody to take an event, so
// whoever takes them must never wait for who adds a folder: mu is held for
// neither.
type folders struct {
	Options
	notes notifier // nil: there is none
	// descriptors are left for kqueue, that opens every file of a folder; < 0:
	// watching takes none.
	descriptors int
	told        bool // that something is not watched

	mu     sync.Mutex
	byPath map[string]*folder // written by the loop alone
	gone   map[string]bool    // what was watched there is not there any more
	dirty  map[*target]*burst
	lost   bool          // nobody knows what has changed
	wake   chan struct{} // has room for one
}

// event takes notice of one. It is called by the goroutine that takes them.
func (f *folders) event(e fsnotify.Event, now time.Time) {
	if e.Name == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := f.byPath[filepath.Dir(e.Name)]; d != nil {
		name := filepath.Base(e.Name)
		for t, n := range d.interest {
			if _, ours := n[name]; ours || n == nil {
				f.mark(t, now, false)
			}
		}
	}
	if d := f.byPath[e.Name]; d != nil { // the folder itself
		if e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename) || e.Has(fsnotify.Create) {
			f.gone[e.Name] = true
		}
		for t := range d.interest {
			f.mark(t, now, false)
		}
	}
}

// mark takes notice of a change. The loop is roused for the first of a burst:
// others only put off when it is looked at.
func (f *folders) mark(t *target, now time.Time, whole bool) {
	b := f.dirty[t]
	if b == nil {
		b = &burst{first: now}
		f.dirty[t] = b
		f.rouse()
	}
	b.last, b.whole = now, b.whole || whole
}

func (f *folders) rouse() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// overflow: the kernel had more to tell than it could keep.
func (f *folders) overflow() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost = true
	f.rouse()
}

// attend has the folders of a target watched as a survey has found them, and
// reports whether one is watched now that was not: what has happened in it before
// nobody tells.
func (f *folders) attend(t *target, wanted map[string]names) (fresh bool) {
	for _, path := range t.folders {
		if _, still := wanted[path]; !still {
			f.leave(t, path)
		}
	}
	t.folders = slices.Collect(maps.Keys(wanted))
	for path, n := range wanted {
		f.mu.Lock()
		d := f.byPath[path]
		if d == nil {
			d = &folder{interest: map[*target]names{}}
			f.byPath[path] = d
		}
		d.interest[t] = n
		gone := f.gone[path]
		delete(f.gone, path)
		f.mu.Unlock()
		st, err := lstat(path)
		if err != nil {
			fresh = true // it is gone since it was found
			continue
		}
		if d.watched && !gone && d.stat.dev == st.dev && d.stat.inode == st.inode {
			continue
		}
		f.unwatch(path, d)
		d.stat = st
		fresh = f.watch(path, d) || fresh
	}
	return fresh
}

// leave: a folder does not matter to a target any more.
func (f *folders) leave(t *target, path string) {
	f.mu.Lock()
	d := f.byPath[path]
	if d == nil {
		f.mu.Unlock()
		return
	}
	delete(d.interest, t)
	last := len(d.interest) == 0
	if last {
		delete(f.byPath, path)
		delete(f.gone, path)
	}
	f.mu.Unlock()
	if last {
		f.unwatch(path, d)
	}
}

func (f *folders) unwatch(path string, d *folder) {
	if d.watched {
		_ = f.notes.Remove(path) // with the folder its watch has gone by itself
	}
	f.descriptors += d.descriptors
	d.watched, d.descriptors = false, 0
}

var errDescriptors = errors.New("more files than a quarter of the descriptors that this process may have")

// watch asks the notifier to tell of a folder. What is not watched is polled.
func (f *folders) watch(path string, d *folder) bool {
	if f.notes == nil {
		return false
	}
	err := f.afford(path, d)
	if err == nil {
		err = f.notes.Add(path)
	}
	if err == nil {
		d.watched = true
		return true
	}
	f.unwatch(path, d)
	if !f.told && !errors.Is(err, unix.ENOENT) {
		f.told = true
		f.unheard(err, path)
	}
	return false
}

// afford takes what a folder costs with kqueue, where it is not too much: what is
// left serves connections.
func (f *folders) afford(path string, d *folder) error {
	if f.descriptors < 0 {
		return nil
	}
	files, err := list(path)
	if err != nil {
		return err
	}
	if d.descriptors = len(files) + 1; d.descriptors > f.descriptors {
		d.descriptors = 0
		return errDescriptors
	}
	f.descriptors -= d.descriptors
	return nil
}

// unheard tells, once, that changes are found by polls alone.
func (f *folders) unheard(err error, path string) {
	attrs := []any{"error", err.Error(), "poll", f.Poll.String()}
	if path != "" {
		attrs = append(attrs, "folder", path)
	}
	if runtime.GOOS == "linux" {
		switch {
		case errors.Is(err, unix.ENOSPC):
			attrs = append(attrs, "raise", "fs.inotify.max_user_watches")
		case errors.Is(err, unix.EMFILE):
			attrs = append(attrs, "raise", "fs.inotify.max_user_instances")
		}
	}
	f.Log.Warn("no notice of changed files", attrs...)
}

// verify looks whether the notifier still has what it should: a folder that was
// renamed while it was asked for, it may have lost.
func (f *folders) verify() {
	if f.notes == nil {
		return
	}
	has := map[string]bool{}
	for _, path := range f.notes.WatchList() {
		has[path] = true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for path, d := range f.byPath {
		if d.watched && !has[path] {
			f.gone[path] = true
		}
	}
}

// budget is how many descriptors kqueue may take.
func budget() int {
	if runtime.GOOS == "linux" {
		return -1
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(uint64(limit.Cur), 1<<20) / 4)
}
