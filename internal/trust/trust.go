// Package trust answers whether a certificate is good for e-mail at an
// instant: whether a path leads from it to a trust anchor (RFC 5280 section 6,
// RFC 8550 section 4), or it is pinned. The instant is the caller's present
// time, never a signingTime, which the signer writes himself.
//
//	search := anchors.Among(ctx, trust.Came{Certificates: those of the mail}, now)
//	found := search.Find(signer, "partner.example")
//
// says whether the signer is trusted, on what grounds, and by which path; and if
// not, why, in words for a postmaster.
package trust

import (
	"crypto/x509"
	"fmt"
	"slices"

	"mailseal/internal/trust/path"
)

// A Reason is why a certificate is not trusted.
type Reason string

// The reasons, in the words that postmasters read.
const (
	Unknown     Reason = "no path to a trust anchor"
	Expired     Reason = "certificate has expired"
	ExpiredCA   Reason = "a CA certificate above it is not valid at this time"
	NotYetValid Reason = "certificate is not valid yet"
	Purpose     Reason = "certificate is not for e-mail"
	KeyUsage    Reason = "certificate's key usage does not allow signatures"
	Constraints Reason = "certificate is outside its issuer's name constraints"
	PathLength  Reason = "more CA certificates above it than one of them allows"
	Critical    Reason = "unknown critical extension in certificate path"
	Policies    Reason = "no acceptable certificate policy"
	Revoked     Reason = "certificate is revoked"
	RevokedCA   Reason = "a CA certificate above it is revoked"
	// RevocationUnknown is a reason only where it is to be known (revocation.Hard).
	RevocationUnknown Reason = "revocation status is unknown"
	// Weak: everything else holds.
	Weak    Reason = "path is signed with a weak algorithm"
	Invalid Reason = "certificate path is not valid"
)

// Reasons are all that there are.
func Reasons() []Reason {
	return []Reason{
		Unknown, Expired, ExpiredCA, NotYetValid, Purpose, KeyUsage, Constraints, PathLength, Critical, Policies,
		Revoked, RevokedCA, RevocationUnknown, Weak, Invalid,
	}
}

// An Error says that a certificate is not trusted.
type Error struct {
	Reason Reason
	Err    error
	// Failures are all rules that the best path breaks, in words.
	Failures []path.Failure
}

func (e *Error) Error() string {
	if e.Err == nil {
		return string(e.Reason)
	}
	return fmt.Sprintf("%s: %v", e.Reason, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Unfit says why a certificate itself is not for signing mail, "" when it is.
func Unfit(c *x509.Certificate) Reason {
	switch {
	case c.KeyUsage != 0 && c.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0:
		return KeyUsage // RFC 8550 section 4.4.2
	case len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) > 0 && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageEmailProtection) &&
		!slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny):
		return Purpose // RFC 8550 section 4.4.4
	}
	return ""
}

// reasons are those of the rules, the one that is told first. A rule that is not
// there is Invalid.
var reasons = []struct {
	rule   path.Rule
	reason Reason
}{
	{path.Effort, Invalid},
	{path.NoIssuer, Unknown},
	{path.Signature, Unknown}, // then it is not the issuer's
	{path.NotCA, Unknown},
	{path.CAKeyUsage, Unknown},
	{path.NameChaining, Unknown},
	{path.Malformed, Invalid},
	{path.Critical, Critical},
	{path.KeyUsage, KeyUsage},
	{path.Purpose, Purpose},
	{path.Expired, Expired},
	{path.NotYetValid, NotYetValid},
	{path.Names, Constraints},
	{path.PathLength, PathLength},
	{path.PolicyMapping, Policies},
	{path.Policies, Policies},
	{path.Weak, Weak},
}

// reason is what is told of a path that is not good.
func reason(r path.Result) Reason {
	for _, known := range reasons {
		f, broken := r.Broke(known.rule)
		switch {
		case !broken:
		case f.Depth > 0 && (f.Rule == path.Expired || f.Rule == path.NotYetValid):
			return ExpiredCA
		default:
			return known.reason
		}
	}
	return Invalid
}
