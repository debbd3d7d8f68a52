package mtarig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// SinkConfig is what a Sink offers and what it refuses. An error of a hook that
// is a *smtp.SMTPError is answered as it is, any other with 451.
type SinkConfig struct {
	Hostname     string
	No8BitMIME   bool // does not offer 8BITMIME (RFC 6152) and so not SMTPUTF8 (RFC 6531 section 3.1)
	NoSMTPUTF8   bool
	Rcpt         func(addr string) error // asked for every recipient
	Data         func(Mail) error        // asked for every mail that has come whole; may hand it on
	MaxMailBytes int64                   // 0 is no limit
}

// A Sink is an SMTP server on a loopback port that keeps every mail, byte for
// byte.
type Sink struct {
	cfg      SinkConfig
	server   *smtp.Server
	listener net.Listener
	served   chan error

	mu    sync.Mutex
	mails []Mail
	taken int           // of mails, by Next
	grown chan struct{} // closed, and made anew, with every mail
}

// NewSink starts a sink.
func NewSink(cfg SinkConfig) (*Sink, error) {
	if cfg.Hostname == "" {
		cfg.Hostname = "sink.example.test"
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a sink: %w", err)
	}
	s := &Sink{cfg: cfg, listener: l, served: make(chan error, 1), grown: make(chan struct{})}
	s.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &sinkSession{sink: s}, nil
	}))
	s.server.Domain = cfg.Hostname
	s.server.EnableSMTPUTF8 = !cfg.NoSMTPUTF8 && !cfg.No8BitMIME
	s.server.MaxMessageBytes = cfg.MaxMailBytes
	s.server.MaxLineLength = 0
	s.server.ErrorLog = log.New(io.Discard, "", 0)
	if cfg.No8BitMIME {
		l = mutedListener{l}
	}
	go func() { s.served <- s.server.Serve(l) }()
	return s, nil
}

// Addr returns where the sink takes mail, as 127.0.0.1:PORT.
func (s *Sink) Addr() string { return s.listener.Addr().String() }

// Close ends the sink and its sessions.
func (s *Sink) Close() error {
	err := s.server.Close()
	if errors.Is(err, smtp.ErrServerClosed) {
		return nil
	}
	// The server closes the listener only if it has begun to serve it.
	if e := s.listener.Close(); !errors.Is(e, net.ErrClosed) {
		err = errors.Join(err, e)
	}
	return errors.Join(err, <-s.served)
}

// Mails returns what has come so far.
func (s *Sink) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Wait waits until n mails have come in all and returns all there are.
func (s *Sink) Wait(n int, timeout time.Duration) ([]Mail, error) {
	expired := time.After(timeout)
	for {
		s.mu.Lock()
		mails, grown := append([]Mail(nil), s.mails...), s.grown
		s.mu.Unlock()
		if len(mails) >= n {
			return mails, nil
		}
		select {
		case <-grown:
		case <-expired:
			return mails, fmt.Errorf("%w after %v: %d mails in the sink, want %d", ErrTimeout, timeout, len(mails), n)
		}
	}
}

// Next waits for the first mail that Next has not returned yet.
func (s *Sink) Next(timeout time.Duration) (Mail, error) {
	s.mu.Lock()
	s.taken++
	n := s.taken
	s.mu.Unlock()
	mails, err := s.Wait(n, timeout)
	if err != nil {
		s.mu.Lock()
		s.taken--
		s.mu.Unlock()
		return Mail{}, err
	}
	return mails[n-1], nil
}

func (s *Sink) keep(m Mail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, m)
	close(s.grown)
	s.grown = make(chan struct{})
}

// sinkSession is one SMTP session; mail is the transaction under way.
type sinkSession struct {
	sink *Sink
	mail Mail
}

var _ smtp.Session = (*sinkSession)(nil)

func (s *sinkSession) Mail(from string, o *smtp.MailOptions) error {
	s.mail = Mail{From: from}
	if o.Body != "" {
		s.mail.Args = append(s.mail.Args, "BODY="+string(o.Body))
	}
	if o.UTF8 {
		s.mail.Args = append(s.mail.Args, "SMTPUTF8")
	}
	return nil
}

func (s *sinkSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if ask := s.sink.cfg.Rcpt; ask != nil {
		if err := ask(to); err != nil {
			return answer(err)
		}
	}
	s.mail.To = append(s.mail.To, to)
	return nil
}

func (s *sinkSession) Data(r io.Reader) error {
	var b bytes.Buffer
	if _, err := b.ReadFrom(r); err != nil {
		return err
	}
	m := s.mail
	m.Data = b.Bytes()
	if ask := s.sink.cfg.Data; ask != nil {
		if err := ask(m); err != nil {
			return answer(err)
		}
	}
	s.sink.keep(m)
	return nil
}

func (s *sinkSession) Reset()        { s.mail = Mail{} }
func (s *sinkSession) Logout() error { return nil }

func answer(err error) error {
	if e := new(smtp.SMTPError); errors.As(err, &e) {
		return e
	}
	return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: err.Error()}
}

// mutedListener keeps 8BITMIME out of the reply to EHLO: go-smtp always offers
// it, in a line and a write of its own.
type mutedListener struct{ net.Listener }

func (l mutedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return mutedConn{c}, nil
}

type mutedConn struct{ net.Conn }

func (c mutedConn) Write(b []byte) (int, error) {
	if string(b) == "250-8BITMIME\r\n" {
		return len(b), nil
	}
	return c.Conn.Write(b)
}
