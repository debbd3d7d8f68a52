// Package milter_test holds package milter against the real MTAs: what it tells
// a handler of a mail, and what they make of the edits.
package milter_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mailseal/internal/message"
	"mailseal/internal/mtarig"
	"mailseal/milter"
	"mailseal/test/rig"
	"mailseal/test/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

// sendmail writes macros and the command they are for as two segments, and
// waits for us to acknowledge the first: several times 40 ms a mail, if we let
// Linux take its time. The quickest of several mails shows it on a machine that
// is busy, too.
func TestNoDelayOverTCP(t *testing.T) {
	b := start(t, rig.Sendmail, setup{network: "tcp"}, accept())
	c := rig.Dial(t, b.mta.Addr())
	best := time.Hour
	for i := range 20 {
		begin := time.Now()
		if err := c.Send(mail(i)); err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(begin))
	}
	if best > 100*time.Millisecond {
		t.Errorf("the quickest of 20 mails took %v", best)
	}
}
