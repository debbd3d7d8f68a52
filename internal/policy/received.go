package policy

import (
	"net/netip"
	"strings"
)

// Hop reads which client a Received value names: the address in its
// from-clause (RFC 5321 section 4.4), as Postfix and sendmail "[192.0.2.1]"
// and Exchange "(192.0.2.1)" write it. A mail that was made on the host itself
// has no from-clause: ok is false. A from-clause without an address gives the
// zero Addr, which is nobody of ours.
func Hop(received string) (client netip.Addr, ok bool) {
	fields := strings.Fields(received)
	if len(fields) == 0 || !strings.EqualFold(fields[0], "from") {
		return netip.Addr{}, false
	}
	// The last address before "by" is the one that the MTA saw; those before
	// it are what the client said (HELO), which anybody may write.
	for _, w := range fields[1:] {
		if strings.EqualFold(w, "by") {
			break
		}
		if a, found := bracketed(w); found {
			client = a
		}
	}
	return client, true
}

// bracketed finds an address literal in a word: [a], (a), ([a]), [IPv6:a].
func bracketed(w string) (netip.Addr, bool) {
	i := strings.LastIndexAny(w, "[(")
	if i < 0 {
		return netip.Addr{}, false
	}
	w = w[i+1:]
	if j := strings.IndexAny(w, "])"); j >= 0 {
		w = w[:j]
	}
	if len(w) > 5 && strings.EqualFold(w[:5], "IPv6:") {
		w = w[5:]
	}
	a, err := netip.ParseAddr(w)
	return a, err == nil
}
