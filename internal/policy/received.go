package policy

import (
	"net/netip"
	"strings"
)

// A Hop is the client that a Received field names: the addresses in its
// from-clause (RFC 5321 section 4.4), in whatever brackets the MTA puts them. One
// without an address has the zero Addr, which is nobody of ours.
//
// Only one of the addresses is what the MTA saw, and which one differs from MTA
// to MTA; others may be what the client called itself (HELO), which anybody may
// write, with blanks, brackets and a "by" of its own. So all of them count: what
// a client says can only make it more of a stranger.
type Hop []netip.Addr

// ReadHop reads a Received value. A mail that was made on the host itself has no
// from-clause, and so no Hop.
func ReadHop(received string) Hop {
	words := strings.Fields(received)
	if len(words) == 0 || !strings.EqualFold(words[0], "from") {
		return nil
	}
	end := len(words)
	for i, w := range words {
		if strings.EqualFold(w, "by") {
			end = i // of the last one: those before it are the client's
		}
	}
	var clients Hop
	for _, w := range words[1:end] {
		for _, s := range strings.FieldsFunc(w, aroundAddress) {
			if len(s) > 5 && strings.EqualFold(s[:5], "IPv6:") {
				s = s[5:]
			}
			if a, err := netip.ParseAddr(s); err == nil {
				clients = append(clients, a)
			}
		}
	}
	if clients == nil {
		return Hop{{}}
	}
	return clients
}

// aroundAddress: "[192.0.2.1]", "(192.0.2.1)", "helo=[192.0.2.1])",
// "(user@192.0.2.1)", "([192.0.2.1]:25".
func aroundAddress(r rune) bool { return strings.ContainsRune(`[]()<>{}@=,;"'`, r) }
