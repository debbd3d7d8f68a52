package verdict

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"time"

	"mailseal/internal/mailaddr"
	"mailseal/internal/message"
	"mailseal/internal/trust"
	"mailseal/internal/trust/revocation"
	"mailseal/smime"
	"mailseal/smime/cms"
)

// Settings are what the postmaster decides. The zero value is the default.
type Settings struct {
	// UseSender accepts who is the address in Sender and not that in From (RFC 8550
	// section 3 allows either).
	UseSender bool
	// IgnoreLocalCase compares local parts without the case of ASCII letters.
	IgnoreLocalCase bool
	// WeakFails makes fail, not policy, of signatures with weak algorithms or keys.
	WeakFails bool
	// Mapping names the holders of certificates that have no address; nil is none.
	Mapping *Mapping
}

// A Question is what a signature is held against.
type Question struct {
	Settings
	// From is the addresses of all From fields; FromProblem says why they
	// cannot be read.
	From        []mailaddr.Address
	FromProblem string
	// Sender is the one address of the Sender field, if HasSender.
	Sender    mailaddr.Address
	HasSender bool
	// NoAddressCheck leaves From out of it: `verify -no-address-check`.
	NoAddressCheck bool
	Anchors        *trust.Anchors
	// Context ends what is fetched meanwhile; nil is none.
	Context context.Context
	// At is the present time, never the signer's.
	At time.Time
}

// By is the question with the authors that a header names.
func (q Question) By(h message.Header) Question {
	q.From, q.FromProblem = Authors(h)
	q.Sender, q.HasSender = sender(h)
	return q
}

// Of verifies a mail and gives the verdict on it. From is taken from the mail.
// The error is one of I/O: whatever is wrong with the mail is a result.
func Of(m *message.Message, o smime.VerifyOptions, q Question) (*smime.Report, Result, error) {
	o.Nested = maxParts
	r, err := smime.Verify(m, o)
	if limit := new(message.LimitError); errors.As(err, &limit) {
		// Nobody can say what such a mail is, and trying again would not help.
		r, err = &smime.Report{Kind: smime.Malformed, Err: &smime.Problem{Class: smime.TooLarge, Reason: limit.Error()}}, nil
	}
	if err != nil {
		return nil, Result{}, err
	}
	return r, Judge(r, q.By(m.Header)), nil
}

// Judge gives the verdict on what smime found. It is pass only if every signer
// is good, trusted and the one author.
func Judge(r *smime.Report, q Question) Result {
	result := q.root(r)
	result.Parts = q.parts(r.Nested)
	result.tellParts()
	return result
}

// root judges the signature over the whole, of a mail or of a part.
func (q Question) root(r *smime.Report) Result {
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
	if q.Context == nil {
		q.Context = context.Background()
	}
	search := q.Anchors.Among(q.Context, trust.Came{Certificates: r.Certificates, CRLs: r.CRLs}, q.At)
	var all []Signer
	for _, s := range r.Signers {
		all = append(all, q.signer(s.Result, search))
	}
	result := together(all)
	result.Part = r.Part
	return result
}

// together is the result of all signers: that of the first of the worst. What is
// to be known of one who is good is told with it.
func together(all []Signer) (r Result) {
	var status revocation.Status
	for i, s := range all {
		if i == 0 || worse[s.Result.Status] > worse[r.Status] {
			r = s.Result
		}
		if of := s.Finding.Revocation.Status; status == "" || of == revocation.Revoked || of == revocation.Unknown && status == revocation.Good {
			status = of
		}
	}
	r.Signers, r.Revocation = all, string(status)
	if status == "" && !slices.ContainsFunc(all, func(s Signer) bool { return s.Finding.Path == nil || s.Finding.Basis == trust.Pinned }) {
		r.Revocation = "off"
	}
	if r.Status == Pass && status == revocation.Unknown {
		r.Reason = strings.TrimPrefix(r.Reason+"; "+unknownRevocation, "; ")
	}
	return r
}

// unknownRevocation is told where it does not change the result.
const unknownRevocation = "revocation status is unknown"

// A Signer is the verdict on one signer, and what it rests on.
type Signer struct {
	// Certificate is the signer's, nil if it is not known.
	Certificate *x509.Certificate
	// Finding is how the certificate is trusted; its Err is why it is not. Nobody
	// looked if the signature itself is not good: then Looked is false.
	Finding trust.Finding
	Looked  bool
	Result  Result
}

// signer judges one of them.
func (q Question) signer(s cms.SignerResult, search *trust.Search) Signer {
	one := Signer{Certificate: s.Certificate}
	kinds, err := kindsOf(s.Info)
	one.Result.Kinds = kinds
	// Weakness is looked at last: a broken signature is broken, however weak.
	if s.Err != nil && !errors.Is(s.Err, cms.ErrWeak) {
		err = s.Err
	} else if err != nil {
		err = cms.ErrAttributes
	}
	if err != nil {
		if c := s.Certificate; c != nil {
			one.Result.name(c, q.identify(q.names(c), trust.CA, nil).identifier)
		}
		one.Result.Status, one.Result.Reason = fault(err)
		return one
	}
	one.Looked = true
	one.Certificate, one.Finding = q.trusted(s, search)
	who := q.identify(q.names(one.Certificate), one.Finding.Basis, kinds)
	one.Result.name(one.Certificate, who.identifier)
	one.Result.Status, one.Result.Reason = q.decide(s.Err, one.Finding.Err, who)
	one.Result.Domain = who.domain
	return one
}

// decide gives the status of a signer whose signature holds. weak is nil or an
// ErrWeak, untrusted why the certificate is not trusted.
func (q Question) decide(weak, untrusted error, who identity) (Status, string) {
	var weakness string
	if weak != nil {
		_, weakness = fault(weak)
		if _, detail, ok := strings.Cut(weak.Error(), cms.ErrWeak.Error()+": "); ok {
			weakness += ": " + detail
		}
	}
	if untrusted != nil {
		status, reason := distrust(untrusted)
		if reason != string(trust.Weak) {
			return status, reason
		}
		weakness = reason
	}
	switch {
	case weakness != "" && q.WeakFails:
		return Fail, weakness
	case who.problem != "":
		return Policy, who.problem
	case weakness != "":
		return Policy, weakness
	}
	return Pass, who.note
}

// distrust is the status of a signer whose certificate is not trusted. What breaks
// the rules of paths is fail: RFC 7281's policy is for what has passed verification.
func distrust(err error) (Status, string) {
	e := new(trust.Error)
	if !errors.As(err, &e) {
		return Fail, err.Error()
	}
	if e.Reason == trust.RevocationUnknown {
		return TempError, string(e.Reason) // it may be known later
	}
	return Fail, string(e.Reason)
}

// trusted returns the signer's certificate. Where several have the signer's name
// and key, as after a renewal, it is the first that is trusted, or else the first
// that is at least valid at this time, and why that is not trusted.
func (q Question) trusted(s cms.SignerResult, search *trust.Search) (*x509.Certificate, trust.Finding) {
	best, valid := s.Certificate, false
	var found trust.Finding
	for i, c := range append([]*x509.Certificate{s.Certificate}, s.Twins...) {
		f := search.Find(c, q.claimed(q.names(c)))
		if f.Err == nil {
			return c, f
		}
		if now := !q.At.Before(c.NotBefore) && !q.At.After(c.NotAfter); i == 0 || now && !valid {
			best, found, valid = c, f, now
		}
	}
	return best, found
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

func fault(err error) (Status, string) {
	for _, f := range faults {
		if errors.Is(err, f.err) {
			return f.status, f.reason
		}
	}
	return Neutral, "signature cannot be processed"
}
