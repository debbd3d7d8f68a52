package content

import "crypto/cipher"

// ghash is GHASH (SP 800-38D section 6.4) over pieces of any length, of which all but the last are whole blocks.
//
// The standard library has it in assembly but does not offer it alone. It can be had: with additional data A and no text, the
// tag of its GCM is
//
//	T = E(J0) + (GHASH(A) + L) * H,  L the block with A's length, H = E(0), all in GF(2^128)
//
// so T and constants give GHASH(A) * H, and as GHASH is linear these can be put together: for a piece B of n blocks
// behind A, GHASH(A B) = GHASH(A) * H^n + GHASH(B). What remains is a few multiplications a piece, and each is made in constant
// time.
type ghash struct {
	gcm    cipher.AEAD
	h      element
	mask   element // E(J0)
	state  element // times H
	blocks uint64  // in state

	known map[int]constants // by a piece's octets
	buf   [16]byte
	nonce [gcmNonce]byte // zero
}

// constants are what a piece is put together with: H^n for its n blocks, and L * H for it as additional data and as text.
type constants struct{ power, aad, text element }

// maxKnown is more than the sizes into which a stream is cut.
const maxKnown = 16

func newGHASH(b cipher.Block) (*ghash, error) {
	gcm, err := cipher.NewGCM(b)
	if err != nil {
		return nil, err
	}
	g := &ghash{gcm: gcm, known: make(map[int]constants)}
	b.Encrypt(g.buf[:], g.buf[:])
	g.h = load(g.buf[:])
	g.mask = g.tag(nil)
	return g, nil
}

// tag is T of additional data. The nonce is always the same, which harms nobody who never sees the tag.
func (g *ghash) tag(aad []byte) element {
	return load(g.gcm.Seal(g.buf[:0], g.nonce[:], nil, aad))
}

func (g *ghash) reset() { g.state, g.blocks = element{}, 0 }

// constants returns those for n octets.
func (g *ghash) constants(n int) constants {
	c, ok := g.known[n]
	if !ok {
		bits := uint64(n) * 8
		c = constants{g.h.power(uint64(n+15) / 16), element{hi: bits}.times(g.h), element{lo: bits}.times(g.h)}
		if len(g.known) < maxKnown {
			g.known[n] = c
		}
	}
	return c
}

// update hashes p.
func (g *ghash) update(p []byte) {
	if len(p) > 0 {
		g.add(len(p), g.tag(p).plus(g.mask).plus(g.constants(len(p)).aad))
	}
}

// sealed takes in n octets of ciphertext from the tag of a GCM that has encrypted them with nothing else, its mask taken off.
func (g *ghash) sealed(n int, tag element) { g.add(n, tag.plus(g.constants(n).text)) }

// add puts a piece of n octets behind, given its hash times H.
func (g *ghash) add(n int, hash element) {
	g.state = g.state.times(g.constants(n).power).plus(hash)
	g.blocks += uint64(n+15) / 16
}

// sum returns the hash of aad, what was hashed, and the last block, which tells the octets of both.
func (g *ghash) sum(aad []byte, text int64) (out [16]byte) {
	s := element{uint64(len(aad)) * 8, uint64(text) * 8}.times(g.h).plus(g.state)
	if len(aad) > 0 {
		hash := g.tag(aad).plus(g.mask).plus(g.constants(len(aad)).aad)
		s = s.plus(hash.times(g.h.power(g.blocks)))
	}
	s.store(out[:])
	return out
}
