package main

import (
	"crypto/x509"
	"maps"
	"slices"
	"time"

	"mailseal/internal/trust/source"
)

// A trustReport is who is trusted, as check tells it.
type trustReport struct {
	Anchors    []anchorReport            `json:"anchors"`
	System     *int                      `json:"system_anchors,omitempty"` // how many
	DomainCAs  map[string][]anchorReport `json:"domain_cas,omitempty"`
	Pinned     []anchorReport            `json:"pinned,omitempty"`
	CRLs       []crlReport               `json:"crls,omitempty"`
	Revocation string                    `json:"revocation,omitempty"`
}

type anchorReport struct {
	Subject  string    `json:"subject"`
	NotAfter time.Time `json:"not_after"`
}

type crlReport struct {
	Issuer     string     `json:"issuer"`
	NextUpdate *time.Time `json:"next_update,omitempty"`
	Revoked    int        `json:"revoked"`
}

func (t *trustReport) describe(p *parts) {
	t.Revocation = p.conf.SMIME.Revocation.String()
	for _, h := range p.holdings {
		switch h.Kind {
		case source.Mail:
			t.Anchors = append(t.Anchors, anchorReports(h.Certificates)...)
		case source.System:
			count := len(h.Certificates)
			t.System = &count
		case source.Domains:
			if t.DomainCAs == nil {
				t.DomainCAs = map[string][]anchorReport{}
			}
			t.DomainCAs[h.Domain] = append(t.DomainCAs[h.Domain], anchorReports(h.Certificates)...)
		case source.Pinned:
			t.Pinned = append(t.Pinned, anchorReports(h.Certificates)...)
		}
		for _, l := range h.CRLs {
			r := crlReport{Issuer: l.Issuer.String(), Revoked: l.Count}
			if !l.NextUpdate.IsZero() {
				r.NextUpdate = &l.NextUpdate
			}
			t.CRLs = append(t.CRLs, r)
		}
	}
}

func anchorReports(certs []*x509.Certificate) (all []anchorReport) {
	for _, c := range certs {
		all = append(all, anchorReport{Subject: c.Subject.String(), NotAfter: c.NotAfter})
	}
	return all
}

func (t *trustReport) write(line func(key, format string, args ...any)) {
	anchors := func(domain string, as []anchorReport) {
		for _, a := range as {
			line("", "%s%q until %s", domain, a.Subject, a.NotAfter.Format(time.DateOnly))
		}
	}
	line("anchors", "%d", len(t.Anchors))
	anchors("", t.Anchors)
	if t.System != nil {
		line("system_trust", "%d", *t.System)
	}
	if len(t.DomainCAs) > 0 {
		line("domain_cas", "%d", len(t.DomainCAs))
	}
	for _, d := range slices.Sorted(maps.Keys(t.DomainCAs)) {
		anchors(d+": ", t.DomainCAs[d])
	}
	if len(t.Pinned) > 0 {
		line("pinned", "%d", len(t.Pinned))
	}
	anchors("", t.Pinned)
	line("revocation", "%s", t.Revocation)
	line("crls", "%d", len(t.CRLs))
	for _, l := range t.CRLs {
		until := "without an end"
		if l.NextUpdate != nil {
			until = "until " + l.NextUpdate.Format(time.DateOnly)
		}
		line("", "%q %s, %d revoked", l.Issuer, until, l.Revoked)
	}
}
