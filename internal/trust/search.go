package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"time"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/trust/path"
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
	// Err is nil for one that is trusted, or else a *Error.
	Err error
}

// A Search finds the paths of all signers of one mail. It may be used by one
// goroutine.
type Search struct {
	anchors  *Anchors
	extra    []*x509.Certificate
	at       time.Time
	came     []byte                   // digest of all that came along
	read     []*x5280.Certificate     // extra, when first needed
	searches map[*circle]*path.Search // made when first needed
}

// Find says whether leaf is trusted. CAs that are trusted for one domain only count
// if it is this one, in lower case and A-labels: that of the address that the
// signer claims, "" for none.
func (s *Search) Find(leaf *x509.Certificate, domain string) Finding {
	c, err := x5280.Read(leaf)
	if err != nil {
		r := path.Result{Failures: []path.Failure{{Rule: path.Malformed, Text: "the certificate cannot be read: " + err.Error()}}}
		return s.refused(leaf, Finding{Result: r})
	}
	if pinned, ok := s.anchors.pinned[string(leaf.Raw)]; ok {
		o := s.anchors.options.Path
		o.At = s.at
		f := Finding{Basis: Pinned, Result: path.Validate([]*x5280.Certificate{pinned}, o)}
		if !f.Result.Good() {
			return s.refused(leaf, f)
		}
		return s.trusted(leaf, f)
	}
	var best Finding
	for i, circle := range s.anchors.circles(domain) {
		f := Finding{Basis: circle.basis, Result: s.in(circle, c)}
		if f.Result.Good() {
			return s.trusted(leaf, f)
		}
		// The way that gets nowhere says the least.
		if i == 0 || reason(best.Result) == Unknown {
			best = f
		}
	}
	return s.refused(leaf, best)
}

// trusted is what is said of a good path, whose leaf may still not be for mail.
func (s *Search) trusted(leaf *x509.Certificate, f Finding) Finding {
	if Unfit(leaf) != "" {
		return s.refused(leaf, f)
	}
	f.Path = make([]*x509.Certificate, len(f.Result.Path))
	for i, c := range f.Result.Path {
		f.Path[i] = c.X509
	}
	f.Path[0] = leaf
	return f
}

// refused says why leaf is not trusted: first what is wrong with itself.
func (s *Search) refused(leaf *x509.Certificate, f Finding) Finding {
	e := &Error{Reason: Unfit(leaf), Err: f.Result.Err(), Failures: f.Result.Failures}
	switch {
	case e.Reason != "":
	case s.at.Before(leaf.NotBefore):
		e.Reason = NotYetValid
	default:
		e.Reason = reason(f.Result)
	}
	f.Err, f.Path, f.Basis = e, nil, CA
	return f
}

// in looks for a path in a circle.
func (s *Search) in(circle *circle, leaf *x5280.Certificate) path.Result {
	q := asked(sha256.Sum256(append(slices.Clone(s.came), leaf.X509.Raw...)))
	if r, ok := circle.paths.Get(q); ok && valid(r.Path, s.at) {
		return r
	}
	r := s.search(circle).Path(leaf)
	if r.Good() {
		circle.paths.Put(q, r)
	}
	return r
}

// search is that of a circle.
func (s *Search) search(c *circle) *path.Search {
	if f, ok := s.searches[c]; ok {
		return f
	}
	if s.read == nil {
		s.read = readable(s.extra)
	}
	o := s.anchors.options.Path
	o.At = s.at
	f := c.store.Among(s.read, o)
	s.searches[c] = f
	return f
}
