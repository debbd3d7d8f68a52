package gateway

import (
	"context"
	"log/slog"

	"mailseal/internal/message"
)

// A Before takes mail before any other milter does, and takes away what came
// with it in our name (RFC 8601 section 5). Afterwards nobody can tell that from
// what those milters wrote: a mail may be such that one of them writes nothing,
// and takes nothing away either.
type Before struct{ g *Gateway }

// Before returns what decides on mail that no other milter has seen. It needs no
// body, and writes a line to the log only if there was something.
func (g *Gateway) Before() *Before { return &Before{g} }

// Handle decides on a mail.
func (b *Before) Handle(ctx context.Context, m *message.Message) (message.Verdict, error) {
	f, claims := b.g.facts(m, false)
	v := message.Verdict{Action: message.Accept}
	for _, i := range b.g.c.Policy.Decide(f).Forged {
		v.Edits = append(v.Edits, claims[i].Drop)
	}
	if b.g.c.Meter != nil {
		b.g.c.Meter.Cleaned(len(v.Edits))
	}
	if len(v.Edits) > 0 {
		b.g.c.Log.LogAttrs(ctx, slog.LevelInfo, "cleaned", slog.String("id", m.Envelope.QueueID),
			slog.Int("results", len(v.Edits)), slog.String("from", m.Envelope.Sender), slog.String("client", client(m.Envelope.Client)))
	}
	return v, nil
}
