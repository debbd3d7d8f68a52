package capability

import (
	"crypto"
	"slices"

	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

var modernTransport = recipient.OAEP(crypto.SHA256)

// rank is the place of a cipher in our preference.
func rank(c content.Cipher) int { return slices.Index(preference, c) }

// bits are those of a cipher's strength.
func bits(c content.Cipher) int {
	if c == content.TripleDESCBC {
		return 112 // NIST SP 800-57 part 1, section 5.6.1.1
	}
	return 8 * c.KeySize()
}

// AtLeast says whether nothing of s is weaker than the floor. The zero Cipher is weaker than any other.
func (s Suite) AtLeast(floor Suite) bool {
	return atLeast(s.Cipher, floor.Cipher) && transportAtLeast(s.Transport, floor.Transport)
}

// atLeast says whether c is in no way weaker than floor.
func atLeast(c, floor content.Cipher) bool {
	return bits(c) >= bits(floor) && (c.Authenticated() || !floor.Authenticated())
}

// transportAtLeast says whether t is in no way weaker than floor.
func transportAtLeast(t, floor recipient.Transport) bool {
	if floor == (recipient.Transport{}) {
		return true
	}
	if t == (recipient.Transport{}) {
		return false
	}
	return size(t.Hash) >= size(floor.Hash) && size(mask(t)) >= size(mask(floor))
}

// size is 0 for what is no digest.
func size(h crypto.Hash) int {
	if !h.Available() {
		return 0
	}
	return h.Size()
}

// mask is the digest of OAEP's mask.
func mask(t recipient.Transport) crypto.Hash {
	if t.MGFHash == 0 {
		return t.Hash
	}
	return t.MGFHash
}
