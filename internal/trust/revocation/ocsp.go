package revocation

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" // CertID: no more is asked of it than to tell issuers apart
	_ "crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/trust/path"
	"mailseal/internal/x509key"
)

// hashes are those of CertIDs. Requests have SHA-1, which every responder knows (RFC
// 5019 section 2.1.1).
var hashes = map[x5280.OID]crypto.Hash{
	"\x2b\x0e\x03\x02\x1a":                 crypto.SHA1,
	"\x60\x86\x48\x01\x65\x03\x04\x02\x01": crypto.SHA256,
}

func sum(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}

// keyBits are the octets of a public key without its algorithm.
func keyBits(c *x5280.Certificate) (bits []byte, ok bool) {
	s := cryptobyte.String(c.SubjectPublicKey)
	ok = s.ReadASN1(&s, asn1.SEQUENCE) && s.SkipASN1(asn1.SEQUENCE) && s.ReadASN1BitStringAsBytes(&bits)
	return bits, ok
}

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
	der, err := k.requested(url, c, above[0])
	if err != nil {
		return said{}, err
	}
	r, err := readResponse(der)
	if err != nil {
		return said{}, err
	}
	i := slices.IndexFunc(r.singles, func(s single) bool { return s.about(c, above[0]) })
	if i < 0 {
		return said{}, errors.New("it answers for other certificates")
	}
	s := r.singles[i]
	if r.unknown || s.unknown {
		return said{}, errors.New("its answer has a critical extension that is not known here")
	}
	if err := s.fresh(k.q.At); err != nil {
		return said{}, err
	}
	by, err := k.responder(r, above)
	if err != nil {
		if asked, rerr := request(c, above[0]); rerr == nil {
			k.doubt(url, asked, der)
		}
		return said{}, err
	}
	a := Answer{Certificate: c, Status: s.status, Source: fmt.Sprintf("OCSP responder %s at %.200q of %s", by, url, s.thisUpdate.UTC().Format(time.DateTime))}
	switch s.status {
	case Revoked:
		a.Reason, a.When = s.reason.String(), s.when
	case Unknown:
		a.Reason, a.Source = fmt.Sprintf("the OCSP responder at %.200q does not know the certificate", url), ""
	}
	return said{a, s.thisUpdate}, nil
}

// requested is a responder's answer, for which it is asked once.
func (k *checker) requested(url string, c, issuer *x5280.Certificate) ([]byte, error) {
	request, err := request(c, issuer)
	if err != nil {
		return nil, err
	}
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

// request is one for a single certificate, without a nonce: then responders may answer
// with what they have prepared (RFC 5019 section 2.1).
func request(c, issuer *x5280.Certificate) ([]byte, error) {
	key, ok := keyBits(issuer)
	if !ok {
		return nil, errors.New("its issuer's key cannot be read")
	}
	r := ocsp.Request{
		HashAlgorithm: crypto.SHA1, IssuerNameHash: sum(crypto.SHA1, c.Issuer.Raw), IssuerKeyHash: sum(crypto.SHA1, key),
		SerialNumber: twos(c.Serial),
	}
	return r.Marshal()
}

// unlimited is how long an answer holds that does not say until when: it claims to be of
// this very moment (RFC 6960 section 2.4), but may come from a cache.
const unlimited = time.Hour

// fresh is RFC 6960 section 4.2.2.1.
func (s single) fresh(at time.Time) error {
	until := s.nextOne
	if until.IsZero() {
		until = s.thisUpdate.Add(unlimited)
	}
	switch {
	case s.thisUpdate.After(at.Add(skew)):
		return fmt.Errorf("its answer is not in force before %s", s.thisUpdate.UTC().Format(time.DateTime))
	case at.After(until):
		return fmt.Errorf("its answer expired at %s", until.UTC().Format(time.DateTime))
	}
	return nil
}

// responder finds who signed a response: the issuer of the certificate, or somebody whom
// that very issuer has certified for it (RFC 6960 section 4.2.2.2).
func (k *checker) responder(r *response, above []*x5280.Certificate) (*x5280.Certificate, error) {
	issuer := above[0]
	for _, c := range append([]*x5280.Certificate{issuer}, r.certificates...) {
		if !r.names(c) {
			continue
		}
		if err := spend(&k.work, x509key.Cost(x509key.Public(c.X509))); err != nil {
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

// names reports whether a response says that a certificate's key signed it.
func (r *response) names(c *x5280.Certificate) bool {
	if r.keyHash == nil {
		return bytes.Equal(r.name, c.Subject.Raw)
	}
	key, ok := keyBits(c)
	return ok && bytes.Equal(r.keyHash, sum(crypto.SHA1, key))
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
