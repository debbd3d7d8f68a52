package milter

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"mailseal/internal/message"
)

// A watched connection keeps the deadlines that it is given.
type watched struct {
	net.Conn
	mu   sync.Mutex
	seen []time.Time
}

func (w *watched) note(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, t)
}

func (w *watched) SetReadDeadline(t time.Time) error  { w.note(t); return w.Conn.SetReadDeadline(t) }
func (w *watched) SetWriteDeadline(t time.Time) error { w.note(t); return w.Conn.SetWriteDeadline(t) }

type watchedListener struct {
	net.Listener
	conns chan *watched
}

func (l watchedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	w := &watched{Conn: c}
	l.conns <- w
	return w, nil
}

// A clock that jumps moves no deadline: each has the monotonic reading that
// package time, package net and contexts go by where there is one. Whatever
// strips it (Round, UTC and In, Date, a detour over a file or Unix) would make
// a connection live for ever after a step backwards, and end all after one
// forwards.
func TestDeadlinesAreMonotonic(t *testing.T) {
	work := make(chan time.Time, 1)
	ts := serve(t, handlerFunc(func(ctx context.Context, _ *message.Message) (message.Verdict, error) {
		d, _ := ctx.Deadline()
		work <- d
		return message.Verdict{Action: message.Accept}, nil
	}))
	ln := watchedListener{newPipeListener(), make(chan *watched, 1)}
	served := make(chan error, 1)
	go func() { served <- ts.Serve(ln) }()
	m := newMTA(t, ln.Listener.(*pipeListener).dial()).start()
	if got := m.deliver("a@example", []string{"b@example"}, nil, "x"); got[0] != "a" {
		t.Errorf("%q", got)
	}
	m.quit()
	ts.stop()
	<-served
	w := <-ln.conns
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.seen) < 3 {
		t.Errorf("%d deadlines seen", len(w.seen))
	}
	for _, d := range append(w.seen, <-work) {
		if !strings.Contains(d.String(), " m=") {
			t.Errorf("deadline without a monotonic reading: %v", d)
		}
	}
}
