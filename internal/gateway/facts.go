package gateway

import (
	"fmt"
	"strings"

	"mailseal/internal/mailaddr"
	"mailseal/internal/message"
	"mailseal/internal/policy"
	"mailseal/internal/verdict"
)

// maxHops bounds the Received fields that are looked at. A mail with more than
// this has been in a loop (RFC 5321 section 6.3 asks for at least 100).
const maxHops = 200

// facts gathers what the policy decides on from envelope and header. Claims are
// the fields that Facts.Results are about; with others, those of milters before
// us are not among them.
func (g *Gateway) facts(m *message.Message, others bool) (policy.Facts, []verdict.Claim) {
	f := policy.Facts{Client: m.Envelope.Client.Addr, Login: m.Envelope.Client.Login}
	f.From, f.FromProblem = verdict.Authors(m.Header)
	for _, r := range m.Envelope.Recipients {
		a, err := mailaddr.Parse(r.Address)
		if err != nil {
			f.RecipientProblem = fmt.Sprintf("recipient %q cannot be read", r.Address)
			continue
		}
		f.Recipients = append(f.Recipients, a)
	}
	claims := verdict.Claims(m.Header, g.c.AuthservID, others)
	received := 0
	for i, field := range m.Header {
		if n := len(f.Results); n < len(claims) && claims[n].Index == i {
			f.Results = append(f.Results, len(f.Hops))
		}
		if !strings.EqualFold(field.Name(), "Received") {
			continue
		}
		if received++; received > maxHops+1 {
			continue
		} else if received > maxHops {
			f.Hops = append(f.Hops, policy.Hop{{}}) // more than we look at is nobody of ours
		} else if h := policy.ReadHop(field.Text()); h != nil {
			f.Hops = append(f.Hops, h)
		}
	}
	return f, claims
}
