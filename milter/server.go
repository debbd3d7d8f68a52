package milter

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"mailseal/internal/message"
	"mailseal/internal/spool"
)

// ErrServerClosed is what Serve returns after Shutdown.
var ErrServerClosed = errors.New("milter: server closed")

// A Handler decides on one mail.
type Handler interface {
	Handle(ctx context.Context, m *message.Message) (message.Verdict, error)
}

// Config is what a Server is built from. Handler and Spool are needed.
type Config struct {
	Handler Handler
	Spool   *spool.Store
	Log     *slog.Logger
	Limits  message.Limits

	MaxConnections int
	MaxRecipients  int

	Idle, Read, Write, Work time.Duration
	ProgressEvery           time.Duration
}

// A Server speaks the milter protocol on any number of listeners.
type Server struct{ conf Config }

// New checks the configuration.
func New(c Config) (*Server, error) { return &Server{conf: c}, nil }

// Serve answers MTAs on ln until Shutdown.
func (s *Server) Serve(ln net.Listener) error { return errors.New("milter: not yet") }

// SetHandler gives later mails another handler.
func (s *Server) SetHandler(h Handler) {}

// Shutdown stops accepting and waits for running transactions.
func (s *Server) Shutdown(ctx context.Context) error { return nil }

// Stats are counts since New.
type Stats struct {
	Open          int   // connections now
	Connections   int64 // connections ever
	Messages      int64 // mails given to a handler
	Panics        int64
	AcceptRetries int64
}

// Stats returns the counts.
func (s *Server) Stats() Stats { return Stats{} }
