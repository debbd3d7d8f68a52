package cms

import (
	//lint:ignore SA1019 what is weak can only be called so when it is checked
	"crypto/dsa"
	"encoding/asn1"
	"fmt"
	"math/big"
)

// DSA keys have 1024 to 3072 bits and a subgroup of 160 to 256 (FIPS 186-4 section 4.2).
const (
	maxDSA      = 3072
	maxDSAOrder = 256
)

// checkDSA refuses keys that are none of DSA or cost too much. All others are weak:
// FIPS 186-5 has no DSA, and RFC 8551 section B.2 calls it historic.
func (v *verifier) checkDSA(k *dsa.PublicKey) error {
	bits := k.P.BitLen()
	switch {
	case bits > maxDSA || k.Q.BitLen() > maxDSAOrder:
		return fmt.Errorf("%w DSA key of %d bits", ErrUnsupported, bits)
	case k.P.Bit(0) == 0 || k.Q.Cmp(k.P) >= 0 || !between(k.G, k.P) || !between(k.Y, k.P):
		return fmt.Errorf("%w DSA key: not the numbers of DSA", ErrUnsupported)
	}
	v.weaken(fmt.Sprintf("DSA key of %d bits", bits))
	return nil
}

// between says whether 1 < n < p.
func between(n, p *big.Int) bool { return n.Cmp(big.NewInt(1)) > 0 && n.Cmp(p) < 0 }

// verifyDSA checks a Dss-Sig-Value (RFC 3370 section 3.1). A digest that is longer than
// the order of the subgroup is cut (FIPS 186-4 section 4.6).
func verifyDSA(k *dsa.PublicKey, sum, signature []byte) bool {
	var value struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(signature, &value); err != nil || len(rest) > 0 {
		return false
	}
	return dsa.Verify(k, sum[:min(len(sum), k.Q.BitLen()/8)], value.R, value.S)
}
