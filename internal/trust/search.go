package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"mailseal/internal/x509key"
)

// Bounds on what came with a mail: certificates that take part in path building,
// and the time that checks of signatures may take for all its signers (a rough
// figure for a quiet machine). Sixteen signers, each below two CAs with RSA keys
// of 8192 bits, take a fifth of it.
const (
	maxExtra = 100
	maxWork  = 400 * time.Millisecond
)

var errWork = errors.New("too many signatures with large keys among the certificates that came along")

// A Search finds the paths of all signers of one mail. It may be used by one
// goroutine.
type Search struct {
	anchors *Anchors
	extra   []*x509.Certificate // without the anchors
	at      time.Time
	came    []byte // digest of all that came along
	graph   *graph // made when first needed
	work    time.Duration
}

// Among searches the paths through extra, the certificates that came with the mail.
func (a *Anchors) Among(extra []*x509.Certificate, at time.Time) *Search {
	s := &Search{anchors: a, at: at, work: maxWork}
	h := sha256.New()
	for _, c := range extra[:min(len(extra), maxExtra)] {
		h.Write(c.Raw) // DER: its end is certain
		if !a.holds(c) {
			s.extra = append(s.extra, c)
		}
	}
	s.came = h.Sum(nil)
	return s
}

// Path finds the way from leaf to an anchor. An error is always a *Error.
func (s *Search) Path(leaf *x509.Certificate) ([]*x509.Certificate, error) {
	if why := Unfit(leaf); why != "" {
		return nil, &Error{Reason: why}
	}
	if s.at.Before(leaf.NotBefore) {
		return nil, &Error{Reason: NotYetValid}
	}
	q := asked(sha256.Sum256(append(slices.Clone(s.came), leaf.Raw...)))
	if p, ok := s.anchors.paths.Get(q); ok && valid(p, s.at) {
		return p, nil
	}
	p, err := s.find(leaf)
	if err == nil {
		s.anchors.paths.Put(q, p)
	}
	return p, err
}

// find is Path for a leaf that is fit. The rules are those of crypto/x509. It also
// checks the signatures, where it can and where there is not more than one way to
// go; other signatures are checked here first.
func (s *Search) find(leaf *x509.Certificate) ([]*x509.Certificate, error) {
	if s.graph == nil {
		s.graph = newGraph(s.anchors.cas, s.extra)
	}
	v := view{leaf: leaf, roots: s.anchors.pool, between: x509.NewCertPool()}
	if way, cost, ok := s.graph.only(leaf); ok && cost <= s.work {
		s.work -= cost
		for _, c := range way {
			v.between.AddCert(c)
		}
	} else {
		issued, complete := s.issued(leaf)
		if v = standIns(leaf, issued, s.anchors); !complete && len(issued[leaf]) == 0 {
			return nil, &Error{Reason: Invalid, Err: errWork}
		}
	}
	paths, err := v.leaf.Verify(x509.VerifyOptions{
		Roots:         v.roots,
		Intermediates: v.between,
		CurrentTime:   s.at,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}, // RFC 8550 section 4.4.4
	})
	if err != nil {
		why := reason(err, leaf)
		if why == Unknown && s.anchors.weak(leaf, s.extra) {
			why = Weak
		}
		return nil, &Error{Reason: why, Err: err}
	}
	for _, p := range paths {
		if p = v.originals(p); permitted(p) {
			return p, nil
		}
	}
	return nil, &Error{Reason: Constraints}
}

// issued goes up from leaf and returns, for every certificate on the way, those
// whose key has signed it. It is not complete when that would take too long.
func (s *Search) issued(leaf *x509.Certificate) (by map[*x509.Certificate][]*x509.Certificate, complete bool) {
	by, complete = map[*x509.Certificate][]*x509.Certificate{}, true
	for queue := []*x509.Certificate{leaf}; len(queue) > 0; queue = queue[1:] {
		child := queue[0]
		if _, again := by[child]; again {
			continue
		}
		by[child] = nil
		for _, parent := range s.graph.above(child) {
			signed, ok := s.signed(child, parent)
			complete = complete && ok
			if !signed {
				continue
			}
			by[child] = append(by[child], parent)
			if !s.graph.anchor(parent) {
				queue = append(queue, parent)
			}
		}
	}
	return by, complete
}

// signed checks a signature, each once; it is not ok when there is no time left.
func (s *Search) signed(child, parent *x509.Certificate) (signed, ok bool) {
	e := edge{child, parent}
	if signed, ok = s.graph.checked[e]; ok {
		return signed, true
	}
	cost := x509key.Cost(x509key.Public(parent))
	if cost > s.work {
		return false, false
	}
	s.work -= cost
	signed = x509key.CheckSignature(parent, child) == nil
	s.graph.checked[e] = signed
	return signed, true
}
