// Package keystore finds keys by the address that they are for. Here are the
// gateway's own identities, with which mail of ours is signed.
package keystore

import (
	"errors"
	"fmt"
	"time"

	"mailseal/internal/mailaddr"
	"mailseal/internal/pki"
)

// ErrNoIdentity: there is no certificate for the address.
var ErrNoIdentity = errors.New("no identity")

// Identities are the gateway's own, by address. They never change once made.
type Identities struct {
	all       []pki.Identity
	byAddress map[mailaddr.Address][]pki.Identity
}

// NewIdentities takes the identities in the order of their names. An identity
// serves all addresses of its certificate.
func NewIdentities(all []pki.Identity) *Identities {
	s := &Identities{all: all, byAddress: make(map[mailaddr.Address][]pki.Identity)}
	for _, id := range all {
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

// All returns every identity, also those that serve no address.
func (s *Identities) All() []pki.Identity { return s.all }

// For returns the identity to sign with for an address at an instant: of
// several valid ones that which was issued last, so that a renewed certificate
// takes over by being there. The error wraps ErrNoIdentity.
func (s *Identities) For(a mailaddr.Address, at time.Time) (pki.Identity, error) {
	var best pki.Identity
	ids := s.byAddress[a.Fold()]
	for _, id := range ids {
		if at.Before(id.Certificate.NotBefore) || at.After(id.Certificate.NotAfter) {
			continue
		}
		if best.Certificate == nil || id.Certificate.NotBefore.After(best.Certificate.NotBefore) {
			best = id
		}
	}
	switch {
	case best.Certificate != nil:
		return best, nil
	case len(ids) > 0:
		return pki.Identity{}, fmt.Errorf("%w valid now for %s: %s is valid from %s to %s", ErrNoIdentity, a, ids[0].Name,
			ids[0].Certificate.NotBefore.Format(time.DateOnly), ids[0].Certificate.NotAfter.Format(time.DateOnly))
	}
	return pki.Identity{}, fmt.Errorf("%w for %s", ErrNoIdentity, a)
}
