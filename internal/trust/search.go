package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"time"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/trust/path"
)

// maxExtra bounds the certificates that came with a mail and take part in path
// building. What they may cost package path bounds.
const maxExtra = 1000

// A Search finds the paths of all signers of one mail. It may be used by one
// goroutine.
type Search struct {
	anchors *Anchors
	extra   []*x509.Certificate
	at      time.Time
	came    []byte       // digest of all that came along
	search  *path.Search // made when first needed
}

// Among searches the paths through extra, the certificates that came with the mail.
func (a *Anchors) Among(extra []*x509.Certificate, at time.Time) *Search {
	s := &Search{anchors: a, at: at, extra: extra[:min(len(extra), maxExtra)]}
	h := sha256.New()
	for _, c := range s.extra {
		h.Write(c.Raw) // DER: its end is certain
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
	r := s.Result(leaf)
	if !r.Good() {
		return nil, &Error{Reason: reason(r), Err: r.Err(), Failures: r.Failures}
	}
	way := make([]*x509.Certificate, len(r.Path))
	for i, c := range r.Path {
		way[i] = c.X509
	}
	return way, nil
}

// Result is Path with all that is known of the path: the issuer of each certificate
// and its key, for who asks about revocation, the policies, and every rule that is
// broken.
func (s *Search) Result(leaf *x509.Certificate) path.Result {
	q := asked(sha256.Sum256(append(slices.Clone(s.came), leaf.Raw...)))
	if r, ok := s.anchors.paths.Get(q); ok && valid(r.Path, s.at) {
		return r
	}
	c, err := x5280.Read(leaf)
	if err != nil {
		return path.Result{Failures: []path.Failure{{Rule: path.Malformed, Text: "the certificate cannot be read: " + err.Error()}}}
	}
	if s.search == nil {
		o := s.anchors.options
		o.At = s.at
		s.search = s.anchors.store.Among(readable(s.extra), o)
	}
	r := s.search.Path(c)
	if r.Good() {
		s.anchors.paths.Put(q, r)
	}
	return r
}

// readable are the certificates that RFC 5280 can be applied to. The others lead
// nowhere.
func readable(certs []*x509.Certificate) []*x5280.Certificate {
	all := make([]*x5280.Certificate, 0, len(certs))
	for _, c := range certs {
		if read, err := x5280.Read(c); err == nil {
			all = append(all, read)
		}
	}
	return all
}
