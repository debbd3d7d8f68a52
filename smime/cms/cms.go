// Package cms reads and writes the Cryptographic Message Syntax as streams. It knows nothing of mail.
//
// A gateway receives a signature made by somebody it has never heard of, over content it must not hold in memory:
//
//	sd, err := cms.ReadSignedData(signature, cms.ReadOptions{})
//	err = sd.DigestContent(content)
//	for _, r := range sd.Verify() { ... }
//
// and it signs what leaves:
//
//	der, err := cms.SignDetached(content, cms.Signer{Certificate: cert, Key: key, SigningTime: now})
//
// It encrypts for those whose certificates it has, and decrypts into a place where nobody looks before all is found good:
//
//	err := cms.Encrypt(w, content, size, cms.Encryption{To: []recipient.To{{Certificate: cert}}, Cipher: content.AES256CBC})
//
//	e, err := cms.ReadEnveloped(object, cms.ReadEnvelopedOptions{Keys: keys, Spool: spool})
//	defer e.Content.Close()
//
// Whether a certificate may be trusted is not decided here: a result without error says only that the holder of that
// certificate's key signed exactly this content.
//
// RFC 5652 (CMS), RFC 5754 (SHA-2), RFC 9688 (SHA-3), RFC 4055 and 4056 (RSA-PSS), RFC 5753 (ECDSA), RFC 8419 (Ed25519), RFC 9882
// (ML-DSA), RFC 5035 (signing certificate attribute), RFC 8551 (S/MIME 4.0), RFC 6211 (algorithm protection), RFC 5083
// (AuthEnvelopedData), RFC 3274 (CompressedData), RFC 3218 (what a failure may tell).
package cms

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/ber"
	"mailseal/smime/cms/syntax"
)

// Why an object could not be read. Errors of the given reader and writer come through as they are.
var (
	ErrMalformed = ber.ErrMalformed
	ErrLimit     = ber.ErrLimit
	ErrContent   = errors.New("signed-data carries its own content")
)

// Why a signer's signature does not count; ErrUnsupported also says that an object is of another content type.
var (
	ErrNoCertificate = errors.New("no certificate of the signer")
	ErrDigest        = errors.New("content is not what was signed")
	ErrSignature     = errors.New("signature does not verify")
	ErrUnsupported   = errors.New("unsupported")
	ErrAttributes    = errors.New("signed attributes break the rules")
	// ErrWeak: everything verifies, but with a SHA-1 digest, an RSA key below 2048 bits or DSA.
	ErrWeak = errors.New("weak algorithm or key")
)

// Limits bound what a hostile object may cost. A zero field means its default.
type Limits struct {
	Depth        int   // nested elements: 64
	Elements     int   // elements in all, pieces of a chunked string not counted: 65536
	Kept         int64 // bytes of certificates, CRLs and signers held in memory, together: 2 MiB; parsed they take up to eight times that
	Object       int64 // bytes of one of them: 1 MiB
	Certificates int   // certificates, and CRLs: 1000 each
	Signers      int   // 16
	Attributes   int   // of one signer, signed and unsigned each, or of an AuthEnvelopedData: 64
	Recipients   int   // RecipientInfos: 2000
	Inflated     int64 // octets that compressed content may become: 256 MiB
	Ratio        int   // times that compressed content may grow, once it is over 1 MiB: 200
}

func (l Limits) orDefault() Limits {
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&l.Depth, 64)
	set(&l.Elements, 1<<16)
	set(&l.Certificates, 1000)
	set(&l.Signers, 16)
	set(&l.Attributes, 64)
	set(&l.Recipients, 2000)
	set(&l.Ratio, 200)
	if l.Kept <= 0 {
		l.Kept = 2 << 20
	}
	if l.Object <= 0 {
		l.Object = 1 << 20
	}
	if l.Inflated <= 0 {
		l.Inflated = 256 << 20
	}
	return l
}

// Inflate returns the limits of what else there may be in a mail of which n octets were decompressed already: the bound is for all its
// layers together.
func (l Limits) Inflate(n int64) Limits {
	l = l.orDefault()
	l.Inflated = max(1, l.Inflated-n)
	return l
}

// ReadOptions say where content goes and how much may be read.
type ReadOptions struct {
	Content io.Writer // gets the eContent as it streams; nil discards it
	Limits  Limits
	// ParseCertificate reads a certificate, x509.ParseCertificate if nil: here a caller can put a cache.
	ParseCertificate func(der []byte) (*x509.Certificate, error)
}

// Identify reads the content type of a ContentInfo and no more of it.
func Identify(r io.Reader) (asn1.ObjectIdentifier, error) {
	return newObject(r, ReadOptions{}).open()
}

// object is a ContentInfo being read, and what of it was put into memory.
type object struct {
	*ber.Reader
	limits  Limits
	content io.Writer
	parse   func([]byte) (*x509.Certificate, error)
	kept    int64
}

func newObject(r io.Reader, o ReadOptions) *object {
	l := o.Limits.orDefault()
	p := &object{
		Reader:  ber.NewReader(r, ber.Limits{Depth: l.Depth, Elements: l.Elements}),
		limits:  l,
		content: o.Content,
		parse:   o.ParseCertificate,
	}
	if p.parse == nil {
		p.parse = x509.ParseCertificate
	}
	return p
}

// open goes to the content of the ContentInfo (RFC 5652 section 3) and returns its type.
func (p *object) open() (asn1.ObjectIdentifier, error) {
	if err := p.enter(ber.Sequence); err != nil {
		return nil, err
	}
	oid, err := p.oid()
	if err != nil {
		return nil, err
	}
	return oid, p.enter(ber.Context(0))
}

// close checks that nothing follows the content, nor the ContentInfo.
func (p *object) close() error {
	if err := p.Leave(); err != nil {
		return err
	}
	if err := p.Leave(); err != nil {
		return err
	}
	return p.End()
}

// must returns the next element; there has to be one.
func (p *object) must() (ber.Header, error) {
	h, err := p.Next()
	if err == io.EOF {
		err = p.Malformed("an element is missing")
	}
	return h, err
}

// expect goes to the next element, which has to have that tag.
func (p *object) expect(t ber.Tag) error {
	h, err := p.must()
	if err == nil && h.Tag != t {
		err = p.Malformed(fmt.Sprintf("%v where %v belongs", h.Tag, t))
	}
	return err
}

func (p *object) enter(t ber.Tag) error {
	if err := p.expect(t); err != nil {
		return err
	}
	return p.Enter()
}

// raw takes the current element into memory as received, within what may be kept.
func (p *object) raw() ([]byte, error) {
	b, err := p.Raw(min(p.limits.Object, p.limits.Kept-p.kept))
	p.kept += int64(len(b))
	return b, err
}

// small takes the current element into memory in DER, something that takes few octets in an honest object.
func (p *object) small() ([]byte, error) {
	return p.DER(4 << 10)
}

// version reads a CMSVersion.
func (p *object) version() (int, error) {
	if err := p.expect(ber.Integer); err != nil {
		return 0, err
	}
	der, err := p.small()
	if err != nil {
		return 0, err
	}
	v, s := 0, input(der)
	if !s.ReadASN1Integer(&v) {
		return 0, p.Malformed("version is not a small number")
	}
	return v, nil
}

// oid reads an OBJECT IDENTIFIER.
func (p *object) oid() (asn1.ObjectIdentifier, error) {
	if err := p.expect(ber.OID); err != nil {
		return nil, err
	}
	der, err := p.small()
	if err != nil {
		return nil, err
	}
	s := input(der)
	oid, ok := syntax.ReadOID(&s)
	if !ok {
		return nil, p.Malformed("malformed object identifier")
	}
	return oid, nil
}

// algorithm reads the current element, an AlgorithmIdentifier.
func (p *object) algorithm(h ber.Header) (a pkix.AlgorithmIdentifier, err error) {
	if h.Tag.Class == ber.Universal && h.Tag != ber.Sequence {
		return a, p.Malformed("something else where an algorithm belongs")
	}
	encoded, err := p.small()
	if err != nil {
		return a, err
	}
	s := input(encoded)
	a, ok := syntax.ReadAlgorithm(&s, der.Tag(encoded[0]))
	if !ok {
		return a, p.Malformed("malformed algorithm identifier")
	}
	return a, nil
}
