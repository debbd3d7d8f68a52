package milter_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mailseal/internal/message"
	"mailseal/internal/mtarig"
	"mailseal/internal/spool"
	"mailseal/milter"
	"mailseal/test/rig"
	"mailseal/test/wire"
)

const wait = 30 * time.Second

// A seen mail is what the handler was given.
type seen struct {
	message.Message
	body string
}

// A decider does what its function says and remembers what it saw.
type decider struct {
	decide func(m *message.Message) message.Verdict
	mu     sync.Mutex
	mails  []seen
}

func (d *decider) Handle(_ context.Context, m *message.Message) (message.Verdict, error) {
	body := make([]byte, m.Body.Size())
	if _, err := m.Body.ReadAt(body, 0); err != nil && !errors.Is(err, io.EOF) {
		return message.Verdict{}, err
	}
	d.mu.Lock()
	d.mails = append(d.mails, seen{*m, string(body)})
	d.mu.Unlock()
	return d.decide(m), nil
}

func (d *decider) all() []seen {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.mails)
}

func accept(edits ...message.Edit) func(*message.Message) message.Verdict {
	return func(*message.Message) message.Verdict {
		return message.Verdict{Action: message.Accept, Edits: edits}
	}
}

// A bench is an MTA with our milter and a sink behind it.
type bench struct {
	mta    rig.MTA
	sink   *mtarig.Sink
	server *milter.Server
	*decider
}

type setup struct {
	network  string // "" is unix
	timeouts string
	tls      mtarig.TLS
	conf     func(*milter.Config)
	sink     mtarig.SinkConfig
	extra    []string // settings of the MTA
}

func start(t *testing.T, kind rig.Kind, s setup, decide func(*message.Message) message.Verdict) *bench {
	t.Helper()
	sink := rig.NewSink(t, s.sink)
	mta := kind.Prepare(t, mtarig.Config{Relay: sink.Addr(), TLS: s.tls, Extra: s.extra})
	spec := "inet:0@127.0.0.1"
	if s.network == "" {
		spec = "unix:" + mta.MilterSocket()
	}
	ln, err := milter.Listen(spec, milter.SocketOptions{Mode: 0o666})
	if err != nil {
		t.Fatal(err)
	}
	store, err := spool.New(spool.Config{Dir: t.TempDir(), Limit: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	d := &decider{decide: decide}
	var log strings.Builder
	conf := milter.Config{Handler: d, Spool: store, Log: slog.New(slog.NewTextHandler(&log, nil))}
	if s.conf != nil {
		s.conf(&conf)
	}
	server, err := milter.New(conf)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; !errors.Is(err, milter.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
		if n := server.Stats().Panics; n > 0 || t.Failed() {
			t.Errorf("%d panics; our log:\n%s", n, &log)
		}
	})
	mta.SetMilters(mtarig.Milter{Network: ln.Addr().Network(), Address: ln.Addr().String(), Timeouts: s.timeouts})
	rig.Start(t, mta)
	return &bench{mta: mta, sink: sink, server: server, decider: d}
}

func each(t *testing.T, f func(t *testing.T, kind rig.Kind)) {
	for _, kind := range rig.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			f(t, kind)
		})
	}
}

func header(h message.Header) string {
	var b strings.Builder
	for _, f := range h {
		b.WriteString(f.Raw() + "\r\n")
	}
	return b.String()
}

var (
	oddHeader = wire.Text(
		"From: alice@example.test",
		"To:   bob@example.net",
		"Subject:\ttab",
		"X-Fold: a",
		"  b",
		"\tc  ",
		"x-dup: one",
		"X-None:value",
		"X-DUP: two",
		"X-8bit: \xe4\xff",
		"X-Dup: three",
		"Content-Type: text/plain",
		"Date: Mon, 1 Jan 2024 00:00:00 +0000",
		"Message-Id: <1@example.test>")
	oddBody = "line\r\n.dot\r\n..\r\n trailing  \r\n" + strings.Repeat("long ", 150) + "\r\n\xe4\r\n"
)

func mail(n int) mtarig.Mail {
	return mtarig.Mail{
		From: fmt.Sprintf("alice%d@example.test", n),
		To:   []string{fmt.Sprintf("bob%d@example.net", n)},
		Data: []byte(oddHeader + "\r\n" + oddBody),
		Args: []string{"BODY=8BITMIME"},
	}
}
