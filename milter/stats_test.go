package milter

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailseal/internal/fault"
	"mailseal/internal/message"
)

// A meter remembers what it was told.
type meter struct {
	mu   sync.Mutex
	took map[Step][]time.Duration
}

func (m *meter) Took(s Step, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.took == nil {
		m.took = map[Step][]time.Duration{}
	}
	m.took[s] = append(m.took[s], d)
}

// Each step is measured where it is spent: by the client before the end of the
// message, by the handler, by an MTA that does not read.
func TestMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told meter
		edited := message.Verdict{Action: message.Accept, Edits: []message.Edit{message.ReplaceBody{Body: message.Bytes([]byte("new"))}}}
		ts := serve(t, handlerFunc(func(context.Context, *message.Message) (message.Verdict, error) {
			time.Sleep(2 * time.Second)
			return edited, nil
		}), func(c *Config) { c.Meter = &told })
		m := ts.dial().start()
		m.mail("<a@example>")
		m.rcpt("<b@example>")
		time.Sleep(time.Minute)
		m.content(nil, "x")
		m.send(cmdEOM)
		time.Sleep(2*time.Second + 500*time.Millisecond)
		m.want("bnew")
		m.want("a")
		m.quit()
		ts.stop()
		want := map[Step][]time.Duration{Receive: {time.Minute}, Send: {500 * time.Millisecond}, Whole: {2500 * time.Millisecond}}
		if d := cmp.Diff(want, told.took); d != "" {
			t.Error(d)
		}
	})
}

// A mail that no handler sees has no edits to send, and one that does not end
// is in no count.
func TestMeterOfRefusedMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told meter
		ts := serve(t, accepting(), func(c *Config) { c.Meter, c.Limits.Header = &told, 10 })
		m := ts.dial().start()
		m.mail("<a@example>")
		m.rcpt("<b@example>")
		m.content([]string{"Subject: longer than ten bytes"}, "x")
		m.send(cmdEOM)
		m.want("y552 5.3.4 message too large\x00")
		m.mail("<a@example>")
		m.rcpt("<b@example>")
		m.send(cmdAbort)
		m.quit()
		ts.stop()
		if d := cmp.Diff(map[Step][]time.Duration{Receive: {0}, Whole: {0}}, told.took); d != "" {
			t.Error(d)
		}
	})
}

// Whatever the server answers by itself is counted, once and by its kind.
func TestStats(t *testing.T) {
	fail := fault.Internal
	h := handlerFunc(func(_ context.Context, m *message.Message) (message.Verdict, error) {
		switch m.Envelope.Sender {
		case "panic@example":
			panic("at the disco")
		case "kind@example":
			return message.Verdict{}, fail
		}
		return message.Verdict{Action: message.Accept}, nil
	})
	ts := serve(t, h, func(c *Config) { c.MaxRecipients = 1 })
	ts.panics = 1
	m := ts.dial().start()
	send := func(from, body string) {
		t.Helper()
		m.deliver(from, []string{"b@example"}, nil, body)
	}
	send("good@example", "x")
	send("panic@example", "x")
	for _, fail = range []fault.Kind{fault.Storage, fault.Storage, fault.Timeout, fault.Kind(77), fault.Rejected} {
		send("kind@example", "x")
	}
	m.mail("<a@example>")
	m.rcpt("<b@example>")
	m.args(cmdRcpt, "<c@example>")
	m.want("y452 4.5.3 too many recipients\x00")
	m.content(nil, strings.Repeat("x", 60000))
	for range 17 {
		m.send(cmdBody, strings.Repeat("x", 65535))
	}
	m.send(cmdEOM)
	m.want("y552 5.3.4 message too large\x00")
	m.quit()
	nonsense := ts.dial()
	nonsense.send('?')
	nonsense.closed()
	ts.stop()

	got := ts.Stats()
	if got.Received < 17*65535 || got.Received > 20*65535 || got.Sent < 100 || got.Sent > 10000 {
		t.Errorf("%d bytes received, %d sent", got.Received, got.Sent)
	}
	got.Received, got.Sent = 0, 0
	want := Stats{Limit: 1000, Connections: 2, Broken: 1, Messages: 7, Panics: 1, Faults: map[fault.Kind]int64{
		// A kind that is none, and an error that would refuse the mail for
		// good, are mistakes of the handler.
		fault.Internal: 3, fault.Storage: 2, fault.Timeout: 1, fault.TooManyRecipients: 1, fault.TooLarge: 1,
		fault.Deferred: 0, fault.Malformed: 0, fault.Rejected: 0,
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
