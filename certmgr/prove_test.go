package certmgr

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"mailseal/certmgr/probe"
)

// Every mail is refused by a server that has lost its TLS: it gets its old files
// back soon. One that serves the old certificate still has its time.
func TestLostTLS(t *testing.T) {
	for script, within := range map[script][2]time.Duration{
		picky: {withoutTLS, withoutTLS + 3*time.Second},
		deaf:  {usualTime, usualTime + 3*time.Second},
	} {
		bubble(t, string(script), func(t *testing.T) {
			b := newBench(t)
			b.right()
			b.plays(script)
			b.another()
			begin := time.Now()
			r := b.once()
			if took := time.Since(begin); !r.RolledBack || took < within[0] || took > within[1] {
				t.Errorf("rolled back %v after %v, want within %v\n%s", r.RolledBack, took, within, b.log)
			}
		})
	}
}

// A fault that comes while a server is looked at is not made to wait for that; a
// file that only looks different is none.
func TestSpoilt(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t)
		b.right()
		b.plays(late)
		b.another()
		_, stop := b.run()
		defer stop()
		after(2 * time.Second)
		told := b.told()
		now := time.Now()
		b.do(os.Chtimes(b.path("host.cert"), now, now))
		b.touched()
		if after(2 * time.Second); b.told() != told {
			t.Errorf("a touched file has the server told again\n%s", b.log)
		}
		b.do(os.Remove(b.path("host.key")))
		b.touched()
		if after(time.Second); b.read() == nil || b.told() != told+1 {
			t.Errorf("not mended after a second; told %d times\n%s", b.told()-told, b.log)
		}
		if after(usualTime); !b.served() {
			t.Errorf("not served\n%s", b.log)
		}
	})
}

// Who does not watch is told, and the proof is owed.
func TestSpoiltOnce(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t)
		b.right()
		b.plays(late)
		b.another()
		go func() {
			time.Sleep(5 * time.Second)
			os.Remove(b.path("host.key"))
		}()
		if r := b.once(); !errors.Is(r.Err, errSpoilt) || r.RolledBack || !b.keeper().owes(*b.target) {
			t.Errorf("%v, rolled back %v", r.Err, r.RolledBack)
		}
		b.wellAgain(late)
	})
}

// A server that is slow to say what it serves does not delay its repair.
func TestSlowAnswer(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t)
		b.right()
		ask, begin := b.config.Probe, time.Now()
		b.config.Probe = func(ctx context.Context, u probe.URL, w probe.Want) probe.Result {
			if b.read() == nil { // it has no key
				select {
				case <-time.After(oneProbe):
				case <-ctx.Done():
				}
			}
			return ask(ctx, u, w)
		}
		b.do(os.Remove(b.path("host.key")))
		if r := b.once(); r.Err != nil || time.Since(begin) > 5*time.Second {
			t.Errorf("%v after %v\n%s", r.Err, time.Since(begin), b.log)
		}
	})
}

// A server that takes no connection, and does not even say so, does not run: that
// is no reason to take files back.
func TestNoConnection(t *testing.T) {
	for _, there := range []bool{false, true} {
		bubble(t, "", func(t *testing.T) {
			b := newBench(t)
			b.right()
			b.up = false
			b.config.Connects = func(context.Context, probe.URL) bool { return there }
			ask := b.config.Probe
			b.config.Probe = func(ctx context.Context, u probe.URL, w probe.Want) probe.Result {
				select {
				case <-time.After(oneProbe):
				case <-ctx.Done():
				}
				return ask(ctx, u, w)
			}
			b.another()
			if r := b.once(); r.RolledBack != there || r.Absent == there || (r.Err != nil) != there {
				t.Errorf("takes connections: %v: %+v", there, r)
			}
		})
	}
}

// Where nobody is asked, nobody knows what is served after a reload that failed.
func TestUnasked(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t)
		b.target.Probes = nil
		b.config.Reload = func(context.Context, Target) error { return errors.New("no such unit") }
		if r := b.once(); r.Err == nil || b.log.Count("cannot reload") != 1 || b.log.Count("served all the same") != 0 {
			t.Errorf("%v\n%s", r.Err, b.log)
		}
	})
}
