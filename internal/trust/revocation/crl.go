package revocation

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"time"

	"mailseal/internal/pki/x5280"
)

// A series is the CRLs of one issuer that are about the same certificates: of the same
// scope and by the same key. The newest of it counts, and no other.
type series struct {
	lists   []list // newest first
	reasons x5280.Reasons
}

// byLists is section 6.3.3, by the CRLs in hand.
func (k *checker) byLists(c *x5280.Certificate, above []*x5280.Certificate) said {
	why := reasons{}
	var at time.Time
	var source string
	covered := x5280.Reasons(0)
	for _, s := range k.covering(c, &why) {
		for _, b := range k.newest(s.lists, above, &why) {
			entry, by, listed := k.find(b, c)
			stale := b.stale(k.q.At)
			switch {
			case listed && (stale == "" || lasting(entry)):
				// That its signer may be revoked is no reason to believe less in a revocation.
				return said{Answer{Certificate: c, Status: Revoked, Reason: entry.Reason.String(), When: entry.Date, Source: by.String()}, by.ThisUpdate}
			case b.doubt != "":
				why.add(signer, "%s", b.doubt)
			case stale != "":
				why.add(staleness, "%s", stale)
			default:
				covered |= s.reasons
				if source == "" || b.ThisUpdate.After(at) {
					at, source = b.ThisUpdate, b.String()
				}
			}
		}
	}
	if covered == x5280.AllReasons {
		return said{Answer{Certificate: c, Status: Good, Source: source}, at}
	}
	if covered != 0 {
		why.add(partly, "the CRLs of %q in hand do not cover all reasons for revocation", c.Issuer)
	}
	if k.more {
		why.more = "so many CRLs came with the mail that not all were looked at"
	}
	return unknown(c, "%s", why)
}

// lasting: but for a hold, a certificate that was revoked stays so.
func lasting(e x5280.Entry) bool {
	return e.Reason != x5280.CertificateHold && e.Reason != x5280.RemoveFromCRL
}

// covering are the CRLs that are about a certificate, in their series.
func (k *checker) covering(c *x5280.Certificate, why *reasons) (all []*series) {
	why.add(absence, "there is no CRL of %q: none is configured, and none came with the mail", c.Issuer)
	covers := map[*known]x5280.Reasons{}
	by := map[string]*series{}
	for _, p := range pointsOf(c) {
		for _, issuer := range p.issuers {
			for _, l := range k.lists(issuer.Key()) {
				if l.Base != nil {
					why.add(onlyDelta, "of the CRLs of %q there are only changes (delta CRLs), and not what they change", issuer)
					continue
				}
				if l.origin == mailed && !k.compare(p.comparisons(l.Scope)) {
					k.more = true
					continue
				}
				why.add(scope, "the CRLs of %q in hand are not about this certificate (distribution point or kind of certificate)", issuer)
				r := p.covers(l.CRL, c)
				if r == 0 {
					continue
				}
				key := issuer.Key() + "\x00" + l.series()
				if by[key] == nil {
					by[key] = &series{}
					all = append(all, by[key])
				}
				if _, again := covers[l.known]; !again {
					by[key].lists = append(by[key].lists, l)
				}
				covers[l.known] |= r
				by[key].reasons |= r // the same for all of the same scope
			}
		}
	}
	for _, s := range all {
		slices.SortStableFunc(s.lists, newer)
	}
	return all
}

// series is the same for CRLs that follow one another.
func (k *known) series() string {
	scope := ""
	if k.Scope != nil {
		scope = string(k.Scope.Raw)
	}
	return fmt.Sprintf("%x %s", k.AuthorityKeyID, scope)
}

// newer orders CRLs of a series: a later one has a later time, and a higher number.
func newer(a, b list) int {
	if c := b.ThisUpdate.Compare(a.ThisUpdate); c != 0 {
		return c
	}
	return number(b.Number).Cmp(number(a.Number))
}

func number(n *big.Int) *big.Int {
	if n == nil {
		return new(big.Int)
	}
	return n
}

// A base is a complete CRL that has been verified. In doubt it revokes, and proves no
// certificate good.
type base struct {
	list
	signer *x5280.Certificate
	doubt  string
}

// newest returns the first CRL that is valid but for its age, and is what counts even
// if it is of no use: an older one might be brought by who has been revoked since. What
// is in doubt comes before it, as it must not hide that the older one revokes: anybody
// may write a CRL of which nobody knows who signed it. For the same reason those older
// than one that must not be used are there, in doubt.
func (k *checker) newest(lists []list, above []*x5280.Certificate, why *reasons) (all []base) {
	unusable := ""
	for _, l := range lists {
		if l.ThisUpdate.After(k.q.At.Add(skew)) {
			why.add(staleness, "%s is not in force yet", l)
			continue
		}
		signer, doubt, failed := k.verify(l, above)
		if failed != nil {
			if from, ok := k.came[l.known]; ok && !failed.spent {
				k.doubt(from.url, nil, from.file)
			}
			why.add(failed.stage, "%s", failed.text)
			continue
		}
		if text := l.flaw(); text != "" {
			why.add(flaw, "%s", text)
			unusable = text
			continue
		}
		all = append(all, base{l, signer, cmp.Or(doubt, unusable)})
		if doubt == "" {
			break
		}
	}
	return all
}

// flaw is why a CRL must not be used whatever it says (section 5.2).
func (l list) flaw() string {
	switch {
	case len(l.Unknown) > 0:
		return fmt.Sprintf("%s has a critical extension that is not known here: %v", l, l.Unknown[0])
	case len(l.Faults) > 0:
		return fmt.Sprintf("%s is malformed: %s", l, l.Faults[0])
	}
	return ""
}

// stale is why what a CRL says may be outdated.
func (l list) stale(at time.Time) string {
	switch {
	case l.NextUpdate.IsZero():
		return fmt.Sprintf("%s does not say until when it holds", l)
	case at.After(l.NextUpdate):
		return fmt.Sprintf("%s expired at %s", l, l.NextUpdate.UTC().Format(time.DateTime))
	}
	return ""
}

// find looks a certificate up in a CRL and what has changed since (section 5.2.4).
func (k *checker) find(b base, c *x5280.Certificate) (e x5280.Entry, by list, listed bool) {
	e, listed = b.Find(c.Issuer, c.Serial)
	by = b.list
	for _, d := range k.changes(b, c) {
		if k.signed(d, b.signer) != nil { // by the same key: section 6.3.3 (h)
			continue
		}
		fresh := d.stale(k.q.At) == ""
		change, ok := d.Find(c.Issuer, c.Serial)
		if ok && (fresh || lasting(change)) {
			e, by, listed = change, d, true
			break
		}
		if fresh {
			break
		}
	}
	return e, by, listed && e.Reason != x5280.RemoveFromCRL
}

// changes returns what may be delta CRLs to a base, the newest first.
func (k *checker) changes(b base, c *x5280.Certificate) (all []list) {
	if b.Number == nil {
		return nil
	}
	k.fetchChanges(b, c)
	for _, l := range k.lists(b.Issuer.Key()) {
		if l.Base != nil && l.Number != nil && l.series() == b.series() &&
			l.Base.Cmp(b.Number) <= 0 && l.Number.Cmp(b.Number) > 0 &&
			!l.ThisUpdate.After(k.q.At.Add(skew)) && l.flaw() == "" {
			all = append(all, l)
		}
	}
	slices.SortStableFunc(all, newer)
	return all
}
