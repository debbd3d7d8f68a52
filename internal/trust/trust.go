// Package trust answers whether a certificate is good for e-mail at an
// instant: whether a path leads from it to a trust anchor (RFC 5280 section 6,
// RFC 8550 section 4). The instant is the caller's present time, never a
// signingTime, which the signer writes himself.
package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"mailseal/internal/recent"
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
	pool *x509.CertPool
	cas  []*x509.Certificate
	// paths are those found, by all certificates that came with the question:
	// the answer to a mail must not depend on which mails came before it.
	// One that was good stays good while all of its certificates are valid.
	paths *recent.Cache[asked, []*x509.Certificate]
}

// pathsSize is how many paths are remembered.
const pathsSize = 1000

// NewAnchors takes the trust anchors. None at all trusts nobody. One that is no
// CA is trusted as itself, and nobody below it.
func NewAnchors(cas []*x509.Certificate) *Anchors {
	a := &Anchors{pool: x509.NewCertPool(), cas: slices.Clone(cas), paths: recent.New[asked, []*x509.Certificate](pathsSize)}
	for _, c := range cas {
		a.pool.AddCert(c)
	}
	return a
}

func (a *Anchors) holds(c *x509.Certificate) bool { return slices.ContainsFunc(a.cas, c.Equal) }

// Path finds the way from leaf to an anchor through extra, the certificates
// that came with the mail. An error is always a *Error.
func (a *Anchors) Path(leaf *x509.Certificate, extra []*x509.Certificate, at time.Time) ([]*x509.Certificate, error) {
	return a.Among(extra, at).Path(leaf)
}

// asked is what a path depends on besides the anchors and the time.
type asked [sha256.Size]byte

func valid(path []*x509.Certificate, at time.Time) bool {
	return !slices.ContainsFunc(path, func(c *x509.Certificate) bool {
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

// weak reports whether only an algorithm stands between the leaf and an anchor:
// to crypto/x509 an issuer whose signature it does not take is an unknown one.
func (a *Anchors) weak(leaf *x509.Certificate, extra []*x509.Certificate) bool {
	weak := false
	for c, n := leaf, 0; n < 10; n++ {
		switch c.SignatureAlgorithm {
		case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
			weak = true
		}
		issued := func(ca *x509.Certificate) bool { return string(ca.RawSubject) == string(c.RawIssuer) }
		if slices.ContainsFunc(a.cas, issued) {
			return weak
		}
		i := slices.IndexFunc(extra, issued)
		if i < 0 {
			return false
		}
		c = extra[i]
	}
	return false
}

func reason(err error, leaf *x509.Certificate) Reason {
	if unknown := new(x509.UnknownAuthorityError); errors.As(err, unknown) {
		return Unknown
	}
	invalid := new(x509.CertificateInvalidError)
	if !errors.As(err, invalid) {
		return Invalid
	}
	switch invalid.Reason {
	case x509.Expired:
		if !leaf.Equal(invalid.Cert) {
			return ExpiredCA
		}
		return Expired
	case x509.IncompatibleUsage:
		return Purpose
	case x509.CANotAuthorizedForThisName, x509.CANotAuthorizedForExtKeyUsage, x509.UnconstrainedName,
		x509.NameConstraintsWithoutSANs, x509.TooManyConstraints:
		return Constraints
	}
	return Invalid
}
