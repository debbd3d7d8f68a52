package notice

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"mailseal/test/rig"
)

// A postmaster gets mails, or is out.
type postmaster struct {
	mu    sync.Mutex
	out   error
	mails [][]Notice
}

func (p *postmaster) send(_ context.Context, ns []Notice) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == nil {
		p.mails = append(p.mails, ns)
	}
	return p.out
}

func (p *postmaster) is(out error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = out
}

func (p *postmaster) got() [][]Notice {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mails
}

func (p *postmaster) book(t *testing.T, file string) *Book {
	b := NewBook(Config{File: file, Send: p.send, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); b.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return b
}

// What is told together is one mail; the same cause is told once a day, also after
// a restart; what cannot be sent is sent later.
func TestBook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "notices.json")
		p := &postmaster{}
		b := p.book(t, file)
		wait := func(d time.Duration, want ...int) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			var got []int
			for _, m := range p.got() {
				got = append(got, len(m))
			}
			if len(got) != len(want) {
				t.Fatalf("mails with %v notices, want %v", got, want)
			}
			for i := range got {
				if got[i] != want[i] {
					t.Fatalf("mails with %v notices, want %v", got, want)
				}
			}
		}
		tell := func(targets ...string) {
			for _, target := range targets {
				b.Tell(Notice{Target: target, Cause: "server", Text: "x", At: time.Now()})
			}
		}
		tell("a", "b", "a")
		wait(time.Second)
		wait(time.Minute, 2)
		tell("a", "c")
		wait(time.Hour, 2, 1)
		b = p.book(t, file) // restarted
		tell("a", "b", "c")
		wait(time.Hour, 2, 1)
		wait(24*time.Hour, 2, 1)
		tell("a")
		wait(time.Minute, 2, 1, 1)

		p.is(errors.New("connection refused"))
		tell("d")
		wait(2*time.Hour, 2, 1, 1)
		tell("d", "e")
		p.is(nil)
		wait(20*time.Minute, 2, 1, 1, 2)

		// A clock that was wrong has told nothing for ever.
		if err := os.WriteFile(file, []byte(`{"f/server":"2099-01-01T00:00:00Z"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		b = p.book(t, file)
		tell("f")
		wait(time.Minute, 2, 1, 1, 2, 1)
		// And neither has a file that is none.
		if err := os.WriteFile(file, []byte(`null`), 0o600); err != nil {
			t.Fatal(err)
		}
		b = p.book(t, file)
		tell("f")
		wait(time.Minute, 2, 1, 1, 2, 1, 1)
	})
}

// Nobody is told: nothing waits, and nothing is kept.
func TestNobody(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notices.json")
	b := NewBook(Config{File: file})
	b.Tell(Notice{Target: "a"})
	if _, err := os.Lstat(file); len(b.waiting) != 0 || !errors.Is(err, os.ErrNotExist) {
		t.Error(b.waiting, err)
	}
}

// A sink is an SMTP server that keeps one mail.
type sink struct {
	from, to string
	data     []byte
	refuse   error
}

func (s *sink) NewSession(*smtp.Conn) (smtp.Session, error) { return s, nil }
func (s *sink) Reset()                                      {}
func (s *sink) Logout() error                               { return nil }
func (s *sink) Mail(from string, _ *smtp.MailOptions) error { s.from = from; return nil }
func (s *sink) Rcpt(to string, _ *smtp.RcptOptions) error   { s.to = to; return s.refuse }
func (s *sink) Data(r io.Reader) (err error)                { s.data, err = io.ReadAll(r); return err }

func (s *sink) listen(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(s)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(ln) }()
	t.Cleanup(func() { server.Close(); <-done })
	return ln.Addr().String()
}

// The mail says that a program has sent it, what is wrong, and holds no control
// characters of anybody else's.
func TestMail(t *testing.T) {
	s := &sink{}
	m := Mail{Admin: "postmaster@example.jp", Server: s.listen(t), Host: "mx.example.jp"}
	ns := []Notice{
		{Target: "sendmail", Cause: "server", Text: "smtp://127.0.0.1:25: TLS is not offered\x1b[2J\nsecond line\r\n.\r\nQUIT", At: time.Date(2026, 11, 22, 1, 2, 3, 0, time.UTC)},
		{Cause: "authority", Text: "接続できない", At: time.Date(2026, 11, 22, 1, 2, 4, 0, time.UTC)},
	}
	if err := m.Send(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	if s.from != m.Admin || s.to != m.Admin {
		t.Errorf("from %s to %s", s.from, s.to)
	}
	msg, err := mail.ReadMessage(strings.NewReader(string(s.data)))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
	if want := "mailseal on mx.example.jp: sendmail: the server does not serve its certificate, and 1 more"; err != nil || subject != want {
		t.Errorf("%q, %v", subject, err)
	}
	if msg.Header.Get("Auto-Submitted") != "auto-generated" || msg.Header.Get("Message-Id") == "" {
		t.Errorf("%v", msg.Header)
	}
	if from, err := msg.Header.AddressList("From"); err != nil || from[0].Address != m.Admin {
		t.Errorf("%v, %v", from, err)
	}
	if _, err := msg.Header.Date(); err != nil {
		t.Error(err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(msg.Body))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"* sendmail: the server does not serve its certificate, 2026-11-22 01:02:03 +0000", "TLS is not offered?[2J", "  second line", "  QUIT", "接続できない", "certmgr -plan"} {
		if !strings.Contains(string(body), want) {
			t.Errorf("no %q in %s", want, body)
		}
	}
	for i, c := range s.data {
		if c > 0x7e || c < ' ' && c != '\r' && c != '\n' {
			t.Fatalf("octet %#x at %d", c, i)
		}
	}
}

// A server that refuses, or is not there, is an error that says whom and where.
func TestMailRefused(t *testing.T) {
	s := &sink{refuse: &smtp.SMTPError{Code: 550, Message: "no such user"}}
	m := Mail{Admin: "postmaster@example.jp", Server: s.listen(t), Host: "mx.example.jp"}
	if err := m.Send(t.Context(), []Notice{{Cause: "server"}}); err == nil || !strings.Contains(err.Error(), "notify postmaster@example.jp by "+m.Server) || !strings.Contains(err.Error(), "no such user") {
		t.Error(err)
	}
	m.Server = "127.0.0.1:1"
	if err := m.Send(t.Context(), []Notice{{Cause: "server"}}); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Error(err)
	}
	// One that says nothing holds nobody up.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	m.Server = ln.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if c, err := ln.Accept(); err == nil {
			cancel()
			_, _ = io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	if err := m.Send(ctx, []Notice{{Cause: "server"}}); err == nil {
		t.Error("a mail to nobody was sent")
	}
}

// One that never ends its greeting is not listened to for long.
func TestMailToTalker(t *testing.T) {
	addr, said := rig.Talker(t)
	m := Mail{Admin: "postmaster@example.jp", Server: addr, Host: "mx.example.jp"}
	if err := m.Send(t.Context(), []Notice{{Cause: "server"}}); err == nil || !strings.Contains(err.Error(), "says more than any mail server does") {
		t.Error(err)
	}
	if n := <-said; n >= rig.TalkerEnd {
		t.Error("all of it was listened to")
	}
}
