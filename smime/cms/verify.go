package cms

import (
	"bytes"
	"crypto"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/internal/x509key"
	"mailseal/smime/cms/syntax"
)

// SignerResult says what became of one signer.
type SignerResult struct {
	Info        *SignerInfo
	Certificate *x509.Certificate // of the signer, untrusted; nil when it is not there
	// Twins are other certificates with the same key that the signer may as well have meant, as after a renewal
	// (RFC 8551 section 2.6). There are none if a signing certificate attribute names the one.
	Twins       []*x509.Certificate
	Err         error // nil: the signature is mathematically good over the content
	Digest      crypto.Hash
	Algorithm   string    // of the signature, readable
	SigningTime time.Time // what the signer claims; zero when nothing
}

// Bounds on hostile certificates: how many with the same name are tried for one signer, and how much time checks of signatures
// may take for all signers (a rough figure for a quiet machine; that many signers with honest keys need a tenth of it).
const (
	maxCandidates = 8
	maxWork       = 300 * time.Millisecond
)

// Verify checks every signer, in order, with the embedded certificates and extra ones. The first of these that is wrong is the
// signer's Err: attributes, digest, certificate, signature, strength. For ErrWeak everything else is in order.
func (s *SignedData) Verify(extra ...*x509.Certificate) []SignerResult {
	results := make([]SignerResult, len(s.Signers))
	work := maxWork
	for i, si := range s.Signers {
		results[i] = s.verify(si, extra, &work)
	}
	return results
}

func (s *SignedData) verify(si *SignerInfo, extra []*x509.Certificate, work *time.Duration) SignerResult {
	res := SignerResult{
		Info:      si,
		Digest:    contentDigest(si.DigestAlgorithm.Algorithm),
		Algorithm: signatureName(si),
	}
	candidates := s.candidates(si, extra)
	if len(candidates) > 0 {
		res.Certificate = candidates[0]
	}
	if res.SigningTime, res.Err = signingTime(si); res.Err != nil {
		return res
	}
	if res.Err = s.checkAttributes(si); res.Err != nil {
		return res
	}
	if res.Err = s.checkDigest(si, res.Digest); res.Err != nil {
		return res
	}
	if f, _ := signatureOf(si.SignatureAlgorithm.Algorithm); f == unknownFamily {
		res.Err = fmt.Errorf("%w signature algorithm %s", ErrUnsupported, res.Algorithm)
		return res
	}
	if len(candidates) == 0 {
		res.Err = ErrNoCertificate
		return res
	}
	if candidates, res.Err = signingCertificates(si, candidates); res.Err != nil {
		return res
	}
	candidates = candidates[:min(len(candidates), maxCandidates)]
	var fitting []*x509.Certificate
	if fitting, res.Err = s.checkSignature(si, candidates, work); len(fitting) > 0 {
		res.Certificate, res.Twins = fitting[0], fitting[1:]
	}
	return res
}

// candidates are the certificates that the signer identifier names. An honest sender sends one; a subject key identifier may
// fit several (RFC 8551 section 2.6), and so may what a dishonest one sends.
func (s *SignedData) candidates(si *SignerInfo, extra []*x509.Certificate) []*x509.Certificate {
	var found []*x509.Certificate
	for _, list := range [][]*x509.Certificate{s.Certificates, extra} {
		for _, c := range list {
			if si.Identifies(c) && !slices.ContainsFunc(found, c.Equal) {
				found = append(found, c)
			}
		}
	}
	return found
}

// signingTime returns the signingTime attribute (RFC 5652 section 11.3), zero if there is none.
func signingTime(si *SignerInfo) (time.Time, error) {
	v, err := attribute(si.SignedAttributes, oidSigningTime)
	if err != nil || v == nil {
		return time.Time{}, err
	}
	t, ok := readTime(v)
	if !ok {
		return time.Time{}, fmt.Errorf("%w: malformed signing time", ErrAttributes)
	}
	return t, nil
}

// checkAttributes holds the signed attributes against RFC 5652 sections 5.3 and 11 and RFC 6211.
func (s *SignedData) checkAttributes(si *SignerInfo) error {
	for _, a := range si.UnsignedAttributes {
		if slices.ContainsFunc(signedOnly, a.Type.Equal) {
			return fmt.Errorf("%w: attribute %s is not signed", ErrAttributes, nameOf(a.Type))
		}
	}
	if si.SignedAttributes == nil {
		switch {
		case !s.ContentType.Equal(OIDData):
			return fmt.Errorf("%w: none, though the content is of type %s", ErrAttributes, nameOf(s.ContentType))
		case s.digest != nil && s.digest.looksLikeAttributes():
			return fmt.Errorf("%w: they stand in the place of the content", ErrAttributes)
		}
		return nil
	}
	v, err := attribute(si.SignedAttributes, oidContentType)
	if err != nil {
		return err
	}
	in := input(v)
	if oid, ok := syntax.ReadOID(&in); !ok || !in.Empty() || !oid.Equal(s.ContentType) {
		return fmt.Errorf("%w: content type is missing or another than the content's", ErrAttributes)
	}
	v, err = attribute(si.SignedAttributes, oidMessageDigest)
	if err != nil {
		return err
	}
	if in = input(v); !in.SkipASN1(der.OCTET_STRING) || !in.Empty() {
		return fmt.Errorf("%w: no message digest", ErrAttributes)
	}
	for _, oid := range []asn1.ObjectIdentifier{oidCapabilities, oidKeyPreference} {
		if _, err := attribute(si.SignedAttributes, oid); err != nil { // at most one, with one value
			return err
		}
	}
	return checkProtection(si)
}

// signedOnly are attributes that must not stand among those that are not signed (RFC 5652 section 11). Others are not looked at
// there.
var signedOnly = []asn1.ObjectIdentifier{oidContentType, oidMessageDigest, oidSigningTime}

// checkProtection compares the CMSAlgorithmProtection attribute, if there is one (RFC 6211 section 2).
func checkProtection(si *SignerInfo) error {
	v, err := attribute(si.SignedAttributes, oidAlgorithmProtection)
	if err != nil || v == nil {
		return err
	}
	in := input(v)
	body := in
	if in.ReadASN1(&body, der.SEQUENCE) {
		digest, ok := syntax.ReadAlgorithm(&body, der.SEQUENCE)
		signature, ok2 := syntax.ReadAlgorithm(&body, syntax.Explicit(1))
		if ok && ok2 && body.Empty() && sameAlgorithm(digest, si.DigestAlgorithm) &&
			sameAlgorithm(signature, si.SignatureAlgorithm) {
			return nil
		}
	}
	return fmt.Errorf("%w: algorithms are others than the protected ones", ErrAttributes)
}

// checkDigest compares the content with the messageDigest attribute.
func (s *SignedData) checkDigest(si *SignerInfo, h crypto.Hash) error {
	if h == 0 || !syntax.NoParameters(si.DigestAlgorithm) {
		return fmt.Errorf("%w digest algorithm %s", ErrUnsupported, nameOf(si.DigestAlgorithm.Algorithm))
	}
	listed := func(d DigestAlgorithm) bool { return d.Hash == h }
	if !slices.ContainsFunc(s.DigestAlgorithms, listed) {
		return fmt.Errorf("%w: digest algorithm %s is not among those announced", ErrUnsupported, DigestName(h))
	}
	if s.digest == nil {
		return fmt.Errorf("%w: there is no content", ErrDigest)
	}
	if si.SignedAttributes == nil {
		return nil // the signature is over the digest itself
	}
	v, err := attribute(si.SignedAttributes, oidMessageDigest)
	if err != nil {
		return err
	}
	in := input(v)
	sum := in
	in.ReadASN1(&sum, der.OCTET_STRING)
	if subtle.ConstantTimeCompare(sum, s.digest.sums[h]) != 1 {
		return ErrDigest
	}
	return nil
}

// checkSignature tries the candidates, each key once, and returns those with the first key that fits, or what is wrong with the
// first candidate.
func (s *SignedData) checkSignature(si *SignerInfo, candidates []*x509.Certificate, work *time.Duration) ([]*x509.Certificate, error) {
	var first error
	for i, c := range candidates {
		same := func(o *x509.Certificate) bool {
			return bytes.Equal(o.RawSubjectPublicKeyInfo, c.RawSubjectPublicKeyInfo)
		}
		if slices.ContainsFunc(candidates[:i], same) {
			continue
		}
		v, err := newVerifier(c, si)
		if err == nil {
			err = s.checkWith(v, si, work)
		}
		if err == nil || errors.Is(err, ErrWeak) {
			return slices.DeleteFunc(slices.Clone(candidates[i:]), func(o *x509.Certificate) bool { return !same(o) }), err
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// checkWith checks the signature over the signed attributes or, if there are none, over the content (RFC 5652 section 5.4).
func (s *SignedData) checkWith(v *verifier, si *SignerInfo, work *time.Duration) error {
	if *work < 0 {
		return fmt.Errorf("%w: too many large keys to try", ErrLimit)
	}
	cost := x509key.Cost(v.key)
	if si.SignedAttributes == nil {
		*work -= cost
		return v.verifyDigest(s.digest.sums[v.hash], si.Signature)
	}
	err := ErrSignature
	for _, encoding := range si.signed {
		*work -= cost
		if err = v.verify(encoding, si.Signature); !errors.Is(err, ErrSignature) {
			break
		}
	}
	return err
}
