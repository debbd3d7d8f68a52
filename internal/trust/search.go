package trust

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"time"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/trust/path"
	"mailseal/internal/trust/revocation"
)

// A Basis is why a certificate is trusted.
type Basis int

// The grounds.
const (
	CA       Basis = iota // a CA that is trusted for e-mail
	DomainCA              // a CA that is trusted for the domain that was asked for
	Pinned                // the certificate is trusted as itself
)

// A Finding is what is known of a certificate.
type Finding struct {
	// Path goes up from the leaf to the trust anchor, nil if the leaf is not trusted.
	Path []*x509.Certificate
	// Result is of the path, or of the best one of those that are not good: each
	// certificate's issuer, the policies, and every rule that is broken.
	Result path.Result
	Basis  Basis // of a certificate that is trusted
	// Revocation is of Result's path. It is empty where nobody asked: it is off, or no
	// path holds.
	Revocation revocation.Report
	// Err is nil for one that is trusted, or else a *Error.
	Err error
}

// A Search finds the paths of all signers of one mail. It may be used by one
// goroutine.
type Search struct {
	ctx      context.Context // of the mail, as the search is
	anchors  *Anchors
	extra    []*x509.Certificate
	crls     [][]byte
	at       time.Time
	came     []byte               // digest of all that came along
	read     []*x5280.Certificate // extra, when first needed
	issuers  []*x5280.Certificate // the CAs and read, when first needed
	searches map[*circle]*path.Search
	revoked  map[string]revocation.Report // of certificates that are known to be, by their DER
	spare    int                          // trials left, besides the first of each signer
	effort   *revocation.Effort
}

// Find says whether leaf is trusted. CAs that are trusted for one domain only count
// if it is this one, in lower case and A-labels: that of the address that the
// signer claims, "" for none.
func (s *Search) Find(leaf *x509.Certificate, domain string) Finding {
	c, err := x5280.Read(leaf)
	if err != nil {
		r := path.Result{Failures: []path.Failure{{Rule: path.Malformed, Text: "the certificate cannot be read: " + err.Error()}}}
		return s.judge(leaf, Finding{Result: r})
	}
	if pinned, ok := s.anchors.pinned[string(leaf.Raw)]; ok {
		o := s.anchors.options.Path
		o.At = s.at
		f := Finding{Basis: Pinned, Result: path.Validate([]*x5280.Certificate{pinned}, o)}
		f.Revocation, _ = s.unrevoked(f.Result)
		return s.judge(leaf, f)
	}
	var best Finding
	for i, circle := range s.anchors.circles(domain) {
		f := s.judge(leaf, s.in(circle, c))
		if f.Err == nil {
			return f
		}
		if i == 0 || telling(f) > telling(best) {
			best = f
		}
	}
	return best
}

// telling orders what is wrong: a path that may be good later counts more than one
// that is not, and that more than a way that leads nowhere.
func telling(f Finding) int {
	switch f.Err.(*Error).Reason {
	case RevocationUnknown:
		return 3
	case Unknown:
		return 1
	}
	return 2
}

// judge says whether the leaf of what was found is trusted.
func (s *Search) judge(leaf *x509.Certificate, f Finding) Finding {
	e := &Error{Reason: Unfit(leaf), Err: f.Result.Err(), Failures: f.Result.Failures}
	switch why := reason(f.Result); {
	case e.Reason != "": // what is wrong with the leaf itself first
	case s.at.Before(leaf.NotBefore):
		e.Reason = NotYetValid
	case f.Result.Good() || why == Weak:
		if e.Reason = s.anchors.refuses(f.Revocation); e.Reason != "" {
			e.Err = worst(f.Revocation)
		} else if !f.Result.Good() {
			e.Reason = Weak
		}
	default:
		e.Reason = why
	}
	if e.Reason != "" {
		f.Err, f.Basis = e, CA
		return f
	}
	f.Path = make([]*x509.Certificate, len(f.Result.Path))
	for i, c := range f.Result.Path {
		f.Path[i] = c.X509
	}
	f.Path[0] = leaf
	return f
}

// in looks for a path in a circle.
func (s *Search) in(circle *circle, leaf *x5280.Certificate) Finding {
	q := asked(sha256.Sum256(append(slices.Clone(s.came), leaf.X509.Raw...)))
	t := trial{Search: s}
	if r, ok := circle.paths.Get(q); ok && valid(r.Path, s.at) && t.accept(r) {
		return Finding{Basis: circle.basis, Result: r, Revocation: t.report}
	}
	r, ok := s.search(circle).First(leaf, t.accept)
	switch {
	case t.first != nil:
		circle.remember(q, *t.first)
	case !ok && reason(r) == Weak:
		t.refused.Result = r
		t.refused.Revocation, _ = s.unrevoked(r)
	default:
		t.refused.Result = r
	}
	f := t.refused
	if ok {
		f = Finding{Result: r, Revocation: t.report}
	}
	f.Basis = circle.basis
	return f
}

// search is that of a circle. All searches for a mail share their work.
func (s *Search) search(c *circle) *path.Search {
	if f, ok := s.searches[c]; ok {
		return f
	}
	for _, other := range s.searches {
		s.searches[c] = other.Toward(c.store)
		return s.searches[c]
	}
	o := s.anchors.options.Path
	o.At = s.at
	s.searches[c] = c.store.Among(s.readable(), o)
	return s.searches[c]
}

func (s *Search) readable() []*x5280.Certificate {
	if s.read == nil {
		s.read = readable(s.extra)
	}
	return s.read
}
