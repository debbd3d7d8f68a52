package gateway

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"mailseal/internal/message"
)

// log writes the one line on a mail. It never holds a subject, a body or key
// material; every value from outside is quoted by the handler.
func (g *Gateway) log(ctx context.Context, m *message.Message, o Outcome, took time.Duration) {
	attrs := []slog.Attr{slog.String("id", m.Envelope.QueueID)}
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	if r := o.Result; r != nil {
		add("smime", string(r.Status))
		add("verify", r.Status.Verify())
		add("signer", r.Identifier)
		add("serial", r.Serial)
		add("issuer", r.Issuer)
		add("revocation", r.Revocation)
		add("part", r.Part)
		add("reason", r.Reason)
		o.logOpening(add)
		if o.Insider {
			add("inbound", o.Why[0]) // whoever sent it may have wanted it signed
		}
	} else {
		add("identity", o.Identity)
		if o.Identity == "" {
			add("reason", o.Why[len(o.Why)-1])
		}
	}
	add("direction", o.Direction.String())
	var from []string
	for _, a := range o.Facts.From {
		from = append(from, a.String())
	}
	add("author", strings.Join(from, ","))
	attrs = append(attrs, slog.String("from", m.Envelope.Sender), slog.Int("nrcpt", len(m.Envelope.Recipients)))
	add("client", client(m.Envelope.Client))
	add("login", m.Envelope.Client.Login)
	add("tls", m.Envelope.Client.TLS.Verify)
	attrs = append(attrs, slog.Int64("size", m.Body.Size()), slog.Int64("ms", took.Milliseconds()))
	level := slog.LevelInfo
	if o.Unfit {
		level = slog.LevelWarn
	}
	if o.Err != nil {
		level = slog.LevelError
		add("error", o.Err.Error())
	}
	g.c.Log.LogAttrs(ctx, level, o.Event, attrs...)
}

// logOpening says what became of the layers, in words of ours alone.
func (o *Outcome) logOpening(add func(key, value string)) {
	if w := o.Opening; w != nil {
		add("decrypted", string(w.Decrypted))
		add("closed", string(w.Closed))
		add("identity", strings.Join(w.Identities, ","))
		add("cipher", w.Cipher)
		add("integrity", string(w.Integrity))
	}
	var layers []string
	for _, l := range o.Layers {
		word := l.Kind.String()
		if l.Result != nil {
			word += ":" + string(l.Result.Status)
		}
		layers = append(layers, word)
	}
	if len(layers) > 1 || o.Opening != nil {
		add("layers", strings.Join(layers, ","))
	}
	add("tagged", strings.Join(o.Tags, " "))
}

// client is name[address] as in the MTAs' logs; Name is the address in brackets
// where no name was verified.
func client(c message.Client) string {
	if !c.Addr.IsValid() || strings.HasPrefix(c.Name, "[") {
		return c.Name
	}
	return c.Name + "[" + c.Addr.String() + "]"
}
