// Package path validates certification paths by RFC 5280 section 6.1, for mail, and
// finds them among whatever certificates a mail carries.
//
// Validate is a pure function of a path; a Search builds paths and returns the first
// that is good. Both say of every certificate whose key signed it, for who then asks
// whether it was revoked: that is not looked at here.
//
// Beyond the standard's minimum, and as other implementations have it: a trust
// anchor's own validity, path length, purposes and name constraints are held as well
// (RFC 5937), its policies are not; purposes of CAs bound those of what they certify;
// and signatures with algorithms that are broken do not count.
//
// RFC 5280 sections 4.2 and 6.1, RFC 9618 (the policy graph, whose size is bounded by
// that of the certificates, in place of the tree), RFC 8550 section 4.4 (usages for
// mail), RFC 9598 (constraints on SmtpUTF8Mailbox).
package path

import (
	"crypto"
	"fmt"
	"slices"
	"time"

	"mailseal/internal/pki/x5280"
)

// A Rule is one that a path may break.
type Rule string

// The rules. Their names are for reports that programs read.
const (
	NoIssuer      Rule = "no-issuer"        // no way to a trust anchor
	Effort        Rule = "effort"           // looking further would take too long
	Signature     Rule = "signature"        // not signed by the issuer's key
	Weak          Rule = "weak-algorithm"   // signed with what can be forged
	NotYetValid   Rule = "not-yet-valid"    //
	Expired       Rule = "expired"          //
	NameChaining  Rule = "name-chaining"    // the issuer has another name
	Malformed     Rule = "malformed"        //
	Critical      Rule = "critical"         // an unknown critical extension
	NotCA         Rule = "not-a-ca"         // basicConstraints
	PathLength    Rule = "path-length"      // basicConstraints
	CAKeyUsage    Rule = "ca-key-usage"     // its key may not sign certificates
	KeyUsage      Rule = "key-usage"        // the leaf's key may not do what it did
	Purpose       Rule = "purpose"          // extKeyUsage
	Names         Rule = "name-constraints" //
	PolicyMapping Rule = "policy-mapping"   // to or from anyPolicy
	Policies      Rule = "policy"           // no acceptable policy, where one is required
)

// A Failure is a rule that a certificate of a path breaks, in words.
type Failure struct {
	Rule        Rule
	Certificate *x5280.Certificate
	Depth       int // of the certificate: 0 is the leaf
	Text        string
}

func (f Failure) Error() string { return f.Text }

// A Use is what the leaf's key was used for.
type Use int

// The uses.
const (
	SignMail Use = iota // RFC 8550 sections 4.4.2 and 4.4.4
	SignCRL             // RFC 5280 section 6.3.3 (f)
	SignOCSP            // RFC 6960 section 4.2.2.2
)

// Options are the inputs of section 6.1.1.
type Options struct {
	At time.Time // the present; never the time that a signer claims
	// Acceptable is the user-initial-policy-set; none is any policy.
	Acceptable     []x5280.OID
	Explicit       bool // initial-explicit-policy
	InhibitMapping bool // initial-policy-mapping-inhibit
	InhibitAny     bool // initial-any-policy-inhibit
	Use            Use
	// AllowWeak takes SHA-1, MD5 and RSA keys below 2048 bits, where they verify.
	AllowWeak bool
}

// A Link is a certificate of a path with who signed it.
type Link struct {
	Certificate *x5280.Certificate
	Issuer      *x5280.Certificate
	IssuerKey   crypto.PublicKey
}

// A Result is of one path.
type Result struct {
	// Path goes up from the leaf to the trust anchor. Without an anchor it ends
	// where no issuer is known.
	Path []*x5280.Certificate
	// Links are those of Path but the anchor, in the same order.
	Links []Link
	// Policies is the user-constrained-policy-set; with 2.5.29.32.0 it is any policy.
	Policies []x5280.OID
	// Failures are all rules that are broken, from the anchor down. None is a good path.
	Failures []Failure
}

// Good reports whether the path is valid.
func (r Result) Good() bool { return len(r.Failures) == 0 && len(r.Path) > 0 }

// Err is nil for a good path, or its first failure.
func (r Result) Err() error {
	switch {
	case r.Good():
		return nil
	case len(r.Failures) == 0:
		return Failure{Rule: NoIssuer, Text: "no certificate was given"}
	}
	return r.Failures[0]
}

// Broke returns the failure of one rule, that nearest to the leaf.
func (r Result) Broke(rule Rule) (Failure, bool) {
	for _, f := range slices.Backward(r.Failures) {
		if f.Rule == rule {
			return f, true
		}
	}
	return Failure{}, false
}

// Validate holds a path, from the leaf up to the trust anchor, to all rules. An
// anchor alone is a path: then it is a certificate that is trusted as itself.
func Validate(path []*x5280.Certificate, o Options) Result {
	v := validator{path: path, o: o, signed: verify, steps: new(int)}
	*v.steps = maxSteps
	return v.run()
}

// named is a certificate for a sentence.
func named(depth int, c *x5280.Certificate) string {
	if depth == 0 {
		return "the certificate " + c.String()
	}
	return "the CA certificate " + c.String()
}

// maxFailures are told: a certificate may bear names by the thousand.
const maxFailures = 100

func (v *validator) fail(rule Rule, depth int, format string, args ...any) {
	if len(v.failures) >= maxFailures {
		return
	}
	c := v.path[depth]
	v.failures = append(v.failures, Failure{rule, c, depth, named(depth, c) + " " + fmt.Sprintf(format, args...)})
}
