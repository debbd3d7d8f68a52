package recipient

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/syntax"
)

// maxRSA bounds the modulus that is encrypted to: RFC 8551 section 4.3 leaves those above 4096 bits to us.
const maxRSA = 8192

// Transport is the way in which an RSA key transports. The zero value is RSAES-PKCS1-v1_5, which every client reads.
type Transport struct {
	Hash    crypto.Hash // RSAES-OAEP with this digest
	MGFHash crypto.Hash // of OAEP's mask, 0 for Hash
}

// OAEP is RSAES-OAEP with h throughout (RFC 8017 section 7.1).
func OAEP(h crypto.Hash) Transport { return Transport{Hash: h, MGFHash: h} }

// transport makes a KeyTransRecipientInfo (RFC 5652 section 6.2.1).
func (t To) transport(rand io.Reader, key *rsa.PublicKey, cek []byte) ([]byte, error) {
	if n := key.N.BitLen(); n > maxRSA {
		return nil, fmt.Errorf("%w: RSA key of %d bits; want at most %d", ErrUnsupported, n, maxRSA)
	}
	algorithm, wrapped, err := t.Transport.encrypt(rand, key, cek)
	if err != nil {
		return nil, err
	}
	version := int64(0)
	if t.ByKeyID {
		version = 2
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(version)
		t.addIdentifier(b)
		b.AddBytes(algorithm)
		b.AddASN1OctetString(wrapped)
	})
	return b.Bytes()
}

func (t Transport) encrypt(rand io.Reader, key *rsa.PublicKey, cek []byte) (algorithm, wrapped []byte, err error) {
	if algorithm, err = t.DER(); err != nil {
		return nil, nil, err
	}
	if t == (Transport{}) {
		//lint:ignore SA1019 the one transport that every client reads; the reader of its answers is guarded by RFC 3218
		wrapped, err = rsa.EncryptPKCS1v15(rand, key, cek)
		return algorithm, wrapped, err
	}
	wrapped, err = rsa.EncryptOAEPWithOptions(rand, key, cek, &rsa.OAEPOptions{Hash: t.Hash, MGFHash: t.mask()})
	return algorithm, wrapped, err
}

// mask is the digest of OAEP's mask.
func (t Transport) mask() crypto.Hash {
	if t.MGFHash == 0 {
		return t.Hash
	}
	return t.MGFHash
}

// ParseTransport reads the identifier of an RSA key transport, which Transport can say unless it has a label.
func ParseTransport(a pkix.AlgorithmIdentifier) (Transport, error) {
	o, err := transported{algorithm: a}.options(minCEK)
	if err != nil {
		return Transport{}, err
	}
	oaep, ok := o.(*rsa.OAEPOptions)
	switch {
	case !ok:
		return Transport{}, nil
	case len(oaep.Label) > 0:
		return Transport{}, fmt.Errorf("%w: RSAES-OAEP with a label", ErrUnsupported)
	}
	return Transport{Hash: oaep.Hash, MGFHash: oaep.MGFHash}, nil
}

// DER is the AlgorithmIdentifier (RFC 3370 section 4.2.1, RFC 4055 section 4.1). Digest and mask of OAEP are written out even where
// they are the defaults: readers differ in what they take for granted.
func (t Transport) DER() ([]byte, error) {
	if t == (Transport{}) {
		return syntax.Algorithm(oidRSA, asn1.NullBytes), nil
	}
	hash, mask := syntax.Digest(t.Hash), syntax.Digest(t.mask())
	if hash == nil || mask == nil {
		return nil, fmt.Errorf("%w: RSAES-OAEP with digest %d and %d", ErrUnsupported, t.Hash, t.MGFHash)
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { // RFC 4055 section 2.1: digests have NULL parameters
		b.AddASN1(syntax.Explicit(0), func(b *cryptobyte.Builder) { b.AddBytes(syntax.Algorithm(hash, asn1.NullBytes)) })
		b.AddASN1(syntax.Explicit(1), func(b *cryptobyte.Builder) {
			b.AddBytes(syntax.Algorithm(oidMGF1, syntax.Algorithm(mask, asn1.NullBytes)))
		})
	})
	return syntax.Algorithm(oidOAEP, b.BytesOrPanic()), nil
}

// transported is the key of a KeyTransRecipientInfo.
type transported struct {
	algorithm pkix.AlgorithmIdentifier
	key       []byte
}

func (transported) takes(k Key) bool {
	d, ok := k.Private.(crypto.Decrypter)
	if !ok {
		return false
	}
	_, ok = d.Public().(*rsa.PublicKey)
	return ok
}

func (t transported) open(k Key, _ int, cek []byte) error {
	options, err := t.options(len(cek))
	if err != nil {
		return err
	}
	// With PKCS #1 v1.5 what comes out is a random key already where the padding is wrong, and an error tells of sizes only.
	// OAEP says where it fails, but its failures are not for the sender to choose.
	plain, err := k.Private.(crypto.Decrypter).Decrypt(rand.Reader, t.key, options)
	if err == nil && len(plain) == len(cek) {
		copy(cek, plain)
	}
	return nil
}

// options tells crypto/rsa of the algorithm. A malformed RSAES-OAEP is never taken for another one.
func (t transported) options(cekLen int) (crypto.DecrypterOpts, error) {
	switch {
	case t.algorithm.Algorithm.Equal(oidRSA):
		if !syntax.NoParameters(t.algorithm) {
			return nil, fmt.Errorf("%w: parameters of RSAES-PKCS1-v1_5", ErrUnsupported)
		}
		//lint:ignore SA1019 every client sends it; SessionKeyLen is the guard of RFC 3218
		return &rsa.PKCS1v15DecryptOptions{SessionKeyLen: cekLen}, nil
	case t.algorithm.Algorithm.Equal(oidOAEP):
		o, ok := readOAEP(t.algorithm.Parameters.FullBytes)
		if !ok {
			return nil, fmt.Errorf("%w: parameters of RSAES-OAEP", ErrUnsupported)
		}
		return o, nil
	}
	return nil, unsupported(t.algorithm.Algorithm)
}

// readOAEP reads RSAES-OAEP-params (RFC 4055 section 4.1), whose defaults are SHA-1 and no label.
func readOAEP(parameters []byte) (*rsa.OAEPOptions, bool) {
	o := &rsa.OAEPOptions{Hash: crypto.SHA1, MGFHash: crypto.SHA1}
	s := input(parameters)
	var body input
	if !s.ReadASN1(&body, der.SEQUENCE) || !s.Empty() {
		return nil, false
	}
	for n := uint8(0); !body.Empty(); n++ {
		var element input
		switch {
		case n > 2:
			return nil, false
		case !body.PeekASN1Tag(syntax.Explicit(n)):
			continue
		case !body.ReadASN1(&element, syntax.Explicit(n)):
			return nil, false
		}
		a, ok := syntax.ReadAlgorithm(&element, der.SEQUENCE)
		if !ok || !element.Empty() || !setOAEP(o, n, a) {
			return nil, false
		}
	}
	return o, true
}

// setOAEP puts the n-th parameter into o.
func setOAEP(o *rsa.OAEPOptions, n uint8, a pkix.AlgorithmIdentifier) bool {
	switch n {
	case 0:
		o.Hash = syntax.Hash(a.Algorithm)
		return o.Hash != 0 && syntax.NoParameters(a)
	case 1:
		s := input(a.Parameters.FullBytes)
		h, ok := syntax.ReadAlgorithm(&s, der.SEQUENCE)
		o.MGFHash = syntax.Hash(h.Algorithm)
		return ok && a.Algorithm.Equal(oidMGF1) && o.MGFHash != 0 && syntax.NoParameters(h)
	default:
		s := input(a.Parameters.FullBytes)
		var label input
		ok := s.ReadASN1(&label, der.OCTET_STRING) && s.Empty()
		o.Label = bytes.Clone(label)
		return ok && a.Algorithm.Equal(oidPSpecified)
	}
}
