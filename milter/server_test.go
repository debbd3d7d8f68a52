package milter

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	milterlib "github.com/emersion/go-milter"

	"mailseal/internal/message"
	"mailseal/internal/spool"
)

func TestNew(t *testing.T) {
	store, err := spool.New(spool.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	h := accepting()
	for what, c := range map[string]Config{
		"no handler":           {Spool: store},
		"no spool":             {Handler: h},
		"negative time":        {Handler: h, Spool: store, Work: -1},
		"negative connections": {Handler: h, Spool: store, MaxConnections: -1},
		"negative header":      {Handler: h, Spool: store, Limits: message.Limits{Header: -1}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if _, err := New(Config{Handler: h, Spool: store}); err != nil {
		t.Error(err)
	}
}

// A flakyListener fails as accept(2) does.
type flakyListener struct {
	*pipeListener
	errs []error
}

func (l *flakyListener) Accept() (net.Conn, error) {
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, &net.OpError{Op: "accept", Net: "unix", Err: err}
	}
	return l.pipeListener.Accept()
}

// Out of descriptors is no reason to stop serving.
func TestAcceptRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := serve(t, accepting())
		ln := &flakyListener{pipeListener: newPipeListener()}
		for range 10 {
			ln.errs = append(ln.errs, syscall.EMFILE)
		}
		ln.errs = append(ln.errs, syscall.ECONNABORTED, syscall.ENOMEM, syscall.EINTR)
		served := make(chan error, 1)
		go func() { served <- ts.Serve(ln) }()
		begin := time.Now()
		m := newMTA(t, ln.dial())
		m.start().quit()
		// 5, 10, 20 ... 640 ms, then 1 s each.
		if d := time.Since(begin); d != 1275*time.Millisecond+5*time.Second {
			t.Errorf("served after %v", d)
		}
		if got := ts.Stats().AcceptRetries; got != 13 {
			t.Errorf("%d retries", got)
		}
		ts.logged("accept", "too many open files")
		ts.stop()
		if err := <-served; !errors.Is(err, ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
	})
}

// A shutdown does not wait for the next try to accept.
func TestShutdownWhileAcceptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := serve(t, accepting())
		ln := &flakyListener{pipeListener: newPipeListener()}
		for range 1000 {
			ln.errs = append(ln.errs, syscall.EMFILE)
		}
		served := make(chan error, 1)
		go func() { served <- ts.Serve(ln) }()
		time.Sleep(100*time.Second + time.Millisecond)
		begin := time.Now()
		ts.stop()
		if err := <-served; !errors.Is(err, ErrServerClosed) || time.Since(begin) > 0 {
			t.Errorf("Serve returned %v after %v", err, time.Since(begin))
		}
	})
}

func TestAcceptFailsForGood(t *testing.T) {
	ts := serve(t, accepting())
	ln := &flakyListener{pipeListener: newPipeListener(), errs: []error{syscall.EBADF}}
	if err := ts.Serve(ln); !errors.Is(err, syscall.EBADF) {
		t.Errorf("Serve returned %v", err)
	}
	// Its slot is free again, and the other listener goes on.
	if n := len(ts.slots); n > 1 {
		t.Errorf("%d slots taken", n)
	}
	ts.dial().start().quit()
}

func TestConnectionLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := serve(t, accepting(), func(c *Config) { c.MaxConnections = 2 })
		first, second := ts.dial().start(), ts.dial().start()
		third := make(chan *mta)
		go func() { third <- ts.dial().start() }()
		synctest.Wait()
		select {
		case <-third:
			t.Error("a third connection was served")
		default:
		}
		if got := ts.Stats(); got.Open != 2 || got.Connections != 2 {
			t.Errorf("%+v", got)
		}
		ts.logged("connections", "limit=2")
		first.quit()
		(<-third).quit()
		second.quit()
		ts.stop()
		if got := ts.Stats(); got.Connections != 3 || got.Waits != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// A shutdown while all slots are taken and a connection waits for one.
func TestShutdownAtConnectionLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := serve(t, accepting(), func(c *Config) { c.MaxConnections = 1 })
		m := ts.dial().start()
		synctest.Wait()
		ts.stop()
		m.closed()
	})
}

func TestServeAfterShutdown(t *testing.T) {
	ts := serve(t, accepting())
	ts.stop()
	ln := newPipeListener()
	if err := ts.Serve(ln); !errors.Is(err, ErrServerClosed) {
		t.Errorf("Serve returned %v", err)
	}
	if _, err := ln.Accept(); err == nil {
		t.Error("the listener was not closed")
	}
	if err := ts.Shutdown(context.Background()); err != nil {
		t.Errorf("second Shutdown: %v", err)
	}
}

// Idle connections end at once, a mail in progress is finished.
func TestShutdownDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := handlerFunc(func(context.Context, *message.Message) (message.Verdict, error) {
			time.Sleep(20 * time.Second)
			return message.Verdict{Action: message.Accept}, nil
		})
		ts := serve(t, h)
		fresh := ts.dial()
		idle := ts.dial().start()
		done := ts.dial().start()
		done.deliver("a@example", []string{"b@example"}, nil, "x")
		aborted := ts.dial().start()
		aborted.mail("<a@example>")
		aborted.send(cmdAbort)
		begun := ts.dial().start()
		begun.mail("<a@example>")
		synctest.Wait()

		result := make(chan error, 1)
		begin := time.Now()
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			result <- ts.Shutdown(ctx)
		}()
		synctest.Wait()
		for _, m := range []*mta{fresh, idle, done, aborted} {
			m.closed()
		}
		if got := ts.Stats().Open; got != 1 {
			t.Errorf("%d connections; want the one with a mail", got)
		}
		begun.rcpt("<b@example>")
		begun.content(nil, "x")
		if got := begun.eom(); got[0] != "a" {
			t.Errorf("answer %q", got)
		}
		begun.closed() // and takes no other mail
		if err := <-result; err != nil || time.Since(begin) != 20*time.Second {
			t.Errorf("Shutdown: %v after %v", err, time.Since(begin))
		}
		ts.stop()
	})
}

// When the time is over, what is left is cut off: the MTA sees no answer, and
// defers.
func TestShutdownCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := handlerFunc(func(ctx context.Context, m *message.Message) (message.Verdict, error) {
			if m.Envelope.Sender == "deaf@example" {
				<-release
			}
			<-ctx.Done()
			return message.Verdict{Action: message.Accept}, ctx.Err()
		})
		ts := serve(t, h)
		stalled := ts.dial().start()
		stalled.mail("<a@example>")
		var working []*mta
		for _, sender := range []string{"a@example", "deaf@example"} {
			m := ts.dial().start()
			m.mail("<" + sender + ">")
			m.rcpt("<b@example>")
			m.content(nil, "x")
			m.send(cmdEOM)
			go io.Copy(io.Discard, m.br)
			working = append(working, m)
		}
		synctest.Wait()
		begin := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err := ts.Shutdown(ctx)
		if d := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || d != 10*time.Second {
			t.Errorf("Shutdown: %v after %v", err, d)
		}
		if got := ts.Stats().Open; got != 0 {
			t.Errorf("%d connections", got)
		}
		stalled.closed()
		close(release)
		for _, m := range working {
			m.Close()
		}
		ts.stop()
	})
}

// A connection that was accepted just when the shutdown began.
func TestConnectionDuringShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := serve(t, accepting())
		here, there := net.Pipe()
		l := &listener{Listener: acceptOnce{there}, server: ts.Server}
		ts.stop()
		if c, err := l.Accept(); err == nil {
			t.Errorf("accepted %v", c)
		}
		if _, err := here.Read(make([]byte, 1)); err == nil {
			t.Error("the connection is open")
		}
	})
}

type acceptOnce struct{ net.Conn }

func (l acceptOnce) Accept() (net.Conn, error) { return l.Conn, nil }
func (l acceptOnce) Addr() net.Addr            { return l.LocalAddr() }

// MAIL that arrives just when the shutdown has begun is not answered: there
// will be nobody for the rest of that mail.
func TestMailDuringShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := serve(t, accepting())
		m := ts.dial().start()
		synctest.Wait()
		here, there := net.Pipe()
		defer here.Close()
		c := newConn(ts.Server, there)
		c.session.negotiated = true
		ts.stop()
		if err := c.session.begin([]byte("<a@example>\x00")); !errors.Is(err, errClosing) {
			t.Errorf("MAIL: %v", err)
		}
		m.closed()
		there.Close()
	})
}

// Should the library ever ask for a second backend, it gets one that defers.
func TestBackendOfNobody(t *testing.T) {
	l := &listener{}
	s := &session{}
	l.last.Store(s)
	if l.backend() != milterlib.Milter(s) {
		t.Error("not the session of the last connection")
	}
	b := l.backend()
	for name, f := range map[string]func() (milterlib.Response, error){
		"MAIL": func() (milterlib.Response, error) { return b.MailFrom("", nil) },
		"RCPT": func() (milterlib.Response, error) { return b.RcptTo("", nil) },
		"EOM":  func() (milterlib.Response, error) { return b.Body(nil) },
	} {
		resp, err := f()
		if err != nil || resp.Response().Code != 'y' || !strings.HasPrefix(string(resp.Response().Data), "451 ") {
			t.Errorf("%s: %v, %v", name, resp, err)
		}
	}
}

// Over real sockets, several at once.
func TestSockets(t *testing.T) {
	h := &recorder{verdict: message.Verdict{Action: message.Accept, Edits: []message.Edit{
		message.ReplaceBody{Body: message.Bytes(make([]byte, 300000))},
	}}}
	ts := serve(t, h)
	specs := []string{"unix:" + filepath.Join(t.TempDir(), "m.sock"), "inet:0@127.0.0.1"}
	if ln, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		ln.Close()
		specs = append(specs, "inet6:0@::1")
	}
	for _, spec := range specs {
		ln, err := Listen(spec, SocketOptions{})
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- ts.Serve(ln) }()
		defer func() {
			ts.stop()
			if err := <-served; !errors.Is(err, ErrServerClosed) {
				t.Errorf("%s: Serve returned %v", spec, err)
			}
		}()
		for range 2 {
			c, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			m := newMTA(t, c).start()
			for range 3 {
				if got := m.deliver("a@example", []string{"b@example"}, []string{"Subject: s"}, "x"); len(got) != 6 {
					t.Errorf("%s: %d packets", spec, len(got))
				}
			}
			m.quit()
		}
	}
	if got := len(h.all()); got != 6*len(specs) {
		t.Errorf("%d mails", got)
	}
}
