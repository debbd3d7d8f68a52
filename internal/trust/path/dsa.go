package path

import (
	"crypto"
	//lint:ignore SA1019 what is weak can only be called so when it is checked
	"crypto/dsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
)

// maxDSA is bits of a DSA key (FIPS 186-4 section 4.2).
const maxDSA = 3072

// verifyDSA checks a Dss-Sig-Value (RFC 3279 section 2.2.2). A digest that is longer
// than the order of the subgroup is cut (FIPS 186-4 section 4.6). One that is good
// is weak: FIPS 186-5 has no DSA.
func verifyDSA(c *x509.Certificate, key crypto.PublicKey) error {
	k, ok := key.(*dsa.PublicKey)
	if !ok { // they are another CA's (RFC 3279 section 2.3.2)
		return fmt.Errorf("a DSA key without parameters %w", errUnverifiable)
	}
	between := func(n, below *big.Int) bool { return n.Cmp(big.NewInt(1)) > 0 && n.Cmp(below) < 0 }
	if k.P.BitLen() > maxDSA || k.P.Bit(0) == 0 || !between(k.Q, k.P) || !between(k.G, k.P) || !between(k.Y, k.P) {
		return fmt.Errorf("a DSA key of %d bits %w", k.P.BitLen(), errUnverifiable)
	}
	var sum []byte
	switch c.SignatureAlgorithm {
	case x509.DSAWithSHA1:
		d := sha1.Sum(c.RawTBSCertificate)
		sum = d[:]
	case x509.DSAWithSHA256:
		d := sha256.Sum256(c.RawTBSCertificate)
		sum = d[:]
	default:
		return errSignature
	}
	var value struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(c.Signature, &value); err != nil || len(rest) > 0 {
		return errSignature
	}
	if !dsa.Verify(k, sum[:min(len(sum), k.Q.BitLen()/8)], value.R, value.S) {
		return errSignature
	}
	return fmt.Errorf("%v is %w", c.SignatureAlgorithm, errWeak)
}
