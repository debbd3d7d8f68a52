package watcher_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A table collects repairs.
type table struct {
	sync.Mutex
	rows []repair
}

func (t *table) add(r repair) {
	t.Lock()
	defer t.Unlock()
	t.rows = append(t.rows, r)
}

func (t *table) String() string {
	slices.SortStableFunc(t.rows, func(a, b repair) int { return strings.Compare(a.server, b.server) })
	var b strings.Builder
	fmt.Fprintf(&b, "%-9s %-40s %8s %8s %9s %8s %7s\n", "server", "fault", "files/s", "served/s", "sessions", "refused", "away")
	for _, r := range t.rows {
		fmt.Fprintf(&b, "%-9s %-40s %8.2f %8.2f %9d %8d %7d\n", r.server, r.what, r.files.Seconds(), r.served.Seconds(),
			r.sessions.Done, r.sessions.Refused+r.sessions.Broken, r.sessions.Away)
	}
	return b.String()
}

// often is after how many repairs of a target certmgr takes its time, because
// somebody else must be at work there. One that is started anew does not.
const often = 5

// repairs injects faults, each into all servers that have it at the same time.
func (w *world) repairs(t *testing.T, all []fault) {
	t.Helper()
	var table table
	for i, f := range all {
		if i > 0 && i%often == 0 {
			w.certmgr.Stop()
			w.certmgr.Start()
		}
		var servers sync.WaitGroup
		var stuck atomic.Bool
		for _, s := range w.servers {
			if f.of == nil || f.of(s) {
				servers.Go(func() {
					if r, err := s.mended(t, f); err != nil {
						t.Errorf("%s, %s: %v", s.name, f.what, err)
						stuck.Store(true)
					} else {
						table.add(r)
					}
				})
			}
		}
		servers.Wait()
		if stuck.Load() {
			break
		}
	}
	t.Logf("\n%s", &table)
	for _, s := range w.servers {
		t.Logf("%s: %v; %d times it did not believe a client's certificate", s.name, s.clients.tally(), strings.Count(s.mta.Log(), "verify=FAIL"))
	}
}

// The faults that tell most, on a live sendmail and a live Postfix.
func TestFaults(t *testing.T) {
	begin := time.Now()
	w := newWorld(t, nil, sendmail, postfix)
	w.start()
	w.repairs(t, slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return !f.quick }))
	t.Logf("took %v", time.Since(begin))
}

// All faults, on all servers.
func TestAllFaults(t *testing.T) {
	slow(t)
	w := newWorld(t, nil, sendmail, postfix, dovecot, exim)
	w.start()
	w.repairs(t, faults)
}
