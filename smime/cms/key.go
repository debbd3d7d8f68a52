package cms

import (
	"bytes"
	"crypto"
	//lint:ignore SA1019 see dsa.go
	"crypto/dsa"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math"

	"filippo.io/mldsa"

	"mailseal/internal/x509key"
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
	pss    pssParameters // of RSA-PSS
	weak   error         // why a good signature is no good one
}

// newVerifier checks that signature algorithm, digest and key go together (RFC 5754, 4056, 5753, 8419 and 9882).
func newVerifier(c *x509.Certificate, si *SignerInfo) (*verifier, error) {
	v := &verifier{hash: contentDigest(si.DigestAlgorithm.Algorithm), key: x509key.Public(c)}
	var hash crypto.Hash
	v.family, hash = signatureOf(si.SignatureAlgorithm.Algorithm)
	restriction, pssOnly := x509key.PSSOnly(c)
	switch {
	case hash != 0 && hash != v.hash:
		return nil, fmt.Errorf("%w: signature algorithm %s with digest %s", ErrUnsupported, signatureName(si), DigestName(v.hash))
	case v.hash == SHAKE256 && v.family != mldsaFamily:
		return nil, fmt.Errorf("%w: signature algorithm %s with digest %s", ErrUnsupported, signatureName(si), DigestName(v.hash))
	case v.family == rsaPSS:
		var err error
		if v.pss, err = signaturePSS(si.SignatureAlgorithm, v.hash, restriction); err != nil {
			return nil, err
		}
	case pssOnly:
		return nil, fmt.Errorf("%w: the key is for RSA-PSS alone", ErrSignature)
	case !syntax.NoParameters(si.SignatureAlgorithm):
		return nil, fmt.Errorf("%w parameters of signature algorithm %s", ErrUnsupported, signatureName(si))
	}
	if err := v.checkKey(si.SignatureAlgorithm.Algorithm); err != nil {
		return nil, err
	}
	if v.hash == crypto.SHA1 {
		v.weaken("SHA-1")
	}
	return v, nil
}

// checkKey refuses keys of another kind than the signature's and keys that are dangerous to use.
func (v *verifier) checkKey(algorithm asn1.ObjectIdentifier) error {
	switch k := v.key.(type) {
	case *rsa.PublicKey:
		if v.family == rsaPKCS1 || v.family == rsaPSS {
			return v.checkRSA(k)
		}
	case *ecdsa.PublicKey:
		if v.family != ecdsaFamily {
			break
		}
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
		return fmt.Errorf("%w elliptic curve", ErrUnsupported)
	case *dsa.PublicKey:
		if v.family == dsaFamily {
			return v.checkDSA(k)
		}
	case ed25519.PublicKey:
		if v.family == ed25519Family && len(k) == ed25519.PublicKeySize {
			return nil
		}
	case *mldsa.PublicKey:
		if v.family == mldsaFamily && x509key.OIDMLDSA(k).Equal(algorithm) {
			return nil
		}
	default:
		return fmt.Errorf("%w kind of public key", ErrUnsupported)
	}
	return fmt.Errorf("%w: key of another kind than the signature", ErrSignature)
}

// checkRSA refuses keys that are none of RSA, break at once, or cost too much.
func (v *verifier) checkRSA(k *rsa.PublicKey) error {
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
	switch k := v.key.(type) {
	case ed25519.PublicKey:
		return v.result(ed25519.Verify(k, message, signature))
	case *mldsa.PublicKey: // pure, with an empty context (RFC 9882 section 3.1)
		return v.result(mldsa.Verify(k, message, signature, nil) == nil)
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
			return v.result(v.pss.verify(k, sum, signature))
		}
		return v.result(rsa.VerifyPKCS1v15(k, v.hash, sum, signature) == nil)
	case *ecdsa.PublicKey:
		return v.result(ecdsa.VerifyASN1(k, sum, signature))
	case *dsa.PublicKey:
		return v.result(verifyDSA(k, sum, signature))
	}
	// Ed25519 reads its message twice (RFC 8032), and ML-DSA cannot be given it in pieces: content would have to be held in memory.
	return fmt.Errorf("%w: Ed25519 or ML-DSA without signed attributes", ErrUnsupported)
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
