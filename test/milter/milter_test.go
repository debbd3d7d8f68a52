// Package milter_test holds package milter against the real MTAs: what it tells
// a handler of a mail, and what they make of the edits.
package milter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mailseal/internal/message"
	"mailseal/internal/mtarig"
	"mailseal/internal/spool"
	"mailseal/milter"
	"mailseal/test/rig"
	"mailseal/test/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
}

func start(t *testing.T, kind rig.Kind, s setup, decide func(*message.Message) message.Verdict) *bench {
	t.Helper()
	sink := rig.NewSink(t, mtarig.SinkConfig{})
	mta := kind.Prepare(t, mtarig.Config{Relay: sink.Addr(), TLS: s.tls})
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

// What the handler is given is what was sent, for each of several mails in one
// session, with all that may come between.
func TestMailIsToldByteForByte(t *testing.T) {
	each(t, func(t *testing.T, kind rig.Kind) {
		for _, network := range []string{"unix", "tcp"} {
			s := setup{network: network}
			if network == "unix" {
				s.network = ""
			}
			b := start(t, kind, s, accept())
			c := rig.Dial(t, b.mta.Addr())
			between := []func() error{
				func() error { return nil },
				func() error { return errors.Join(c.From("leak@example.test"), c.To("leak@example.net"), c.Reset()) },
				func() error { return errors.Join(c.From("leak@example.test"), c.Hello("again.example.test")) },
				func() error {
					return errors.Join(c.From("leak@example.test", "BODY=8BITMIME"), c.To("leak@example.net"),
						c.Data([]byte("Leak: 1\r\n\r\nleak\r\n")))
				},
			}
			for i, f := range between {
				if err := f(); err != nil {
					t.Fatalf("before mail %d: %v", i, err)
				}
				if err := c.Send(mail(i)); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Quit(); err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, m := range b.all() {
				if m.Envelope.Sender == "leak@example.test" {
					continue
				}
				want := mail(n)
				e := m.Envelope
				if e.Sender != want.From || len(e.Recipients) != 1 || e.Recipients[0].Address != want.To[0] {
					t.Errorf("%s: mail %d has the envelope %+v", network, n, e)
				}
				if !slices.Contains(e.SenderArgs, "BODY=8BITMIME") || e.QueueID == "" {
					t.Errorf("%s: mail %d: parameters %q, queue id %q", network, n, e.SenderArgs, e.QueueID)
				}
				if !e.Client.Addr.IsLoopback() || e.Client.Name == "" || !strings.HasSuffix(e.Client.Helo, ".example.test") {
					t.Errorf("%s: client %+v", network, e.Client)
				}
				if got := header(m.Header); got != oddHeader {
					t.Errorf("%s: header %q; want %q", network, got, oddHeader)
				}
				if m.body != oddBody {
					t.Errorf("%s: body %q; want %q", network, m.body, oddBody)
				}
				n++
			}
			if n != len(between) {
				t.Errorf("%s: %d mails; want %d", network, n, len(between))
			}
		}
	})
}

// What is delivered is what message.Apply says.
func TestEditsAreCarriedOut(t *testing.T) {
	// A whole multipart: sendmail would close one that is left open.
	newBody := []byte("--b\r\n\r\n" + strings.Repeat("0123456789abc\r\n.\r\n..x \r\n\r\n", 10000) + "--b--\r\n")
	field := message.NewField
	edits := []message.Edit{
		message.SetField{Field: field("Content-Type", " multipart/signed;\r\n\tboundary=\"b\"; micalg=sha-256")},
		message.SetField{Field: field("MIME-Version", " 1.0")},
		message.DropField{Name: "X-Dup", Occurrence: 1},
		message.DropField{Name: "x-dup", Occurrence: 3},
		message.DropField{Name: "X-8bit", Occurrence: 1},
		message.SetField{Field: field("X-None", "")},
		message.SetField{Field: field("Subject", " 100% new\r\n folded")},
		message.ReplaceBody{Body: message.Bytes(newBody)},
		message.AddField{Field: field("X-Under", " it")},
		message.AddField{Field: field("Authentication-Results", " mx.example;\r\n\tsmime=pass")},
		message.DropRcpt{Address: "gone@example.net"},
		message.AddRcpt{Recipient: message.Recipient{Address: "added@example.net"}},
		message.AddRcpt{Recipient: message.Recipient{Address: "never@example.net", Args: []string{"NOTIFY=NEVER"}}},
	}
	each(t, func(t *testing.T, kind rig.Kind) {
		b := start(t, kind, setup{}, accept(edits...))
		m := mail(1)
		m.To = append(m.To, "gone@example.net")
		if err := mtarig.Send(b.mta.Addr(), m); err != nil {
			t.Fatal(err)
		}
		rcpts := map[string]string{}
		for len(rcpts) < 3 {
			got, err := b.sink.Next(wait)
			if err != nil {
				t.Fatalf("%v; so far %q", err, rcpts)
			}
			for _, to := range got.To {
				rcpts[to] = string(got.Data)
			}
		}
		received := b.all()[0].Message
		want, err := received.Apply(edits)
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range []string{"bob1@example.net", "added@example.net", "never@example.net"} {
			data, ok := rcpts[to]
			if !ok {
				t.Fatalf("nothing for %s in %v", to, len(rcpts))
			}
			fields, body := wire.Split([]byte(data))
			var own []string
			for _, f := range fields {
				if n := wire.Name(f); n != "received" && n != "return-path" {
					own = append(own, strings.TrimRight(f, " "))
				}
			}
			var wanted []string
			for _, f := range want.Header {
				wanted = append(wanted, strings.TrimRight(f.Raw(), " "))
			}
			if got, want := strings.ToLower(strings.Join(own, "\n")), strings.ToLower(strings.Join(wanted, "\n")); got != want {
				t.Errorf("header\n%s\nwant\n%s", got, want)
			}
			if wire.Name(fields[0]) != "authentication-results" || wire.Name(fields[1]) != "x-under" {
				t.Errorf("on top are %q and %q", fields[0], fields[1])
			}
			if body != string(newBody) {
				t.Errorf("body of %d bytes; want %d", len(body), len(newBody))
			}
		}
	})
}

// An empty body, in both directions.
func TestEmptyBodies(t *testing.T) {
	each(t, func(t *testing.T, kind rig.Kind) {
		b := start(t, kind, setup{}, func(m *message.Message) message.Verdict {
			v := message.Verdict{Action: message.Accept}
			if m.Body.Size() > 0 {
				v.Edits = []message.Edit{message.ReplaceBody{Body: message.Bytes(nil)}}
			} else {
				v.Edits = []message.Edit{message.ReplaceBody{Body: message.Bytes([]byte("new\r\n"))}}
			}
			return v
		})
		c := rig.Dial(t, b.mta.Addr())
		for i, tt := range []struct{ body, want string }{{"x\r\n", ""}, {"", "new\r\n"}} {
			m := mail(i)
			m.Data = []byte(oddHeader + "\r\n" + tt.body)
			if err := c.Send(m); err != nil {
				t.Fatal(err)
			}
			got, err := b.sink.Next(wait)
			if err != nil {
				t.Fatal(err)
			}
			if _, body := wire.Split(got.Data); strings.TrimRight(body, "\r\n") != strings.TrimRight(tt.want, "\r\n") {
				t.Errorf("%q became %q; want %q", tt.body, body, tt.want)
			}
		}
	})
}

// The client reads our reply, and the session goes on.
func TestReplies(t *testing.T) {
	verdicts := []message.Verdict{
		{},
		{Action: message.Reject, Reply: message.Reply{Code: 554, Enhanced: "5.7.5", Text: "not 100% %s"}},
		{Action: message.Reject, Edits: []message.Edit{message.ReplaceBody{Body: message.Bytes([]byte("x"))}}},
		{Action: message.Discard},
		{Action: message.Accept},
	}
	want := []string{
		"451 4.7.1 not decided yet, try again later",
		"554 5.7.5 not 100% %s",
		"550 5.7.1 message refused by policy",
		"", "",
	}
	each(t, func(t *testing.T, kind rig.Kind) {
		b := start(t, kind, setup{}, func(m *message.Message) message.Verdict {
			var n int
			fmt.Sscanf(m.Envelope.Sender, "alice%d@", &n)
			return verdicts[n]
		})
		c := rig.Dial(t, b.mta.Addr())
		for i := range verdicts {
			got := ""
			if err := c.Send(mail(i)); err != nil {
				var reply *textproto.Error
				if !errors.As(err, &reply) {
					t.Fatal(err)
				}
				got = fmt.Sprintf("%d %s", reply.Code, reply.Msg)
			}
			if got != want[i] {
				t.Errorf("verdict %d: reply %q; want %q", i, got, want[i])
			}
		}
		// Of all these mails the last alone is delivered.
		got, err := b.sink.Next(wait)
		if err != nil || got.From != "alice4@example.test" {
			t.Errorf("delivered: from %s, %v", got.From, err)
		}
	})
}

// Quarantine holds the mail, with its edits, and not the mails after it.
func TestQuarantine(t *testing.T) {
	each(t, func(t *testing.T, kind rig.Kind) {
		b := start(t, kind, setup{}, func(m *message.Message) message.Verdict {
			v := message.Verdict{Action: message.Accept}
			if m.Envelope.Sender == "alice0@example.test" {
				v = message.Verdict{
					Action: message.Quarantine,
					Reply:  message.Reply{Text: "because 100%"},
					Edits:  []message.Edit{message.AddField{Field: message.NewField("X-Held", " yes")}},
				}
			}
			return v
		})
		c := rig.Dial(t, b.mta.Addr())
		for i := range 3 {
			if err := c.Send(mail(i)); err != nil {
				t.Fatal(err)
			}
		}
		mails, err := b.sink.Wait(2, wait)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range mails {
			if m.From == "alice0@example.test" {
				t.Error("the held mail was delivered")
			}
		}
		if _, err := b.mta.WaitQueue(func(es []mtarig.Entry) bool {
			return slices.ContainsFunc(es, func(e mtarig.Entry) bool {
				return e.Sender == "alice0@example.test" && (e.Queue == "hold" || e.Queue == "quarantined")
			})
		}, wait); err != nil {
			t.Error(err)
		}
		if len(b.all()) != 3 {
			t.Errorf("the handler saw %d mails", len(b.all()))
		}
	})
}

// One recipient is refused by the MTA, one by us, and the mail goes to the rest.
func TestRefusedRecipients(t *testing.T) {
	each(t, func(t *testing.T, kind rig.Kind) {
		b := start(t, kind, setup{conf: func(c *milter.Config) { c.MaxRecipients = 2 }}, accept())
		c := rig.Dial(t, b.mta.Addr())
		for i := range 2 {
			m := mail(i)
			if err := c.From(m.From); err != nil {
				t.Fatal(err)
			}
			if err := c.To("one@example.net"); err != nil {
				t.Fatal(err)
			}
			if err := c.To("bad@@example..net"); mtarig.Code(err)/100 != 5 {
				t.Errorf("a bad recipient: %v", err)
			}
			if err := c.To("two@example.net"); err != nil {
				t.Fatal(err)
			}
			if err := c.To("three@example.net"); mtarig.Code(err) != 452 {
				t.Errorf("a third recipient: %v", err)
			}
			if err := c.Data(m.Data); err != nil {
				t.Fatal(err)
			}
		}
		for _, m := range b.all() {
			if r := m.Envelope.Recipients; len(r) != 2 || r[0].Address != "one@example.net" || r[1].Address != "two@example.net" {
				t.Errorf("recipients %+v", r)
			}
			if header(m.Header) != oddHeader || m.body != oddBody {
				t.Error("the mail is not what was sent")
			}
		}
	})
}

// Over our limit the client is told so, and the session goes on.
func TestTooLarge(t *testing.T) {
	each(t, func(t *testing.T, kind rig.Kind) {
		b := start(t, kind, setup{}, accept())
		c := rig.Dial(t, b.mta.Addr())
		m := mail(0)
		m.Data = append(m.Data, bytes.Repeat([]byte("0123456789\r\n"), 400000)...)
		if err := c.Send(m); mtarig.Code(err) != 552 {
			t.Errorf("reply %v", err)
		}
		if err := c.Send(mail(1)); err != nil {
			t.Error(err)
		}
		if len(b.all()) != 1 {
			t.Errorf("the handler saw %d mails", len(b.all()))
		}
	})
}

// A handler may take longer than the MTA waits for one packet.
func TestProgress(t *testing.T) {
	each(t, func(t *testing.T, kind rig.Kind) {
		s := setup{timeouts: "content_timeout=2s", conf: func(c *milter.Config) { c.ProgressEvery = 300 * time.Millisecond }}
		if kind == rig.Sendmail {
			s.timeouts = "R:2s;E:1m"
		}
		b := start(t, kind, s, func(*message.Message) message.Verdict {
			time.Sleep(4 * time.Second) // the time is what this is about
			return message.Verdict{Action: message.Accept}
		})
		if err := mtarig.Send(b.mta.Addr(), mail(0)); err != nil {
			t.Error(err)
		}
	})
}

// The client's DATA breaks off.
func TestBrokenOff(t *testing.T) {
	each(t, func(t *testing.T, kind rig.Kind) {
		b := start(t, kind, setup{}, accept())
		c := rig.Dial(t, b.mta.Addr())
		if err := errors.Join(c.From("a@example.test"), c.To("b@example.net")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Cmd(354, "DATA"); err != nil {
			t.Fatal(err)
		}
		if err := c.Raw([]byte(oddHeader + "\r\nhalf a li")); err != nil {
			t.Fatal(err)
		}
		c.Close()
		if err := mtarig.Send(b.mta.Addr(), mail(0)); err != nil {
			t.Fatal(err)
		}
		if mails := b.all(); len(mails) != 1 || mails[0].Envelope.Sender != "alice0@example.test" {
			t.Errorf("the handler saw %d mails", len(mails))
		}
	})
}
