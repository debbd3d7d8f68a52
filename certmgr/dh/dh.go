// Package dh makes and judges the file of Diffie-Hellman parameters that mail
// servers read, dh.param:
//
//	group, err := dh.ParseGroup("ffdhe3072")
//	file := group.Parameters().PEM()
//
// The groups of RFC 7919 are a formula: they are computed at once, and their
// files are those that `openssl genpkey -genparam` writes, byte for byte. Own
// safe primes take minutes (Generate). What a file holds is told by Parse and
// Judge.
//
// RFC 7919 (ffdhe), RFC 3526 (the older MODP groups, which are recognised),
// PKCS #3 and RFC 2631 (the two forms of files).
package dh

import (
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
)

// Parameters are a modulus and a generator.
type Parameters struct {
	P, G *big.Int
	// Q is the order of the subgroup of G where the file says it, as those of
	// `openssl dhparam -dsaparam` do. Otherwise nil: it is (P-1)/2.
	Q *big.Int
}

const (
	pkcs3Type = "DH PARAMETERS"
	x942Type  = "X9.42 DH PARAMETERS"
	// maxBits is what OpenSSL still calculates with, maxFile is plenty for it.
	maxBits = 10000
	maxFile = 64 << 10
)

// pkcs3 is the DHParameter of PKCS #3. OpenSSL writes no length for the groups
// and primes that are made here.
type pkcs3 struct {
	P, G   *big.Int
	Length int `asn1:"optional"`
}

// PEM is a file as OpenSSL writes it. Q is left out.
func (p Parameters) PEM() []byte {
	der, err := asn1.Marshal(struct{ P, G *big.Int }{p.P, p.G})
	if err != nil {
		return nil // two numbers are always encoded
	}
	return pem.EncodeToMemory(&pem.Block{Type: pkcs3Type, Bytes: der})
}

// Parse reads a file: the first parameters in it, in either form.
func Parse(file []byte) (Parameters, error) {
	p, err := parse(file)
	if err != nil {
		return Parameters{}, fmt.Errorf("DH parameters: %w", err)
	}
	return p, nil
}

func parse(file []byte) (Parameters, error) {
	if len(file) > maxFile {
		return Parameters{}, fmt.Errorf("a file of more than %d octets", maxFile)
	}
	for {
		block, rest := pem.Decode(file)
		if block == nil {
			return Parameters{}, errors.New("no PEM block of " + pkcs3Type)
		}
		file = rest
		var p Parameters
		var err error
		switch block.Type {
		case pkcs3Type:
			p, err = parsePKCS3(block.Bytes)
		case x942Type:
			p, err = parseX942(block.Bytes)
		default:
			continue
		}
		if err != nil {
			return Parameters{}, err
		}
		return p, p.check()
	}
}

func parsePKCS3(der []byte) (Parameters, error) {
	var in pkcs3
	rest, err := asn1.Unmarshal(der, &in)
	if err == nil && len(rest) > 0 {
		err = errors.New("something behind the parameters")
	}
	return Parameters{P: in.P, G: in.G}, err
}

// parseX942 reads the DomainParameters of RFC 3279 section 2.3.3: p, g, q, and
// two optional members that are left out.
func parseX942(der []byte) (Parameters, error) {
	var seq []asn1.RawValue
	rest, err := asn1.Unmarshal(der, &seq)
	if err != nil {
		return Parameters{}, err
	}
	if len(rest) > 0 || len(seq) < 3 || len(seq) > 5 {
		return Parameters{}, errors.New("not the parameters of X9.42")
	}
	var n [3]*big.Int
	for i := range n {
		if _, err := asn1.Unmarshal(seq[i].FullBytes, &n[i]); err != nil {
			return Parameters{}, err
		}
	}
	return Parameters{P: n[0], G: n[1], Q: n[2]}, nil
}

// check refuses numbers that nobody could calculate with.
func (p Parameters) check() error {
	if p.P.Sign() <= 0 || p.G.Sign() <= 0 || (p.Q != nil && p.Q.Sign() <= 0) {
		return errors.New("a number that is not positive")
	}
	if p.P.BitLen() > maxBits {
		return fmt.Errorf("a modulus of %d bits; OpenSSL takes %d", p.P.BitLen(), maxBits)
	}
	if p.G.Cmp(p.P) >= 0 || (p.Q != nil && p.Q.Cmp(p.P) >= 0) {
		return errors.New("a number that is larger than the modulus")
	}
	return nil
}
