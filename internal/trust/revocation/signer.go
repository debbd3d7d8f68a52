package revocation

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/trust/path"
	"mailseal/internal/x509key"
)

func spend(left *time.Duration, cost time.Duration) error {
	if *left < cost {
		return errWork
	}
	*left -= cost
	return nil
}

var errWork = errors.New("so much came with the mail that the signature is not checked")

// verify finds who signed a CRL: one of those above the certificate that it is about,
// or somebody of the CRL's issuer's name with a path to the same anchor (section 6.3.3
// (f) and (g)). doubt is why the signer may have been revoked himself.
func (k *checker) verify(l list, above []*x5280.Certificate) (by *x5280.Certificate, doubt string, failed *refusal) {
	failed = &refusal{stage: signature, text: fmt.Sprintf("%s: the certificate of who signed it is not there", l)}
	refuse := func(s stage, text string, args ...any) {
		if s > failed.stage || failed.stage == signature {
			failed.stage, failed.text = s, fmt.Sprintf("%s %s", l, fmt.Sprintf(text, args...))
		}
	}
	for _, c := range k.signers(l, above) {
		if err := k.signed(l, c); err != nil {
			switch {
			case err == errWork:
				failed.spent = true
				refuse(signature, "was not looked at: %v", err)
			case path.IsWeak(err):
				refuse(signer, "is signed by %s in a way that is too weak to be trusted (%v)", c, err)
			default:
				refuse(signature, "is not signed by %s (%v)", c, err)
			}
			continue
		}
		if c.Usage != nil && *c.Usage&x5280.CRLSign == 0 {
			refuse(signer, "is signed by %s, whose key usage does not allow to sign CRLs", c)
			continue
		}
		if slices.ContainsFunc(above, c.Equal) { // each of them is asked for by itself
			return c, "", nil
		}
		status, text := k.issuer(c, above)
		switch status {
		case Good:
			return c, "", nil
		case Unknown:
			by, doubt = c, fmt.Sprintf("%s is signed by %s, and %s", l, c, text)
		default:
			refuse(signer, "is signed by %s, and %s", c, text)
		}
	}
	if by != nil {
		return by, doubt, nil
	}
	return nil, "", failed
}

// signers are the certificates that may have signed a CRL, the likely ones first.
func (k *checker) signers(l list, above []*x5280.Certificate) []*x5280.Certificate {
	var all []*x5280.Certificate
	for _, c := range slices.Concat(above, k.named[l.Issuer.Key()]) {
		if c.Subject.Equal(l.Issuer) && !slices.ContainsFunc(all, c.Equal) {
			all = append(all, c)
			if len(all) == 4*maxSigners {
				break
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *x5280.Certificate) int { return l.unlikely(a) - l.unlikely(b) })
	return all[:min(len(all), maxSigners)]
}

// unlikely is 1 if the key identifiers differ.
func (l list) unlikely(c *x5280.Certificate) int {
	if len(l.AuthorityKeyID) > 0 && len(c.SubjectKeyID) > 0 && string(l.AuthorityKeyID) != string(c.SubjectKeyID) {
		return 1
	}
	return 0
}

// signed checks a signature, unless that has been done.
func (k *checker) signed(l list, c *x5280.Certificate) error {
	if l.isSignedBy(c.SubjectPublicKey) {
		return nil
	}
	left, cost := k.purse(c), x509key.Cost(x509key.Public(c.X509))
	if l.origin == mailed {
		left, cost = &k.mail, cost+time.Duration(len(l.Content))*time.Nanosecond
	}
	if err := spend(left, cost); err != nil {
		return err
	}
	err := path.Verify(l.Signed, c, false)
	if path.IsWeak(err) && k.q.AllowWeak {
		return path.Verify(l.Signed, c, true)
	}
	if err != nil {
		return err
	}
	spki := string(c.SubjectPublicKey)
	l.signer.Store(&spki)
	if l.origin != configured {
		k.memory.keep(l.known)
	}
	return nil
}

// purse is what pays for checking a signature by the key of a certificate.
func (k *checker) purse(by *x5280.Certificate) *time.Duration {
	if slices.ContainsFunc(k.path[1:], by.Equal) {
		return &k.work
	}
	return &k.side
}

// issuer is whether a certificate leads to the anchor as one that signs CRLs, and is
// not revoked. Who is above the certificate in question is asked for elsewhere.
func (k *checker) issuer(c *x5280.Certificate, above []*x5280.Certificate) (Status, string) {
	if k.search == nil {
		// The anchor must be that of the certificate in question (section 6.3.3 (f)).
		k.search = path.NewStore(k.path[len(k.path)-1:]).Among(k.extra, path.Options{At: k.q.At, Use: path.SignCRL, AllowWeak: k.q.AllowWeak})
	}
	r, ok := k.paths[c]
	if !ok {
		if k.searches == 0 {
			return Unknown, "so many others were looked at for this mail that the way from there to a CA that is trusted here was not looked for"
		}
		k.searches--
		r = k.search.Path(c)
		k.paths[c] = r
	}
	if spent, ok := r.Broke(path.Effort); ok { // it may be good for all we know
		return Unknown, spent.Text
	}
	if !r.Good() {
		return Revoked, r.Err().Error()
	}
	if limited := limits(r.Path[1:], above); limited != nil {
		return Revoked, fmt.Sprintf("%s above, who may certify some others only, is not above the certificate that it is about", limited)
	}
	status, text := Good, ""
	for i, link := range r.Links {
		if slices.ContainsFunc(above, link.Certificate.Equal) {
			continue
		}
		a := k.ask(link.Certificate, r.Path[i+1:])
		switch {
		case a.Status == Revoked:
			return Revoked, fmt.Sprintf("%s has been revoked", link.Certificate)
		case a.Status == Unknown && status == Good:
			status, text = Unknown, a.Reason
		}
	}
	return status, text
}

// limits returns a CA on the way of who signed a CRL that is not above the certificate
// in question, and could not be: it is limited to some names, or to other uses than
// mail. The standard lets any CA below the anchor certify one who signs CRLs in the name
// of whatever other, and so take back what that one has revoked.
func limits(way, above []*x5280.Certificate) *x5280.Certificate {
	for _, ca := range way {
		purposes := ca.Purposes
		free := ca.Constraints == nil &&
			(len(purposes) == 0 || slices.Contains(purposes, x5280.EmailProtection) || slices.Contains(purposes, x5280.AnyPurpose))
		if !free && !slices.ContainsFunc(above, func(c *x5280.Certificate) bool {
			return string(c.SubjectPublicKey) == string(ca.SubjectPublicKey) && c.Subject.Equal(ca.Subject)
		}) {
			return ca
		}
	}
	return nil
}
