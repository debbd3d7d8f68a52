package revocation

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/trust/path"
)

// Bounds of one Check. The work is what checks of signatures cost (see x509key.Cost).
// CRLs of the mail have their own, so that they cannot use up what the others need.
const (
	maxMailLists = 100     // CRLs of a mail that are looked at
	maxMailBytes = 8 << 20 // of them
	mailWork     = 50 * time.Millisecond
	otherWork    = 100 * time.Millisecond
	maxSigners   = 16 // certificates that are tried as the signer of a CRL
	maxDepth     = 4  // issuers of CRLs whose certificates need CRLs, whose issuers...
	maxFetches   = 12
	maxExtra     = 1000 // certificates among which issuers of CRLs are looked for
)

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
	anchor *x5280.Certificate
	extra  []*x5280.Certificate
	search *path.Search                    // made when first needed
	named  map[string][]*x5280.Certificate // possible issuers of CRLs, by subject
	paths  map[*x5280.Certificate]path.Result
	others map[string][]list // CRLs besides the configured ones, by issuer
	more   bool              // there were more in the mail

	answers map[string]said // by certificate
	asking  []*x5280.Certificate
	circles int // how often something led back to what is being asked

	mail    time.Duration    // work left for CRLs of the mail
	work    time.Duration    // and for others
	fetched map[string]error // by URL
}

// A list is a CRL with where it is from.
type list struct {
	*known
	origin origin
}

type origin string

const (
	configured origin = "configured"
	mailed     origin = "came with the mail"
	fetched    origin = "fetched"
)

func (l list) String() string {
	s := fmt.Sprintf("CRL of %q of %s", l.Issuer, l.ThisUpdate.UTC().Format(time.DateTime))
	if l.Base != nil {
		s = "delta " + s
	}
	if l.Number != nil {
		s += ", number " + l.Number.String()
	}
	return s + " (" + string(l.origin) + ")"
}

// said is an Answer with the time of who gave it.
type said struct {
	Answer
	at time.Time
}

func newChecker(ctx context.Context, r path.Result, q Question) *checker {
	k := &checker{
		q: q, ctx: ctx, memory: &memory{}, named: map[string][]*x5280.Certificate{}, paths: map[*x5280.Certificate]path.Result{},
		others: map[string][]list{}, answers: map[string]said{}, mail: mailWork, work: otherWork, fetched: map[string]error{},
	}
	k.anchor = r.Path[len(r.Path)-1]
	k.extra = slices.Concat(r.Path[:len(r.Path)-1], q.Extra)
	k.extra = k.extra[:min(len(k.extra), maxExtra)]
	for _, c := range append([]*x5280.Certificate{k.anchor}, k.extra...) {
		key := c.Subject.Key()
		k.named[key] = append(k.named[key], c)
	}
	if q.Local != nil {
		k.memory = &q.Local.memory
	}
	k.addMail()
	return k
}

// addMail takes the CRLs that came with the mail. What is none says nothing.
func (k *checker) addMail() {
	left := maxMailBytes
	for i, der := range k.q.Mail {
		if left -= len(der); i == maxMailLists || left < 0 {
			k.more = true
			return
		}
		if l, err := k.parse(der); err == nil {
			k.add(list{l, mailed})
		}
	}
}

// parse reads a CRL in DER or PEM, unless it is known.
func (k *checker) parse(file []byte) (*known, error) {
	if l := k.memory.get(sha256.Sum256(file)); l != nil {
		return l, nil
	}
	all, err := x5280.ParseCRLs(file)
	if err != nil {
		return nil, err
	}
	if l := k.memory.get(sha256.Sum256(all[0].Raw)); l != nil { // it was PEM
		return l, nil
	}
	return &known{CRL: all[0]}, nil
}

// add takes a CRL, once.
func (k *checker) add(l list) {
	key := l.Issuer.Key()
	if !slices.ContainsFunc(k.lists(key), func(m list) bool { return string(m.Raw) == string(l.Raw) }) {
		k.others[key] = append(k.others[key], l)
	}
}

// lists are the CRLs of an issuer.
func (k *checker) lists(issuer string) (all []list) {
	if k.q.Local != nil {
		for _, l := range k.q.Local.byIssuer[issuer] {
			all = append(all, list{l, configured})
		}
	}
	return append(all, k.others[issuer]...)
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
