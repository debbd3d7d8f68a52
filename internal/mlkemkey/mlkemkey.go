// Package mlkemkey reads and writes ML-KEM keys in the forms that certificates and
// key files hold them in, which crypto/x509 does not know.
//
// A private key file has the seed, the expanded key or both. The seed is what a
// key is made of; a file with the expanded key only cannot be used, as it does not
// lead back to the seed.
//
// RFC 9935 (ML-KEM in certificates), FIPS 203, RFC 5958 (PKCS #8).
package mlkemkey

import (
	"bytes"
	"crypto"
	"crypto/mlkem"
	"crypto/sha3"
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/internal/seedkey"
)

// Identifiers of the parameter sets (RFC 9935 section 3).
var (
	OID512  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 1}
	OID768  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 2}
	OID1024 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 3}
)

var (
	// ErrOther is a well-formed key of another algorithm.
	ErrOther = errors.New("not an ML-KEM key")
	// ErrMalformed is a key that does not follow its syntax, or whose halves do not belong together.
	ErrMalformed = errors.New("malformed ML-KEM key")
)

// dSize and zSize are the halves of a seed: d makes the key pair, z the answer to a forged ciphertext (FIPS 203 section 7.1).
const (
	dSize = mlkem.SeedSize / 2
	zSize = mlkem.SeedSize / 2
)

// OID returns the identifier of k's parameter set, nil if it is none of ML-KEM.
func OID(k crypto.Encapsulator) asn1.ObjectIdentifier {
	switch len(k.Bytes()) {
	case mlkem.EncapsulationKeySize768:
		return OID768
	case mlkem.EncapsulationKeySize1024:
		return OID1024
	}
	return nil
}

// ParsePublicKey reads a SubjectPublicKeyInfo (RFC 9935 section 4).
func ParsePublicKey(spki []byte) (crypto.Encapsulator, error) {
	s := cryptobyte.String(spki)
	var body, bits cryptobyte.String
	if !s.ReadASN1(&body, der.SEQUENCE) || !s.Empty() {
		return nil, ErrMalformed
	}
	oid, err := readAlgorithm(&body)
	if err != nil {
		return nil, err
	}
	if !body.ReadASN1(&bits, der.BIT_STRING) || !body.Empty() || len(bits) == 0 || bits[0] != 0 {
		return nil, ErrMalformed
	}
	var key crypto.Encapsulator
	if oid.Equal(OID768) {
		key, err = mlkem.NewEncapsulationKey768(bits[1:])
	} else {
		key, err = mlkem.NewEncapsulationKey1024(bits[1:])
	}
	if err != nil {
		return nil, ErrMalformed
	}
	return key, nil
}

// readAlgorithm reads the AlgorithmIdentifier of a key: parameters must be absent (RFC 9935 section 3).
func readAlgorithm(s *cryptobyte.String) (asn1.ObjectIdentifier, error) {
	var algorithm cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !s.ReadASN1(&algorithm, der.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&oid) {
		return nil, ErrMalformed
	}
	switch {
	case oid.Equal(OID512):
		return nil, fmt.Errorf("%w: ML-KEM-512 is not supported; want ML-KEM-768 or ML-KEM-1024", errors.ErrUnsupported)
	case !oid.Equal(OID768) && !oid.Equal(OID1024):
		return nil, ErrOther
	case !algorithm.Empty():
		return nil, ErrMalformed
	}
	return oid, nil
}

// MarshalPublicKey returns the SubjectPublicKeyInfo of k.
func MarshalPublicKey(k crypto.Encapsulator) ([]byte, error) {
	oid := OID(k)
	if oid == nil {
		return nil, ErrOther
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) })
		b.AddASN1BitString(k.Bytes())
	})
	return b.Bytes()
}

// ParsePrivateKey reads an unencrypted PKCS #8 key (RFC 9935 section 6).
func ParsePrivateKey(pkcs8 []byte) (crypto.Decapsulator, error) {
	s := cryptobyte.String(pkcs8)
	var body, private cryptobyte.String
	var version int
	if !s.ReadASN1(&body, der.SEQUENCE) || !s.Empty() || !body.ReadASN1Integer(&version) {
		return nil, ErrMalformed
	}
	oid, err := readAlgorithm(&body)
	if err != nil {
		return nil, err
	}
	// Attributes and the public key may follow (RFC 5958 section 2); the seed says all.
	if version < 0 || version > 1 || !body.ReadASN1(&private, der.OCTET_STRING) {
		return nil, ErrMalformed
	}
	seed, expanded, err := seedkey.Read(private)
	switch {
	case errors.Is(err, seedkey.ErrSeedless):
		return nil, fmt.Errorf("%w: only the expanded ML-KEM key is in the file; export the key again with its seed", errors.ErrUnsupported)
	case err != nil:
		return nil, ErrMalformed
	}
	var key crypto.Decapsulator
	if oid.Equal(OID768) {
		key, err = mlkem.NewDecapsulationKey768(seed)
	} else {
		key, err = mlkem.NewDecapsulationKey1024(seed)
	}
	if err != nil || expanded != nil && !agree(key, seed, expanded) {
		return nil, ErrMalformed
	}
	return key, nil
}

// agree checks an expanded key against its seed as far as it can be seen: the encapsulation key, its digest and z lie in it
// behind the secret vector (FIPS 203 section 7.1). RFC 9935 section 8 wants keys refused that do not agree.
func agree(key crypto.Decapsulator, seed, expanded []byte) bool {
	ek := key.Encapsulator().Bytes()
	digest := sha3.Sum256(ek)
	tail := append(append(bytes.Clone(ek), digest[:]...), seed[dSize:]...)
	secret := len(ek) - 32 // as long as the public vector, which a 32-octet seed follows
	return len(expanded) == secret+len(tail) && len(seed) == dSize+zSize && bytes.Equal(expanded[secret:], tail)
}
