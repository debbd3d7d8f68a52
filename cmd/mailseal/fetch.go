package main

import (
	"context"
	"log/slog"
	"path/filepath"

	"mailseal/internal/config"
	"mailseal/internal/fetch"
	"mailseal/internal/message"
	"mailseal/internal/trust/revocation"
	"mailseal/milter"
)

// newFetcher makes who fetches what certificates name. The daemon keeps it in
// its folder; others read there what the daemon has, and keep nothing.
func newFetcher(c *config.Config, readOnly bool, log *slog.Logger) *fetch.Fetcher {
	return fetch.New(fetch.Config{Settings: fetchSettings(c), Dir: filepath.Join(c.State, "fetch"), ReadOnly: readOnly, Log: log})
}

func fetchSettings(c *config.Config) fetch.Settings {
	f := c.Fetch
	return fetch.Settings{
		CRL: f.CRL, OCSP: f.OCSP, Timeout: f.Timeout, Wait: f.Wait, MaxSize: int64(f.MaxSize), Allow: f.Allow, Proxy: f.Proxy,
	}
}

// fetches hands a Fetcher to what is built, if anything may be fetched: words
// about what nobody tried would be no help.
func (p *parts) fetches(f *fetch.Fetcher) {
	p.fetch = nil
	if p.conf.Fetch.CRL || p.conf.Fetch.OCSP {
		p.fetch = f
	}
}

// A fetching handler gives each mail its budget of waiting.
type fetching struct {
	milter.Handler
	fetch *fetch.Fetcher
}

func (f fetching) Handle(ctx context.Context, m *message.Message) (message.Verdict, error) {
	return f.Handler.Handle(f.fetch.Mail(ctx), m)
}

var (
	_ revocation.Fetcher = (*fetch.Fetcher)(nil)
	_ revocation.Doubter = (*fetch.Fetcher)(nil)
)
