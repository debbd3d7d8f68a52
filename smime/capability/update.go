package capability

import (
	"errors"
	"time"
)

// Why nothing new is remembered.
var (
	ErrUnverified = errors.New("the signature is not good")
	ErrSilent     = errors.New("the mail says nothing of capabilities")
	ErrNotNewer   = errors.New("the signature is not newer than what is known")
	ErrFuture     = errors.New("the signature is of a time far in the future")
)

// skew is how far a good clock may be ahead: a day, as those that take local time for UTC are.
const skew = 24 * time.Hour

// Known is what is remembered of the holder of a key, and since when. The zero value is nothing.
type Known struct {
	SigningTime  time.Time
	Capabilities List
}

// Seen is what one signed mail says of its signer.
type Seen struct {
	Verified     bool      // the signature holds and its certificate is trusted
	SigningTime  time.Time // zero: it does not say when
	Capabilities List      // nil: it does not say which
}

// Update returns what is remembered after a mail was seen at the time now (RFC 8551 section 2.7.1), and why that is what was known
// before. Whoever replays an old mail, or dates one ahead, must not take back what was said since.
func Update(known Known, seen Seen, now time.Time) (Known, error) {
	switch {
	case !seen.Verified:
		return known, ErrUnverified
	case seen.Capabilities == nil:
		return known, ErrSilent
	case seen.SigningTime.IsZero() || !seen.SigningTime.After(known.SigningTime):
		return known, ErrNotNewer
	case seen.SigningTime.After(now.Add(skew)):
		return known, ErrFuture
	}
	return Known{SigningTime: seen.SigningTime, Capabilities: seen.Capabilities}, nil
}
