package dh

import (
	"fmt"
	"math/big"
)

// A Group is one of RFC 7919's. The zero Group is ffdhe2048.
type Group int

// The groups.
const (
	FFDHE2048 Group = iota
	FFDHE3072
	FFDHE4096
	FFDHE6144
	FFDHE8192
)

// A formula makes a safe prime of a constant's digits: 2^bits - 2^(bits-64) +
// (floor(2^(bits-130) * constant) + x) * 2^64 - 1.
type formula struct {
	name string
	bits uint
	x    int64
}

// groups are those of RFC 7919 appendix A, with e.
var groups = []formula{
	FFDHE2048: {"ffdhe2048", 2048, 560316},
	FFDHE3072: {"ffdhe3072", 3072, 2625351},
	FFDHE4096: {"ffdhe4096", 4096, 5736041},
	FFDHE6144: {"ffdhe6144", 6144, 15705020},
	FFDHE8192: {"ffdhe8192", 8192, 10965728},
}

// older are those of RFC 2409 section 6.2 and RFC 3526, with pi.
var older = []formula{
	{"modp1024", 1024, 129093},
	{"modp1536", 1536, 741804},
	{"modp2048", 2048, 124476},
	{"modp3072", 3072, 1690314},
	{"modp4096", 4096, 240904},
	{"modp6144", 6144, 929484},
	{"modp8192", 8192, 4743158},
}

// Groups are all that RFC 7919 has, the smallest first.
func Groups() []Group { return []Group{FFDHE2048, FFDHE3072, FFDHE4096, FFDHE6144, FFDHE8192} }

// ParseGroup reads a group's name, as "ffdhe2048".
func ParseGroup(name string) (Group, error) {
	for i, g := range groups {
		if g.name == name {
			return Group(i), nil
		}
	}
	return 0, fmt.Errorf("DH group %q is not known; want ffdhe2048, ffdhe3072, ffdhe4096, ffdhe6144 or ffdhe8192", name)
}

func (g Group) String() string { return groups[g].name }

// Bits is the modulus' length.
func (g Group) Bits() int { return int(groups[g].bits) }

// Parameters computes the group.
func (g Group) Parameters() Parameters {
	return Parameters{P: groups[g].prime(eulers), G: big.NewInt(2)}
}

func (f formula) prime(constant func(bits uint) *big.Int) *big.Int {
	one := big.NewInt(1)
	p := constant(f.bits - 130)
	p.Add(p, big.NewInt(f.x))
	p.Lsh(p, 64)
	p.Add(p, new(big.Int).Lsh(one, f.bits))
	p.Sub(p, new(big.Int).Lsh(one, f.bits-64))
	return p.Sub(p, one)
}

// guard are bits behind those that are wanted, for what the divisions of a
// series of a thousand members lose.
const guard = 64

// eulers is floor(2^bits * e): the sum of 1/n!.
func eulers(bits uint) *big.Int {
	term := new(big.Int).Lsh(big.NewInt(1), bits+guard)
	sum := new(big.Int)
	for n := int64(1); term.Sign() > 0; n++ {
		sum.Add(sum, term)
		term.Quo(term, big.NewInt(n))
	}
	return sum.Rsh(sum, guard)
}

// pi is floor(2^bits * pi): Machin's 16 arctan(1/5) - 4 arctan(1/239).
func pi(bits uint) *big.Int {
	p := arctan(5, bits+guard)
	p.Lsh(p, 2)
	p.Sub(p, arctan(239, bits+guard))
	return p.Rsh(p, guard-2)
}

// arctan is 2^bits * arctan(1/x).
func arctan(x int64, bits uint) *big.Int {
	power := new(big.Int).Lsh(big.NewInt(1), bits)
	power.Quo(power, big.NewInt(x))
	square := big.NewInt(x * x)
	sum, term := new(big.Int), new(big.Int)
	for n := int64(1); power.Sign() > 0; n += 2 {
		term.Quo(power, big.NewInt(n))
		if n%4 == 1 {
			sum.Add(sum, term)
		} else {
			sum.Sub(sum, term)
		}
		power.Quo(power, square)
	}
	return sum
}
