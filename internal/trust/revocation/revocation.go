// Package revocation answers whether the certificates of a path have been revoked, by
// CRLs and by OCSP.
//
//	lists := revocation.NewLists(crls...)   // those that an administrator has given
//	result := search.Path(leaf)             // of package path
//	report := revocation.Check(ctx, result, revocation.Question{At: now, Local: lists, Mail: came, Extra: certificates})
//
// A status is Good only if fresh and properly signed statements cover the certificate
// for all reasons; Revoked, if one says so; and else Unknown, with words for why.
// What Unknown means for a mail is the caller's to decide (Mode).
//
// CRLs in a mail come from whoever sent it: they count once their signature and
// issuer have been checked, and never against a newer one from elsewhere. Nothing is
// fetched without a Fetcher.
//
// RFC 5280 sections 5 and 6.3, RFC 6960 and RFC 5019 (OCSP), RFC 8550 section 4.1
// (CRLs in messages).
package revocation

import (
	"context"
	"fmt"
	"time"

	"mailseal/internal/pki/x5280"
)

// A Mode is what is made of revocation.
type Mode int

// The modes.
const (
	Soft Mode = iota // revoked is a failure, unknown is told and changes nothing
	Off              // nobody asks
	Hard             // unknown never passes
)

var modes = [...]string{Soft: "soft", Off: "off", Hard: "hard"}

func (m Mode) String() string {
	if m < 0 || int(m) >= len(modes) {
		return fmt.Sprintf("Mode(%d)", int(m))
	}
	return modes[m]
}

// MarshalText is encoding.TextMarshaler.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText is encoding.TextUnmarshaler.
func (m *Mode) UnmarshalText(text []byte) error {
	for i, name := range modes {
		if name == string(text) {
			*m = Mode(i)
			return nil
		}
	}
	return fmt.Errorf("unknown revocation mode %.50q; want soft, hard or off", text)
}

// A Status is of one certificate or of a path.
type Status string

// The statuses.
const (
	Good    Status = "good"
	Revoked Status = "revoked"
	Unknown Status = "unknown"
)

// An Answer is about one certificate.
type Answer struct {
	Certificate *x5280.Certificate
	Depth       int // 0 is the leaf
	Status      Status
	// Reason is that of a revocation in the standard's words (keyCompromise), or why
	// the status is unknown, in words for a postmaster.
	Reason string
	When   time.Time // of the revocation
	Source string    // in words: the CRL or the OCSP responder that says so
}

// A Report is about a path.
type Report struct {
	Status  Status   // the worst: revoked, unknown, good
	Answers []Answer // from the leaf up; of the trust anchor nobody asks
}

// A Fetcher gets what certificates point at. What it returns need not be verified:
// Check does. It bounds size and time, and knows where it may go. It relies on being
// asked only about paths that are valid otherwise and end in a trust anchor: junk
// certificates must not make us ask anybody.
type Fetcher interface {
	// CRL gets one, in DER or PEM.
	CRL(ctx context.Context, url string) ([]byte, error)
	// OCSP asks a responder; request and response are DER (RFC 6960 appendix A).
	OCSP(ctx context.Context, url string, request []byte) ([]byte, error)
}

// A Doubter is a Fetcher that keeps what it has got, and is told what could not be
// verified. The request is that of OCSP, nil for a CRL.
type Doubter interface {
	Doubt(url string, request, body []byte)
}

// A Question is all that Check may use besides the path.
type Question struct {
	At    time.Time // the present
	Local *Lists    // configured CRLs; with it Check also remembers what it has verified
	Mail  [][]byte  // CRLs that came with the mail, in DER
	// Extra are certificates among which the issuers of CRLs are looked for, besides
	// the path itself: the configured ones first, and then those that came with the
	// mail. None of them is trusted; a way must lead from it to the path's anchor.
	Extra []*x5280.Certificate
	Fetch Fetcher // nil: nothing is fetched
	// Effort is shared by all questions about one mail, which all have the same Mail and
	// Fetch; nil is one question alone.
	Effort *Effort
	// AllowWeak takes CRLs and OCSP responses with signatures that path.Weak is about.
	AllowWeak bool
}
