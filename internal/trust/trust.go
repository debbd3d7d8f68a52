// Package trust answers whether a certificate is good for e-mail at an
// instant: whether a path leads from it to a trust anchor (RFC 5280 section 6,
// RFC 8550 section 4). The instant is the caller's present time, never a
// signingTime, which the signer writes himself.
package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/recent"
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
	Weak        Reason = "path is signed with a weak algorithm"
	Invalid     Reason = "certificate path is not valid"
)

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

// Anchors are the CAs trusted for e-mail. They never change once made.
type Anchors struct {
	store   *path.Store
	options path.Options
	// paths are those found, by all certificates that came with the question:
	// the answer to a mail must not depend on which mails came before it.
	// One that was good stays good while all of its certificates are valid.
	paths *recent.Cache[asked, path.Result]
}

// pathsSize is how many paths are remembered.
const pathsSize = 1000

// NewAnchors takes the trust anchors. None at all trusts nobody. One that is no
// CA is trusted as itself, and nobody below it.
func NewAnchors(cas []*x509.Certificate) *Anchors {
	return &Anchors{store: path.NewStore(readable(cas)), paths: recent.New[asked, path.Result](pathsSize)}
}

// With returns the same anchors under other policies and inhibitions. The time of
// the options is not used: each question has its own.
func (a *Anchors) With(o path.Options) *Anchors {
	return &Anchors{store: a.store, options: o, paths: recent.New[asked, path.Result](pathsSize)}
}

// Path finds the way from leaf to an anchor through extra, the certificates
// that came with the mail. An error is always a *Error.
func (a *Anchors) Path(leaf *x509.Certificate, extra []*x509.Certificate, at time.Time) ([]*x509.Certificate, error) {
	return a.Among(extra, at).Path(leaf)
}

// asked is what a path depends on besides the anchors and the time.
type asked [sha256.Size]byte

func valid(way []*x5280.Certificate, at time.Time) bool {
	return !slices.ContainsFunc(way, func(c *x5280.Certificate) bool {
		return at.Before(c.NotBefore) || at.After(c.NotAfter)
	})
}

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
	{path.Critical, Invalid},
	{path.KeyUsage, KeyUsage},
	{path.Purpose, Purpose},
	{path.Expired, Expired},
	{path.NotYetValid, NotYetValid},
	{path.Names, Constraints},
	{path.PathLength, Invalid},
	{path.PolicyMapping, Invalid},
	{path.Policies, Invalid},
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
