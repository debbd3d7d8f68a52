package revocation

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/trust/path"
	"mailseal/internal/trust/revocation/ocsp"
	"mailseal/internal/x509key"
)

// online asks the OCSP responders that a certificate names, if it may.
func (k *checker) online(c *x5280.Certificate, above []*x5280.Certificate) (a said, asked bool) {
	e, ok := c.Extension(x5280.AuthorityInfoAccess)
	if !ok || k.q.Fetch == nil {
		return said{}, false
	}
	names, _ := x5280.ReadAccess(e.Value, x5280.OCSP)
	var why []string
	for _, url := range urls(names) {
		a, err := k.respond(url, c, above)
		if err == nil && a.Status != Unknown {
			return a, true
		}
		if err != nil {
			a.Reason = fmt.Sprintf("the OCSP responder at %.200q: %v", url, err)
		}
		why = append(why, a.Reason)
	}
	return unknown(c, "%s", strings.Join(why, "; ")), len(why) > 0
}

// respond asks one responder.
func (k *checker) respond(url string, c *x5280.Certificate, above []*x5280.Certificate) (said, error) {
	request, err := ocsp.Request(c, above[0])
	if err != nil {
		return said{}, err
	}
	der, err := k.requested(url, request)
	if err != nil {
		return said{}, err
	}
	r, err := ocsp.Read(der)
	if err != nil {
		return said{}, err
	}
	s, ok := r.About(c, above[0])
	if !ok {
		return said{}, errors.New("it answers for other certificates")
	}
	if s.Critical {
		return said{}, errors.New("its answer has a critical extension that is not known here")
	}
	if err := s.Fresh(k.q.At, skew); err != nil {
		return said{}, err
	}
	by, err := k.responder(r, above)
	if err != nil {
		if err != errWork {
			k.doubt(url, request, der)
		}
		return said{}, err
	}
	if s.Status == ocsp.Unknown {
		return unknown(c, "the OCSP responder at %.200q does not know the certificate", url), nil
	}
	a := Answer{Certificate: c, Status: Good, Source: fmt.Sprintf("OCSP responder %s at %.200q of %s", by, url, s.ThisUpdate.UTC().Format(time.DateTime))}
	if s.Status == ocsp.Revoked {
		a.Status, a.Reason, a.When = Revoked, s.Reason.String(), s.When
	}
	return said{a, s.ThisUpdate}, nil
}

// requested is a responder's answer, for which it is asked once.
func (k *checker) requested(url string, request []byte) ([]byte, error) {
	key := url + " " + string(request) // no URL has a space in it
	if err, again := k.fetched[key]; again {
		return k.answered[key], err
	}
	if len(k.fetched) == maxFetches {
		return nil, errFetches
	}
	k.answered[key], k.fetched[key] = k.q.Fetch.OCSP(k.ctx, url, request)
	return k.answered[key], k.fetched[key]
}

// responder finds who signed a response: the issuer of the certificate, or somebody whom
// that very issuer has certified for it (RFC 6960 section 4.2.2.2).
func (k *checker) responder(r *ocsp.Response, above []*x5280.Certificate) (*x5280.Certificate, error) {
	issuer := above[0]
	for _, c := range append([]*x5280.Certificate{issuer}, r.Certificates...) {
		if !r.SignedBy(c) {
			continue
		}
		if err := spend(k.purse(c), x509key.Cost(x509key.Public(c.X509))); err != nil {
			return nil, err
		}
		if err := path.Verify(r.Signed, c, k.q.AllowWeak); err != nil {
			if c == issuer { // another may bear its name
				continue
			}
			return nil, fmt.Errorf("its answer is not signed by %s (%w)", c, err)
		}
		if c == issuer || c.Equal(issuer) || bytes.Equal(c.SubjectPublicKey, issuer.SubjectPublicKey) && c.Subject.Equal(issuer.Subject) {
			return issuer, nil
		}
		return c, k.delegated(c, above)
	}
	return nil, errors.New("its answer is signed neither by the issuer of the certificate nor by one whose certificate came along")
}

// delegated holds a responder that is not the issuer to the rules. Whether it has been
// revoked CRLs must say, unless the issuer waives that.
func (k *checker) delegated(c *x5280.Certificate, above []*x5280.Certificate) error {
	r := path.Validate(append([]*x5280.Certificate{c}, above...), path.Options{At: k.q.At, Use: path.SignOCSP, AllowWeak: k.q.AllowWeak})
	if !r.Good() {
		return fmt.Errorf("its answer is signed by somebody else than the issuer: %w", r.Err())
	}
	if _, ok := c.Extension(x5280.NoCheck); ok {
		return nil
	}
	a := k.once(c, func() said {
		k.fetchLists(c)
		return k.byLists(c, above)
	})
	if a.Status != Good {
		return fmt.Errorf("its certificate %s may have been revoked (%s: %s)", c, a.Status, a.Reason)
	}
	return nil
}
