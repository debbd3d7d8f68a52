package watch

import (
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// wholly is the number of polls of which one reads all files, each target's at
	// another one.
	wholly = 30
	// rounds bounds how often folders are followed that change meanwhile.
	rounds = 5
)

// A target is what one name stands for. The loop owns it.
type target struct {
	name   string
	number int
	paths  []string
	interest
	seen    looks
	folders []string // that matter to it
}

// A request is what Set asks of the loop.
type request struct {
	targets map[string][]string
	done    chan struct{}
}

// loop does all looking. It has the targets for its own, and ends with closed.
type loop struct {
	*folders
	targets map[string]*target
	polls   int
	waiting []string // names that nobody has read yet, in order
}

func (l *loop) run(w *Watcher) {
	poll := time.NewTicker(l.Poll)
	defer poll.Stop()
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	for {
		out, next := w.changed, ""
		if len(l.waiting) == 0 {
			out = nil
		} else {
			next = l.waiting[0]
		}
		if at, any := l.due(); any {
			alarm.Reset(time.Until(at))
		} else {
			alarm.Stop()
		}
		select {
		case <-w.closed:
			return
		case r := <-w.requests:
			l.set(r.targets)
			close(r.done)
		case out <- next:
			l.waiting = l.waiting[1:]
		case <-l.wake:
		case now := <-alarm.C:
			l.check(now)
		case <-poll.C:
			l.pollAll(time.Now())
		}
	}
}

// listen takes what a notifier tells until it ends.
func (f *folders) listen(events <-chan fsnotify.Event, errs <-chan error) {
	for events != nil || errs != nil {
		select {
		case e, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			f.event(e, time.Now())
		case _, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			f.overflow() // whatever it is, something may have got lost
		}
	}
}

// due is when the next burst is to be looked at.
func (l *loop) due() (at time.Time, any bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost {
		l.lost = false
		for _, t := range l.targets {
			l.mark(t, time.Now(), false)
		}
	}
	for _, b := range l.dirty {
		if d := b.due(l.Options); !any || d.Before(at) {
			at, any = d, true
		}
	}
	return at, any
}

// check looks at the targets whose bursts are due, the first first, and tells of
// those that differ.
func (l *loop) check(now time.Time) {
	for _, t := range l.bursts(now) {
		seen := l.look(t.target, t.whole)
		differs := !seen.same(t.seen)
		t.seen = seen // where nothing that counts differs, it may have been touched
		if differs && !slices.Contains(l.waiting, t.name) {
			l.waiting = append(l.waiting, t.name)
		}
	}
}

// A disturbed target is one whose burst is due.
type disturbed struct {
	*target
	burst
}

// bursts takes those that are due. What comes from here on is another burst.
func (l *loop) bursts(now time.Time) []disturbed {
	l.mu.Lock()
	defer l.mu.Unlock()
	var due []disturbed
	for t, b := range l.dirty {
		if !b.due(l.Options).After(now) {
			due = append(due, disturbed{t, *b})
			delete(l.dirty, t)
		}
	}
	slices.SortFunc(due, func(a, b disturbed) int { return a.due(l.Options).Compare(b.due(l.Options)) })
	return due
}

// look surveys a target until all folders were watched before it was looked at.
func (l *loop) look(t *target, whole bool) looks {
	var s *survey
	for range rounds {
		s = t.interest.survey()
		if !l.attend(t, s.folders) {
			break
		}
	}
	if !whole && t.seen.untouched(s.entries) {
		return t.seen
	}
	return lookAt(s.entries, t.seen, whole)
}

// pollAll looks for what nobody has told of. What it finds may be half of a
// change, so it is told when it has lasted for a moment like all others.
func (l *loop) pollAll(now time.Time) {
	l.polls++
	l.verify()
	for _, t := range l.targets {
		whole := (l.polls+t.number)%wholly == 0
		if seen := l.look(t, whole); !seen.same(t.seen) {
			l.mu.Lock()
			l.mark(t, now, whole)
			l.mu.Unlock()
		} else {
			t.seen = seen
		}
	}
}

// set takes other targets. One that has the same paths as before stays as it is.
func (l *loop) set(targets map[string][]string) {
	for name, t := range l.targets {
		if paths, still := targets[name]; !still || !slices.Equal(paths, t.paths) {
			for _, path := range t.folders {
				l.leave(t, path)
			}
			l.mu.Lock()
			delete(l.dirty, t)
			l.mu.Unlock()
			delete(l.targets, name)
		}
	}
	l.waiting = slices.DeleteFunc(l.waiting, func(name string) bool { _, still := targets[name]; return !still })
	for name, paths := range targets {
		if l.targets[name] != nil {
			continue
		}
		t := &target{name: name, number: len(l.targets), paths: slices.Clone(paths), interest: interestIn(paths)}
		l.targets[name] = t
		t.seen = l.look(t, true)
	}
}
