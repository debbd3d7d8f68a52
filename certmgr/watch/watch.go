// Package watch tells which of a host's targets have a file that is not what it
// was:
//
//	w := watch.New(watch.Options{Log: log})
//	defer w.Close()
//	w.Set(map[string][]string{"sendmail": {"/etc/mail/certs", "/etc/mail/certs/host.key"}})
//	for name := range w.Changed() {
//		inspect(name)
//	}
//
// What the kernel tells of folders (inotify, kqueue) is a hint to look, never
// what is believed: a look compares kind, mode, owner and content with those of
// the look before, and only what differs is told. Polls find what the kernel
// does not tell: on network file systems, where its limits are reached, and, with
// kqueue, links that are replaced.
//
// Folders are watched and never files: a file that is renamed to its place takes
// no watch with it. Symbolic links on the way are watched where they lie, so that
// the swap of one, as Kubernetes' ..data and certbot's live/, is seen. Where a
// folder is missing, the nearest one above it is watched until it comes.
package watch

import (
	"log/slog"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Options are how files are looked at. The zero value is good.
type Options struct {
	// Poll is how often all files are looked at, whether or not the kernel
	// has told of a change; 0 is a minute.
	Poll time.Duration
	// Log is told, once each, what cannot be watched; nil tells nobody.
	Log *slog.Logger

	// quiet is how long nothing must have changed before a change is looked at: a
	// key and its certificate are renamed one after the other. storm is how long
	// that is waited for.
	quiet, storm time.Duration
}

// defaults are those of the zero value.
func (o Options) defaults() Options {
	if o.Poll <= 0 {
		o.Poll = time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.quiet <= 0 {
		o.quiet, o.storm = 200*time.Millisecond, time.Second
	}
	return o
}

// A Watcher watches targets' files. Its methods may be called by any goroutine.
type Watcher struct {
	changed  chan string
	requests chan request
	closed   chan struct{}
	close    func()
	running  sync.WaitGroup
}

// New starts a watcher of nothing. Where the kernel watches nothing for us, it
// polls. It is ended by Close.
func New(o Options) *Watcher {
	o = o.defaults()
	notes, err := fsnotify.NewWatcher()
	f := newFolders(o)
	if err != nil {
		f.unheard(err, "")
		return start(f, nil, nil)
	}
	f.notes = notes
	return start(f, notes.Events, notes.Errors)
}

func newFolders(o Options) *folders {
	return &folders{
		Options: o, descriptors: budget(),
		byPath: map[string]*folder{}, gone: map[string]bool{}, dirty: map[*target]*burst{}, wake: make(chan struct{}, 1),
	}
}

// start starts what looks, and what listens to a notifier.
func start(f *folders, events <-chan fsnotify.Event, errs <-chan error) *Watcher {
	w := &Watcher{changed: make(chan string), requests: make(chan request), closed: make(chan struct{})}
	w.close = sync.OnceFunc(func() {
		close(w.closed)
		w.running.Wait()
		close(w.changed)
	})
	w.running.Go(func() { f.listen(events, errs) })
	w.running.Go(func() {
		(&loop{folders: f, targets: map[string]*target{}}).run(w)
		if f.notes != nil {
			_ = f.notes.Close() // ends listen
		}
	})
	return w
}

// Set says which files and folders are watched, by the name of whose they are:
// all of them, in place of what was set before. Paths are absolute; of a folder
// its own mode and owner and those of what lies directly in it count, and the
// content of files. When Set returns, everything has been looked at once: inspect
// after it, and no change between the two is lost. A target that was there
// before with the same paths is compared with the look before, not looked at anew.
func (w *Watcher) Set(targets map[string][]string) {
	r := request{targets, make(chan struct{})}
	select {
	case w.requests <- r:
		<-r.done
	case <-w.closed:
	}
}

// Changed has the name of each target with something that differs from the look
// before. Changes that follow each other within 200 ms are told as one, in a
// storm of them at least one each second. A name waits once, however often its
// target changes before it is read, and nothing else waits for the reader. The
// channel is closed by Close.
func (w *Watcher) Changed() <-chan string { return w.changed }

// Close ends the watcher and all that it has started. It may be called again.
func (w *Watcher) Close() { w.close() }
