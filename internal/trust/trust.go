// Package trust answers whether a certificate is good for e-mail at an
// instant: whether a path leads from it to a trust anchor (RFC 5280 section 6,
// RFC 8550 section 4). The instant is the caller's present time, never a
// signingTime, which the signer writes himself.
package trust

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// A Reason is why a certificate is not trusted.
type Reason string

// The reasons, in the words that postmasters read.
const (
	Unknown     Reason = "no path to a trust anchor"
	Expired     Reason = "certificate has expired"
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
	n    int
}

// NewAnchors takes the trust anchors. None at all trusts nobody.
func NewAnchors(cas []*x509.Certificate) *Anchors {
	a := &Anchors{pool: x509.NewCertPool(), n: len(cas)}
	for _, c := range cas {
		a.pool.AddCert(c)
	}
	return a
}

// Len is the number of anchors.
func (a *Anchors) Len() int { return a.n }

// maxExtra bounds the certificates of a mail that take part in path building.
// crypto/x509 bounds its signature checks besides.
const maxExtra = 100

// Path finds the way from leaf to an anchor through extra, the certificates
// that came with the mail. An error is always a *Error.
func (a *Anchors) Path(leaf *x509.Certificate, extra []*x509.Certificate, at time.Time) ([]*x509.Certificate, error) {
	if leaf.KeyUsage != 0 && leaf.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 {
		return nil, &Error{Reason: KeyUsage} // RFC 8550 section 4.4.2
	}
	if at.Before(leaf.NotBefore) {
		return nil, &Error{Reason: NotYetValid}
	}
	between := x509.NewCertPool()
	for _, c := range extra[:min(len(extra), maxExtra)] {
		between.AddCert(c)
	}
	paths, err := leaf.Verify(x509.VerifyOptions{
		Roots:         a.pool,
		Intermediates: between,
		CurrentTime:   at,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}, // RFC 8550 section 4.4.4
	})
	if err != nil {
		return nil, &Error{Reason: reason(err), Err: err}
	}
	return paths[0], nil
}

func reason(err error) Reason {
	if weak := new(x509.InsecureAlgorithmError); errors.As(err, weak) {
		return Weak
	}
	if unknown := new(x509.UnknownAuthorityError); errors.As(err, unknown) {
		return Unknown
	}
	invalid := new(x509.CertificateInvalidError)
	if !errors.As(err, invalid) {
		return Invalid
	}
	switch invalid.Reason {
	case x509.Expired:
		return Expired
	case x509.IncompatibleUsage:
		return Purpose
	case x509.CANotAuthorizedForThisName, x509.CANotAuthorizedForExtKeyUsage, x509.UnconstrainedName,
		x509.NameConstraintsWithoutSANs, x509.TooManyConstraints:
		return Constraints
	}
	return Invalid
}
