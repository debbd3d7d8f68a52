package revocation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/trust/path"
)

// maxExtra bounds the certificates among which issuers of CRLs are looked for.
const maxExtra = 1000

// skew is how far a clock may be off, ours or theirs.
const skew = 5 * time.Minute

// Check asks for every certificate of a path but the anchor, its last. It means
// something for a path that is valid otherwise, or merely weak. Its work is bounded
// whatever a mail carries. A certificate that is trusted as itself is a path of one:
// that is Good.
func Check(ctx context.Context, r path.Result, q Question) Report {
	if len(r.Path) == 0 {
		return Report{Status: Unknown}
	}
	k := newChecker(ctx, r, q)
	report := Report{Status: Good, Answers: make([]Answer, len(r.Path)-1)}
	for depth := len(r.Path) - 2; depth >= 0; depth-- {
		a := k.ask(r.Path[depth], r.Path[depth+1:]).Answer
		a.Depth = depth
		report.Answers[depth] = a
		report.Status = worst(report.Status, a.Status)
	}
	return report
}

func worst(a, b Status) Status {
	for _, s := range []Status{Revoked, Unknown} {
		if a == s || b == s {
			return s
		}
	}
	return Good
}

// A checker answers one question.
type checker struct {
	q      Question
	ctx    context.Context
	memory *memory
	path   []*x5280.Certificate // in question, up to the anchor
	extra  []*x5280.Certificate
	search *path.Search                    // made when first needed
	named  map[string][]*x5280.Certificate // possible issuers of CRLs, by subject
	paths  map[*x5280.Certificate]path.Result

	answers map[string]said // by certificate
	asking  []*x5280.Certificate
	circles int // how often something led back to what is being asked
	*Effort
}

// said is an Answer with the time of who gave it.
type said struct {
	Answer
	at time.Time
}

func newChecker(ctx context.Context, r path.Result, q Question) *checker {
	k := &checker{
		q: q, ctx: ctx, memory: &memory{}, named: map[string][]*x5280.Certificate{}, paths: map[*x5280.Certificate]path.Result{},
		answers: map[string]said{}, Effort: q.Effort, path: r.Path,
	}
	if k.Effort == nil {
		k.Effort = NewEffort()
	}
	anchor := len(r.Path) - 1
	k.extra = slices.Concat(r.Path[:anchor], q.Extra)
	k.extra = k.extra[:min(len(k.extra), maxExtra)]
	for _, c := range slices.Concat(r.Path[anchor:], k.extra) {
		key := c.Subject.Key()
		k.named[key] = append(k.named[key], c)
	}
	if q.Local != nil {
		k.memory = &q.Local.memory
	}
	if !k.begun {
		k.begun = true
		k.addMail()
	}
	return k
}

// ask answers for a certificate; above it are its issuer and who is above that, up to
// the anchor.
func (k *checker) ask(c *x5280.Certificate, above []*x5280.Certificate) said {
	return k.once(c, func() said { return k.answer(c, above) })
}

// once answers for a certificate that is not being asked for already: a CRL is no
// proof for who signed it. What was answered within such a circle is forgotten.
func (k *checker) once(c *x5280.Certificate, answer func() said) said {
	key := string(c.X509.Raw)
	if a, ok := k.answers[key]; ok {
		return a
	}
	if slices.ContainsFunc(k.asking, c.Equal) || len(k.asking) == maxDepth {
		k.circles++
		return unknown(c, "the status of %s depends on a CRL that it signs itself, or on too many others", c)
	}
	circles := k.circles
	k.asking = append(k.asking, c)
	a := answer()
	k.asking = k.asking[:len(k.asking)-1]
	if circles == k.circles || len(k.asking) == 0 {
		k.answers[key] = a
	}
	return a
}

func unknown(c *x5280.Certificate, format string, args ...any) said {
	return said{Answer: Answer{Certificate: c, Status: Unknown, Reason: fmt.Sprintf(format, args...)}}
}

// answer asks OCSP first, where somebody can be asked, and then the CRLs. One that
// revokes and is newer than what a responder says is believed.
func (k *checker) answer(c *x5280.Certificate, above []*x5280.Certificate) said {
	online, asked := k.online(c, above)
	if online.Status == Revoked {
		return online
	}
	if online.Status == Good {
		if l := k.byLists(c, above); l.Status == Revoked && l.at.After(online.at) {
			return l
		}
		return online
	}
	failed := k.fetchLists(c)
	l := k.byLists(c, above)
	if l.Status == Unknown {
		why := []string{l.Reason}
		why = append(why, failed...)
		if asked {
			why = append(why, online.Reason)
		}
		l.Reason = strings.Join(why, "; ")
	}
	return l
}
