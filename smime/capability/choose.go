package capability

import (
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// A Profile is what is presumed of a peer where its capabilities are silent.
type Profile int

const (
	// Compatible is what every client reads: AES-256-CBC, RSAES-PKCS1-v1_5.
	Compatible Profile = iota
	// Modern is what RFC 8551 wants: AES-256-GCM, and RSAES-OAEP with SHA-256.
	Modern
)

// profiles are the names of the profiles.
var profiles = []string{Compatible: "compatible", Modern: "rfc8551"}

func (p Profile) String() string {
	if p < 0 || int(p) >= len(profiles) {
		return fmt.Sprintf("Profile(%d)", int(p))
	}
	return profiles[p]
}

// UnmarshalText reads the name of a profile: compatible or rfc8551.
func (p *Profile) UnmarshalText(text []byte) error {
	i := slices.Index(profiles, string(text))
	if i < 0 {
		return fmt.Errorf("%q; want %s", text, strings.Join(profiles, " or "))
	}
	*p = Profile(i)
	return nil
}

// presumed are the ciphers that the profile takes for granted, best first. CBC is read by those too who read GCM, and who reads
// AES reads all its sizes (RFC 8551 section 2.7.1.2).
func (p Profile) presumed() []content.Cipher {
	cbc := []content.Cipher{content.AES256CBC, content.AES192CBC, content.AES128CBC}
	if p == Modern {
		return append([]content.Cipher{content.AES256GCM, content.AES128GCM}, cbc...)
	}
	return cbc
}

func (p Profile) transport() recipient.Transport {
	if p == Modern {
		return modernTransport
	}
	return recipient.Transport{}
}

// A Suite is a cipher and the way in which an RSA key transports its key.
type Suite struct {
	Cipher    content.Cipher
	Transport recipient.Transport
}

// A Peer is a recipient and what is known of what it reads.
type Peer struct {
	Certificate  *x509.Certificate // nil for somebody with a password
	Capabilities List              // of its newest mail, or its certificate; nil: not known
	Presume      Profile
	// Cipher and Transport are what its owner wants and nothing else, if set; only a Floor goes before them.
	Cipher    content.Cipher
	Transport *recipient.Transport
	// Floor is the least that may ever be used, whatever the peer says: fewer bits are less, and so is a cipher without
	// authentication than one with it, PKCS #1 v1.5 than OAEP, a shorter digest than a longer. The zero Suite is no floor.
	Floor Suite
}

// A Group are peers that one message can be encrypted for.
type Group struct {
	Cipher  content.Cipher
	Members []Member // in the order of the peers
	// Weaker: another group would get the message with stronger crypto. Who listens could then read it here, so that it must
	// not go to both (RFC 8551 sections 2.7.3 and 6): these need a message of their own, or none.
	Weaker bool
}

// A Member is one of a group.
type Member struct {
	Peer      int // which of those that were given
	Transport recipient.Transport
	Why       string // for people
}

// Choose says how to encrypt one message for all peers, the strongest group first. There is one group unless peers have no
// cipher in common; it does not depend on their order. A single peer gets the first of its capabilities that is written here
// (RFC 8551 section 2.7.1.1), or what is presumed. 3DES and RC2 are never chosen: nothing here writes them.
func Choose(peers ...Peer) []Group {
	accepts := make([]accepted, len(peers))
	var rest []int
	for i, p := range peers {
		accepts[i] = p.ciphers()
		rest = append(rest, i)
	}
	var groups []Group
	for len(rest) > 0 {
		inside, outside := largest(accepts, rest)
		g := Group{Cipher: agreed(accepts, inside)}
		for _, i := range inside {
			t, why := peers[i].transport(g.Cipher)
			g.Members = append(g.Members, Member{Peer: i, Transport: t, Why: accepts[i].explain(g.Cipher, len(inside)) + why})
		}
		groups = append(groups, g)
		rest = outside
	}
	slices.SortFunc(groups, func(a, b Group) int { return cmp.Compare(rank(a.Cipher), rank(b.Cipher)) })
	for i, g := range groups {
		groups[i].Weaker = slices.ContainsFunc(groups, func(other Group) bool {
			return atLeast(other.Cipher, g.Cipher) && !atLeast(g.Cipher, other.Cipher)
		})
	}
	return groups
}

// accepted are the ciphers that a peer may get, best first, and why these.
type accepted struct {
	ciphers []content.Cipher
	why     string
}

func (a accepted) explain(c content.Cipher, members int) string {
	if c != a.ciphers[0] {
		return fmt.Sprintf("%v, which all %d recipients read, instead of %v, %s", c, members, a.ciphers[0], a.why)
	}
	return fmt.Sprintf("%v, %s", c, a.why)
}

// ciphers are never none, and all at least the floor.
func (p Peer) ciphers() accepted {
	a := accepted{p.Capabilities.ciphers(), "the first of its capabilities that is written here"}
	switch {
	case p.Cipher != content.None:
		a = accepted{[]content.Cipher{p.Cipher}, "as set"}
	case p.Capabilities == nil:
		a = accepted{p.Presume.presumed(), "as its capabilities are not known"}
	case len(a.ciphers) == 0:
		a = accepted{p.Presume.presumed(), "as its capabilities have no cipher that is written here"}
	}
	first := a.ciphers[0]
	a.ciphers = slices.DeleteFunc(a.ciphers, func(c content.Cipher) bool { return !atLeast(c, p.Floor.Cipher) })
	switch {
	case len(a.ciphers) > 0 && a.ciphers[0] == first:
	case len(a.ciphers) > 0:
		a.why = "the first of them that is not below the override"
	case slices.Contains(preference, p.Floor.Cipher):
		a = accepted{[]content.Cipher{p.Floor.Cipher}, "by override"}
	default: // the least that is written of what satisfies every floor
		a = accepted{[]content.Cipher{content.AES256GCM}, "by override"}
	}
	return a
}

// ciphers are those of the list that are written here, whatever their parameters.
func (l List) ciphers() (list []content.Cipher) {
	for _, c := range l {
		for _, known := range preference {
			if c.OID.Equal(known.OID()) && !slices.Contains(list, known) {
				list = append(list, known)
			}
		}
	}
	return list
}

// largest takes those out of rest that have a cipher in common: all, or as many as can be.
func largest(accepts []accepted, rest []int) (inside, outside []int) {
	for _, c := range preference {
		var yes, no []int
		for _, i := range rest {
			if slices.Contains(accepts[i].ciphers, c) {
				yes = append(yes, i)
			} else {
				no = append(no, i)
			}
		}
		if len(yes) > len(inside) {
			inside, outside = yes, no
		}
	}
	return inside, outside
}

// agreed is, of the ciphers that all members accept, the one that the least happy of them likes best.
func agreed(accepts []accepted, members []int) (best content.Cipher) {
	var lowest, least int
	for _, c := range preference {
		worst, sum, all := 0, 0, true
		for _, i := range members {
			place := slices.Index(accepts[i].ciphers, c)
			worst, sum, all = max(worst, place), sum+place, all && place >= 0
		}
		if all && (best == content.None || worst < lowest || worst == lowest && sum < least) {
			best, lowest, least = c, worst, sum
		}
	}
	return best
}

// transport chooses for an RSA key; other keys have one way only.
func (p Peer) transport(c content.Cipher) (t recipient.Transport, why string) {
	if p.Certificate == nil {
		return t, ""
	}
	key, ok := p.Certificate.PublicKey.(*rsa.PublicKey)
	if !ok {
		return t, ""
	}
	t, why = p.Presume.transport(), ""
	if p.Transport != nil {
		t, why = *p.Transport, " as set"
	} else if i := slices.IndexFunc(p.Capabilities, func(entry Capability) bool {
		listed, err := recipient.ParseTransport(entry.algorithm())
		return err == nil && fits(key, listed, c)
	}); i >= 0 {
		t, _ = recipient.ParseTransport(p.Capabilities[i].algorithm())
		why = " of its capabilities"
	}
	if !transportAtLeast(t, p.Floor.Transport) {
		t, why = p.Floor.Transport, " by override"
	}
	return t, "; " + name(t) + why
}

// fits says whether the key is long enough (RFC 8017 section 7.1.1).
func fits(key *rsa.PublicKey, t recipient.Transport, c content.Cipher) bool {
	return t == (recipient.Transport{}) || key.Size() >= c.KeySize()+2*size(t.Hash)+2
}

func name(t recipient.Transport) string {
	switch {
	case t == (recipient.Transport{}):
		return "RSAES-PKCS1-v1_5"
	case t.MGFHash == 0 || t.MGFHash == t.Hash:
		return fmt.Sprintf("RSAES-OAEP with %v", t.Hash)
	}
	return fmt.Sprintf("RSAES-OAEP with %v and a mask of %v", t.Hash, t.MGFHash)
}
