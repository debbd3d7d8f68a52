package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"mailseal/internal/fault"
	"mailseal/internal/message"
	"mailseal/internal/policy"
	"mailseal/internal/subject"
	"mailseal/internal/verdict"
)

// inbound opens a mail that came in, says what its signature is worth, and does
// what is to follow from that.
func (g *Gateway) inbound(ctx context.Context, m *message.Message, o *Outcome) {
	now := g.c.Now()
	plan := g.c.Policy.Open(o.Facts)
	if plan.Decrypt && g.failures.over(g.c.Policy.Outside(o.Facts), now) {
		plan = policy.OpenPlan{Verify: true, Closed: policy.ClosedLimited, Why: "too many mails of this client could not be decrypted"}
	}
	w := g.newOpener(ctx, m, plan, now)
	defer w.opening.Close()
	err := w.run()
	if err == nil && g.c.TakeOff && w.result.Status == verdict.Pass {
		err = w.takeOff()
	}
	o.Took.Verify = g.c.Now().Sub(now)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		action := g.c.OnError
		if errors.Is(err, context.Canceled) {
			action = message.Defer // we stop or the MTA has gone: it is not the mail
		}
		o.fail(fmt.Errorf("verify: %w", classify(err)), action)
		if a := o.Verdict.Action; a == message.Accept || a == message.Quarantine {
			o.Result = &verdict.Result{Status: verdict.TempError, Reason: "mail could not be processed"}
		}
		return
	}
	o.Result, o.Opening, o.Layers, o.failed = &w.result, w.what, w.layers, w.failed
	g.end(w, o)
	if o.Opening != nil && o.Opening.Decrypted == DecryptedYes && m.Envelope.Sender != "" {
		// Whoever has captured a mail can send it so that it bounces, and
		// would get what was opened with the notice.
		o.returnHeaders()
	}
}

// end does what the configuration says of a mail like that.
func (g *Gateway) end(w *opener, o *Outcome) {
	e := g.c.Policy.End(policy.Findings{BadSignature: w.result.Status.Verify() == "FAIL", Unopened: w.unopened()})
	o.Why = append(o.Why, e.Why...)
	o.Event, o.Verdict = "verified", message.Verdict{Action: message.Accept}
	switch e.Treatment {
	case policy.Reject:
		code, enhanced, text := fault.Rejected.Reply()
		o.Event = "rejected"
		o.Verdict = message.Verdict{Action: message.Reject, Reply: message.Reply{Code: code, Enhanced: enhanced, Text: text}}
		return
	case policy.Quarantine:
		o.Event = "quarantined"
		o.Verdict = message.Verdict{Action: message.Quarantine, Reply: message.Reply{Text: "held by policy"}}
	}
	o.Tags = e.Tags
	o.Verdict.Edits = g.allowed(w.opening.Edits())
}

// ownPrefix begins the names of fields in which only we speak.
const ownPrefix = "X-Mailseal-"

// isOwn reports whether a field is one of these, or one that some readers take
// for one.
func isOwn(f message.Field) bool {
	own := func(name string) bool {
		return len(name) >= len(ownPrefix) && strings.EqualFold(name[:len(ownPrefix)], ownPrefix)
	}
	if own(f.Name()) {
		return true
	}
	for line := range strings.FieldsFuncSeq(f.Raw(), func(r rune) bool { return r == '\r' || r == '\n' }) {
		if line[0] != ' ' && line[0] != '\t' && own(line) {
			return true
		}
	}
	return false
}

// allowed are edits of what came out of encryption, but those that would speak in
// our name.
func (g *Gateway) allowed(edits []message.Edit) (kept []message.Edit) {
	for _, e := range edits {
		var f message.Field
		switch e := e.(type) {
		case message.SetField:
			f = e.Field
		case message.AddField:
			f = e.Field
		}
		if f.Name() != "" && (isOwn(f) || len(verdict.Claims(message.Header{f}, g.c.AuthservID, false)) > 0) {
			continue
		}
		kept = append(kept, e)
	}
	return kept
}

// dropOwn takes away what came in fields in which only we speak.
func dropOwn(h message.Header) (edits []message.Edit) {
	for f, drop := range h.Drops() {
		if isOwn(f) {
			edits = append(edits, drop)
		}
	}
	return edits
}

// reSubject takes words of ours out of the subject that the mail has after the
// edits, and puts the tags there that it is to have.
func (g *Gateway) reSubject(h message.Header, edits []message.Edit, tags []string) []message.Edit {
	subjects := h.All("Subject")
	for _, e := range edits {
		if s, ok := e.(message.SetField); ok && s.Field.Is("Subject") {
			subjects = []message.Field{s.Field}
		}
	}
	changed := false
	for i, f := range subjects {
		var stripped bool
		subjects[i], stripped = g.tags.Strip(f)
		changed = changed || stripped
	}
	var drops []message.Edit
	for _, d := range hidden(h, "Subject") {
		if _, found := g.tags.Strip(message.NewField("Subject", " "+d.value)); found {
			drops = append(drops, d.drop)
		}
	}
	if !changed && len(tags) == 0 {
		return drops
	}
	// Of several there is one left: nobody can say of which a reader shows.
	f := message.NewField("Subject", "")
	if len(subjects) > 0 {
		f = subjects[0]
	}
	for i := range tags {
		f = subject.Tag(f, tags[len(tags)-1-i])
	}
	return append(drops, message.SetField{Field: subject.Clean(f)})
}

// A veil is a field in which only some readers see another one.
type veil struct {
	value string
	drop  message.DropField
}

// hidden finds them for fields of that name.
func hidden(h message.Header, name string) (found []veil) {
	for f, drop := range h.Drops() {
		for _, v := range f.Hidden(name) {
			found = append(found, veil{v, drop})
		}
	}
	return found
}

// report is what X-Mailseal fields say, topmost last. Of encryption they say no
// more than whoever reads the mail sees.
func (o *Outcome) report() (edits []message.Edit) {
	add := func(name, value string) {
		if value != "" {
			edits = append(edits, message.AddField{Field: message.NewField(ownPrefix+name, " "+value)})
		}
	}
	if o.Opening != nil {
		add("Integrity", string(o.Opening.Integrity))
		add("Decrypted", map[bool]string{true: "yes", false: "no"}[o.Opening.Decrypted == DecryptedYes])
	}
	add("Signer", printable(o.Result.Identifier))
	add("Reason", printable(o.Result.Reason))
	add("Result", string(o.Result.Status))
	return edits
}

// printable is a value as it may stand in a field: mails are not to choose what
// bytes we write.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), 900)]
}
