package milter

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	milterlib "github.com/emersion/go-milter"
)

// A listener hands connections to the library: not more than there are slots,
// and without giving up where a later try may do.
type listener struct {
	net.Listener
	server *Server
	full   bool // and the log has been told; belongs to Accept
	last   atomic.Pointer[session]
}

// Pauses between tries to accept: doubled each time.
const (
	shortestPause = 5 * time.Millisecond
	longestPause  = time.Second
)

// Accept returns the next connection.
func (l *listener) Accept() (net.Conn, error) {
	s := l.server
	if !l.slot() {
		return nil, ErrServerClosed
	}
	for pause := shortestPause; ; pause = min(2*pause, longestPause) {
		nc, err := l.Listener.Accept()
		if err == nil {
			c := newConn(s, nc)
			if s.adoptConn(c) {
				l.last.Store(c.session)
				return c, nil
			}
			nc.Close()
			err = ErrServerClosed
		}
		if !transient(err) || s.closing() {
			<-s.slots
			return nil, err
		}
		s.stats.retries.Add(1)
		s.log.Warn("accept", "error", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-s.done:
			<-s.slots
			return nil, ErrServerClosed
		}
	}
}

// slot waits until there is room for one more connection. It reports false when
// the server shuts down.
func (l *listener) slot() bool {
	select {
	case l.server.slots <- struct{}{}:
		l.full = false
		return true
	default:
	}
	if !l.full {
		l.full = true
		l.server.stats.waits.Add(1)
		l.server.log.Warn("connections", "limit", cap(l.server.slots),
			"error", "no more are accepted until one ends")
	}
	select {
	case l.server.slots <- struct{}{}:
		return true
	case <-l.server.done:
		return false
	}
}

// transient reports whether accept(2) may do better later: out of descriptors
// or memory, a client that left while it waited.
func transient(err error) bool {
	for _, e := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EPROTO, syscall.EINTR, syscall.EAGAIN,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// backend returns the session of the connection that was accepted last. The
// library asks for it in the goroutine that accepts, right after Accept, and no
// answer of ours makes it ask again; were it to, it gets a session that knows of
// no mail and defers all.
func (l *listener) backend() milterlib.Milter {
	if s := l.last.Swap(nil); s != nil {
		return s
	}
	return &session{}
}
