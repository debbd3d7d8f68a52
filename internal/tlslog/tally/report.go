package tally

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"mailseal/internal/tlslog"
)

// A Report is a Tally, put in order: the worst first.
type Report struct {
	From   time.Time   `json:"from,omitzero"`
	To     time.Time   `json:"to,omitzero"`
	Lines  int         `json:"lines"`  // of the log, that were looked at
	Events int         `json:"events"` // that were about TLS or S/MIME
	Peers  []*Peer     `json:"peers"`
	Faults []*Fault    `json:"host"`
	Causes []CauseSeen `json:"causes"`
}

// A CauseSeen is a cause, and how often it was met.
type CauseSeen struct {
	ID    string `json:"cause"`
	What  string `json:"what"`
	Do    string `json:"do"`
	Count int    `json:"count"`
	Peers int    `json:"peers,omitempty"`
}

// Report puts together what was added. The Tally is not to be used after it.
func (t *Tally) Report() *Report {
	r := &Report{From: t.first, To: t.last, Events: t.events, Peers: []*Peer{}, Faults: []*Fault{}, Causes: []CauseSeen{}}
	everybody := t.allFail()
	for _, p := range t.peers {
		p.explain(everybody)
		r.Peers = append(r.Peers, p)
	}
	for _, p := range t.others {
		p.explain(false)
		r.Peers = append(r.Peers, p)
	}
	slices.SortFunc(r.Peers, worse)
	for _, f := range t.faults {
		r.Faults = append(r.Faults, f)
	}
	slices.SortFunc(r.Faults, func(a, b *Fault) int {
		return cmp.Or(order(a.Mended, b.Mended), b.Last.Compare(a.Last), cmp.Compare(a.Cause, b.Cause), cmp.Compare(a.File, b.File), cmp.Compare(a.Program, b.Program))
	})
	r.causes()
	return r
}

func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// worse sorts peers: those that FAIL, those whose handshakes fail, those in
// clear, the others; within these who does so most often.
func worse(a, b *Peer) int {
	fail := func(p *Peer) int { return p.Counts[tlslog.Fail] + p.Counts[tlslog.DANEFail] }
	clear := func(p *Peer) int { return p.Counts[tlslog.None] + p.Counts[tlslog.Clear] }
	// Signatures of strangers do not matter as much as this host's TLS.
	return cmp.Or(
		order(a.Side == tlslog.Mail, b.Side == tlslog.Mail),
		order(fail(a) == 0, fail(b) == 0), order(a.Counts.Bad() == 0, b.Counts.Bad() == 0), order(clear(a) == 0, clear(b) == 0),
		cmp.Compare(fail(b), fail(a)), cmp.Compare(b.Counts.Bad(), a.Counts.Bad()), cmp.Compare(clear(b), clear(a)),
		cmp.Compare(total(b), total(a)), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Address, b.Address), cmp.Compare(a.Side, b.Side))
}

func total(p *Peer) int {
	n := 0
	for _, c := range p.Counts {
		n += c
	}
	return n
}

// allFail: several peers are verified, and none of them is good at the end,
// though the log does not say why.
func (t *Tally) allFail() bool {
	failing := 0
	for _, p := range t.peers {
		if p.Side != tlslog.In && p.Side != tlslog.Out {
			continue
		}
		switch {
		case p.Verdict.Good():
			return false
		case p.Verdict == tlslog.Fail && p.causes[""].fails > 0:
			failing++
		}
	}
	return failing >= several
}

const several = 3

// explain finds the cause of what is bad: what the log says most often, or else
// what is likely.
func (p *Peer) explain(everybody bool) {
	if len(p.causes) == 0 {
		return
	}
	// A certificate that does not verify says more than a handshake that fails.
	var best seen
	for id, n := range p.causes {
		if c := cmp.Or(cmp.Compare(n.fails, best.fails), cmp.Compare(n.bad, best.bad), cmp.Compare(n.all, best.all), cmp.Compare(p.Cause, id)); c > 0 {
			p.Cause, best = id, n
		}
	}
	p.Reason, p.Subject, p.Issuer = best.reason, best.subject, best.issuer
	if p.Cause == "" {
		p.Cause = p.guess(everybody)
	}
}

// guess is the likely cause of what the log does not explain.
func (p *Peer) guess(everybody bool) string {
	switch {
	case everybody:
		return "all-fail"
	case !p.LastGood.IsZero() && p.BadSince.After(p.LastGood):
		return "turned"
	}
	return "unstated"
}

// causes lists what the rows and the host's faults have, in the order of the rows.
func (r *Report) causes() {
	at := map[string]int{}
	add := func(id string, count, peers int) {
		if id == "" {
			return
		}
		i, ok := at[id]
		if !ok {
			i = len(r.Causes)
			at[id] = i
			c := title(id)
			r.Causes = append(r.Causes, CauseSeen{ID: id, What: c.What, Do: c.Do})
		}
		r.Causes[i].Count += count
		r.Causes[i].Peers += peers
	}
	for _, f := range r.Faults {
		add(f.Cause, f.Count, 0)
	}
	for _, p := range r.Peers {
		if p.Others > 0 || p.Cause == "" {
			continue
		}
		unknown := p.causes[""].all
		if p.causes[p.Cause].all == 0 { // a guess
			add(p.Cause, unknown, 1)
			unknown = 0
		} else {
			add(p.Cause, p.causes[p.Cause].all, 1)
		}
		for _, id := range slices.Sorted(maps.Keys(p.causes)) {
			if id != "" && id != p.Cause {
				add(id, p.causes[id].all, 1)
			}
		}
		if unknown > 0 {
			add("unstated", unknown, 1)
		}
	}
}

// Failing reports whether something is wrong at the end: a peer of this host's
// servers whose last word is FAIL, or a fault of this host that nothing has
// mended. Handshakes that fail are not: strangers try what they like. Nor are
// signatures of mails.
func (r *Report) Failing() bool {
	for _, f := range r.Faults {
		if !f.Mended && !harmless[f.Cause] {
			return true
		}
	}
	for _, p := range r.Peers {
		if p.Side != tlslog.Mail && (p.Verdict == tlslog.Fail || p.Verdict == tlslog.DANEFail || p.Side == tlslog.Probe && p.Verdict.Bad()) {
			return true
		}
	}
	return false
}

// harmless are faults with which TLS goes on.
var harmless = map[string]bool{"dh-missing": true, "sni": true}
