package path

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/x509key"
)

// Bounds on a search. The work is what checks of signatures cost on a quiet machine:
// a mail has some for itself, and a little more for each of its signers. Sixteen
// signers below two CAs each with RSA keys of 8192 bits stay within.
const (
	maxDepth    = 16  // certificates of a path
	maxVisits   = 500 // certificates from which a search went on up, for a signer
	maxAttempts = 50  // paths to an anchor that were validated, for a signer
	mailWork    = 20 * time.Millisecond
	signerWork  = 10 * time.Millisecond
	maxSigners  = 16    // who get signerWork
	maxLooks    = 50000 // possible issuers that were compared, for a mail: all may bear one name
)

// hashing is what an octet that is signed costs besides.
const hashing = 2 * time.Nanosecond

// A Store is trust anchors. It may be used by any number of goroutines.
type Store struct {
	anchors names
}

// names are certificates by subject.
type names map[string][]*x5280.Certificate

func (n names) add(c *x5280.Certificate) { n[c.Subject.Key()] = append(n[c.Subject.Key()], c) }

func (n names) has(c *x5280.Certificate) bool {
	return slices.ContainsFunc(n[c.Subject.Key()], c.Equal)
}

// NewStore makes one. Who is in it is trusted, be it a root, a CA below one, or the
// certificate of somebody who signs mail.
func NewStore(anchors []*x5280.Certificate) *Store {
	s := &Store{names{}}
	for _, c := range anchors {
		s.anchors.add(c)
	}
	return s
}

// A Search finds the paths of all signers of one mail. It may be used by one goroutine.
type Search struct {
	store  *Store
	others names
	reach  map[string]int // by name: how many certificates it is to an anchor, by names
	*effort
}

// An effort is what searches for one mail share, to whatever anchors they lead.
type effort struct {
	extra   []*x5280.Certificate
	o       Options
	checked map[edge]error
	signers map[*x5280.Certificate]bool // who have been looked for
	work    time.Duration               // left
	steps   int                         // left, of names and policies
	looks   int                         // left
}

type edge struct{ child, parent *x5280.Certificate }

// Among searches through certificates that came along, in whatever order.
func (s *Store) Among(extra []*x5280.Certificate, o Options) *Search {
	return s.search(&effort{
		extra: extra, o: o, checked: map[edge]error{}, signers: map[*x5280.Certificate]bool{},
		work: mailWork, steps: maxSteps, looks: maxLooks,
	})
}

// Toward is the same search for paths to other anchors. Both together take no more
// work than one.
func (f *Search) Toward(s *Store) *Search { return s.search(f.effort) }

func (s *Store) search(e *effort) *Search {
	f := &Search{store: s, others: names{}, reach: map[string]int{}, effort: e}
	below := map[string][]*x5280.Certificate{} // by issuer
	seen := map[string]bool{}
	for _, c := range e.extra {
		if seen[string(c.X509.Raw)] || s.anchors.has(c) {
			continue
		}
		seen[string(c.X509.Raw)] = true
		f.others.add(c)
		below[c.Issuer.Key()] = append(below[c.Issuer.Key()], c)
	}
	var queue []string
	for key := range s.anchors {
		f.reach[key] = 1
		if len(below[key]) > 0 {
			queue = append(queue, key)
		}
	}
	for ; len(queue) > 0; queue = queue[1:] {
		for _, c := range below[queue[0]] {
			key := c.Subject.Key()
			if _, ok := f.reach[key]; !ok {
				f.reach[key] = f.reach[queue[0]] + 1
				queue = append(queue, key)
			}
		}
	}
	return f
}

// Path returns the first good path of leaf. Without one it is the best of those that
// were tried: the one that fails last.
func (f *Search) Path(leaf *x5280.Certificate) Result {
	r, _ := f.First(leaf, func(Result) bool { return true })
	return r
}

// First returns the first good path of leaf that accept, which may look at other
// things than the rules, takes. Without one it is the first good path that was
// refused, or the best of those that were tried, and false.
func (f *Search) First(leaf *x5280.Certificate, accept func(Result) bool) (Result, bool) {
	if !f.signers[leaf] && len(f.signers) < maxSigners {
		f.signers[leaf], f.work = true, f.work+signerWork
	}
	if f.store.anchors.has(leaf) {
		r := f.validate([]*x5280.Certificate{leaf})
		return r, r.Good() && accept(r)
	}
	w := &walk{Search: f, accept: accept, visits: maxVisits, attempts: maxAttempts}
	if w.up([]*x5280.Certificate{leaf}) {
		return w.best, true
	}
	if w.best.Good() {
		return w.best, false
	}
	if w.spent {
		w.best.Failures = append(w.best.Failures, Failure{Effort, leaf, 0,
			"so many certificates came along, or with keys so large, that not all paths of " + named(0, leaf) + " were tried"})
	}
	return w.best, false
}

func (f *Search) validate(path []*x5280.Certificate) Result {
	v := validator{path: slices.Clone(path), o: f.o, signed: f.signed, steps: &f.steps}
	return v.run()
}

// signed is verify, each once and while there is work left.
func (f *Search) signed(child, parent *x5280.Certificate) error {
	e := edge{child, parent}
	if err, ok := f.checked[e]; ok {
		return err
	}
	cost := cost(parent) + time.Duration(len(child.X509.RawTBSCertificate))*hashing
	if cost > f.work {
		return errEffort
	}
	f.work -= cost
	err := verify(child, parent)
	f.checked[e] = err
	return err
}

func cost(c *x5280.Certificate) time.Duration { return x509key.Cost(x509key.Public(c.X509)) }

// A walk goes up from one leaf.
type walk struct {
	*Search
	accept           func(Result) bool
	visits, attempts int // left
	spent            bool
	best             Result
	rank             int
}

// up goes on from the end of path, and reports whether it came to a good one.
func (w *walk) up(path []*x5280.Certificate) bool {
	top := path[len(path)-1]
	if w.visits--; w.visits < 0 || len(path) >= maxDepth {
		w.spent = true
		return false
	}
	for _, c := range w.issuers(top, path) {
		err := w.signed(top, c)
		anchor := w.store.anchors.has(c)
		switch {
		case err == errEffort:
			w.spent = true
			continue
		case err != nil && !isWeak(err):
			w.note(len(path), Result{Path: path, Failures: []Failure{unsigned(len(path)-1, top, c, err)}})
			continue
		}
		next := append(slices.Clone(path), c)
		if !anchor {
			if w.up(next) {
				return true
			}
			continue
		}
		if w.attempts--; w.attempts < 0 {
			w.spent = true
			return false
		}
		r := w.validate(next)
		if r.Good() && w.accept(r) {
			w.best = r
			return true
		}
		w.note(rank(r), r)
	}
	if len(w.best.Path) == 0 {
		w.note(0, Result{Path: path, Failures: []Failure{w.ends(top, len(path)-1)}})
	}
	return false
}

// ends says where the way up from c ends, by names.
func (w *walk) ends(c *x5280.Certificate, depth int) Failure {
	last := []*x5280.Certificate{c}
	for len(last) < maxDepth {
		top := last[len(last)-1]
		i := slices.IndexFunc(w.others[top.Issuer.Key()], func(p *x5280.Certificate) bool {
			return !slices.ContainsFunc(last, func(q *x5280.Certificate) bool { return sameOwner(p, q) })
		})
		if i < 0 {
			break
		}
		last = append(last, w.others[top.Issuer.Key()][i])
	}
	text, top := named(depth, c)+" leads to no CA that is trusted here", last[len(last)-1]
	switch {
	case top.SelfIssued():
		text += ": " + top.String() + " is not among them"
	default:
		text += fmt.Sprintf(": the certificate of %.200q, who issued %s, is not among them and did not come along", top.X509.Issuer.String(), top)
	}
	return Failure{NoIssuer, c, depth, text}
}

// rank orders paths to an anchor by how little is wrong with them: more than of any
// that leads to none.
func rank(r Result) int {
	const most = 1 << 20
	rank := 2*most - min(len(r.Failures), most-1)
	if !slices.ContainsFunc(r.Failures, func(f Failure) bool { return f.Rule != Weak }) {
		rank += most
	}
	return rank
}

// note keeps what is the best to tell if all fails.
func (w *walk) note(rank int, r Result) {
	if len(w.best.Path) == 0 || rank > w.rank {
		r.Path = slices.Clone(r.Path)
		w.best, w.rank = r, rank
	}
}

// issuers are the certificates that may have issued c, the likely ones first: trusted
// ones, then by key identifier, by what can be seen of them, by distance to an anchor,
// and the cheap before the expensive.
func (w *walk) issuers(c *x5280.Certificate, path []*x5280.Certificate) []*x5280.Certificate {
	key := c.Issuer.Key()
	if c.Issuer.Empty() {
		return nil
	}
	if w.looks -= len(w.others[key]); w.looks < 0 {
		w.spent = true
		return nil
	}
	var found []candidate
	for _, p := range w.store.anchors[key] {
		found = append(found, w.candidate(p, c, true))
	}
	for _, p := range w.others[key] {
		_, ok := w.reach[p.Issuer.Key()]
		if ok && !slices.ContainsFunc(path, func(q *x5280.Certificate) bool { return sameOwner(p, q) }) {
			found = append(found, w.candidate(p, c, false))
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.flaws, b.flaws), cmp.Compare(a.far, b.far), cmp.Compare(a.cost, b.cost))
	})
	list := make([]*x5280.Certificate, len(found))
	for i, f := range found {
		list[i] = f.Certificate
	}
	return list
}

// sameOwner: a path that comes to the same name and key again is longer and no better.
func sameOwner(a, b *x5280.Certificate) bool {
	return string(a.SubjectPublicKey) == string(b.SubjectPublicKey) && a.Subject.Equal(b.Subject)
}

// A candidate is a possible issuer.
type candidate struct {
	*x5280.Certificate
	flaws, far int
	cost       time.Duration
}

func (w *walk) candidate(p, c *x5280.Certificate, anchor bool) candidate {
	k := candidate{Certificate: p, cost: cost(p)}
	if !anchor {
		k.far = w.reach[p.Issuer.Key()]
	}
	for _, flaw := range []bool{
		len(c.AuthorityKeyID) > 0 && len(p.SubjectKeyID) > 0 && string(c.AuthorityKeyID) != string(p.SubjectKeyID),
		w.o.At.Before(p.NotBefore) || w.o.At.After(p.NotAfter),
		!anchor && (p.Basic == nil || !p.Basic.CA) || p.Usage != nil && *p.Usage&x5280.KeyCertSign == 0,
		len(p.Unknown)+len(p.Faults) > 0,
	} {
		if flaw {
			k.flaws++
		}
	}
	return k
}
