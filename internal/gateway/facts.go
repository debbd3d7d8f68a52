package gateway

import (
	"net/netip"

	"mailseal/internal/mailaddr"
	"mailseal/internal/message"
	"mailseal/internal/policy"
	"mailseal/internal/verdict"
)

// maxHops bounds the Received fields that are looked at. A mail with more than
// this has been in a loop (RFC 5321 section 6.3 asks for at least 100).
const maxHops = 200

// facts gathers what the policy decides on from envelope and header.
func (g *Gateway) facts(m *message.Message) policy.Facts {
	f := policy.Facts{
		Client:     m.Envelope.Client.Addr,
		Login:      m.Envelope.Client.Login,
		OwnResults: len(verdict.Ours(m.Header, g.c.AuthservID, false)) > 0,
	}
	f.From, f.FromProblem = originators(m.Header)
	for i, r := range m.Header.All("Received") {
		if i == maxHops {
			f.Hops = append(f.Hops, netip.Addr{}) // more than we look at is nobody of ours
			break
		}
		if a, ok := policy.Hop(r.Text()); ok {
			f.Hops = append(f.Hops, a)
		}
	}
	return f
}

// originators reads the addresses of every From field (RFC 5322 section 3.6.2
// allows one field); problem says why they cannot be read.
func originators(h message.Header) (from []mailaddr.Address, problem string) {
	fields := h.All("From")
	if len(fields) == 0 {
		return nil, "mail has no From"
	}
	for _, f := range fields {
		as, err := mailaddr.ParseList(f.Text())
		if err != nil {
			problem = "From: " + err.Error()
			continue
		}
		from = append(from, as...)
	}
	return from, problem
}
