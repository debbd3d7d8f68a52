package milter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	milterlib "github.com/emersion/go-milter"

	"mailseal/internal/message"
	"mailseal/internal/spool"
)

// ErrServerClosed is what Serve returns after Shutdown.
var ErrServerClosed = errors.New("milter: server closed")

// A Handler decides on one mail. It is called from several goroutines at once,
// once for a mail, after the whole mail has come.
//
// The mail's body is closed when Handle has returned and the verdict has been
// carried out; the bodies in the verdict's edits become the server's, whatever
// the verdict. The context ends with Config.Work, with the connection, and when
// a Shutdown runs out of time; who does not heed it is left alone after a few
// seconds, and the mail deferred. An error defers the mail too: other treatment
// of faults is a verdict.
type Handler interface {
	Handle(ctx context.Context, m *message.Message) (message.Verdict, error)
}

// A Config is what a Server is built from. Handler and Spool are needed, the
// zero value of every other field is the default.
type Config struct {
	Handler Handler
	// Spool holds the bodies. Its limit is the greatest size of a body: a mail
	// with a larger one is answered 552 5.3.4.
	Spool *spool.Store
	Log   *slog.Logger // none: nothing is logged
	// Limits.Header is the greatest size of a header (1 MiB), answered like
	// too large a body. The other limits are the handler's.
	Limits message.Limits
	// MaxConnections is how many MTA connections are served at once (1000).
	// Further ones wait to be accepted.
	MaxConnections int
	// MaxRecipients is how many recipients a mail may have (10000). Further
	// ones are answered 452 4.5.3 (RFC 5321 section 4.5.3.1.10).
	MaxRecipients int
	// Idle is how long an MTA may say nothing: as long as its own client may
	// (2 h 10 s, as libmilter has it).
	Idle time.Duration
	// Read is how long one packet, once begun, may take, and the first one
	// altogether (1 min); Write, how long the MTA may take no data (1 min).
	Read, Write time.Duration
	// Work is how long a Handler may take (4 min): sendmail's E timer and
	// Postfix's milter_content_timeout are 5 min unless configured.
	Work time.Duration
	// ProgressEvery is how often the MTA is told that the Handler is still at
	// work (3 s).
	ProgressEvery time.Duration
	// HeaderOnly spares the MTA to send bodies. The handler sees empty ones, and
	// its verdicts must not replace them.
	HeaderOnly bool
	// Meter is told how long the steps of a mail take (nobody is).
	Meter Meter
}

// A Server speaks the milter protocol on any number of listeners.
type Server struct {
	conf    Config
	log     *slog.Logger
	handler atomic.Pointer[Handler]
	create  func() bodyFile
	stats   counters
	buffers sync.Pool     // of *[]byte, outboxSize each
	slots   chan struct{} // one taken by each connection
	base    context.Context
	cut     context.CancelFunc

	done    chan struct{}  // closed when a Shutdown has begun
	serving sync.WaitGroup // connections
	strays  sync.WaitGroup // handlers that their connection waits for no more

	mu        sync.Mutex // guards what follows
	shut      bool
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
}

// New checks the configuration and fills in what it leaves open.
func New(c Config) (*Server, error) {
	if c.Handler == nil {
		return nil, errors.New("milter: no handler")
	}
	if c.Spool == nil {
		return nil, errors.New("milter: no spool")
	}
	if err := c.complete(); err != nil {
		return nil, err
	}
	s := &Server{
		conf:      c,
		log:       c.Log,
		create:    func() bodyFile { return c.Spool.Create() },
		slots:     make(chan struct{}, c.MaxConnections),
		done:      make(chan struct{}),
		listeners: map[net.Listener]struct{}{},
		conns:     map[*conn]struct{}{},
		stats:     counters{faults: newFaults()},
	}
	s.base, s.cut = context.WithCancel(context.Background())
	s.buffers.New = func() any {
		b := make([]byte, 0, outboxSize)
		return &b
	}
	s.SetHandler(c.Handler)
	return s, nil
}

func (c *Config) complete() error {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"Idle", &c.Idle, 2*time.Hour + 10*time.Second},
		{"Read", &c.Read, time.Minute},
		{"Write", &c.Write, time.Minute},
		{"Work", &c.Work, 4 * time.Minute},
		{"ProgressEvery", &c.ProgressEvery, 3 * time.Second},
	} {
		if *d.value < 0 {
			return fmt.Errorf("milter: %s is negative", d.name)
		}
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	if c.MaxConnections < 0 || c.MaxRecipients < 0 || c.Limits.Header < 0 {
		return errors.New("milter: a limit is negative")
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 1000
	}
	if c.MaxRecipients == 0 {
		c.MaxRecipients = 10000
	}
	if c.Limits.Header == 0 {
		c.Limits.Header = 1 << 20
	}
	return nil
}

// SetHandler gives another handler to the mails that begin from now on.
func (s *Server) SetHandler(h Handler) { s.handler.Store(&h) }

func (s *Server) currentHandler() Handler { return *s.handler.Load() }

// Serve answers MTAs that connect to ln until Shutdown, and then returns
// ErrServerClosed, or until ln fails for good. It may be called for several
// listeners and closes each.
func (s *Server) Serve(ln net.Listener) error {
	l := &listener{Listener: ln, server: s}
	if !s.open(ln) {
		ln.Close()
		return ErrServerClosed
	}
	defer s.forgetListener(ln)
	lib := milterlib.Server{
		NewMilter: l.backend,
		Actions:   actions,
		Protocol:  protocol,
		SymList:   symList(),
	}
	if s.conf.HeaderOnly {
		lib.Protocol |= milterlib.OptNoBody
	}
	// The library's own Close is not used: it writes what Serve reads without
	// a lock. When the listener is closed, Accept fails, and that ends Serve.
	err := lib.Serve(l)
	if s.closing() {
		return ErrServerClosed
	}
	return fmt.Errorf("milter: %w", err)
}

// Shutdown stops accepting, ends the connections that are between mails and
// waits for those that are not, until the mail in progress has been answered.
// What is left when the context ends is cut off; the MTA then defers those
// mails. Further calls wait likewise.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.shut {
		s.shut = true
		close(s.done)
		for ln := range s.listeners {
			ln.Close()
		}
	}
	for c := range s.conns {
		c.closeIfIdle()
	}
	s.mu.Unlock()

	served, ended := make(chan struct{}), make(chan struct{})
	go func() {
		s.serving.Wait()
		close(served)
		s.strays.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	s.cut()
	s.mu.Lock()
	for c := range s.conns {
		c.Conn.Close()
	}
	s.mu.Unlock()
	<-served
	return ctx.Err()
}

// closing reports whether a Shutdown has begun.
func (s *Server) closing() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

func (s *Server) open(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return false
	}
	s.listeners[ln] = struct{}{}
	return true
}

func (s *Server) forgetListener(ln net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, ln)
}

// adoptConn takes a connection into account; not when shutting down.
func (s *Server) adoptConn(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return false
	}
	s.conns[c] = struct{}{}
	s.serving.Add(1)
	s.stats.connections.Add(1)
	return true
}

// forget is called once when a connection has ended.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	<-s.slots
	s.serving.Done()
}

func (s *Server) buffer() []byte { return (*s.buffers.Get().(*[]byte))[:0] }

// recycle takes back what buffer gave; another size is left to the collector.
func (s *Server) recycle(b []byte) {
	if cap(b) == outboxSize {
		s.buffers.Put(&b)
	}
}

// panicked logs and counts a panic.
func (s *Server) panicked(id string, v any, stack []byte) {
	s.stats.panics.Add(1)
	log := s.log
	if id != "" {
		log = log.With("id", id)
	}
	log.Error("panic", "value", fmt.Sprint(v), "stack", string(stack))
}
