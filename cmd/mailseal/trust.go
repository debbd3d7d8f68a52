package main

import (
	"context"
	"errors"
	"log/slog"

	"mailseal/internal/config"
	"mailseal/internal/trust"
	"mailseal/internal/trust/source"
)

// openTrust reads the files that say who is trusted. Each mistake has its place.
func openTrust(c *config.Config) (*source.Watcher, []error) {
	s := source.Config{
		Mail: c.SMIME.Trust, System: c.SMIME.SystemTrust, Domains: c.DomainCAs, Pinned: c.SMIME.Pinned, CRLs: c.SMIME.CRLs,
		Optional: []source.Kind{source.CRLs}, // check warns; they may be fetched later
	}
	if !c.IsSet("smime.trust") {
		s.Optional = append(s.Optional, source.Mail)
	}
	w, err := source.Open(s)
	var errs []error
	for _, e := range unjoin(err) {
		if p := new(source.Problem); errors.As(e, &p) {
			errs = append(errs, atSource(c, p.Kind, p.Domain, p.Index, p.Err))
		}
	}
	return w, errs
}

// atSource returns err with the place of one of the files that say who is trusted.
func atSource(c *config.Config, kind source.Kind, domain string, index int, err error) error {
	switch kind {
	case source.Domains:
		return c.AtDomain(domain, err, index)
	case source.System:
		return c.At("smime.system_trust", err)
	}
	return c.At("smime."+string(kind), err, index)
}

// judge says by what paths are judged.
func (p *parts) judge() {
	p.trust.Judge(trust.Options{Revocation: p.conf.SMIME.Revocation, Fetch: p.fetch})
}

// anchors is how many CAs are trusted for all mail.
func (p *parts) anchors() (n int) {
	for _, h := range p.holdings {
		if h.Kind == source.Mail || h.Kind == source.System {
			n += len(h.Certificates)
		}
	}
	return n
}

// A follower follows the files of one configuration as they change.
type follower struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func follow(w *source.Watcher, log *slog.Logger) follower {
	ctx, cancel := context.WithCancel(context.Background())
	f := follower{cancel, make(chan struct{})}
	go func() {
		defer close(f.done)
		w.Run(ctx, log)
	}()
	return f
}

func (f follower) stop() {
	f.cancel()
	<-f.done
}
