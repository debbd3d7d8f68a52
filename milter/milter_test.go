package milter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"mailseal/internal/message"
	"mailseal/internal/spool"
)

// The library writes to the standard logger where it finds an error. It must
// never find one: the MTA's log and ours are what a postmaster looks at.
func TestMain(m *testing.M) {
	var std bytes.Buffer
	log.SetOutput(&std)
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if std.Len() > 0 {
			fmt.Fprintf(os.Stderr, "the standard logger was used: %s", &std)
			code = 1
		}
		os.Exit(code)
	}))
}

type handlerFunc func(context.Context, *message.Message) (message.Verdict, error)

func (f handlerFunc) Handle(ctx context.Context, m *message.Message) (message.Verdict, error) {
	return f(ctx, m)
}

// A record is what a handler was given, with the body read.
type record struct {
	message.Message
	body string
}

// A recorder keeps all mails and answers with a verdict.
type recorder struct {
	verdict message.Verdict
	mu      sync.Mutex
	mails   []record
}

func (r *recorder) Handle(_ context.Context, m *message.Message) (message.Verdict, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body := make([]byte, m.Body.Size())
	if _, err := io.ReadFull(io.NewSectionReader(m.Body, 0, m.Body.Size()), body); err != nil && len(body) > 0 {
		return message.Verdict{}, err
	}
	r.mails = append(r.mails, record{Message: *m, body: string(body)})
	return r.verdict, nil
}

func (r *recorder) all() []record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]record(nil), r.mails...)
}

func accepting() *recorder { return &recorder{verdict: message.Verdict{Action: message.Accept}} }

// raw writes a header as it was on the wire.
func raw(h message.Header) string {
	var b strings.Builder
	for _, f := range h {
		b.WriteString(f.Raw() + "\r\n")
	}
	return b.String()
}

// A testServer is a Server on a pipeListener. It checks at the end that it
// stops, and that there was no panic that the test did not expect.
type testServer struct {
	*Server
	t      testing.TB
	ln     *pipeListener
	log    *lockedBuffer
	served chan error
	panics int64
}

func serve(t testing.TB, h Handler, change ...func(*Config)) *testServer {
	t.Helper()
	store, err := spool.New(spool.Config{Dir: t.TempDir(), Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	ts := &testServer{t: t, ln: newPipeListener(), log: newLockedBuffer(), served: make(chan error, 1)}
	conf := Config{Handler: h, Spool: store, Log: slog.New(slog.NewTextHandler(ts.log, nil))}
	for _, f := range change {
		f(&conf)
	}
	if ts.Server, err = New(conf); err != nil {
		t.Fatal(err)
	}
	go func() { ts.served <- ts.Serve(ts.ln) }()
	t.Cleanup(ts.stop)
	return ts
}

// stop may be called within a bubble, and then again by Cleanup.
func (ts *testServer) stop() {
	ts.t.Helper()
	if ts.served == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), testWait)
	defer cancel()
	if err := ts.Shutdown(ctx); err != nil {
		ts.t.Errorf("shutdown: %v", err)
	}
	if err := <-ts.served; !errors.Is(err, ErrServerClosed) {
		ts.t.Errorf("Serve returned %v", err)
	}
	ts.served = nil
	if got := ts.Stats().Panics; got != ts.panics {
		ts.t.Errorf("%d panics; want %d\n%s", got, ts.panics, ts.log)
	}
	if got := ts.Stats().Open; got != 0 {
		ts.t.Errorf("%d connections open after the end", got)
	}
}

func (ts *testServer) dial() *mta {
	ts.t.Helper()
	m := newMTA(ts.t, ts.ln.dial())
	ts.t.Cleanup(func() { m.Close() })
	return m
}

func (ts *testServer) logged(words ...string) {
	ts.t.Helper()
	for _, w := range words {
		if text := ts.log.String(); !strings.Contains(text, w) {
			ts.t.Errorf("the log does not say %q:\n%s", w, text)
		}
	}
}
