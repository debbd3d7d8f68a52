package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/syntax"
)

// RSA keys: below minRSA bits anybody can break them, below goodRSA soon (RFC 8551 section 4), above maxRSA they only cost.
const (
	minRSA  = 1024
	goodRSA = 2048
	maxRSA  = 8192
)

// verifier checks signatures of one signer with one key.
type verifier struct {
	family family
	hash   crypto.Hash
	key    crypto.PublicKey
	salt   int   // of RSA-PSS
	weak   error // why a good signature is no good one
}

// newVerifier checks that signature algorithm, digest and key go together (RFC 5754, 4056, 5753 and 8419).
func newVerifier(c *x509.Certificate, si *SignerInfo) (*verifier, error) {
	v := &verifier{hash: syntax.Hash(si.DigestAlgorithm.Algorithm), key: c.PublicKey}
	var hash crypto.Hash
	v.family, hash = signatureOf(si.SignatureAlgorithm.Algorithm)
	switch {
	case hash != 0 && hash != v.hash:
		return nil, fmt.Errorf("%w: signature algorithm %s with digest %v", ErrUnsupported, signatureName(si), v.hash)
	case v.family == rsaPSS:
		salt, err := pssSalt(si.SignatureAlgorithm, v.hash)
		if err != nil {
			return nil, err
		}
		v.salt = salt
		if v.key == nil {
			if v.key, err = pssKey(c, v.hash, salt); err != nil {
				return nil, err
			}
		}
	case !syntax.NoParameters(si.SignatureAlgorithm):
		return nil, fmt.Errorf("%w parameters of signature algorithm %s", ErrUnsupported, signatureName(si))
	}
	if err := v.checkKey(); err != nil {
		return nil, err
	}
	if v.hash == crypto.SHA1 {
		v.weaken("SHA-1")
	}
	return v, nil
}

// checkKey refuses keys of another kind than the signature's and keys that are dangerous to use.
func (v *verifier) checkKey() error {
	switch k := v.key.(type) {
	case *rsa.PublicKey:
		if v.family != rsaPKCS1 && v.family != rsaPSS {
			break
		}
		if k.N == nil {
			return fmt.Errorf("%w RSA key without modulus", ErrUnsupported)
		}
		bits := k.N.BitLen()
		switch {
		case bits < minRSA || bits > maxRSA:
			return fmt.Errorf("%w RSA key of %d bits", ErrUnsupported, bits)
		case k.E < 3 || k.E&1 == 0 || int64(k.E) > math.MaxInt32 || k.N.Bit(0) == 0:
			return fmt.Errorf("%w RSA key: not a modulus and exponent of RSA", ErrUnsupported)
		case bits < goodRSA:
			v.weaken(fmt.Sprintf("RSA key of %d bits", bits))
		}
		return nil
	case *ecdsa.PublicKey:
		if v.family != ecdsaFamily {
			break
		}
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
		return fmt.Errorf("%w elliptic curve", ErrUnsupported)
	case ed25519.PublicKey:
		if v.family == ed25519Family && len(k) == ed25519.PublicKeySize {
			return nil
		}
	default:
		return fmt.Errorf("%w kind of public key", ErrUnsupported)
	}
	return fmt.Errorf("%w: key of another kind than the signature", ErrSignature)
}

func (v *verifier) weaken(reason string) {
	if v.weak == nil {
		v.weak = fmt.Errorf("%w: %s", ErrWeak, reason)
	} else {
		v.weak = fmt.Errorf("%w, %s", v.weak, reason)
	}
}

// verify checks a signature over message, the encoded signed attributes.
func (v *verifier) verify(message, signature []byte) error {
	if k, ok := v.key.(ed25519.PublicKey); ok {
		return v.result(ed25519.Verify(k, message, signature))
	}
	h := v.hash.New()
	h.Write(message)
	return v.verifyDigest(h.Sum(nil), signature)
}

// verifyDigest checks a signature over something of that digest.
func (v *verifier) verifyDigest(sum, signature []byte) error {
	switch k := v.key.(type) {
	case *rsa.PublicKey:
		if v.family == rsaPSS {
			o := rsa.PSSOptions{SaltLength: v.salt, Hash: v.hash}
			return v.result(rsa.VerifyPSS(k, v.hash, sum, signature, &o) == nil)
		}
		return v.result(rsa.VerifyPKCS1v15(k, v.hash, sum, signature) == nil)
	case *ecdsa.PublicKey:
		return v.result(ecdsa.VerifyASN1(k, sum, signature))
	}
	// Ed25519 reads its message twice (RFC 8032): content would have to be held in memory.
	return fmt.Errorf("%w: Ed25519 without signed attributes", ErrUnsupported)
}

func (v *verifier) result(good bool) error {
	if !good {
		return ErrSignature
	}
	return v.weak
}

// sameAlgorithm compares identifiers; NULL and absent parameters are the same.
func sameAlgorithm(a, b pkix.AlgorithmIdentifier) bool {
	return a.Algorithm.Equal(b.Algorithm) &&
		(syntax.NoParameters(a) && syntax.NoParameters(b) || bytes.Equal(a.Parameters.FullBytes, b.Parameters.FullBytes))
}

// pssSalt reads RSASSA-PSS-params (RFC 4055 section 3.1) and returns the salt length. Both hashes must be h.
func pssSalt(a pkix.AlgorithmIdentifier, h crypto.Hash) (int, error) {
	hash, mgf, salt, err := readPSS(a.Parameters.FullBytes)
	switch {
	case err != nil:
		return 0, err
	case hash != h || mgf != h:
		return 0, fmt.Errorf("%w: RSA-PSS with hashes %v and %v over digest %v", ErrUnsupported, hash, mgf, h)
	case salt < 1 || salt > maxRSA/8:
		// To crypto/rsa a length of 0 would mean any.
		return 0, fmt.Errorf("%w: RSA-PSS with a salt of %d octets", ErrUnsupported, salt)
	}
	return salt, nil
}

func readPSS(params []byte) (hash, mgf crypto.Hash, salt int, err error) {
	broken := fmt.Errorf("%w: RSA-PSS parameters", ErrUnsupported)
	hash, mgf, salt = crypto.SHA1, crypto.SHA1, 20 // the defaults
	trailer := 1
	in := input(params)
	var body, field cryptobyte.String
	if !in.ReadASN1(&body, der.SEQUENCE) || !in.Empty() {
		return 0, 0, 0, broken
	}
	optional := func(n uint8, read func(s *cryptobyte.String) bool) bool {
		var present bool
		return body.ReadOptionalASN1(&field, &present, syntax.Explicit(n)) && (!present || read(&field) && field.Empty())
	}
	ok := optional(0, func(s *cryptobyte.String) bool {
		a, ok := syntax.ReadAlgorithm(s, der.SEQUENCE)
		hash = syntax.Hash(a.Algorithm)
		return ok && syntax.NoParameters(a)
	}) && optional(1, func(s *cryptobyte.String) bool {
		a, ok := syntax.ReadAlgorithm(s, der.SEQUENCE)
		if !ok || !a.Algorithm.Equal(oidMGF1) {
			return false
		}
		inner := input(a.Parameters.FullBytes)
		a, ok = syntax.ReadAlgorithm(&inner, der.SEQUENCE)
		mgf = syntax.Hash(a.Algorithm)
		return ok && syntax.NoParameters(a)
	}) && optional(2, func(s *cryptobyte.String) bool {
		return s.ReadASN1Integer(&salt)
	}) && optional(3, func(s *cryptobyte.String) bool {
		return s.ReadASN1Integer(&trailer)
	})
	if !ok || !body.Empty() || trailer != 1 || hash == 0 || mgf == 0 {
		return 0, 0, 0, broken
	}
	return hash, mgf, salt, nil
}

// pssKey returns the key of a certificate whose key is for RSA-PSS only, which crypto/x509 leaves out. Parameters beside the key
// restrict the signature's (RFC 4055 sections 1.2 and 3.3).
func pssKey(c *x509.Certificate, h crypto.Hash, salt int) (crypto.PublicKey, error) {
	var body cryptobyte.String
	var bits []byte
	in := input(c.RawSubjectPublicKeyInfo)
	if !in.ReadASN1(&body, der.SEQUENCE) {
		return nil, nil
	}
	a, ok := syntax.ReadAlgorithm(&body, der.SEQUENCE)
	if !ok || !a.Algorithm.Equal(oidPSS) || !body.ReadASN1BitStringAsBytes(&bits) {
		return nil, nil
	}
	if len(a.Parameters.FullBytes) > 0 {
		hash, mgf, least, err := readPSS(a.Parameters.FullBytes)
		if err != nil {
			return nil, err
		}
		if hash != h || mgf != h || salt < least {
			return nil, fmt.Errorf("%w: the key is for RSA-PSS with other parameters", ErrSignature)
		}
	}
	k, err := x509.ParsePKCS1PublicKey(bits)
	if err != nil {
		return nil, fmt.Errorf("%w RSA key: %v", ErrUnsupported, err)
	}
	return k, nil
}
