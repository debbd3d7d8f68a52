package x509key

import (
	"bytes"
	"crypto/sha3"
	"encoding/asn1"
	"errors"

	"filippo.io/mldsa"
	"golang.org/x/crypto/cryptobyte"

	"mailseal/internal/seedkey"
)

// Identifiers of the parameter sets, for keys and signatures alike (RFC 9881 section 2).
var (
	OIDMLDSA44 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 17}
	OIDMLDSA65 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 18}
	OIDMLDSA87 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 19}
)

// setOf returns the parameter set that oid names.
func setOf(oid asn1.ObjectIdentifier) (mldsa.Parameters, bool) {
	switch {
	case oid.Equal(OIDMLDSA44):
		return mldsa.MLDSA44(), true
	case oid.Equal(OIDMLDSA65):
		return mldsa.MLDSA65(), true
	case oid.Equal(OIDMLDSA87):
		return mldsa.MLDSA87(), true
	}
	return mldsa.Parameters{}, false
}

// OIDMLDSA returns the identifier of k's parameter set.
func OIDMLDSA(k *mldsa.PublicKey) asn1.ObjectIdentifier {
	for _, oid := range []asn1.ObjectIdentifier{OIDMLDSA44, OIDMLDSA65, OIDMLDSA87} {
		if set, _ := setOf(oid); set == k.Parameters() {
			return oid
		}
	}
	return nil
}

// shape is what the seed is expanded with, and how large that becomes (FIPS 204 tables 1 and 2).
type shape struct {
	k, l byte
	size int
}

var shapes = map[mldsa.Parameters]shape{
	mldsa.MLDSA44(): {4, 4, 2560},
	mldsa.MLDSA65(): {6, 5, 4032},
	mldsa.MLDSA87(): {8, 7, 4896},
}

var (
	errMalformed = errors.New("malformed ML-DSA key")
	errSeedless  = errors.New("ML-DSA key without its seed, which cannot be used; want the seed as well: openssl genpkey writes both")
)

// parseMLDSA reads an ML-DSA-xx-PrivateKey (RFC 9881 section 6): the seed, or the
// seed and the expanded key. One that is expanded only does not lead back to its seed.
func parseMLDSA(set mldsa.Parameters, s cryptobyte.String) (*mldsa.PrivateKey, error) {
	seed, expanded, err := seedkey.Read(s)
	switch {
	case errors.Is(err, seedkey.ErrSeedless):
		return nil, errSeedless
	case err != nil:
		return nil, errMalformed
	}
	key, err := mldsa.NewPrivateKey(set, seed)
	if err != nil {
		return nil, errMalformed
	}
	if expanded != nil && !agree(key, seed, expanded) {
		return nil, errors.New("ML-DSA key whose seed and expanded key do not belong together") // RFC 9881 section 6
	}
	return key, nil
}

// agree compares what an expanded key has in front (FIPS 204 algorithm 24) with what
// the seed makes (algorithm 6): rho, K and the hash of the public key. The rest is not used.
func agree(key *mldsa.PrivateKey, seed, expanded []byte) bool {
	form := shapes[key.PublicKey().Parameters()]
	if len(expanded) != form.size {
		return false
	}
	made := sha3.SumSHAKE256(append(bytes.Clone(seed), form.k, form.l), 128) // rho, rho', K
	tr := sha3.SumSHAKE256(key.PublicKey().Bytes(), 64)
	front := append(append(bytes.Clone(made[:32]), made[96:]...), tr...)
	return bytes.Equal(front, expanded[:len(front)])
}
