package gateway

import (
	"net/netip"
	"sync"
	"time"

	"mailseal/internal/recent"
)

// failures counts mails that could not be decrypted, by where they came from.
// Whoever learns from outside whether a mail was decrypted, if only by how
// somebody answers it, decrypts others with many such questions (RFC 3218, RFC
// 9709): after some he gets no answer for a while.
type failures struct {
	limit int // an hour; 0: none is too many

	mu   sync.Mutex // guards the counting of one more
	from *recent.Cache[netip.Addr, tally]
}

// tally is since when how many.
type tally struct {
	since time.Time
	n     int
}

// maxPeers bounds the peers that are remembered.
const maxPeers = 20_000

func newFailures(limit int) *failures {
	return &failures{limit: limit, from: recent.New[netip.Addr, tally](maxPeers)}
}

// peer is whom an address is counted for: of IPv6 whoever has the network.
func peer(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// over reports whether any of the peers has had too many.
func (f *failures) over(peers []netip.Addr, now time.Time) bool {
	if f.limit <= 0 {
		return false
	}
	for _, a := range peers {
		if t, ok := f.from.Get(peer(a)); ok && t.n >= f.limit && now.Sub(t.since) < time.Hour {
			return true
		}
	}
	return false
}

// note counts one for each of the peers.
func (f *failures) note(peers []netip.Addr, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range peers {
		t, ok := f.from.Get(peer(a))
		if !ok || now.Sub(t.since) >= time.Hour {
			t = tally{since: now}
		}
		t.n++
		f.from.Put(peer(a), t)
	}
}
