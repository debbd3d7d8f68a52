package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A thousand mails that need one list cost one fetch.
func TestOneFetchForAll(t *testing.T) {
	good := list(t, 1, 0, 24)
	o := newOrigin(t)
	come := make(chan struct{})
	o.will(func(w http.ResponseWriter, _ *http.Request) { <-come; w.Write(good) })
	b := newBench(t, Config{Settings: on(), Dir: t.TempDir()})
	var all sync.WaitGroup
	var right, waiting atomic.Int64
	for range 1000 {
		all.Go(func() {
			waiting.Add(1)
			if der, err := b.CRL(b.Mail(context.Background()), o.URL); err == nil && bytes.Equal(der, good) {
				right.Add(1)
			}
		})
	}
	eventually(t, "a thousand waiters", func() bool { return waiting.Load() == 1000 && o.hits.Load() > 0 })
	close(come)
	all.Wait()
	if right.Load() != 1000 || o.hits.Load() != 1 {
		t.Errorf("%d are right, asked %d times", right.Load(), o.hits.Load())
	}
}

// A mail does not wait longer than it may, for all that it needs. What comes
// later is for the next one.
func TestWait(t *testing.T) {
	good := list(t, 1, 0, 24)
	o := newOrigin(t)
	come := make(chan struct{})
	o.will(func(w http.ResponseWriter, _ *http.Request) { <-come; w.Write(good) })
	s := on()
	s.Wait = 50 * time.Millisecond
	b := newBench(t, Config{Settings: s})
	ctx := b.Mail(context.Background())
	began := time.Now()
	for i := range 5 {
		if _, err := b.CRL(ctx, fmt.Sprintf("%s/%d", o.URL, i)); err == nil || !strings.HasSuffix(err.Error(), "has not answered yet") {
			t.Error(err)
		}
	}
	if left := ctx.Value(budgetKey{}).(*budget).left; left != 0 {
		t.Errorf("%v of the budget is left", left)
	}
	if took := time.Since(began); took < s.Wait || took > patience/2 {
		t.Errorf("it took %v", took)
	}
	close(come)
	for i := range 5 {
		eventually(t, "the list", func() bool {
			der, err := b.CRL(ctx, fmt.Sprintf("%s/%d", o.URL, i))
			return err == nil && bytes.Equal(der, good)
		})
	}
	if n := o.hits.Load(); n != 5 {
		t.Errorf("asked %d times", n)
	}
}

// Who is broken off does not break off the fetch.
func TestCancel(t *testing.T) {
	o := newOrigin(t)
	come := make(chan struct{})
	o.will(func(w http.ResponseWriter, _ *http.Request) { <-come; w.Write(list(t, 1, 0, 24)) })
	b := newBench(t, Config{Settings: on()})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		eventually(t, "a request", func() bool { return o.hits.Load() == 1 })
		cancel()
	}()
	if _, err := b.CRL(ctx, o.URL); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(come)
	b.crl(o.URL)
	if n := o.hits.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// One mail cannot have us fetch without end.
func TestPerMail(t *testing.T) {
	o := newOrigin(t)
	o.has(list(t, 1, 0, 24))
	b := newBench(t, Config{Settings: on()})
	ctx := b.Mail(context.Background())
	for i := range 2 * perMail {
		_, err := b.CRL(ctx, fmt.Sprintf("%s/%d", o.URL, i))
		if want := i >= perMail; (err != nil) != want {
			t.Errorf("%d: %v", i, err)
		}
	}
	if _, err := b.CRL(ctx, o.URL+"/0"); err != nil {
		t.Errorf("what is there costs nothing: %v", err)
	}
	if n := o.hits.Load(); n != perMail {
		t.Errorf("asked %d times", n)
	}
}

// TestAtOnce: from one host no more than two things come at the same time, and
// in all no more than there is room for.
func TestAtOnce(t *testing.T) {
	o := newOrigin(t)
	var now, most atomic.Int64
	come := make(chan struct{})
	o.will(func(w http.ResponseWriter, _ *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-come
		w.Write(list(t, 1, 0, 24))
	})
	b := newBench(t, Config{Settings: on()})
	var all sync.WaitGroup
	var came, busy atomic.Int64
	for i := range maxFlights + 10 {
		all.Go(func() {
			_, err := b.CRL(context.Background(), fmt.Sprintf("%s/%d", o.URL, i))
			switch {
			case err == nil:
				came.Add(1)
			case strings.HasSuffix(err.Error(), errBusy.Error()):
				busy.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	eventually(t, "those that are too many", func() bool { return busy.Load() == 10 && now.Load() == maxPerHost })
	close(come)
	all.Wait()
	if came.Load() != maxFlights || most.Load() != maxPerHost {
		t.Errorf("%d came, %d at once", came.Load(), most.Load())
	}
	if n := len(b.slots.hosts); n != 0 {
		t.Errorf("%d hosts are remembered", n)
	}
	// That there was no room is nobody's failure.
	if b.log.Count("cannot fetch") != 0 {
		t.Error(b.log)
	}
}

// A dead server is asked after 30 s, then after twice as long each time, up to
// an hour. The log tells of the first time, and of the end.
func TestBackOff(t *testing.T) {
	o := newOrigin(t)
	o.will(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	b := newBench(t, Config{Settings: on()})
	var asked []string
	last, at := int64(0), b.clock.now()
	for range 3 * 3600 {
		// Each time for another request: it is the responder that fails.
		b.OCSP(t.Context(), o.URL, []byte(b.clock.now().String()))
		if n := o.hits.Load(); n != last {
			asked = append(asked, b.clock.now().Sub(at).String())
			last, at = n, b.clock.now()
		}
		b.clock.pass(time.Second)
	}
	if got, want := strings.Join(asked, " "), "0s 30s 1m0s 2m0s 4m0s 8m0s 16m0s 32m0s 1h0m0s"; got != want {
		t.Errorf("asked after %s, want %s", got, want)
	}
	if b.log.Count("cannot fetch") != 1 || b.log.Count("\n") != 1 {
		t.Error(b.log)
	}
	b.clock.pass(time.Hour)
	o.has(reply(t, b.clock.now(), b.clock.now().Add(time.Hour)))
	if _, err := b.OCSP(t.Context(), o.URL, []byte("a")); err != nil {
		t.Error(err)
	}
	if b.log.Count("fetched again") != 1 || b.log.Count("\n") != 2 {
		t.Error(b.log)
	}
	// A single thing that is not there is no failure of the host, and new
	// settings try everything anew.
	o.will(http.NotFound)
	last = o.hits.Load()
	b.no(o.URL + "/1")
	b.no(o.URL + "/1")
	b.no(o.URL + "/2")
	if n := o.hits.Load() - last; n != 2 {
		t.Errorf("asked %d times", n)
	}
	b.Use(on())
	b.no(o.URL + "/1")
	if n := o.hits.Load() - last; n != 3 {
		t.Errorf("asked %d times", n)
	}
}

// Whoever may write a URL into a certificate cannot have a CA's lists be given up: by one
// that its server fails at, or by TLS to a port where there is none.
func TestOthersURLs(t *testing.T) {
	good := list(t, 1, 0, 24)
	o := newOrigin(t)
	o.will(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fails" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		w.Write(good)
	})
	for _, bad := range []string{o.URL + "/fails", strings.Replace(o.URL, "http:", "https:", 1) + "/x"} {
		b := newBench(t, Config{Settings: on()})
		b.no(bad)
		if got := b.crl(o.URL + "/good"); !bytes.Equal(got, good) {
			t.Errorf("after %s another list came", bad)
		}
	}
}

func TestFailuresAreBounded(t *testing.T) {
	var f failures
	for i := range 3 * maxFailing {
		f.note(item{key: fmt.Sprint(i)}, &Error{}, start)
	}
	if len(f.of) > maxFailing {
		t.Errorf("%d are remembered", len(f.of))
	}
	f.note(item{key: "x"}, &Error{}, start.Add(maxPause))
	if len(f.of) != 1 {
		t.Errorf("%d are remembered after their time", len(f.of))
	}
}

// Close breaks off; what is cached is still there.
func TestClose(t *testing.T) {
	o := newOrigin(t)
	o.has(list(t, 1, 0, 24))
	b := newBench(t, Config{Settings: on()})
	b.crl(o.URL + "/1")
	o.will(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	failed := make(chan error, 1)
	go func() {
		_, err := b.CRL(context.Background(), o.URL+"/2")
		failed <- err
	}()
	eventually(t, "a request", func() bool { return o.hits.Load() == 2 })
	b.Close()
	if err := <-failed; err == nil || !strings.HasSuffix(err.Error(), "was broken off") {
		t.Error(err)
	}
	if got := b.no(o.URL + "/3"); !strings.HasSuffix(got, errClosed.Error()) {
		t.Error(got)
	}
	b.crl(o.URL + "/1")
	if s := b.log.String(); s != "" {
		t.Error(s)
	}
}
