// Package keystore finds keys by the address that they are for. Here are the
// gateway's own identities, with which mail of ours is signed.
package keystore

import (
	"errors"
	"fmt"
	"time"

	"mailseal/internal/mailaddr"
	"mailseal/internal/pki"
	"mailseal/internal/trust"
)

var (
	// ErrNoIdentity: there is no certificate for the address.
	ErrNoIdentity = errors.New("no identity")
	// ErrUnfit besides: there is one, and it cannot sign now.
	ErrUnfit = errors.New("unfit")
)

// Identities are the gateway's own, by address. They never change once made.
type Identities struct {
	byAddress map[mailaddr.Address][]pki.Identity
}

// NewIdentities takes the identities in the order of their names. An identity
// serves all addresses of its certificate; one that cannot sign serves none.
func NewIdentities(all []pki.Identity) *Identities {
	s := &Identities{byAddress: make(map[mailaddr.Address][]pki.Identity)}
	for _, id := range all {
		if id.Key == nil {
			continue
		}
		seen := make(map[mailaddr.Address]bool)
		for _, text := range pki.Addresses(id.Certificate) {
			a, err := mailaddr.ParseIA5(text)
			if err != nil {
				continue // check tells of identities without an address
			}
			if a = a.Fold(); !seen[a] {
				seen[a] = true
				s.byAddress[a] = append(s.byAddress[a], id)
			}
		}
	}
	return s
}

// unfit says why an identity that is there cannot sign.
type unfit struct{ error }

func (u unfit) Unwrap() []error { return []error{u.error, ErrUnfit} }

// For returns the identity to sign with for an address at an instant: of
// several that are fit for it the one that was issued last, so that a renewed
// certificate takes over by being there, and one for encryption never does. The
// error wraps ErrNoIdentity, and ErrUnfit where there are some, and says what is
// wrong with the last one looked at.
func (s *Identities) For(a mailaddr.Address, at time.Time) (pki.Identity, error) {
	var best pki.Identity
	err := fmt.Errorf("%w for %s", ErrNoIdentity, a)
	for _, id := range s.byAddress[a.Fold()] {
		c := id.Certificate
		why := trust.Unfit(c)
		switch {
		case at.Before(c.NotBefore) || at.After(c.NotAfter):
			err = unfit{fmt.Errorf("%w valid now for %s: %s is valid from %s to %s", ErrNoIdentity, a, id.Name,
				c.NotBefore.Format(time.DateOnly), c.NotAfter.Format(time.DateOnly))}
		case why != "":
			err = unfit{fmt.Errorf("%w fit to sign for %s: %s: %s", ErrNoIdentity, a, id.Name, why)}
		case best.Certificate == nil || c.NotBefore.After(best.Certificate.NotBefore):
			best = id
		}
	}
	if best.Certificate == nil {
		return best, err
	}
	return best, nil
}
