package main

import (
	"errors"
	"fmt"
	"time"

	"mailseal/internal/trust"
	"mailseal/internal/trust/revocation"
	"mailseal/internal/trust/source"
)

// warnTrust tells of files that say who is trusted and do not say it well.
func warnTrust(p *parts, now time.Time) (ws []error) {
	certificates, lists := 0, 0
	for _, h := range p.holdings {
		certificates, lists = certificates+len(h.Certificates), lists+len(h.CRLs)
		ws = append(ws, warnHolding(p, h, now)...)
	}
	c := p.conf
	if certificates == 0 {
		ws = append(ws, c.At("smime.trust", errors.New("no trust anchor; every signature will be judged fail")))
	}
	switch fetched := c.Fetch.CRL || c.Fetch.OCSP; {
	case c.SMIME.Revocation == revocation.Off && lists > 0:
		ws = append(ws, c.At("smime.crls", errors.New("of no use as long as revocation is off")))
	case c.SMIME.Revocation == revocation.Hard && lists == 0 && !fetched:
		ws = append(ws, c.At("smime.revocation", errors.New("without crls, and with nothing fetched, only mail that brings its CRLs along can pass; want crls, or the table [fetch]")))
	}
	return ws
}

// warnHolding is warnTrust of one file or folder. The system's CAs are others' work.
func warnHolding(p *parts, h source.Holding, now time.Time) (ws []error) {
	warn := func(format string, args ...any) {
		ws = append(ws, atSource(p.conf, h.Kind, h.Domain, h.Index, fmt.Errorf(format, args...)))
	}
	if h.Missing && p.conf.IsSet("smime."+string(h.Kind)) {
		warn("no %s yet; it counts as soon as it is there", h.Path)
	}
	what := "anchor"
	if h.Kind == source.Pinned {
		what = "certificate"
	}
	for _, a := range h.Certificates {
		if h.Kind == source.System {
			break
		}
		if h.Kind != source.Pinned && a.Version == 3 && !a.IsCA {
			warn("anchor %q is no CA; it is believed itself, and nobody whom it certified", a.Subject)
		}
		if why := trust.Unfit(a); h.Kind == source.Pinned && why != "" {
			warn("certificate %q: %s; it will never be trusted", a.Subject, why)
		}
		if now.After(a.NotAfter) {
			warn("%s %q expired on %s", what, a.Subject, a.NotAfter.Format(time.DateOnly))
		}
	}
	for _, l := range h.CRLs {
		if !l.NextUpdate.IsZero() && now.After(l.NextUpdate) {
			warn("CRL of %q expired on %s; where no newer one comes from, the status of certificates is unknown", l.Issuer.String(), l.NextUpdate.Format(time.DateOnly))
		}
	}
	return ws
}
