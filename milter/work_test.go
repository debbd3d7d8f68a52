package milter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mailseal/internal/fault"
	"mailseal/internal/message"
)

// While the handler works the MTA hears of it, and only then: sendmail takes
// SMFIR_PROGRESS at any other time for a bogus response.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := handlerFunc(func(context.Context, *message.Message) (message.Verdict, error) {
			time.Sleep(14 * time.Second) // longer than sendmail's R timer
			return message.Verdict{Action: message.Accept, Edits: []message.Edit{
				message.AddField{Field: field("X", " y")},
			}}, nil
		})
		ts := serve(t, h)
		m := ts.dial().start()
		begin := time.Now()
		m.mail("<a@example>")
		time.Sleep(time.Minute)
		m.rcpt("<b@example>")
		m.content([]string{"Subject: s"}, "x")
		time.Sleep(time.Minute)
		if m.progress != 0 {
			t.Errorf("%d packets of progress before the end of the message", m.progress)
		}
		got := m.eom()
		if m.progress != 4 || strings.Join(got, " ") != "i\x00\x00\x00\x00X\x00 y\x00 a" {
			t.Errorf("%d packets of progress, then %q", m.progress, got)
		}
		if d := time.Since(begin); d != 2*time.Minute+14*time.Second {
			t.Errorf("took %v", d)
		}
		time.Sleep(time.Minute)
		m.quit()
		ts.stop()
	})
}

// The handler's context ends with Work. What it says then is still heard.
func TestHandlerThatHeedsItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := handlerFunc(func(ctx context.Context, _ *message.Message) (message.Verdict, error) {
			<-ctx.Done()
			return message.Verdict{Action: message.Reject, Reply: message.Reply{Text: "too slow"}}, nil
		})
		ts := serve(t, h, func(c *Config) { c.Work = time.Minute })
		m := ts.dial().start()
		begin := time.Now()
		got := m.deliver("a@example", []string{"b@example"}, nil, "x")
		if d := time.Since(begin); d != time.Minute || got[0] != "y550 5.7.1 too slow\x00" {
			t.Errorf("after %v: %q", d, got)
		}
		m.quit()
		ts.stop()
	})
}

// A handler that heeds nothing keeps its mail to itself; the MTA is answered and
// the session goes on.
func TestHandlerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var newBody atomic.Int64
		var first *message.Message
		h := handlerFunc(func(_ context.Context, m *message.Message) (message.Verdict, error) {
			if m.Envelope.Sender != "hang@example" {
				return message.Verdict{Action: message.Accept}, nil
			}
			first = m
			<-release
			b := make([]byte, 4)
			if _, err := m.Body.ReadAt(b, 0); err != nil || string(b) != "hang" {
				t.Errorf("the body is %q, %v", b, err)
			}
			return message.Verdict{Edits: []message.Edit{
				message.ReplaceBody{Body: counted{message.Bytes(nil), &newBody}},
			}}, nil
		})
		ts := serve(t, h, func(c *Config) { c.Work = time.Minute })
		m := ts.dial().start()
		begin := time.Now()
		got := m.deliver("hang@example", []string{"b@example"}, nil, "hang")
		if d := time.Since(begin); d != time.Minute+grace ||
			got[0] != "y451 4.3.0 processing took too long, try again later\x00" {
			t.Errorf("after %v: %q", d, got)
		}
		if got := m.deliver("a@example", []string{"b@example"}, nil, "next"); got[0] != "a" {
			t.Errorf("next mail: %q", got)
		}
		m.quit()
		close(release)
		synctest.Wait()
		if newBody.Load() != 1 {
			t.Errorf("the verdict's body was closed %d times", newBody.Load())
		}
		if _, err := first.Body.ReadAt(make([]byte, 1), 0); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("the mail's body was not closed: %v", err)
		}
		ts.stop()
		ts.logged("deferred", "fault=timeout")
	})
}

type counted struct {
	message.Body
	n *atomic.Int64
}

func (c counted) Close() error { c.n.Add(1); return nil }

// An MTA that has gone is noticed while the handler works.
func TestConnectionLostWhileWorking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := make(chan struct{})
		ended := make(chan time.Time, 1)
		h := handlerFunc(func(ctx context.Context, _ *message.Message) (message.Verdict, error) {
			close(begun)
			<-ctx.Done()
			ended <- time.Now()
			return message.Verdict{}, ctx.Err()
		})
		ts := serve(t, h)
		m := ts.dial().start()
		m.mail("<a@example>")
		m.rcpt("<b@example>")
		m.content(nil, "x")
		m.send(cmdEOM)
		<-begun
		lost := time.Now()
		m.Close()
		if d := (<-ended).Sub(lost); d > 3*time.Second {
			t.Errorf("noticed after %v", d)
		}
		synctest.Wait()
		ts.stop()
	})
}

// The MTA takes no data: the connection ends, and does not hang.
func TestMTAThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := message.Verdict{Action: message.Accept, Edits: []message.Edit{
			message.ReplaceBody{Body: message.Bytes(make([]byte, 1<<20))},
		}}
		ts := serve(t, &recorder{verdict: v}, func(c *Config) { c.Write = time.Second })
		m := ts.dial().start()
		m.mail("<a@example>")
		m.rcpt("<b@example>")
		m.content(nil, "x")
		begin := time.Now()
		m.send(cmdEOM)
		for ts.Stats().Open > 0 && time.Since(begin) < time.Minute {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if d := time.Since(begin); d > 2*time.Second {
			t.Errorf("open after %v", d)
		}
		ts.logged("answer not sent")
		ts.stop()
	})
}

// An error of the handler defers the mail, whatever kind of fault it names:
// what is to become of a mail that cannot be decided on is a verdict.
func TestHandlerError(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{errors.New("oops: /etc/secret.pem"), "y451 4.3.0 temporary failure, try again later\x00"},
		{fmt.Errorf("%w: no", fault.Rejected), "y451 4.3.0 temporary failure, try again later\x00"},
		{fmt.Errorf("%w: look up", fault.Deferred), "y451 4.7.1 not decided yet, try again later\x00"},
	} {
		var closed atomic.Int64
		h := handlerFunc(func(context.Context, *message.Message) (message.Verdict, error) {
			return message.Verdict{Action: message.Accept, Edits: []message.Edit{
				message.ReplaceBody{Body: counted{message.Bytes(nil), &closed}},
			}}, tt.err
		})
		ts := serve(t, h)
		m := ts.dial().start()
		m.macros(cmdMail, "i", "Q1")
		if got := m.deliver("a@example", []string{"b@example"}, nil, "x"); len(got) != 1 || got[0] != tt.want {
			t.Errorf("%v: %q", tt.err, got)
		}
		m.quit()
		ts.logged("deferred", "id=Q1", tt.err.Error())
		if closed.Load() != 1 {
			t.Errorf("%v: the body was closed %d times", tt.err, closed.Load())
		}
	}
}

// A panic costs one mail: it is answered, logged with its stack and counted.
func TestPanicOfHandler(t *testing.T) {
	h := handlerFunc(func(_ context.Context, m *message.Message) (message.Verdict, error) {
		if m.Envelope.Sender == "panic@example" {
			var nobody *message.Message
			_ = nobody.Envelope
		}
		return message.Verdict{Action: message.Accept}, nil
	})
	ts := serve(t, h)
	ts.panics = 1
	m := ts.dial().start()
	m.macros(cmdMail, "i", "Q1")
	got := m.deliver("panic@example", []string{"b@example"}, nil, "x")
	if len(got) != 1 || got[0] != "y451 4.3.0 temporary failure, try again later\x00" {
		t.Errorf("answer %q", got)
	}
	if got := m.deliver("a@example", []string{"b@example"}, nil, "x"); got[0] != "a" {
		t.Errorf("next mail: %q", got)
	}
	m.quit()
	ts.logged("panic", "id=Q1", "TestPanicOfHandler", "nil pointer")
}

// A panic of ours while a mail is told: what is not answered cannot be answered
// with an error, so the mail is deferred at its end.
func TestPanicOfOurs(t *testing.T) {
	h := accepting()
	ts := serve(t, h)
	ts.create = func() bodyFile { panic("spool") }
	ts.panics = 3
	m := ts.dial().start()
	for _, body := range []string{"x", "x", ""} { // without a body the spool is needed at the end
		got := m.deliver("a@example", []string{"b@example"}, []string{"Subject: s"}, body)
		if len(got) != 1 || got[0] != "y451 4.3.0 temporary failure, try again later\x00" {
			t.Errorf("answer %q", got)
		}
	}
	m.quit()
	ts.logged("panic", "TestPanicOfOurs")
	if len(h.all()) != 0 {
		t.Error("the handler saw the mail")
	}
}

func TestSpoolThatBreaks(t *testing.T) {
	h := accepting()
	ts := serve(t, h)
	ts.create = func() bodyFile { return fullDisk{} }
	m := ts.dial().start()
	m.macros(cmdMail, "i", "Q1")
	got := m.deliver("a@example", []string{"b@example"}, []string{"Subject: s"}, "x")
	if len(got) != 1 || got[0] != "y452 4.3.1 insufficient system storage, try again later\x00" {
		t.Errorf("answer %q", got)
	}
	m.quit()
	ts.logged("deferred", "fault=storage", "id=Q1", "no space left")
	if len(h.all()) != 0 {
		t.Error("the handler saw the mail")
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error)         { return 0, errors.New("no space left") }
func (fullDisk) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }
func (fullDisk) Size() int64                       { return 0 }
func (fullDisk) Close() error                      { return nil }

// Over a limit is an answer, never a shorter mail.
func TestTooLarge(t *testing.T) {
	for _, tt := range []struct {
		what       string
		fields     int
		body       int
		wantAnswer string
	}{
		{"body at the limit", 1, 1 << 20, "a"},
		{"body", 1, 1<<20 + 1, "y552 5.3.4 message too large\x00"},
		{"header", 18, 1, "y552 5.3.4 message too large\x00"},
		{"header at the limit", 16, 1, "a"},
	} {
		h := accepting()
		ts := serve(t, h)
		m := ts.dial().start()
		m.mail("<a@example>")
		m.rcpt("<b@example>")
		// Name, colon, value and CRLF are 64 KiB.
		for range tt.fields {
			m.args(cmdHeader, "X", strings.Repeat("x", 64<<10-4))
		}
		m.send(cmdEOH)
		for left := tt.body; left > 0; left -= 65535 {
			m.send(cmdBody, strings.Repeat("x", min(left, 65535)))
		}
		if got := m.eom(); len(got) != 1 || got[0] != tt.wantAnswer {
			t.Errorf("%s: %q", tt.what, got)
		}
		m.quit()
		if seen := len(h.all()) == 1; seen != (tt.wantAnswer == "a") {
			t.Errorf("%s: the handler saw %d mails", tt.what, len(h.all()))
		}
	}
}
