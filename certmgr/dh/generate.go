package dh

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
)

// Progress is how far Generate has come. Nobody knows when it ends: every
// candidate is the last one with the same chance.
type Progress struct {
	Tested   int // candidates that the sieve has left, and that were tested
	Expected int // after how many one is found, on average
}

// sieveLimit is up to where candidates are tried by division, window how many
// of them are tried at once. A larger sieve takes longer than the tests saved.
const (
	sieveLimit = 1 << 18
	window     = 1 << 15
)

// Generate finds a safe prime with the generator 2. That takes seconds to
// minutes with 2048 bits and hours with 8192, so who calls it does so in the
// background: it ends with the context. Progress is called in the same
// goroutine, often, and may be nil.
//
// As OpenSSL, it takes primes that are 23 modulo 24, so that 2 is of the order
// (P-1)/2 and gives away no bit of a key.
func Generate(ctx context.Context, bits int, progress func(Progress)) (Parameters, error) {
	if bits < 512 || bits > maxBits {
		return Parameters{}, fmt.Errorf("generate DH parameters: %d bits; want 512 to %d", bits, maxBits)
	}
	small := primesBelow(sieveLimit)
	done := Progress{Expected: expected(bits)}
	for {
		start, err := candidate(bits)
		if err != nil {
			return Parameters{}, fmt.Errorf("generate DH parameters: %w", err)
		}
		for i, divided := range sieve(start, small) {
			if divided {
				continue
			}
			if err := ctx.Err(); err != nil {
				return Parameters{}, fmt.Errorf("generate DH parameters: %w", context.Cause(ctx))
			}
			q := new(big.Int).Add(start, big.NewInt(12*int64(i)))
			done.Tested++
			if progress != nil {
				progress(done)
			}
			if p := safePrime(q); p != nil && p.BitLen() == bits {
				return Parameters{P: p, G: big.NewInt(2)}, nil
			}
		}
	}
}

// candidate is a random q = (p-1)/2 that is 11 modulo 12, for a p with the two
// highest bits set.
func candidate(bits int) (*big.Int, error) {
	q, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits-3)))
	if err != nil {
		return nil, err
	}
	q.Add(q, new(big.Int).Lsh(big.NewInt(3), uint(bits-3)))
	over := new(big.Int).Mod(q, big.NewInt(12)).Int64()
	return q.Add(q, big.NewInt(11-over)), nil
}

// safePrime is 2q+1 if both are primes, else nil.
func safePrime(q *big.Int) *big.Int {
	two, one := big.NewInt(2), big.NewInt(1)
	if new(big.Int).Exp(two, new(big.Int).Sub(q, one), q).Cmp(one) != 0 {
		return nil // Fermat: one power, where ProbablyPrime takes several
	}
	p := new(big.Int).Lsh(q, 1)
	p.Add(p, one)
	if new(big.Int).Exp(two, q, p).Cmp(one) != 0 {
		return nil // 2 is a square modulo p
	}
	if !q.ProbablyPrime(20) || !p.ProbablyPrime(20) {
		return nil
	}
	return p
}

// sieve says of start, start+12, ... whether one of the primes divides it or
// its double plus one.
func sieve(start *big.Int, small []uint64) []bool {
	divided := make([]bool, window)
	r, prime := new(big.Int), new(big.Int)
	for _, s := range small {
		first := r.Mod(start, prime.SetUint64(s)).Uint64()
		// start + 12i = 0, and = (s-1)/2, modulo s.
		step := inverse(12%s, s)
		for _, want := range []uint64{0, (s - 1) / 2} {
			i := (want + s - first) % s * step % s
			for ; i < window; i += s {
				divided[i] = true
			}
		}
	}
	return divided
}

// inverse is 1/a modulo a prime s: a to the power of s-2.
func inverse(a, s uint64) uint64 {
	result := uint64(1)
	for n := s - 2; n > 0; n >>= 1 {
		if n&1 == 1 {
			result = result * a % s
		}
		a = a * a % s
	}
	return result
}

// primesBelow are the primes from 5 on: candidates have no remainder by 2 and
// 3 that would have to be looked at.
func primesBelow(limit int) []uint64 {
	composite := make([]bool, limit)
	var primes []uint64
	for n := 2; n < limit; n++ {
		if composite[n] {
			continue
		}
		if n > 3 {
			primes = append(primes, uint64(n))
		}
		for m := n * n; m < limit; m += n {
			composite[m] = true
		}
	}
	return primes
}

// expected is how many candidates that the sieve leaves are tested until one is
// right. A number near q that no prime below B divides is prime with the chance
// e^gamma ln B / ln q (Mertens' third theorem), and two have to be.
func expected(bits int) int {
	const ln2, eGamma, lnLimit = 0.6931, 1.7811, 18 * 0.6931
	x := float64(bits) * ln2 / (eGamma * lnLimit)
	return int(x * x)
}
