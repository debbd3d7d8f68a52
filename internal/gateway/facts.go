package gateway

import (
	"net/netip"

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
	f.From, f.FromProblem = verdict.Authors(m.Header)
	for i, r := range m.Header.All("Received") {
		if i == maxHops {
			f.Hops = append(f.Hops, netip.Addr{}) // more than we look at is nobody of ours
			break
		}
		f.Hops = append(f.Hops, policy.Clients(r.Text())...)
	}
	return f
}
