package trust

import (
	"fmt"
	"slices"
	"time"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/trust/path"
	"mailseal/internal/trust/revocation"
)

// maxSpare bounds the good paths whose revocation is asked for besides the first of
// each signer of a mail. That one is enough for nearly all.
const maxSpare = 5

// A trial goes through the good paths of one signer until there is one that may be
// trusted: a CA that is revoked may have been certified by two.
type trial struct {
	*Search
	count   int
	first   *path.Result      // as it was found, whatever is revoked
	report  revocation.Report // of the one that is accepted
	refused Finding           // the best of the others
}

func (t *trial) accept(r path.Result) bool {
	if t.first == nil {
		t.first = &r
	}
	report, known := t.known(r.Path)
	if t.count > 0 {
		if t.spare == 0 || known {
			return false
		}
		t.spare--
	}
	t.count++
	ok := false
	if !known {
		report, ok = t.unrevoked(r)
	}
	if ok {
		t.report = report
		return true
	}
	// One that may be good later is worth more than one that is revoked.
	if t.count == 1 || report.Status == revocation.Unknown && t.refused.Revocation.Status == revocation.Revoked {
		t.refused = Finding{Result: r, Revocation: report}
	}
	return false
}

// known is the report by which one of these has been revoked for this mail already: to
// another anchor, from where nobody may know of it.
func (s *Search) known(way []*x5280.Certificate) (revocation.Report, bool) {
	for _, c := range way {
		if report, ok := s.revoked[string(c.X509.Raw)]; ok {
			return report, true
		}
	}
	return revocation.Report{}, false
}

// unrevoked asks about a path, and says whether it may be trusted.
func (s *Search) unrevoked(r path.Result) (revocation.Report, bool) {
	a := s.anchors
	if a.options.Revocation == revocation.Off {
		return revocation.Report{}, true
	}
	if s.issuers == nil {
		s.issuers = slices.Concat(a.cas, s.readable()) // of too many the last are left out
	}
	report := a.check(s.ctx, r, revocation.Question{
		At: s.at, Local: a.lists, Mail: s.crls, Extra: s.issuers, Fetch: a.options.Fetch,
		Effort: s.effort, AllowWeak: a.options.Path.AllowWeak,
	})
	for _, answer := range report.Answers {
		if answer.Status == revocation.Revoked {
			s.revoked[string(answer.Certificate.X509.Raw)] = report
		}
	}
	return report, a.refuses(report) == ""
}

// refuses says why a path with such a report is not to be trusted, "" if it is.
func (a *Anchors) refuses(r revocation.Report) Reason {
	switch {
	case r.Status == revocation.Revoked:
		if slices.ContainsFunc(r.Answers, func(w revocation.Answer) bool { return w.Status == revocation.Revoked && w.Depth == 0 }) {
			return Revoked
		}
		return RevokedCA
	case r.Status == revocation.Unknown && a.options.Revocation == revocation.Hard:
		return RevocationUnknown
	}
	return ""
}

// worst is the answer that a report's status comes from, in words.
func worst(r revocation.Report) error {
	for _, a := range r.Answers {
		if a.Status != r.Status {
			continue
		}
		text := fmt.Sprintf("%s: %s", a.Certificate, a.Reason)
		if a.Status == revocation.Revoked {
			text = fmt.Sprintf("%s was revoked on %s (%s)", a.Certificate, a.When.UTC().Format(time.DateOnly), a.Reason)
		}
		if a.Source != "" {
			text += ", says " + a.Source
		}
		return fmt.Errorf("%s", text)
	}
	return nil
}
