package maillog

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A valve is a target that can be shut: a write then waits, or fails.
type valve struct {
	mu     sync.Mutex
	shut   chan struct{} // writes wait until it is closed
	broken bool
	lines  []string
}

func (v *valve) Write(line []byte) (int, error) {
	v.mu.Lock()
	shut := v.shut
	v.mu.Unlock()
	if shut != nil {
		<-shut
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.broken {
		return 0, errors.New("broken pipe")
	}
	v.lines = append(v.lines, strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}

func (v *valve) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shut = make(chan struct{})
}

func (v *valve) open() {
	v.mu.Lock()
	defer v.mu.Unlock()
	close(v.shut)
	v.shut = nil
}

func (v *valve) breakOff(b bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.broken = b
}

func (v *valve) all() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.lines)
}

// A target that takes lines has each when the caller goes on.
func TestQueueIsSynchronous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var v valve
		q := NewQueue(&v)
		log := slog.New(New(q, nil))
		for i := range 100 {
			log.Info("signed", "n", i)
			if got, want := v.all(), fmt.Sprintf("-: signed n=%d", i); len(got) != i+1 || got[i] != want {
				t.Fatalf("after line %d the target has %d, the last %q", i, len(got), got[len(got)-1])
			}
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A target that hangs holds the callers up for a second altogether. What fits
// comes in order when it goes on; what does not is counted.
func TestQueueStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var v valve
		q := NewQueue(&v)
		log := slog.New(New(q, nil))
		log.Info("before")
		v.close()
		begin := time.Now()
		for range 2000 {
			log.Info("signed")
		}
		if d := time.Since(begin); d != queuePatience {
			t.Errorf("2000 lines took %v; want %v", d, queuePatience)
		}
		v.open()
		synctest.Wait()
		log.Info("after")
		got := v.all()
		kept := len(got) - 3
		if lost := fmt.Sprintf("-: log level=warn lost=%d ", 2000-kept); kept < queueLength || kept > queueLength+1 ||
			!strings.HasPrefix(got[len(got)-2], lost) || got[len(got)-1] != "-: after" {
			t.Errorf("%d lines kept, at the end %q; want about %d, then lost=, then after", kept, got[len(got)-2:], queueLength)
		}
		if n := q.Lost(); n != int64(2000-kept) {
			t.Errorf("%d lines lost, with %d of 2000 kept", n, kept)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A target that refuses lines, as a pipe without a reader does, holds nobody up.
func TestQueueBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var v valve
		q := NewQueue(&v)
		log := slog.New(New(q, nil))
		v.breakOff(true)
		begin := time.Now()
		for range 5000 {
			log.Info("signed")
		}
		if d := time.Since(begin); d != 0 {
			t.Errorf("5000 lines took %v", d)
		}
		v.breakOff(false)
		log.Info("after")
		synctest.Wait()
		got := v.all()
		if len(got) != 2 || got[0] != "-: after" || !strings.HasPrefix(got[1], "-: log level=warn lost=5000 ") {
			t.Errorf("%q", got)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Who ends does not wait for a target that hangs.
func TestQueueClosedWhileStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var v valve
		q := NewQueue(&v)
		log := slog.New(New(q, nil))
		v.close()
		log.Info("first")
		log.Info("second")
		begin := time.Now()
		if err := q.Close(); err == nil {
			t.Error("no error")
		}
		if d := time.Since(begin); d != queuePatience {
			t.Errorf("closed after %v", d)
		}
		v.open() // for its goroutine
	})
}
