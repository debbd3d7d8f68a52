package watcher_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"testing"
	"time"
)

// certmgr is killed at instants of an installation. Clients hear nothing of it,
// at no time are all of sendmail's files absent, and before a server starts again
// -once has put all right.
func TestKilled(t *testing.T) {
	slow(t)
	const points = 12
	w := newWorld(t, nil, sendmail, postfix)
	w.start()
	absent := w.neverAbsent(t)
	defer absent()

	for i := range points {
		w.names = append(hosts[:len(hosts):len(hosts)], fmt.Sprintf("kill%d.example.test", i))
		w.certmgr.Stop()
		w.certmgr.Configure(w.config())
		mark := w.certmgr.Mark()
		w.certmgr.Start()
		_, err := w.certmgr.WaitLog(mark, `: found `)
		ok(t, err)
		time.Sleep(time.Duration(i) * 8 * time.Millisecond) // the point
		w.certmgr.Kill()
		done := w.certmgr.Lines(mark, "target=")
		var torn []string
		for _, s := range w.servers {
			if err := s.whole(); err != nil {
				torn = append(torn, fmt.Sprintf("%s: %v", s.name, err))
			}
		}
		if i%3 == 0 { // the machine has gone down too
			for _, s := range w.servers {
				s.clients.end()
				ok(t, s.mta.Stop())
			}
			if out, errs, status := w.once(); status != 0 {
				t.Errorf("-once after a crash: status %d\n%s%s", status, out, errs)
			}
			for _, s := range w.servers {
				ok(t, s.whole())
				ok(t, s.mta.Start())
				ok(t, s.sound())
				s.clients.again()
			}
			w.certmgr.Start()
		} else {
			w.certmgr.Start()
			for _, s := range w.servers {
				soon(t, time.Now(), s.name+" after a crash", s.sound)
			}
		}
		t.Logf("killed %d ms after it began, after %q: not yet right: %q", 8*i, done[len(done)-1], torn)
	}
	for _, s := range w.servers {
		ok(t, s.lives(t, tally{}))
		t.Logf("%s: %v", s.name, s.clients.tally())
	}
}

// neverAbsent looks all the time whether one of sendmail's files is there, until
// what it returns is called.
func (w *world) neverAbsent(t *testing.T) func() {
	s, stop := w.servers[0], make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			gone := 0
			for _, name := range []string{s.key, s.cert, s.ca} {
				if _, err := os.Lstat(s.file(name)); errors.Is(err, fs.ErrNotExist) {
					gone++
				}
			}
			if gone > 0 {
				t.Errorf("%d of sendmail's files are absent", gone)
				return
			}
		}
	})
	return func() { close(stop); done.Wait() }
}
