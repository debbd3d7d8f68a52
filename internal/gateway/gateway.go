// Package gateway is the use case: one mail comes in as a value, is looked at,
// decided upon and signed or verified, and goes out as a verdict with edits.
// The milter and `mailseal filter` both call it, so that what the one shows is
// what the other does.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"mailseal/internal/fault"
	"mailseal/internal/keystore"
	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/internal/policy"
	"mailseal/internal/spool"
	"mailseal/internal/subject"
	"mailseal/internal/trust"
	"mailseal/internal/verdict"
	"mailseal/smime"
	"mailseal/smime/cms"
)

// Config is what a Gateway is made of. All fields but Log, Meter and Now are
// needed.
type Config struct {
	// AuthservID is the name under which results are written (RFC 8601 section 2.5).
	AuthservID string
	Policy     *policy.Set
	Identities *keystore.Identities
	// Openers decrypt what comes in; nil: nothing.
	Openers *keystore.Openers
	Anchors Trust
	Spool   *spool.Store
	Limits  message.Limits
	// CMS bounds what is read of CMS objects.
	CMS cms.Limits
	// Verify is what the postmaster decided on what signatures are worth.
	Verify verdict.Settings
	// Sign is how mail is signed; the gateway fills in the identity.
	Sign smime.SignOptions
	// EarlierMilters: Authentication-Results under our name that a milter before
	// us may have written stay. Before makes sure that they are.
	EarlierMilters bool
	// InnerHeaders puts header fields that were protected inside (RFC 9788) in the
	// place of those that a mail came with.
	InnerHeaders bool
	// TakeOff takes signatures off mail that comes in, if they are good.
	TakeOff bool
	// ReportFields writes the verdict in X-Mailseal fields too.
	ReportFields bool
	// DecryptFailures is how many mails of a client may fail to be decrypted in an
	// hour before the rest stay closed; 0: any number.
	DecryptFailures int
	// OnError is what becomes of a mail that nothing asked to protect when it
	// cannot be processed. Mail that is to be signed is always deferred.
	OnError message.Action
	Log     *slog.Logger
	Meter   Meter
	Now     func() time.Time
}

// Trust says who is trusted at present, which changes while a gateway runs.
type Trust interface {
	Anchors() *trust.Anchors
}

// A Gateway decides on mails. It may be used by any number of goroutines.
type Gateway struct {
	c            Config
	certificates *pki.Parser
	tags         *subject.Tags // that only we may write
	failures     *failures
}

// New checks the configuration.
func New(c Config) (*Gateway, error) {
	if c.AuthservID == "" || c.Policy == nil || c.Identities == nil || c.Anchors == nil || c.Spool == nil {
		return nil, errors.New("gateway: incomplete configuration")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Gateway{
		c: c, certificates: pki.NewParser(), tags: subject.NewTags(c.Policy.OwnTags()), failures: newFailures(c.DecryptFailures),
	}, nil
}

// An Outcome is a verdict with the reasons for it.
type Outcome struct {
	Verdict message.Verdict
	// Event is the word that the log has for it: signed, verified, passed,
	// or the action when the mail could not be processed.
	Event     string
	Direction policy.Direction
	// Identity is the name of the one that signed, "" for none.
	Identity string
	// Result is the verdict on an inbound mail's signature.
	Result *verdict.Result
	// Opening is what became of its encryption, nil where it has none.
	Opening *Opening
	// Layers are those round an inbound mail's content, outermost first.
	Layers []Layer
	// Tags are what was put in front of the subject.
	Tags []string
	// failed: it was encrypted for us, and could not be decrypted.
	failed bool
	// Insider: the client may send mail of ours.
	Insider bool
	// Why lists what decided, in order.
	Why []string
	// Err is why the mail could not be processed; it is for our log only.
	Err error
	// Unfit: the mail leaves unsigned though there is an identity for it, which
	// has expired, begins later or may not sign.
	Unfit bool
	// Facts is what was decided on.
	Facts policy.Facts
	Took  Steps
}

// Handle decides on a mail and logs the one line that says so. The error is
// always nil: what went wrong is part of the verdict.
func (g *Gateway) Handle(ctx context.Context, m *message.Message) (message.Verdict, error) {
	start := g.c.Now()
	o := g.Decide(ctx, m)
	if o.failed {
		g.failures.note(g.c.Policy.Outside(o.Facts), start)
	}
	g.log(ctx, m, o, g.c.Now().Sub(start))
	if g.c.Meter != nil {
		g.c.Meter.Decided(o.measure())
	}
	return o.Verdict, nil
}

// Decide decides on a mail and changes nothing anywhere.
func (g *Gateway) Decide(ctx context.Context, m *message.Message) Outcome {
	start := g.c.Now()
	// What verifies for others leaves mail of users alone: what is in our name
	// there they wrote themselves.
	f, claims := g.facts(m, g.c.EarlierMilters && m.Envelope.Client.Login == "")
	p := g.c.Policy.Decide(f)
	o := Outcome{Direction: p.Direction, Insider: p.Insider, Why: p.Why, Facts: f}
	o.Took.Decide = g.c.Now().Sub(start)
	switch {
	case p.Sign:
		g.sign(ctx, m, p, &o)
	case p.Direction == policy.Outbound:
		o.pass()
	default:
		g.inbound(ctx, m, &o)
	}
	if a := o.Verdict.Action; a != message.Accept && a != message.Quarantine {
		return o // it is not delivered
	}
	// Whatever else becomes of the mail, nobody else says in our name what its
	// signature is worth. What is dropped first may still be set.
	var edits []message.Edit
	for _, i := range p.Forged {
		edits = append(edits, claims[i].Drop)
	}
	if p.Direction == policy.Inbound {
		edits = append(edits, dropOwn(m.Header)...)
	}
	o.Verdict.Edits = append(edits, o.Verdict.Edits...)
	if p.Direction == policy.Inbound {
		o.Verdict.Edits = append(o.Verdict.Edits, g.reSubject(m.Header, o.Verdict.Edits, o.Tags)...)
	}
	if o.Result != nil {
		if g.c.ReportFields {
			o.Verdict.Edits = append(o.Verdict.Edits, o.report()...)
		}
		field := message.NewField(verdict.FieldName, o.Result.Folded(g.c.AuthservID))
		o.Verdict.Edits = append(o.Verdict.Edits, message.AddField{Field: field})
	}
	return o
}

// pass lets a mail go as it is.
func (o *Outcome) pass() {
	o.Event = "passed"
	o.Verdict = message.Verdict{Action: message.Accept}
}

// fail gives up on a mail. Its text for the other side comes from the table of
// faults and names nothing of ours.
func (o *Outcome) fail(err error, action message.Action) {
	kind := fault.Of(err)
	code, enhanced, text := kind.Reply()
	if !kind.Temporary() && action == message.Defer {
		action = message.Reject // trying again would never help
	}
	v := message.Verdict{Action: action, Reply: message.Reply{Text: text}}
	switch {
	case action == message.Reject && kind.Temporary():
		v.Reply = message.Reply{Code: 554, Enhanced: "5.3.0", Text: "message cannot be processed"}
	case action == message.Reject, action == message.Defer:
		v.Reply = message.Reply{Code: code, Enhanced: enhanced, Text: text}
	}
	o.Event, o.Verdict, o.Err = events[action], v, err
	o.Why = append(o.Why, kind.String())
}

var events = map[message.Action]string{
	message.Defer: "deferred", message.Accept: "passed", message.Reject: "rejected",
	message.Discard: "discarded", message.Quarantine: "quarantined",
}

// sign signs a mail of ours. What has no identity, is signed already or cannot
// be signed leaves as it came, with the reason in the log; only a fault of
// ours holds it back.
func (g *Gateway) sign(ctx context.Context, m *message.Message, p policy.Plan, o *Outcome) {
	unsigned := func(why string) {
		o.Why = append(o.Why, why)
		o.pass()
	}
	now := g.c.Now()
	id, err := g.c.Identities.For(p.Signer, now)
	if err != nil {
		o.Unfit = errors.Is(err, keystore.ErrUnfit)
		unsigned(err.Error())
		return
	}
	opts := g.c.Sign
	opts.Identity, opts.Spool, opts.Limits = id, g.c.Spool, g.c.Limits
	opts.Now = func() time.Time { return now }
	edits, err := smime.Sign(m, opts)
	o.Took.Sign = g.c.Now().Sub(now)
	var cannot *smime.UnsignableError
	var limit *message.LimitError
	switch {
	case errors.Is(err, smime.ErrProtected):
		unsigned("mail is signed or encrypted already")
	case errors.As(err, &cannot):
		unsigned(cannot.Error())
	case errors.As(err, &limit):
		unsigned(limit.Error())
	case err == nil && ctx.Err() != nil:
		message.Verdict{Edits: edits}.Close()
		o.fail(fmt.Errorf("sign: %w: %w", fault.Timeout, context.Cause(ctx)), message.Defer)
	case err != nil:
		o.fail(fmt.Errorf("sign: %w", classify(err)), message.Defer)
	default:
		o.Event, o.Identity = "signed", id.Name
		o.Verdict = message.Verdict{Action: message.Accept, Edits: edits}
	}
}

// classify gives an error from below its kind of fault.
func classify(err error) error {
	switch {
	case errors.Is(err, spool.ErrTooLarge):
		return fmt.Errorf("%w: %w", fault.TooLarge, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fmt.Errorf("%w: %w", fault.Timeout, err)
	}
	return fmt.Errorf("%w: %w", fault.Storage, err)
}
