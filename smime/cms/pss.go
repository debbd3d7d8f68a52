package cms

import (
	"crypto"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/syntax"
)

// pssParameters are RSASSA-PSS-params (RFC 4055 section 3.1): the digest, the digest of its mask, octets of salt.
type pssParameters struct {
	hash, mgf crypto.Hash
	salt      int
}

// signaturePSS reads the parameters of a signature over a digest by h, and holds them against those that a key for RSA-PSS alone
// may bear, in DER or nil (RFC 4055 sections 1.2 and 3.3).
func signaturePSS(a pkix.AlgorithmIdentifier, h crypto.Hash, restriction []byte) (pssParameters, error) {
	p, err := readPSS(a.Parameters.FullBytes)
	switch {
	case err != nil:
		return p, err
	case p.hash != h: // RFC 4056 section 3
		return p, fmt.Errorf("%w: RSA-PSS with hash %v over digest %v", ErrUnsupported, p.hash, h)
	case p.salt < 0 || p.salt > maxRSA/8:
		return p, fmt.Errorf("%w: RSA-PSS with a salt of %d octets", ErrUnsupported, p.salt)
	case restriction == nil:
		return p, nil
	}
	bound, err := readPSS(restriction)
	if err != nil {
		return p, err
	}
	if p.hash != bound.hash || p.mgf != bound.mgf || p.salt < bound.salt {
		return p, fmt.Errorf("%w: the key is for RSA-PSS with other parameters", ErrSignature)
	}
	return p, nil
}

// readPSS reads RSASSA-PSS-params (RFC 4055 section 3.1).
func readPSS(params []byte) (p pssParameters, err error) {
	broken := fmt.Errorf("%w: RSA-PSS parameters", ErrUnsupported)
	p = pssParameters{crypto.SHA1, crypto.SHA1, 20} // the defaults
	trailer := 1
	in := input(params)
	var body, field cryptobyte.String
	if !in.ReadASN1(&body, der.SEQUENCE) || !in.Empty() {
		return p, broken
	}
	optional := func(n uint8, read func(s *cryptobyte.String) bool) bool {
		var present bool
		return body.ReadOptionalASN1(&field, &present, syntax.Explicit(n)) && (!present || read(&field) && field.Empty())
	}
	ok := optional(0, func(s *cryptobyte.String) bool {
		a, ok := syntax.ReadAlgorithm(s, der.SEQUENCE)
		p.hash = syntax.Hash(a.Algorithm)
		return ok && syntax.NoParameters(a)
	}) && optional(1, func(s *cryptobyte.String) bool {
		a, ok := syntax.ReadAlgorithm(s, der.SEQUENCE)
		if !ok || !a.Algorithm.Equal(oidMGF1) {
			return false
		}
		inner := input(a.Parameters.FullBytes)
		a, ok = syntax.ReadAlgorithm(&inner, der.SEQUENCE)
		p.mgf = syntax.Hash(a.Algorithm)
		return ok && syntax.NoParameters(a)
	}) && optional(2, func(s *cryptobyte.String) bool {
		return s.ReadASN1Integer(&p.salt)
	}) && optional(3, func(s *cryptobyte.String) bool {
		return s.ReadASN1Integer(&trailer)
	})
	if !ok || !body.Empty() || trailer != 1 || p.hash == 0 || p.mgf == 0 {
		return p, broken
	}
	return p, nil
}

// identifier returns the AlgorithmIdentifier of a signature with these parameters, all of them written out.
func (p pssParameters) identifier() []byte {
	digest := func(h crypto.Hash) []byte {
		return syntax.Algorithm(syntax.Digest(h), asn1.NullBytes) // RFC 4055 section 2.1, unlike RFC 5754
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(syntax.Explicit(0), func(b *cryptobyte.Builder) { b.AddBytes(digest(p.hash)) })
		b.AddASN1(syntax.Explicit(1), func(b *cryptobyte.Builder) { b.AddBytes(syntax.Algorithm(oidMGF1, digest(p.mgf))) })
		b.AddASN1(syntax.Explicit(2), func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(p.salt)) })
	})
	return syntax.Algorithm(oidPSS, b.BytesOrPanic())
}

// verify checks a signature over something of that digest.
func (p pssParameters) verify(k *rsa.PublicKey, sum, signature []byte) bool {
	if p.mgf == p.hash && p.salt > 0 { // to crypto/rsa a length of 0 would mean any
		return rsa.VerifyPSS(k, p.hash, sum, signature, &rsa.PSSOptions{SaltLength: p.salt, Hash: p.hash}) == nil
	}
	return p.verifyWithoutRSA(k, sum, signature)
}

// verifyWithoutRSA is RSASSA-PSS-VERIFY (RFC 8017 section 8.1.2) with any parameters.
func (p pssParameters) verifyWithoutRSA(k *rsa.PublicKey, sum, signature []byte) bool {
	s := new(big.Int).SetBytes(signature)
	if len(signature) != k.Size() || s.Cmp(k.N) >= 0 {
		return false
	}
	bits := k.N.BitLen() - 1
	m, size := s.Exp(s, big.NewInt(int64(k.E)), k.N), (bits+7)/8
	return m.BitLen() <= bits && p.verifyEncoded(m.FillBytes(make([]byte, size)), sum, size*8-bits)
}

// verifyEncoded is EMSA-PSS-VERIFY (RFC 8017 section 9.1.2) of an encoded message whose first octet has spare unused bits.
func (p pssParameters) verifyEncoded(em, sum []byte, spare int) bool {
	size := p.hash.Size()
	zeros := len(em) - size - p.salt - 2
	if zeros < 0 || em[len(em)-1] != 0xbc {
		return false
	}
	db, h := em[:len(em)-size-1], em[len(em)-size-1:len(em)-1]
	p.unmask(db, h)
	db[0] &= 0xff >> spare
	for _, b := range db[:zeros] {
		if b != 0 {
			return false
		}
	}
	if db[zeros] != 1 {
		return false
	}
	d := p.hash.New()
	d.Write(make([]byte, 8))
	d.Write(sum)
	d.Write(db[zeros+1:])
	return subtle.ConstantTimeCompare(d.Sum(nil), h) == 1
}

// unmask applies MGF1 of the seed (RFC 8017 appendix B.2.1).
func (p pssParameters) unmask(b, seed []byte) {
	for n := uint32(0); len(b) > 0; n++ {
		d := p.mgf.New()
		d.Write(seed)
		d.Write(binary.BigEndian.AppendUint32(nil, n))
		b = b[subtle.XORBytes(b, b, d.Sum(nil)):]
	}
}
