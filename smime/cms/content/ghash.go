package content

import (
	"crypto/cipher"
	"encoding/binary"
)

// ghash is GHASH (SP 800-38D section 6.4) over pieces of any length, of which all but the last are whole blocks.
//
// The standard library has it in assembly but does not offer it alone. It can be had: with additional data A and no text, the
// tag of its GCM is
//
//	T = E(J0) + (GHASH(A) + L) * H,  L the block with A's length, H = E(0), all in GF(2^128)
//
// so T and two constants give GHASH(A) * H, and as GHASH is linear these can be put together: for a piece B of n blocks
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

// constants are what a piece is put together with: H^n for its n blocks, and L * H.
type constants struct{ power, length element }

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

// piece returns GHASH(p) * H, and H^n for the n blocks of p.
func (g *ghash) piece(p []byte) (hash, power element) {
	c, ok := g.known[len(p)]
	if !ok {
		c = constants{g.h.power(uint64(len(p)+15) / 16), element{hi: uint64(len(p)) * 8}.times(g.h)}
		if len(g.known) < maxKnown {
			g.known[len(p)] = c
		}
	}
	return g.tag(p).plus(g.mask).plus(c.length), c.power
}

func (g *ghash) update(p []byte) {
	if len(p) == 0 {
		return
	}
	hash, power := g.piece(p)
	g.state = g.state.times(power).plus(hash)
	g.blocks += uint64(len(p)+15) / 16
}

// sum returns the hash of aad, what was hashed, and the last block, which tells the octets of both.
func (g *ghash) sum(aad []byte, text int64) (out [16]byte) {
	s := element{uint64(len(aad)) * 8, uint64(text) * 8}.times(g.h).plus(g.state)
	if len(aad) > 0 {
		hash, _ := g.piece(aad)
		s = s.plus(hash.times(g.h.power(g.blocks)))
	}
	binary.BigEndian.PutUint64(out[:8], s.hi)
	binary.BigEndian.PutUint64(out[8:], s.lo)
	return out
}

// element is one of GF(2^128) as GCM writes it: the first bit is the coefficient of x^0.
type element struct{ hi, lo uint64 }

func load(b []byte) element {
	return element{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:16])}
}

func (x element) plus(y element) element { return element{x.hi ^ y.hi, x.lo ^ y.lo} }

// times multiplies (SP 800-38D section 6.3) without a branch or a look-up that depends on x or y.
func (x element) times(y element) (z element) {
	hi, lo := y.hi, y.lo
	for i := range 128 {
		bits := x.hi
		if i >= 64 {
			bits = x.lo
		}
		bit := -(bits >> (63 - i%64) & 1)
		z.hi ^= hi & bit
		z.lo ^= lo & bit
		carry := -(lo & 1)
		hi, lo = hi>>1^0xe1<<56&carry, lo>>1|hi<<63
	}
	return z
}

// power returns x^n; n is no secret.
func (x element) power(n uint64) element {
	z := element{hi: 1 << 63}
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			z = z.times(x)
		}
		x = x.times(x)
	}
	return z
}
