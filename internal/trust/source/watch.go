package source

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A writer is given a moment to end before what he wrote is read, and not for ever.
const (
	quiet    = 200 * time.Millisecond
	patience = 2 * time.Second
)

// Run follows the files until the context ends. Without a way to be told of changes
// it goes on with polls. It is called once, and tells log.
func (w *Watcher) Run(ctx context.Context, log *slog.Logger) {
	w.log = log
	poll := time.NewTicker(w.c.Poll)
	defer poll.Stop()
	var events <-chan fsnotify.Event
	var lost <-chan error
	var f following
	notes, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("no notice of changed files", "error", err.Error(), "poll", w.c.Poll.String())
	} else {
		defer notes.Close()
		events, lost = notes.Events, notes.Errors
		f = following{notes: notes, watched: map[string]bool{}, entries: map[string]bool{}}
	}
	wait := time.After(0) // something may have changed since it was opened
	var first time.Time   // of the changes that are waited for
	var all bool          // one of them is of a file of ours
	for {
		select {
		case <-ctx.Done():
			return
		case <-lost: // an overflow: nobody knows of what
			all, wait = true, time.After(quiet)
		case e, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			all = all || f.ours(e.Name)
			if now := time.Now(); wait == nil || now.Sub(first) < patience {
				if wait == nil {
					first = now
				}
				wait = time.After(quiet)
			}
		case <-wait:
			wait = nil
			f.follow(w.entries)
			if w.look(all) { // links may have changed after they were followed
				wait = time.After(quiet)
			}
			all = false
		case <-poll.C:
			f.follow(w.entries)
			w.look(false)
		}
	}
}

// A following is the folders of which notice is taken.
type following struct {
	notes   *fsnotify.Watcher // nil: there is none
	watched map[string]bool
	entries map[string]bool // by path
}

// ours reports whether a path is that of an entry, or in it. There may be much
// coming and going beside.
func (f following) ours(path string) bool { return f.entries[path] || f.entries[filepath.Dir(path)] }

// follow watches the folders in which something may change: an entry's own, that which
// it is in, and those which they lead to. One that was removed and made again is
// another, and watched anew.
func (f following) follow(entries []*entry) {
	if f.notes == nil {
		return
	}
	wanted := map[string]bool{}
	clear(f.entries)
	for _, e := range entries {
		for _, path := range e.paths {
			for _, p := range []string{path, real(path)} {
				if fi, err := os.Stat(p); err == nil && fi.IsDir() {
					wanted[p] = true
				}
				wanted[filepath.Dir(p)], f.entries[p] = true, true
			}
		}
		for name := range e.files {
			if to := real(name); to != name {
				wanted[filepath.Dir(to)], f.entries[to] = true, true
			}
		}
	}
	for dir := range f.watched {
		if !wanted[dir] {
			_ = f.notes.Remove(dir) // it may be gone by itself
			delete(f.watched, dir)
		}
	}
	for dir := range wanted {
		if f.notes.Add(dir) == nil { // again: where the folder is another one, it takes that
			f.watched[dir] = true
		} // else it is not there, and polls will find it
	}
}

// real is where symbolic links lead to, or path itself where they lead nowhere.
func real(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to
	}
	return path
}
