package gateway

import (
	"context"
	"errors"
	"slices"
	"time"

	"mailseal/internal/keystore"
	"mailseal/internal/message"
	"mailseal/internal/policy"
	"mailseal/internal/spool"
	"mailseal/internal/verdict"
	"mailseal/smime"
	"mailseal/smime/cms/recipient"
)

// An Opening is what became of an inbound mail's encryption. It is for our log
// and for who runs filter: the other side is told nothing of it.
type Opening struct {
	Decrypted Decrypted `json:"decrypted"`
	// Closed is why a mail was left as it came, without a key having been tried.
	Closed policy.Closed `json:"closed,omitempty"`
	Why    string        `json:"why,omitempty"`
	// Cipher and Integrity are of the encryption next to the content.
	Cipher    string    `json:"cipher,omitempty"`
	Integrity Integrity `json:"integrity,omitempty"`
	// Identities are the names of those that opened it, outermost layer first.
	Identities []string `json:"identities,omitempty"`
	// Rest is why a further layer inside stays.
	Rest string `json:"rest,omitempty"`
	// From is the one inside, where it is another.
	From string `json:"from_inside,omitempty"`
}

// Decrypted says whether a mail was.
type Decrypted string

const (
	DecryptedYes    Decrypted = "yes"
	DecryptedNo     Decrypted = "no"     // nobody tried
	DecryptedFailed Decrypted = "failed" // one answer for whatever went wrong
)

// Integrity says what vouches for decrypted content being what was encrypted.
type Integrity string

const (
	IntegrityNone   Integrity = "none"   // whoever had the mail in hands may have changed it (EFAIL)
	IntegrityAEAD   Integrity = "aead"   // the cipher, RFC 5083
	IntegritySigned Integrity = "signed" // a good signature inside
)

// A Layer is one round the content: a signature, with what it is worth, or
// encryption, or compression.
type Layer struct {
	Kind       smime.Kind      `json:"kind"`
	Result     *verdict.Result `json:"result,omitempty"`
	Cipher     string          `json:"cipher,omitempty"`
	Identities []string        `json:"identities,omitempty"`
}

// opener takes an inbound mail out of its layers.
type opener struct {
	*Gateway
	ctx     context.Context
	mail    *message.Message
	now     time.Time
	plan    policy.OpenPlan
	keys    *keystore.Mail // nil where nothing is to be opened
	opening *smime.Opening

	layers []Layer // outermost first
	told   []Layer // signatures over what is encrypted, as they were taken off
	result verdict.Result
	what   *Opening // nil where nothing is encrypted
	failed bool     // a key of ours was tried in vain
}

func (g *Gateway) newOpener(ctx context.Context, m *message.Message, plan policy.OpenPlan, now time.Time) *opener {
	o := &opener{Gateway: g, ctx: ctx, mail: m, now: now, plan: plan}
	var keys recipient.Keys
	if plan.Decrypt && g.c.Openers != nil {
		o.keys = g.c.Openers.Mail(plan.For)
		keys = o.keys
	}
	o.opening = smime.NewOpening(m, smime.DecryptOptions{
		Keys: keys, Spool: g.c.Spool, Limits: g.c.Limits, CMS: g.c.CMS, Headers: g.c.InnerHeaders, Context: ctx, Signed: o.outer,
	})
	return o
}

// judge says what the signature of a mail is worth.
func (o *opener) judge(m *message.Message) (*smime.Report, verdict.Result, error) {
	return verdict.Of(m, smime.VerifyOptions{
		Limits: o.c.Limits, CMS: o.c.CMS, Spool: o.c.Spool, ParseCertificate: o.certificates.Parse,
	}, verdict.Question{Settings: o.c.Verify, Context: o.ctx, Anchors: o.c.Anchors.Anchors(), At: o.now})
}

// run judges the mail as it came, opens it, and judges what was inside: the
// verdict on the mail is that on the innermost that we get at. The error is one
// of I/O.
func (o *opener) run() error {
	report, result, err := o.judge(o.mail)
	if err != nil {
		return err
	}
	o.result = result
	if report.Kind != smime.Plain {
		o.layers = []Layer{{Kind: report.Kind}}
		if signed(report) {
			o.layers[0].Result = &result
		}
	}
	if !mayHide(report) {
		return nil
	}
	o.told = slices.Clone(o.layers[:1])
	opened, err := o.opening.Decrypt()
	var problem *smime.Problem
	var limit *message.LimitError
	switch {
	case errors.Is(err, smime.ErrNotEncrypted):
		return nil
	case err == nil:
		return o.opened(opened)
	case errors.Is(err, smime.ErrNoRecipient):
		o.closed()
		return nil
	case errors.Is(err, smime.ErrDecrypt), errors.As(err, &problem), errors.As(err, &limit), errors.Is(err, spool.ErrTooLarge):
		return o.fails(report, errors.Is(err, smime.ErrDecrypt))
	}
	return err
}

// signed reports whether there is a signature, good or bad, round the whole.
func signed(r *smime.Report) bool { return r.Kind.Signed() || r.Kind == smime.Malformed }

// mayHide reports whether there may be something encrypted in a mail, as a whole.
func mayHide(r *smime.Report) bool {
	switch r.Kind {
	case smime.Enveloped, smime.AuthEnveloped, smime.Compressed, smime.SignedOpaque:
		return true
	case smime.SignedDetached:
		return len(r.Nested) > 0 && r.Nested[0].Section == "1"
	}
	return false
}

// outer judges a signature over what is encrypted. The outermost was.
func (o *opener) outer(m *message.Message) error {
	if m == o.mail {
		return nil
	}
	report, result, err := o.judge(m)
	o.told = append(o.told, Layer{Kind: report.Kind, Result: &result})
	return err
}

// closed: no key was tried.
func (o *opener) closed() {
	o.what = &Opening{Decrypted: DecryptedNo, Closed: o.plan.Closed, Why: o.plan.Why}
	switch {
	case o.plan.Closed != "":
	case o.keys != nil && o.keys.Some():
		o.what.Closed, o.what.Why = policy.ClosedMixed, "it would open for some of its recipients only; it goes to all as it came"
	default:
		o.what.Closed, o.what.Why = policy.ClosedForeign, "no identity for it here serves its recipients"
	}
}

// fails: a mail that should open does not. Work is done as if it had: how long
// the answer takes should not tell.
func (o *opener) fails(r *smime.Report, tried bool) error {
	if o.plan.Closed != "" { // it does not even say whom it is for
		o.closed()
		return nil
	}
	o.what, o.failed = &Opening{Decrypted: DecryptedFailed}, tried
	if r.Kind == smime.Compressed || !tried {
		return nil
	}
	_, _, err := o.judge(o.mail)
	return err
}

// opened judges what was inside.
func (o *opener) opened(opened *smime.Opened) error {
	o.what = &Opening{Decrypted: DecryptedYes}
	layers, aead := []Layer{}, false
	told := o.told
	for _, l := range opened.Layers {
		one := Layer{Kind: l.Kind}
		switch {
		case l.Kind == smime.Enveloped || l.Kind == smime.AuthEnveloped:
			one.Cipher, one.Identities, aead = l.Cipher.String(), names(l.By), l.Cipher.Authenticated() && l.Kind == smime.AuthEnveloped
			o.what.Cipher = one.Cipher
			for _, n := range one.Identities {
				if !slices.Contains(o.what.Identities, n) {
					o.what.Identities = append(o.what.Identities, n)
				}
			}
		case l.Kind.Signed() && len(told) > 0:
			one, told = told[0], told[1:]
		}
		layers = append(layers, one)
	}
	o.layers = layers
	if opened.Rest != nil {
		o.what.Rest = opened.Rest.Error()
		o.failed = errors.Is(opened.Rest, smime.ErrDecrypt)
	}
	if p := opened.Protected; p != nil {
		o.what.From = p.From
	}
	report, result, err := o.judge(o.opening.Mail())
	if err != nil {
		return err
	}
	if o.result = result; report.Kind != smime.Plain {
		inner := Layer{Kind: report.Kind}
		if signed(report) {
			inner.Result = &result
		}
		o.layers = append(o.layers, inner)
	}
	switch {
	case result.Status == verdict.Pass:
		o.what.Integrity = IntegritySigned
	case aead:
		o.what.Integrity = IntegrityAEAD
	default:
		o.what.Integrity = IntegrityNone
		o.result.Integrity = string(IntegrityNone)
	}
	return nil
}

// names are those of keys, each once.
func names(keys []recipient.Key) (all []string) {
	for _, k := range keys {
		all = append(all, k.Name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// takeOff takes a good signature off, so that what is left is a plain mail to
// all readers. What cannot be taken apart stays.
func (o *opener) takeOff() error {
	var problem *smime.Problem
	var limit *message.LimitError
	err := o.opening.Unsign()
	if errors.Is(err, smime.ErrNotSigned) || errors.As(err, &problem) || errors.As(err, &limit) || errors.Is(err, spool.ErrTooLarge) {
		return nil
	}
	return err
}

// unopened: a mail for ours alone, which nobody here could open.
func (o *opener) unopened() bool {
	return o.what != nil && (o.what.Decrypted == DecryptedFailed || o.what.Closed == policy.ClosedForeign)
}

// returnHeaders keeps what was opened out of notices to the sender.
func (o *Outcome) returnHeaders() {
	if a := o.Verdict.Action; a == message.Accept || a == message.Quarantine {
		o.Verdict.Edits = append(o.Verdict.Edits, message.ReturnHeaders{})
	}
}
