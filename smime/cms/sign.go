package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"filippo.io/mldsa"
	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/internal/x509key"
	"mailseal/smime/capability"
	"mailseal/smime/cms/ber"
	"mailseal/smime/cms/syntax"
)

// Signer is who signs and how. Only Certificate and Key are needed.
type Signer struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
	Chain       []*x509.Certificate // sent along; self-signed ones are left out
	Digest      crypto.Hash         // 0: by the key. Ed25519 always signs with SHA-512 (RFC 8419 section 3.1)
	PSS         bool                // RSA: RSASSA-PSS instead of PKCS #1 v1.5. A key for it alone always signs so
	KeyID       bool                // the certificate is named by its subject key identifier, not by issuer and serial number
	SigningTime time.Time           // zero: no signingTime attribute
}

// Hash is the digest that the signer will use, for micalg.
func (s Signer) Hash() (crypto.Hash, error) {
	m, err := s.method()
	return m.digest, err
}

// SignDetached returns a ContentInfo with a SignedData over content that does not contain it.
func SignDetached(content io.Reader, s ...Signer) (der []byte, err error) {
	prefix, suffix, err := sign(content, -1, s)
	return append(prefix, suffix...), err
}

// SignOpaque returns what stands before and after content in a SignedData that contains it: DER = prefix + content + suffix.
// The content is read here to be hashed; the caller writes the same size octets between the two.
func SignOpaque(content io.Reader, size int64, s ...Signer) (prefix, suffix []byte, err error) {
	if size < 0 {
		return nil, nil, errors.New("size of the content to sign is negative")
	}
	return sign(content, size, s)
}

// sign makes a SignedData of content of size octets, or a detached one if size is negative.
func sign(content io.Reader, size int64, signers []Signer) (prefix, suffix []byte, err error) {
	if len(signers) == 0 {
		return nil, nil, errors.New("no signer")
	}
	methods := make([]method, len(signers))
	var hashes []crypto.Hash
	for i, s := range signers {
		if methods[i], err = s.method(); err != nil {
			return nil, nil, err
		}
		if !slices.Contains(hashes, methods[i].digest) {
			hashes = append(hashes, methods[i].digest)
		}
	}
	d, err := digestContent(content, nil, hashes)
	if err != nil {
		return nil, nil, err
	}
	if size >= 0 && d.size != size {
		return nil, nil, fmt.Errorf("content to sign has %d octets, not %d", d.size, size)
	}
	infos := make([][]byte, len(signers))
	for i, s := range signers {
		if infos[i], err = s.signerInfo(methods[i], d.sums[methods[i].digest]); err != nil {
			return nil, nil, err
		}
	}
	return assemble(size, hashes, signers, infos)
}

// method is how a signer signs.
type method struct {
	digest     crypto.Hash
	options    crypto.SignerOpts // no hash in it: what is signed is not hashed before
	identifier []byte            // AlgorithmIdentifier of the signature
	protected  bool              // by CMSAlgorithmProtection
}

// method checks the signer and chooses.
func (s Signer) method() (m method, err error) {
	switch {
	case s.Certificate == nil || s.Key == nil:
		return m, errors.New("signer without certificate or key")
	case !x509key.Pairs(s.Certificate, s.Key):
		return m, fmt.Errorf("key does not belong to the certificate of %s", s.Certificate.Subject)
	case s.KeyID && len(s.Certificate.SubjectKeyId) == 0:
		return m, fmt.Errorf("certificate of %s has no subject key identifier to be named by", s.Certificate.Subject)
	}
	public := x509key.Public(s.Certificate)
	if m.digest = s.Digest; m.digest == 0 {
		m.digest = digestFor(public)
	}
	if m.digest != crypto.SHA256 && m.digest != crypto.SHA384 && m.digest != crypto.SHA512 {
		return m, fmt.Errorf("%w digest to sign with: %v; want SHA-256, SHA-384 or SHA-512", ErrUnsupported, m.digest)
	}
	m.options = m.digest
	switch k := public.(type) {
	case *rsa.PublicKey:
		err = m.byRSA(k, s)
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			m.identifier = syntax.Algorithm(ecdsaWith(m.digest), nil)
		default:
			err = fmt.Errorf("%w elliptic curve to sign with: %s", ErrUnsupported, k.Curve.Params().Name)
		}
	case ed25519.PublicKey:
		m.digest, m.options, m.identifier = crypto.SHA512, crypto.Hash(0), syntax.Algorithm(oidEd25519, nil)
	case *mldsa.PublicKey:
		// RFC 9882 section 5 wants the algorithms protected, as none of them is part of what is signed.
		m.options, m.identifier, m.protected = crypto.Hash(0), syntax.Algorithm(x509key.OIDMLDSA(k), nil), true
	default:
		err = fmt.Errorf("%w kind of key to sign with: %T", ErrUnsupported, k)
	}
	return m, err
}

// byRSA chooses between PKCS #1 v1.5 and RSASSA-PSS, for which a key may have rules of its own (RFC 4055 section 1.2).
func (m *method) byRSA(k *rsa.PublicKey, s Signer) error {
	if bits := k.N.BitLen(); bits < goodRSA || bits > maxRSA {
		return fmt.Errorf("RSA key of %d bits: sign with one of %d to %d", bits, goodRSA, maxRSA)
	}
	restriction, only := x509key.PSSOnly(s.Certificate)
	if !s.PSS && !only {
		m.identifier = syntax.Algorithm(oidRSA, asn1.NullBytes)
		return nil
	}
	if restriction != nil {
		bound, err := readPSS(restriction)
		if err != nil {
			return err
		}
		if s.Digest == 0 {
			m.digest = bound.hash
		}
		if m.digest != bound.hash || m.digest != bound.mgf || bound.salt > m.digest.Size() {
			return fmt.Errorf("%w: key for RSA-PSS with %v, mask by %v and a salt of %d octets at least; want one digest, and its length",
				ErrUnsupported, bound.hash, bound.mgf, bound.salt)
		}
	}
	m.options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: m.digest}
	m.identifier = pssParameters{m.digest, m.digest, m.digest.Size()}.identifier()
	return nil
}

// digestFor is a digest of the key's strength.
func digestFor(public crypto.PublicKey) crypto.Hash {
	switch k := public.(type) {
	case ed25519.PublicKey, *mldsa.PublicKey: // RFC 9882 section 3.3: what everybody has
		return crypto.SHA512
	case *ecdsa.PublicKey:
		switch bits := k.Curve.Params().BitSize; {
		case bits > 384:
			return crypto.SHA512
		case bits > 256:
			return crypto.SHA384
		}
	}
	return crypto.SHA256
}

// ecdsaWith is the algorithm whose name includes the digest (RFC 5754 section 3.3).
func ecdsaWith(h crypto.Hash) asn1.ObjectIdentifier {
	for _, s := range signatures {
		if s.family == ecdsaFamily && s.hash == h {
			return s.oid
		}
	}
	return nil
}

// signerInfo signs the attributes over a content of that digest (RFC 5652 section 5.3).
func (s Signer) signerInfo(m method, sum []byte) ([]byte, error) {
	attributes, err := s.attributes(m, sum)
	if err != nil {
		return nil, err
	}
	message := ber.AppendHeader(nil, ber.Set, true, int64(len(attributes)))
	message = append(message, attributes...)
	if h := m.options.HashFunc(); h != 0 {
		hash := h.New()
		hash.Write(message)
		message = hash.Sum(nil)
	}
	signature, err := s.Key.Sign(rand.Reader, message, m.options)
	if err != nil {
		return nil, fmt.Errorf("sign with the key of %s: %w", s.Certificate.Subject, err)
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		s.addIdentifier(b)
		b.AddBytes(syntax.Algorithm(syntax.Digest(m.digest), nil))
		b.AddASN1(syntax.Explicit(0), func(b *cryptobyte.Builder) { b.AddBytes(attributes) })
		b.AddBytes(m.identifier)
		b.AddASN1OctetString(signature)
	})
	return b.Bytes()
}

// addIdentifier appends the version and the SignerIdentifier that goes with it.
func (s Signer) addIdentifier(b *cryptobyte.Builder) {
	if s.KeyID {
		b.AddASN1Int64(3)
		b.AddASN1(syntax.Context0, func(b *cryptobyte.Builder) { b.AddBytes(s.Certificate.SubjectKeyId) })
		return
	}
	b.AddASN1Int64(1)
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(s.Certificate.RawIssuer)
		b.AddASN1BigInt(s.Certificate.SerialNumber)
	})
}

// attributes returns the contents of the SET OF signed attributes, in order (RFC 8551 section 2.5).
func (s Signer) attributes(m method, sum []byte) ([]byte, error) {
	var list [][]byte
	var failed error
	add := func(oid asn1.ObjectIdentifier, value func(*cryptobyte.Builder)) {
		var b cryptobyte.Builder
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oid)
			b.AddASN1(der.SET, value)
		})
		encoded, err := b.Bytes()
		failed = errors.Join(failed, err)
		list = append(list, encoded)
	}
	add(oidContentType, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(OIDData) })
	add(oidMessageDigest, func(b *cryptobyte.Builder) { b.AddASN1OctetString(sum) })
	if !s.SigningTime.IsZero() {
		add(oidSigningTime, func(b *cryptobyte.Builder) { addTime(b, s.SigningTime) })
	}
	add(oidCapabilities, addCapabilities)
	add(oidSigningCertificateV2, func(b *cryptobyte.Builder) { addSigningCertificate(b, s.Certificate) })
	if m.protected {
		add(oidAlgorithmProtection, m.addProtection)
	}
	slices.SortFunc(list, bytes.Compare)
	return bytes.Join(list, nil), failed
}

// addProtection appends a CMSAlgorithmProtection (RFC 6211 section 2).
func (m method) addProtection(b *cryptobyte.Builder) {
	signature := input(m.identifier)
	var fields cryptobyte.String
	signature.ReadASN1(&fields, der.SEQUENCE) // of our own making
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(syntax.Algorithm(syntax.Digest(m.digest), nil))
		b.AddASN1(syntax.Explicit(1), func(b *cryptobyte.Builder) { b.AddBytes(fields) })
	})
}

// addTime appends a Time: UTCTime through 2049 (RFC 5652 section 11.3).
func addTime(b *cryptobyte.Builder, t time.Time) {
	t = t.UTC().Truncate(time.Second)
	if y := t.Year(); y >= 1950 && y < 2050 {
		b.AddASN1UTCTime(t)
	} else {
		b.AddASN1GeneralizedTime(t)
	}
}

// addCapabilities appends what the signer reads (RFC 8551 section 2.5.2).
func addCapabilities(b *cryptobyte.Builder) {
	list, err := capability.OursDER()
	if err != nil {
		b.SetError(err)
	}
	b.AddBytes(list)
}
