package mtarig_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-milter"

	"mailseal/internal/mtarig"
	"mailseal/test/rig"
)

const wait = 20 * time.Second

var plain = mtarig.Mail{
	From: "alice@example.test",
	To:   []string{"bob@example.net"},
	Data: []byte("From: alice@example.test\r\nTo: bob@example.net\r\nSubject: rig\r\n\r\nline\r\n.dot\r\n..\r\n trailing  \r\nlast\r\n"),
}

// body returns what follows the header.
func body(t *testing.T, mail []byte) string {
	t.Helper()
	_, b, ok := bytes.Cut(mail, []byte("\r\n\r\n"))
	if !ok {
		t.Fatalf("no body in %q", mail)
	}
	return string(b)
}

func TestMailPassesThrough(t *testing.T) {
	for _, kind := range rig.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			sink := rig.NewSink(t, mtarig.SinkConfig{})
			mta := kind.Start(t, mtarig.Config{Hostname: "a.example.test", Relay: sink.Addr(), Source: "127.0.0.3"})

			c := rig.Dial(t, mta.Addr())
			for i := range 3 {
				m := plain
				m.To = []string{fmt.Sprintf("bob%d@example.net", i)}
				if err := c.Send(m); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Quit(); err != nil {
				t.Fatal(err)
			}
			mails, err := sink.Wait(3, wait)
			if err != nil {
				t.Fatal(err)
			}
			to := map[string]bool{}
			for _, m := range mails {
				to[m.To[0]] = true
				if m.From != plain.From {
					t.Errorf("sender %q, want %q", m.From, plain.From)
				}
				if got, want := body(t, m.Data), body(t, plain.Data); got != want {
					t.Errorf("body %q, want %q", got, want)
				}
				if !bytes.Contains(m.Data, []byte("by a.example.test")) {
					t.Errorf("not through the MTA:\n%s", m.Data)
				}
			}
			if len(to) != 3 {
				t.Errorf("recipients %v, want three", to)
			}
			if _, err := mta.WaitLog("bob0@example.net.*(status=sent|stat=Sent)", wait); err != nil {
				t.Error(err)
			}
		})
	}
}

// stamp is a milter that adds a field with what the MTA told it of the client.
type stamp struct {
	milter.NoOpMilter
	auth string
}

func (s *stamp) MailFrom(_ string, m *milter.Modifier) (milter.Response, error) {
	s.auth = m.Macros["{auth_authen}"]
	return milter.RespContinue, nil
}

func (s *stamp) Body(m *milter.Modifier) (milter.Response, error) {
	return milter.RespAccept, m.AddHeader("X-Stamp", "auth="+s.auth)
}

func serveStamp(t *testing.T, network, address string) net.Addr {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if network == "unix" {
		if err := os.Chmod(address, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	s := milter.Server{
		NewMilter: func() milter.Milter { return &stamp{} },
		Actions:   milter.OptAddHeader,
	}
	done := make(chan struct{})
	go func() { s.Serve(l); close(done) }()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr()
}

func TestMilter(t *testing.T) {
	for _, kind := range rig.Kinds() {
		for _, network := range []string{"unix", "tcp"} {
			t.Run(string(kind)+"/"+network, func(t *testing.T) {
				t.Parallel()
				sink := rig.NewSink(t, mtarig.SinkConfig{})
				mta := kind.Prepare(t, mtarig.Config{Relay: sink.Addr()})
				address := "127.0.0.1:0"
				if network == "unix" {
					address = mta.MilterSocket()
				}
				addr := serveStamp(t, network, address)
				mta.SetMilters(mtarig.Milter{Network: network, Address: addr.String()})
				rig.Start(t, mta)
				if err := mtarig.Send(mta.Addr(), plain); err != nil {
					t.Fatal(err)
				}
				m, err := sink.Next(wait)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Contains(m.Data, []byte("X-Stamp: auth=\r\n")) {
					t.Errorf("no stamp:\n%s", m.Data)
				}
			})
		}
	}
}

// Without its milter an MTA does what OnFailure says.
func TestMilterFailure(t *testing.T) {
	for _, kind := range rig.Kinds() {
		for failure, want := range map[mtarig.Failure]int{mtarig.Tempfail: 451, mtarig.Accept: 0} {
			t.Run(fmt.Sprintf("%s/%v", kind, failure), func(t *testing.T) {
				t.Parallel()
				sink := rig.NewSink(t, mtarig.SinkConfig{})
				mta := kind.Prepare(t, mtarig.Config{Relay: sink.Addr()})
				mta.SetMilters(mtarig.Milter{Network: "unix", Address: mta.MilterSocket(), OnFailure: failure})
				rig.Start(t, mta)
				if got := mtarig.Code(mtarig.Send(mta.Addr(), plain)); got != want {
					t.Errorf("reply %d, want %d", got, want)
				}
			})
		}
	}
}

// XCLIENT makes Postfix believe in another client, who has logged in.
func TestXClientLogin(t *testing.T) {
	sink := rig.NewSink(t, mtarig.SinkConfig{})
	mta := rig.Postfix.Prepare(t, mtarig.Config{Relay: sink.Addr()})
	addr := serveStamp(t, "unix", mta.MilterSocket())
	mta.SetMilters(mtarig.Milter{Network: "unix", Address: addr.String()})
	rig.Start(t, mta)

	c := rig.Dial(t, mta.Addr())
	if err := c.XClient("ADDR=192.0.2.7", "NAME=far.example.org", "LOGIN=alice@example.test"); err != nil {
		t.Fatal(err)
	}
	if err := c.Hello("far.example.org"); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(plain); err != nil {
		t.Fatal(err)
	}
	m, err := sink.Next(wait)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"X-Stamp: auth=alice@example.test\r\n", "far.example.org", "[192.0.2.7]"} {
		if !strings.Contains(string(m.Data), want) {
			t.Errorf("no %q in\n%s", want, m.Data)
		}
	}
}

// A mail that the next hop does not take stays in the queue until Flush.
func TestQueue(t *testing.T) {
	for _, kind := range rig.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			refuse := make(chan struct{})
			sink := rig.NewSink(t, mtarig.SinkConfig{Rcpt: func(string) error {
				select {
				case <-refuse:
					return nil
				default:
					return fmt.Errorf("not now")
				}
			}})
			mta := kind.Start(t, mtarig.Config{Relay: sink.Addr()})
			if err := mtarig.Send(mta.Addr(), plain); err != nil {
				t.Fatal(err)
			}
			queue, err := mta.WaitQueue(func(q []mtarig.Entry) bool {
				return len(q) == 1 && q[0].Queue == "deferred" && len(q[0].Recipients) == 1 && q[0].Recipients[0].Reason != ""
			}, wait)
			if err != nil {
				t.Fatal(err)
			}
			e := queue[0]
			if e.Sender != plain.From || e.Recipients[0].Address != plain.To[0] || e.ID == "" || !strings.Contains(mta.Log(), e.ID) {
				t.Errorf("entry %+v", e)
			}
			if !strings.Contains(e.Recipients[0].Reason, "not now") && kind != rig.Sendmail {
				t.Errorf("reason %q, want that of the sink", e.Recipients[0].Reason)
			}
			close(refuse)
			if err := mta.Flush(); err != nil {
				t.Fatal(err)
			}
			if _, err := sink.Next(wait); err != nil {
				t.Fatal(err)
			}
			if _, err := mta.WaitQueue(func(q []mtarig.Entry) bool { return len(q) == 0 }, wait); err != nil {
				t.Error(err)
			}
		})
	}
}

// A stopped instance keeps its queue and comes back on its port.
func TestRestart(t *testing.T) {
	for _, kind := range rig.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			mta := kind.Start(t, mtarig.Config{})
			if err := mtarig.Send(mta.Addr(), plain); err != nil {
				t.Fatal(err)
			}
			if err := mta.Stop(); err != nil {
				t.Fatal(err)
			}
			if _, err := net.Dial("tcp", mta.Addr()); err == nil {
				t.Error("answers after Stop")
			}
			rig.Start(t, mta)
			if q, err := mta.Queue(); err != nil || len(q) != 1 {
				t.Errorf("queue %+v, %v; want the one mail", q, err)
			}
		})
	}
}

// Two instances that relay to one another, as the demo has them.
func TestTransport(t *testing.T) {
	sink := rig.NewSink(t, mtarig.SinkConfig{})
	far := rig.Postfix.Start(t, mtarig.Config{Hostname: "far.example.org", Relay: sink.Addr()})
	near := rig.Postfix.Start(t, mtarig.Config{
		Hostname: "near.example.test", Source: "127.0.0.2",
		Transport: map[string]string{"example.net": far.Addr()},
	})
	if err := mtarig.Send(near.Addr(), plain); err != nil {
		t.Fatal(err)
	}
	m, err := sink.Next(wait)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"by near.example.test", "by far.example.org", "[127.0.0.2]"} {
		if !strings.Contains(string(m.Data), want) {
			t.Errorf("no %q in\n%s", want, m.Data)
		}
	}
}

func TestPostfixReloadAndInject(t *testing.T) {
	sink := rig.NewSink(t, mtarig.SinkConfig{})
	p := rig.Postfix.Start(t, mtarig.Config{Relay: sink.Addr()}).(*mtarig.Postfix)
	if err := p.Reload("smtpd_banner = $myhostname after the reload"); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(wait))
	b := make([]byte, 512)
	if n, err := c.Read(b); err != nil || !strings.Contains(string(b[:n]), "after the reload") {
		t.Errorf("greeting %q, %v", b[:n], err)
	}

	m := plain
	m.Data = bytes.ReplaceAll(m.Data, []byte("\r\n"), []byte("\n"))
	if err := p.Inject(m); err != nil {
		t.Fatal(err)
	}
	if m, err := sink.Next(wait); err != nil || body(t, m.Data) != body(t, plain.Data) {
		t.Errorf("%q, %v", m.Data, err)
	}
}
