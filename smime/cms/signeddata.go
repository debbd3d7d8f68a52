package cms

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"io"
	"slices"

	"mailseal/smime/cms/ber"
)

// SignedData is a read SignedData (RFC 5652 section 5.1), its content already hashed and passed on.
type SignedData struct {
	Version          int
	DigestAlgorithms []DigestAlgorithm
	ContentType      asn1.ObjectIdentifier
	HasContent       bool  // false: the signature is detached, or the object only carries certificates
	ContentSize      int64 // of the content that was hashed
	Certificates     []*x509.Certificate
	Unparsed         [][]byte // certificates that could not be parsed, as received
	CRLs             [][]byte // as received
	Signers          []*SignerInfo

	digest *digest // of the content, embedded or given to DigestContent; nil before that
}

// DigestAlgorithm is one of the digestAlgorithms of a SignedData.
type DigestAlgorithm struct {
	OID  asn1.ObjectIdentifier
	Hash crypto.Hash // 0 when it is not known here
}

// maxDigestAlgorithms bounds digestAlgorithms, of which more than the known ones make no sense.
const maxDigestAlgorithms = 16

// ReadSignedData reads a ContentInfo that holds a SignedData, to the end of r. Embedded content streams through the digests
// to o.Content; it is whatever the sender wants it to be until Verify says otherwise.
func ReadSignedData(r io.Reader, o ReadOptions) (*SignedData, error) {
	p := newObject(r, o)
	oid, err := p.open()
	if err != nil {
		return nil, err
	}
	if !oid.Equal(OIDSignedData) {
		return nil, fmt.Errorf("%w content type %s, not signed-data", ErrUnsupported, nameOf(oid))
	}
	s, err := p.signedData(true)
	if err != nil {
		return nil, err
	}
	return s, p.close()
}

// DigestContent hashes the content of a detached signature. A signature with content of its own is ErrContent: which of the
// two was signed must never be a question.
func (s *SignedData) DigestContent(r io.Reader) error {
	if s.HasContent {
		return ErrContent
	}
	var used []crypto.Hash
	for _, si := range s.Signers {
		h := contentDigest(si.DigestAlgorithm.Algorithm)
		if h != 0 && !slices.Contains(used, h) {
			used = append(used, h)
		}
	}
	d, err := digestContent(r, nil, used)
	if err != nil {
		return err
	}
	s.digest, s.ContentSize = d, d.size
	return nil
}

// signedData reads a SignedData. Without hashing the content is only counted.
func (p *object) signedData(hashing bool) (s *SignedData, err error) {
	s = &SignedData{}
	if err = p.enter(ber.Sequence); err != nil {
		return nil, err
	}
	if s.Version, err = p.version(); err != nil {
		return nil, err
	}
	if s.DigestAlgorithms, err = p.digestAlgorithms(); err != nil {
		return nil, err
	}
	var hashes []crypto.Hash
	if hashing {
		hashes = s.hashes()
	}
	if s.ContentType, s.digest, err = p.encapContentInfo(hashes); err != nil {
		return nil, err
	}
	if s.digest != nil {
		s.HasContent, s.ContentSize = true, s.digest.size
	}
	h, err := p.must()
	if err == nil && h.Tag == ber.Context(0) {
		if err = p.certificates(s); err == nil {
			h, err = p.must()
		}
	}
	if err == nil && h.Tag == ber.Context(1) {
		if s.CRLs, err = p.crls(); err == nil {
			h, err = p.must()
		}
	}
	if err == nil && h.Tag != ber.Set {
		err = p.Malformed("something else where signerInfos belong")
	}
	if err != nil {
		return nil, err
	}
	if s.Signers, err = p.signerInfos(); err != nil {
		return nil, err
	}
	return s, p.Leave()
}

func (s *SignedData) hashes() []crypto.Hash {
	var hashes []crypto.Hash
	for _, d := range s.DigestAlgorithms {
		if d.Hash != 0 && !slices.Contains(hashes, d.Hash) {
			hashes = append(hashes, d.Hash)
		}
	}
	return hashes
}

// each enters the current element and calls f at every child, at most max of them.
func (p *object) each(max int, what string, f func(ber.Header) error) error {
	if err := p.Enter(); err != nil {
		return err
	}
	for n := 0; ; n++ {
		h, err := p.Next()
		switch {
		case err == io.EOF:
			return p.Leave()
		case err != nil:
			return err
		case n == max:
			return fmt.Errorf("%w: more than %d %s", ErrLimit, max, what)
		}
		if err := f(h); err != nil {
			return err
		}
	}
}

func (p *object) digestAlgorithms() (algorithms []DigestAlgorithm, err error) {
	if err := p.expect(ber.Set); err != nil {
		return nil, err
	}
	err = p.each(maxDigestAlgorithms, "digest algorithms", func(h ber.Header) error {
		a, err := p.algorithm(h)
		algorithms = append(algorithms, DigestAlgorithm{a.Algorithm, contentDigest(a.Algorithm)})
		return err
	})
	return algorithms, err
}

// encapContentInfo reads type and content (RFC 5652 section 5.2), which may be absent: then there is no digest.
func (p *object) encapContentInfo(hashes []crypto.Hash) (asn1.ObjectIdentifier, *digest, error) {
	if err := p.expect(ber.Sequence); err != nil {
		return nil, nil, err
	}
	return p.encapsulated(hashes)
}

// encapsulated reads the EncapsulatedContentInfo whose header was read.
func (p *object) encapsulated(hashes []crypto.Hash) (oid asn1.ObjectIdentifier, d *digest, err error) {
	oid, _, err = p.contentInfo(func(content io.Reader) error {
		d, err = digestContent(content, p.content, hashes)
		return err
	})
	return oid, d, err
}

// contentInfo reads the EncapsulatedContentInfo whose header was read, and gives its content to f, if there is any.
func (p *object) contentInfo(f func(io.Reader) error) (oid asn1.ObjectIdentifier, present bool, err error) {
	if err := p.Enter(); err != nil {
		return nil, false, err
	}
	if oid, err = p.oid(); err != nil {
		return nil, false, err
	}
	switch h, err := p.Next(); {
	case err == io.EOF:
		return oid, false, p.Leave()
	case err != nil:
		return nil, false, err
	case h.Tag != ber.Context(0):
		return nil, false, p.Malformed("something else where content belongs")
	}
	if err := p.Enter(); err != nil {
		return nil, false, err
	}
	switch h, err := p.must(); {
	case err != nil:
		return nil, false, err
	case h.Tag != ber.OctetString:
		// PKCS #7 1.5 had content of any type here; RFC 5652 section 5.2.1 tells what that does to the digest.
		return nil, false, fmt.Errorf("%w: content of type %s that is not an OCTET STRING", ErrUnsupported, nameOf(oid))
	}
	if err := f(p.Content()); err != nil {
		return nil, false, err
	}
	if err := p.Leave(); err != nil {
		return nil, false, err
	}
	return oid, true, p.Leave()
}

// certificates reads a CertificateSet (RFC 5652 section 10.2.3). One that crypto/x509 does not like must not hide
// the others; attribute and PKCS #6 certificates are passed over.
func (p *object) certificates(s *SignedData) error {
	return p.each(p.limits.Certificates, "certificates", func(h ber.Header) error {
		switch {
		case h.Tag.Class == ber.ContextSpecific:
			return nil
		case h.Tag != ber.Sequence:
			return p.Malformed("something else where a certificate belongs")
		}
		raw, err := p.raw()
		if err != nil {
			return err
		}
		if c, err := p.parse(raw); err == nil {
			s.Certificates = append(s.Certificates, c)
		} else {
			s.Unparsed = append(s.Unparsed, raw)
		}
		return nil
	})
}

// crls reads RevocationInfoChoices (RFC 5652 section 10.2.1); other formats than CRLs are passed over.
func (p *object) crls() (crls [][]byte, err error) {
	err = p.each(p.limits.Certificates, "CRLs", func(h ber.Header) error {
		if h.Tag != ber.Sequence {
			return nil
		}
		raw, err := p.raw()
		crls = append(crls, raw)
		return err
	})
	return crls, err
}

func (p *object) signerInfos() (signers []*SignerInfo, err error) {
	err = p.each(p.limits.Signers, "signers", func(h ber.Header) error {
		if h.Tag != ber.Sequence {
			return p.Malformed("something else where a SignerInfo belongs")
		}
		raw, err := p.raw()
		if err != nil {
			return err
		}
		si, err := parseSignerInfo(raw, p.limits)
		if err != nil {
			return err
		}
		signers = append(signers, si)
		return nil
	})
	return signers, err
}
