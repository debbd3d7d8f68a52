package dh

import (
	"fmt"
	"math/big"
)

// minBits is what servers and peers should still take: BSI TR-02102-2, NIST SP
// 800-57 and Mozilla's recommendations agree on it.
const minBits = 2048

// A Judgement is what is to be said of parameters.
type Judgement struct {
	Bits int `json:"bits"`
	// Group is the name of a known one, as "ffdhe2048" or "modp2048", or "".
	Group string `json:"group,omitempty"`
	// Safe: the modulus is a safe prime and the generator no trivial one.
	Safe bool `json:"safe"`
	// Problems say why it should be replaced, nothing where it need not.
	Problems []string `json:"problems,omitempty"`
}

// Judge looks at parameters that Parse has read. A large modulus that is no
// known group takes seconds.
func Judge(p Parameters) Judgement {
	j := Judgement{Bits: p.P.BitLen(), Group: known(p.P)}
	if j.Bits < minBits {
		j.Problems = append(j.Problems, fmt.Sprintf("the modulus has %d bits; want %d or more", j.Bits, minBits))
	}
	prime := j.Group != "" || p.P.ProbablyPrime(0)
	safe := j.Group != "" || (prime && half(p.P).ProbablyPrime(0))
	one := big.NewInt(1)
	trivial := p.G.Cmp(one) <= 0 || p.G.Cmp(new(big.Int).Sub(p.P, one)) >= 0
	switch {
	case !prime:
		j.Problems = append(j.Problems, "the modulus is not a prime")
	case !safe && p.Q == nil:
		j.Problems = append(j.Problems, "the modulus is not a safe prime")
	case !safe:
		j.Problems = append(j.Problems, fmt.Sprintf("a subgroup of %d bits (-dsaparam): the modulus is not a safe prime", p.Q.BitLen()))
	}
	if trivial {
		j.Problems = append(j.Problems, "the generator is 1 or -1")
	}
	j.Safe = safe && !trivial
	return j
}

// half is (p-1)/2.
func half(p *big.Int) *big.Int { return new(big.Int).Rsh(p, 1) }

// known is the name of the group with a modulus.
func known(p *big.Int) string {
	for _, k := range []struct {
		of       []formula
		constant func(uint) *big.Int
	}{{groups, eulers}, {older, pi}} {
		for _, f := range k.of {
			if int(f.bits) == p.BitLen() && f.prime(k.constant).Cmp(p) == 0 {
				return f.name
			}
		}
	}
	return ""
}
