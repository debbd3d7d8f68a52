package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"mailseal/internal/pki"
	"mailseal/internal/pki/x5280"
	"mailseal/internal/trust"
	"mailseal/internal/trust/revocation"
	"mailseal/internal/verdict"
	"mailseal/smime"
	"mailseal/smime/cms"
)

// A signerReport is one signer as -json tells it.
type signerReport struct {
	Subject   string     `json:"subject,omitempty"`
	Issuer    string     `json:"issuer,omitempty"`
	Serial    string     `json:"serial,omitempty"`
	Addresses []string   `json:"addresses,omitempty"`
	NotBefore *time.Time `json:"not_before,omitempty"`
	NotAfter  *time.Time `json:"not_after,omitempty"`
	Algorithm string     `json:"algorithm,omitempty"`
	Digest    string     `json:"digest,omitempty"`
	Signed    *time.Time `json:"signing_time,omitempty"` // as the signer says
	Good      bool       `json:"good"`                   // the signature, not the signer
	Problem   string     `json:"problem,omitempty"`
	// Trusted: the certificate is, by Basis: a CA, a CA of the domain, or itself.
	Trusted bool   `json:"trusted"`
	Basis   string `json:"basis,omitempty"`
	// Chain goes up from the signer, as far as it is known.
	Chain      []chainReport   `json:"chain,omitempty"`
	Policies   []string        `json:"policies,omitempty"` // that the chain is valid for
	Revocation string          `json:"revocation,omitempty"`
	Failures   []failureReport `json:"failures,omitempty"`
}

// A chainReport is one certificate of a chain.
type chainReport struct {
	Depth      int               `json:"depth"` // 0 is the signer's
	Subject    string            `json:"subject"`
	Issuer     string            `json:"issuer"`
	Serial     string            `json:"serial"`
	NotBefore  time.Time         `json:"not_before"`
	NotAfter   time.Time         `json:"not_after"`
	Key        string            `json:"key"`
	Algorithm  string            `json:"signature_algorithm"` // that it is signed with
	Anchor     bool              `json:"trust_anchor,omitempty"`
	Revocation *revocationReport `json:"revocation,omitempty"`
}

// A revocationReport is what is known of one certificate.
type revocationReport struct {
	Status revocation.Status `json:"status"`
	Reason string            `json:"reason,omitempty"`
	When   *time.Time        `json:"when,omitempty"`
	Source string            `json:"source,omitempty"`
}

// A failureReport is a rule that does not hold.
type failureReport struct {
	Rule  string `json:"rule"`
	Depth *int   `json:"depth,omitempty"` // of the certificate that breaks it
	Text  string `json:"text"`
}

// A partReport is a signature over less than the mail.
type partReport struct {
	verdict.Part
	Signers []signerReport `json:"signers,omitempty"`
}

// parts tells of them in order.
func (v *verification) parts() (all []partReport) {
	for i, p := range v.result.Parts {
		r := partReport{Part: p}
		if found := v.report.Nested[i].Report; found != nil {
			r.Signers = signers(found.Signers, p.Signers)
		}
		all = append(all, r)
	}
	return all
}

// signers tells of each signer, in order. Nobody was judged where a mail or part as a
// whole is wrong.
func signers(found []smime.Signer, verdicts []verdict.Signer) []signerReport {
	all := []signerReport{}
	for i, s := range found {
		r := signature(s.Result)
		c := s.Result.Certificate
		if i < len(verdicts) {
			c = verdicts[i].Certificate
			r.judged(verdicts[i])
		}
		r.certificate(c)
		all = append(all, r)
	}
	return all
}

// signature is what is known of a signature without trusting anybody.
func signature(s cms.SignerResult) signerReport {
	r := signerReport{Algorithm: s.Algorithm, Good: s.Err == nil}
	if s.Digest != 0 {
		r.Digest = cms.DigestName(s.Digest)
	}
	if t := s.SigningTime; !t.IsZero() {
		r.Signed = &t
	}
	if s.Err != nil {
		r.Problem = s.Err.Error()
		r.Failures = append(r.Failures, failureReport{Rule: "signature", Text: r.Problem})
	}
	return r
}

func (r *signerReport) certificate(c *x509.Certificate) {
	if c != nil {
		r.Subject, r.Issuer, r.Serial = c.Subject.String(), c.Issuer.String(), fmt.Sprintf("%X", c.SerialNumber)
		r.Addresses, r.NotBefore, r.NotAfter = pki.Addresses(c), &c.NotBefore, &c.NotAfter
	}
}

var bases = map[trust.Basis]string{trust.CA: "ca", trust.DomainCA: "domain-ca", trust.Pinned: "pinned"}

// judged adds how the certificate is trusted, or why it is not.
func (r *signerReport) judged(s verdict.Signer) {
	if !s.Looked {
		return
	}
	f := s.Finding
	if r.Trusted = f.Err == nil; r.Trusted {
		r.Basis = bases[f.Basis]
	}
	r.Revocation = string(f.Revocation.Status)
	for i, c := range f.Result.Path {
		r.Chain = append(r.Chain, link(i, c, f, r.anchored(f)))
	}
	for _, p := range f.Result.Policies {
		r.Policies = append(r.Policies, p.String())
	}
	r.Failures = append(r.Failures, distrusted(f.Err)...)
	if s.Result.Status == verdict.Policy && f.Err == nil && r.Good {
		r.Failures = append(r.Failures, failureReport{Rule: "address", Text: s.Result.Reason})
	}
}

// anchored reports whether the chain ends at a trust anchor: only where none was
// found it is one that leads nowhere.
func (r *signerReport) anchored(f trust.Finding) bool {
	return len(f.Result.Links) < len(f.Result.Path) && len(f.Result.Path) > 0 && !broke(f.Err, trust.Unknown)
}

func broke(err error, reason trust.Reason) bool {
	e := new(trust.Error)
	return errors.As(err, &e) && e.Reason == reason
}

func link(depth int, c *x5280.Certificate, f trust.Finding, anchored bool) chainReport {
	x := c.X509
	l := chainReport{
		Depth: depth, Subject: x.Subject.String(), Issuer: x.Issuer.String(), Serial: fmt.Sprintf("%X", x.SerialNumber),
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, Key: pki.KeyName(x), Algorithm: x.SignatureAlgorithm.String(),
		Anchor: anchored && depth == len(f.Result.Path)-1,
	}
	for _, a := range f.Revocation.Answers {
		if a.Depth == depth {
			l.Revocation = &revocationReport{Status: a.Status, Reason: a.Reason, Source: a.Source}
			if !a.When.IsZero() {
				l.Revocation.When = &a.When
			}
		}
	}
	return l
}

// distrusted are the rules that a certificate that is not trusted breaks.
func distrusted(err error) (all []failureReport) {
	e := new(trust.Error)
	if !errors.As(err, &e) {
		return nil
	}
	for _, f := range e.Failures {
		all = append(all, failureReport{Rule: string(f.Rule), Depth: &f.Depth, Text: f.Text})
	}
	rule := "trust"
	switch e.Reason {
	case trust.Revoked, trust.RevokedCA, trust.RevocationUnknown:
		rule = "revocation"
	case trust.KeyUsage, trust.Purpose:
		rule = "purpose"
	default:
		if len(all) > 0 {
			return all // they say it with the certificate's name
		}
	}
	return append(all, failureReport{Rule: rule, Text: e.Error()})
}

func (v *verification) write(env Env, asJSON bool) error {
	if asJSON {
		problem := ""
		if v.report.Err != nil {
			problem = v.report.Err.Error()
		}
		return writeJSON(env.Stdout, struct {
			Field   string `json:"authentication_results"`
			Verify  string `json:"verify"`
			Kind    string `json:"kind"`
			Problem string `json:"problem,omitempty"`
			verdict.Result
			Signers []signerReport `json:"signers"`
			Parts   []partReport   `json:"parts,omitempty"` // for those of the result
		}{
			v.result.Field(v.authservID), v.result.Status.Verify(), v.report.Kind.String(), problem, v.result,
			signers(v.report.Signers, v.result.Signers), v.parts(),
		})
	}
	var b strings.Builder
	fmt.Fprintln(&b, v.result.Field(v.authservID))
	if v.report.Err != nil {
		fmt.Fprintf(&b, "%v: %q\n", v.report.Kind, v.report.Err)
	} else if why, ok := unjudged[v.report.Kind]; ok {
		fmt.Fprintf(&b, "%v: %s\n", v.report.Kind, why)
	}
	for i, s := range signers(v.report.Signers, v.result.Signers) {
		s.write(&b, i+1)
	}
	for _, p := range v.parts() {
		writePart(&b, p.Part)
		for i, s := range p.Signers {
			s.write(&b, i+1)
		}
	}
	if _, err := env.Stdout.Write([]byte(b.String())); err != nil {
		return errors.Join(errors.New("write the result"), err)
	}
	return nil
}

// unjudged says why there is no more to be said of mail that is neither plain nor
// signed.
var unjudged = map[smime.Kind]string{
	smime.Enveloped: closedToUs, smime.AuthEnveloped: closedToUs,
	smime.Compressed: "whether there is a signature inside is not looked at",
	smime.CertsOnly:  "certificates alone, which nobody signed",
	smime.OpenPGP:    "of OpenPGP nothing is judged",
}

const closedToUs = "whether there is a signature inside shows when it is decrypted"

// write writes lines for people. What strangers wrote is in quotes.
func (r signerReport) write(w io.Writer, number int) {
	fmt.Fprintf(w, "signer %d: %q issuer %q addresses %q", number, r.Subject, r.Issuer, r.Addresses)
	if r.NotAfter != nil {
		fmt.Fprintf(w, " valid %s", validity(*r.NotBefore, *r.NotAfter))
	}
	if r.Signed != nil {
		fmt.Fprintf(w, " signed %s", r.Signed.UTC().Format(time.RFC3339))
	}
	fmt.Fprintf(w, " %s %s: ", r.Digest, r.Algorithm)
	if r.Good {
		fmt.Fprintln(w, "signature is good")
	} else {
		fmt.Fprintf(w, "%q\n", r.Problem)
	}
	for _, c := range r.Chain {
		fmt.Fprintf(w, "  chain %d: %q serial %s valid %s key %s", c.Depth, c.Subject, c.Serial, validity(c.NotBefore, c.NotAfter), c.Key)
		if c.Anchor {
			fmt.Fprint(w, ", trust anchor")
		}
		if a := c.Revocation; a != nil {
			fmt.Fprintf(w, ", revocation %s", a.Status)
			if a.Reason != "" {
				fmt.Fprintf(w, " (%s)", printable(a.Reason))
			}
			if a.When != nil {
				fmt.Fprintf(w, " since %s", a.When.UTC().Format(time.DateOnly))
			}
			if a.Source != "" {
				fmt.Fprintf(w, ", says %s", printable(a.Source))
			}
		}
		fmt.Fprintln(w)
	}
	for _, f := range r.Failures {
		fmt.Fprintf(w, "  %s: %s\n", f.Rule, printable(f.Text))
	}
}

// printable is a sentence of ours, in which names are quoted already.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

func validity(from, to time.Time) string {
	return from.Format(time.DateOnly) + " to " + to.Format(time.DateOnly)
}

// writePart tells of a signature over less than the mail.
func writePart(w io.Writer, p verdict.Part) {
	fmt.Fprintf(w, "part %s: %s", p.Covered, p.Kind)
	if p.Result != "" {
		fmt.Fprintf(w, ", %s", p.Result)
	}
	for _, said := range []struct{ name, value string }{{"", p.Reason}, {"by ", p.Identifier}, {"serial ", p.Serial}, {"issuer ", p.Issuer}} {
		if said.value != "" {
			fmt.Fprintf(w, ", %s%q", said.name, said.value)
		}
	}
	fmt.Fprintln(w)
}
