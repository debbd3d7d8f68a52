package content

import "encoding/binary"

// element is one of GF(2^128) as GCM writes it: the first bit is the coefficient of x^0.
type element struct{ hi, lo uint64 }

func load(b []byte) element {
	return element{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:16])}
}

func (x element) store(b []byte) {
	binary.BigEndian.PutUint64(b[:8], x.hi)
	binary.BigEndian.PutUint64(b[8:16], x.lo)
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
		x = x.square()
	}
	return z
}

// square returns x^2: every coefficient goes to twice its place, and what is beyond x^127 comes back, as x^128 = x^7 + x^2 + x + 1.
func (x element) square() element {
	a, b := spread(x.hi>>32), spread(x.hi&0xffffffff)
	c, d := spread(x.lo>>32), spread(x.lo&0xffffffff)
	over := d<<63 ^ d<<62 ^ d<<57
	return element{
		a ^ c ^ c>>1 ^ c>>2 ^ c>>7 ^ over ^ over>>1 ^ over>>2 ^ over>>7,
		b ^ d ^ (d>>1 | c<<63) ^ (d>>2 | c<<62) ^ (d>>7 | c<<57),
	}
}

// spread puts a zero before each of the lower 32 bits, in the order of coefficients behind it.
func spread(v uint64) uint64 {
	v = (v | v<<16) & 0x0000ffff0000ffff
	v = (v | v<<8) & 0x00ff00ff00ff00ff
	v = (v | v<<4) & 0x0f0f0f0f0f0f0f0f
	v = (v | v<<2) & 0x3333333333333333
	v = (v | v<<1) & 0x5555555555555555
	return v << 1
}

// inverse returns 1/x = x^(2^128 - 2), by x^(2^k - 1) for k = 1, 3, 7, 15, 31, 63 and 127.
func (x element) inverse() element {
	b := x
	for k := 1; k < 127; k = 2*k + 1 {
		c := b
		for range k {
			c = c.square()
		}
		b = c.times(b).square().times(x)
	}
	return b.square()
}
