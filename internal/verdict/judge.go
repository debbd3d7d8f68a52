package verdict

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"mailseal/internal/mailaddr"
	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/internal/trust"
	"mailseal/smime"
	"mailseal/smime/cms"
)

// A Question is what a signature is held against.
type Question struct {
	// From is the addresses of all From fields; FromProblem says why they
	// cannot be read.
	From        []mailaddr.Address
	FromProblem string
	// NoAddressCheck leaves From out of it: `verify -no-address-check`.
	NoAddressCheck bool
	Anchors        *trust.Anchors
	// Context ends what is fetched meanwhile; nil is none.
	Context context.Context
	// At is the present time, never the signer's.
	At time.Time
}

// maxFrom bounds the From fields that are read: one is right, two are wrong.
const maxFrom = 20

// Authors reads the addresses of every From field (RFC 5322 section 3.6.2 allows
// one field); problem says why they cannot be read, or why readers may see
// others.
func Authors(h message.Header) (from []mailaddr.Address, problem string) {
	fields := h.All("From")
	if len(fields) == 0 {
		return nil, "mail has no From"
	}
	if len(fields) > maxFrom {
		fields, problem = fields[:maxFrom], fmt.Sprintf("mail has more than %d From fields", maxFrom)
	}
	for _, f := range fields {
		as, err := mailaddr.ParseList(f.Text())
		if err != nil {
			problem = "From: " + err.Error()
			continue
		}
		from = append(from, as...)
	}
	for _, f := range h {
		if len(f.Hidden("From")) > 0 {
			problem = "From: there is another one that only some readers see"
		}
	}
	return from, problem
}

// Of verifies a mail and gives the verdict on it. From is taken from the mail.
// The error is one of I/O: whatever is wrong with the mail is a result.
func Of(m *message.Message, o smime.VerifyOptions, q Question) (*smime.Report, Result, error) {
	r, err := smime.Verify(m, o)
	if limit := new(message.LimitError); errors.As(err, &limit) {
		// Nobody can say what such a mail is, and trying again would not help.
		r, err = &smime.Report{Kind: smime.Malformed, Err: &smime.Problem{Class: smime.TooLarge, Reason: limit.Error()}}, nil
	}
	if err != nil {
		return nil, Result{}, err
	}
	q.From, q.FromProblem = Authors(m.Header)
	return r, Judge(r, q), nil
}

// Judge gives the verdict on what smime found. It is pass only if every signer
// is good, trusted and the one author.
func Judge(r *smime.Report, q Question) Result {
	if r.Err != nil {
		result := Result{Status: Neutral, Reason: "signature cannot be processed", Part: r.Part}
		if p := new(smime.Problem); errors.As(r.Err, &p) {
			result.Status, result.Reason = problems[p.Class], p.Reason
		}
		return result
	}
	if !r.Kind.Signed() {
		return Result{Status: None}
	}
	if len(r.Signers) == 0 {
		return Result{Status: PermError, Reason: "signature has no signer", Part: r.Part}
	}
	var result Result
	if q.Context == nil {
		q.Context = context.Background()
	}
	search := q.Anchors.Among(q.Context, trust.Came{Certificates: r.Certificates, CRLs: r.CRLs}, q.At)
	for i, s := range r.Signers {
		one := q.signer(s.Result, search)
		if i == 0 || worse[one.Status] > worse[result.Status] {
			result = one
		}
	}
	result.Part = r.Part
	return result
}

// problems maps what is wrong with a signed mail as a whole.
var problems = map[smime.Class]Status{
	smime.BadStructure:  Neutral, // syntax errors
	smime.Unsupported:   Neutral, // cannot be processed by us
	smime.TooLarge:      Neutral,
	smime.NoSigner:      PermError,
	smime.Contradiction: PermError, // says two things at once
}

// faults maps what is wrong with one signer.
var faults = []struct {
	err    error
	status Status
	reason string
}{
	{cms.ErrDigest, Fail, "content was changed after it was signed"},
	{cms.ErrSignature, Fail, "signature does not match the certificate"},
	{cms.ErrNoCertificate, PermError, "signer's certificate is not in the mail"},
	{cms.ErrAttributes, PermError, "signed attributes break the rules"},
	{cms.ErrUnsupported, Neutral, "algorithm is not supported"},
	{cms.ErrWeak, Policy, "algorithm or key is too weak"},
	{cms.ErrMalformed, Neutral, "signature is malformed"},
}

// signer judges one of them.
func (q Question) signer(s cms.SignerResult, search *trust.Search) Result {
	var r Result
	if s.Certificate != nil {
		r.name(s.Certificate, q.identifier(s.Certificate))
	}
	// Weakness is looked at last: a broken signature is broken, however weak.
	if s.Err != nil && !errors.Is(s.Err, cms.ErrWeak) {
		r.Status, r.Reason = fault(s.Err)
		return r
	}
	c, err := q.trusted(s, search)
	r = Result{}
	r.name(c, q.identifier(c))
	if err != nil {
		r.Status, r.Reason = Fail, err.Error()
		if e := new(trust.Error); errors.As(err, &e) {
			r.Reason = string(e.Reason)
		}
		return r
	}
	if why := q.address(c); why != "" {
		r.Status, r.Reason = Policy, why
		return r
	}
	if s.Err != nil {
		r.Status, r.Reason = fault(s.Err)
		return r
	}
	r.Status = Pass
	return r
}

// trusted returns the signer's certificate. Where several have the signer's name
// and key, as after a renewal, it is the first that is trusted, or else the first
// that is at least valid at this time, and why that is not trusted.
func (q Question) trusted(s cms.SignerResult, search *trust.Search) (*x509.Certificate, error) {
	best, valid := s.Certificate, false
	var why error
	for _, c := range append([]*x509.Certificate{s.Certificate}, s.Twins...) {
		err := search.Find(c, q.domain()).Err
		if err == nil {
			return c, nil
		}
		if now := !q.At.Before(c.NotBefore) && !q.At.After(c.NotAfter); why == nil || now && !valid {
			best, why, valid = c, err, now
		}
	}
	return best, why
}

// domain is that of the one From address, "" if there is none.
func (q Question) domain() string {
	if q.FromProblem != "" || len(q.From) != 1 {
		return ""
	}
	return q.From[0].Domain
}

func fault(err error) (Status, string) {
	for _, f := range faults {
		if errors.Is(err, f.err) {
			return f.status, f.reason
		}
	}
	return Neutral, "signature cannot be processed"
}

// address says why the certificate is not the one author's, "" when it is.
func (q Question) address(c *x509.Certificate) string {
	switch {
	case q.NoAddressCheck:
		return ""
	case q.FromProblem != "":
		return q.FromProblem
	case len(q.From) != 1:
		return "From has several addresses"
	}
	texts := pki.Addresses(c)
	for _, text := range texts {
		if a, err := mailaddr.ParseIA5(text); err == nil && a.Same(q.From[0]) {
			return ""
		}
	}
	if len(texts) == 0 {
		return "certificate has no e-mail address"
	}
	return "certificate is not for the From address"
}

// identifier is the address that names the signer: the one that is From's, else
// the first that is an address at all.
func (q Question) identifier(c *x509.Certificate) string {
	var first string
	for _, text := range pki.Addresses(c) {
		a, err := mailaddr.ParseIA5(text)
		if err != nil {
			continue
		}
		if len(q.From) == 1 && a.Same(q.From[0]) {
			return a.String()
		}
		if first == "" {
			first = a.String()
		}
	}
	return first
}
