// Package web serves by HTTP what a CA tells everybody: the list of what was
// revoked, the CA's certificate, and OCSP answers that were signed before
// anybody asked (RFC 5280 section 4.2.1.13 and 4.2.2.1, RFC 6960 appendix A,
// RFC 5019). It has no key and writes no file. Everything comes from an edition
// that is held in memory; nothing that a stranger asks goes any further.
//
//	GET /ca.crl   /ca.crl.pem      the list
//	GET /ca.cer   /ca.pem          the certificate
//	GET /ocsp/BASE64, POST /ocsp   about one certificate
//
// Where the CA's URL has a path, they are below that too.
package web

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"mailseal/certmgr/edition"
)

// Bounds of what strangers may cost.
const (
	maxHeader   = 8 << 10
	slowRequest = 10 * time.Second
	slowAnswer  = 2 * time.Minute // a list of megabytes by a slow line
	idle        = 10 * time.Second
)

// A Source has the editions of a CA. Where nothing is newer than the mark it
// may take its time to say so.
type Source interface {
	Edition(context.Context, edition.Mark) (*edition.Edition, error)
}

// Config is what a Site needs.
type Config struct {
	Source Source
	Log    *slog.Logger
	Now    func() time.Time // defaults to time.Now
	// Ready is told when there is something to serve for the first time; nil:
	// nobody is.
	Ready func()
}

// A Site serves what a CA tells.
type Site struct {
	source Source
	log    *slog.Logger
	now    func() time.Time
	ready  func()
	http   http.Server

	mu      sync.RWMutex // guards what follows, which is replaced and not changed
	mark    edition.Mark
	path    string
	cert    *x509.Certificate
	list    *edition.List
	files   map[string]document       // by path, made of cert and list
	answers map[string]edition.Answer // by serial
}

// New makes a Site.
func New(c Config) *Site {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Ready == nil {
		c.Ready = func() {}
	}
	s := &Site{source: c.Source, log: c.Log, now: c.Now, ready: c.Ready, files: documents(nil, nil)}
	s.http = http.Server{
		Handler:           s,
		ErrorLog:          slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug), // strangers write it
		ReadHeaderTimeout: slowRequest,
		ReadTimeout:       slowRequest,
		WriteTimeout:      slowAnswer,
		IdleTimeout:       idle,
		MaxHeaderBytes:    maxHeader,

		DisableGeneralOptionsHandler: true,
	}
	return s
}

// Serve answers until Stop, and then returns nil. It closes the listener.
func (s *Site) Serve(ln net.Listener) error {
	if err := s.http.Serve(newRoom(ln)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Stop closes the listeners, waits for what is in work until the context ends,
// and then cuts it off.
func (s *Site) Stop(ctx context.Context) {
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
}

// How long to wait after the source has failed, at first and at most.
const (
	soonAgain  = time.Second
	laterAgain = 30 * time.Second
)

// Follow takes new editions until the context ends. What it has it keeps while
// the source is gone.
func (s *Site) Follow(ctx context.Context) {
	wait, gone := soonAgain, false
	for ctx.Err() == nil {
		err := s.take(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && gone:
			s.log.Info("certmgr answers again")
			fallthrough
		case err == nil:
			wait, gone = soonAgain, false
			continue
		case !gone:
			s.log.Error("nothing new from certmgr", "error", err)
			gone = true
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait = min(2*wait, laterAgain)
	}
}

// take takes what is newer.
func (s *Site) take(ctx context.Context) error {
	s.mu.RLock()
	mark := s.mark
	s.mu.RUnlock()
	e, err := s.source.Edition(ctx, mark)
	if err != nil {
		return err
	}
	if e.Mark == mark {
		return nil
	}
	var cert *x509.Certificate
	if len(e.Certificate) > 0 {
		if cert, err = x509.ParseCertificate(e.Certificate); err != nil {
			return err
		}
	}
	s.mu.Lock()
	first := s.cert == nil && cert != nil
	s.merge(e, cert)
	answers := len(s.answers)
	s.mu.Unlock()
	s.log.Debug("new edition", "number", e.Number, "list", e.List != nil, "new", len(e.Answers), "answers", answers)
	if first {
		s.ready()
	}
	return nil
}

// merge adds what is new. What has ended goes. The Site is locked.
func (s *Site) merge(e *edition.Edition, cert *x509.Certificate) {
	answers := make(map[string]edition.Answer, len(s.answers)+len(e.Answers))
	now := s.now()
	if !e.Whole {
		for serial, a := range s.answers {
			if a.NextUpdate.After(now) {
				answers[serial] = a
			}
		}
	}
	for _, a := range e.Answers {
		answers[a.Serial] = a
	}
	if e.Whole || e.List != nil {
		s.list = e.List
	}
	s.mark, s.path, s.cert, s.answers = e.Mark, e.Path, cert, answers
	s.files = documents(s.list, s.cert)
}
