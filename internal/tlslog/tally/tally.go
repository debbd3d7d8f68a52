// Package tally adds up what mail logs say of STARTTLS and S/MIME: per peer how
// often it was verified and how often not, and for every FAIL the likely cause.
//
// Its memory is bounded: of very many peers those that come later are counted
// together. What it returns is data; names in it are as the log has them.
package tally

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"mailseal/internal/tlslog"
	"mailseal/internal/tlslog/cause"
)

// A Tally adds up Events. It is for one goroutine.
type Tally struct {
	maxPeers  int
	maxFaults int

	peers  map[key]*Peer
	others map[tlslog.Side]*Peer // those that there was no room for
	faults map[faultKey]*Fault
	off    map[faultKey]*Fault // those for which a server has no TLS, as far as is known
	lost   int                 // faults that there was no room for

	first, last time.Time
	events      int
}

type key struct {
	side tlslog.Side
	name string // the address of one without a name
}

type faultKey struct{ cause, file, program string }

// MaxPeers and MaxFaults are bounds that no honest log comes near.
const (
	MaxPeers  = 100_000
	MaxFaults = 1000
)

// New makes a Tally with room for so many peers and faults.
func New(maxPeers, maxFaults int) *Tally {
	return &Tally{maxPeers: maxPeers, maxFaults: maxFaults, peers: map[key]*Peer{}, others: map[tlslog.Side]*Peer{}, faults: map[faultKey]*Fault{}, off: map[faultKey]*Fault{}}
}

// A Peer is what is known of one, in one direction.
type Peer struct {
	Side    tlslog.Side    `json:"direction"`
	Name    string         `json:"name,omitempty"`
	Address string         `json:"address,omitempty"` // the last
	Counts  Counts         `json:"counts"`
	Waiting int            `json:"waiting,omitempty"` // times that mail has waited for it
	Said    string         `json:"said"`              // the last, in the program's own word
	Verdict tlslog.Verdict `json:"verdict"`           // the last
	First   time.Time      `json:"first"`
	Last    time.Time      `json:"last"`

	Versions []string `json:"versions,omitempty"`

	// Of what was bad, the cause that was seen most often.
	LastGood time.Time `json:"-"`
	BadSince time.Time `json:"-"` // after LastGood
	Cause    string    `json:"cause,omitempty"`
	Reason   string    `json:"reason,omitempty"`  // in the words of the log
	Subject  string    `json:"subject,omitempty"` // of the certificate that does not verify
	Issuer   string    `json:"issuer,omitempty"`

	// Others is how many results these are of peers that there was no room for.
	Others int `json:"others,omitempty"`

	causes map[string]seen
}

// seen is how often a cause was met, and what was said the last time.
type seen struct {
	fails, bad, all         int // of certificates; of handshakes too; in clear too
	reason, subject, issuer string
}

// A Fault is something that this host has wrong.
type Fault struct {
	Cause   string    `json:"cause"`
	File    string    `json:"file,omitempty"`
	Program string    `json:"program"`
	Said    string    `json:"said"`
	Reason  string    `json:"reason,omitempty"`
	Count   int       `json:"count"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Mended  bool      `json:"mended,omitempty"` // the log says so later
}

// Add adds an Event.
func (t *Tally) Add(e *tlslog.Event) {
	if e.Side == tlslog.Own && e.Cause == nil {
		t.mend(e)
		return
	}
	t.events++
	if t.first.IsZero() || e.Time.Before(t.first) {
		t.first = e.Time
	}
	if e.Time.After(t.last) {
		t.last = e.Time
	}
	t.mend(e)
	if e.Side == tlslog.Own {
		t.addFault(e)
		return
	}
	t.peer(e).add(e)
}

// peer finds a peer, or makes it.
func (t *Tally) peer(e *tlslog.Event) *Peer {
	k := key{e.Side, strings.ToLower(e.Name)}
	if k.name == "" {
		k.name = e.Address
	}
	p := t.peers[k]
	switch {
	case p != nil:
	case len(t.peers) < t.maxPeers:
		p = &Peer{Side: e.Side, Name: e.Name, Address: e.Address}
		t.peers[k] = p
	default:
		if p = t.others[e.Side]; p == nil {
			p = &Peer{Side: e.Side}
			t.others[e.Side] = p
		}
		p.Others++ // Events: who they are is not known any more
	}
	return p
}

const maxVersions = 6

func (p *Peer) add(e *tlslog.Event) {
	p.Counts[e.Verdict]++
	if e.Deferred {
		p.Waiting++
	}
	if p.First.IsZero() || e.Time.Before(p.First) {
		p.First = e.Time
	}
	if e.Version != "" && len(p.Versions) < maxVersions && !slices.Contains(p.Versions, e.Version) {
		p.Versions = append(p.Versions, e.Version)
	}
	if e.Verdict.Bad() || e.Verdict == tlslog.None || e.Verdict == tlslog.Clear {
		if p.causes == nil {
			p.causes = map[string]seen{}
		}
		id := ""
		if e.Cause != nil {
			id = e.Cause.ID
		}
		s := p.causes[id]
		s.all++
		if e.Verdict.Bad() {
			s.bad++
		}
		if e.Verdict == tlslog.Fail || e.Verdict == tlslog.DANEFail {
			s.fails++
		}
		s.reason, s.subject, s.issuer = e.Reason, e.Subject, e.Issuer
		p.causes[id] = s
	}
	if e.Time.Before(p.Last) {
		return // out of order: the later one stands
	}
	p.Last, p.Verdict, p.Said = e.Time, e.Verdict, e.Said
	if e.Address != "" {
		p.Address = e.Address
	}
	switch {
	case e.Verdict.Good():
		p.LastGood, p.BadSince = e.Time, time.Time{}
	case e.Verdict.Bad():
		if p.BadSince.IsZero() {
			p.BadSince = e.Time
		}
	}
}

// addFault adds what a server says of its own files.
func (t *Tally) addFault(e *tlslog.Event) {
	k := faultKey{e.Cause.ID, e.File, e.Program}
	f := t.faults[k]
	if f == nil {
		if len(t.faults) >= t.maxFaults {
			t.lost++
			return
		}
		f = &Fault{Cause: e.Cause.ID, File: e.File, Program: e.Program, First: e.Time}
		t.faults[k] = f
	}
	if overByTLS[e.Cause.ID] {
		t.off[k] = f
	}
	f.Count++
	f.Last, f.Said, f.Reason, f.Mended = e.Time, e.Said, e.Reason, false
}

// mend marks the faults that an Event shows to be over.
func (t *Tally) mend(e *tlslog.Event) {
	if len(t.faults) == 0 {
		return
	}
	for _, id := range e.Mended {
		for k, f := range t.faults {
			if k.cause == id && (e.Side != tlslog.Own || k.program == e.Program) && !e.Time.Before(f.Last) {
				f.Mended = true
			}
		}
	}
	if e.Side != tlslog.In || e.Version == "" {
		return
	}
	// A server that has TLS with a client has it again.
	for k, f := range t.off {
		if k.program == e.Program && !e.Time.Before(f.Last) {
			f.Mended = true
			delete(t.off, k)
		}
	}
}

// overByTLS are the causes for which a server has no TLS at all.
var overByTLS = map[string]bool{"tls-off": true, "unavailable": true, "mismatch": true, "key-unreadable": true, "certificate-unreadable": true,
	"ca-unreadable": true, "pair-unreadable": true, "key-readable": true, "file-denied": true, "file-missing": true, "file-writable": true, "file-kind": true}

// Counts are how often each verdict was.
type Counts [tlslog.Not + 1]int

// Bad is how many of them are.
func (c *Counts) Bad() int {
	n := 0
	for v := range c {
		if tlslog.Verdict(v).Bad() {
			n += c[v]
		}
	}
	return n
}

// MarshalJSON names those that are not 0.
func (c Counts) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for v, n := range c {
		if n == 0 {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, tlslog.Verdict(v).String()...)
		b = append(b, '"', ':')
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return append(b, '}'), nil
}

// title is what a cause is called where it is not known.
func title(id string) *cause.Cause {
	if c := cause.Find(id); c != nil {
		return c
	}
	return cause.Find("unstated")
}
