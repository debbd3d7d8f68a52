package cms

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"time"

	"mailseal/smime/capability"
	"mailseal/smime/cms/ber"
)

// Description is what an object says of itself, in words; nothing of it is verified.
type Description struct {
	Type             asn1.ObjectIdentifier
	TypeName         string                // "signed-data", "enveloped-data", ...
	ContentType      asn1.ObjectIdentifier // of what is inside
	ContentTypeName  string
	ContentSize      int64    // octets of the content as it stands there (encrypted, compressed); -1: none
	ContentAlgorithm string   // encryption, compression, digest or MAC
	Digests          []string // digestAlgorithms
	Recipients       []RecipientDescription
	Signers          []SignerDescription
	Certificates     []CertificateDescription
	CRLs             int
}

// RecipientDescription is one RecipientInfo, or one of the recipients of a kari.
type RecipientDescription struct {
	Kind         string // ktri, kari, kekri, pwri, kemri, ori, unknown
	Issuer       string // RFC 4514 name, with Serial
	Serial       *big.Int
	SubjectKeyID []byte // or the key identifier of a kekri
	Algorithm    string
}

// SignerDescription is one SignerInfo.
type SignerDescription struct {
	Issuer       string
	Serial       *big.Int
	SubjectKeyID []byte
	Digest       string
	Algorithm    string
	SigningTime  time.Time
	Attributes   []string // types of the signed ones
	Capabilities []string // what it says that it reads (RFC 8551 section 2.5.2)
}

// CertificateDescription is one certificate sent along.
type CertificateDescription struct {
	Subject, Issuer     string
	Serial              *big.Int
	NotBefore, NotAfter time.Time
	Capabilities        []string // what its holder reads, as it says (RFC 4262)
	Err                 error    // it could not be parsed: then nothing else is set
}

// Describe reads any CMS object to the end of r, its content unseen.
func Describe(r io.Reader) (*Description, error) {
	p := newObject(r, ReadOptions{})
	oid, err := p.open()
	if err != nil {
		return nil, err
	}
	d := &Description{}
	switch {
	case oid.Equal(OIDSignedData):
		var s *SignedData
		if s, err = p.signedData(false); err == nil {
			d = s.Describe()
		}
	case oid.Equal(OIDData):
		d, err = p.describeData()
	default:
		err = p.describe(oid, d)
	}
	if err != nil {
		return nil, err
	}
	d.Type, d.TypeName = oid, nameOf(oid)
	d.ContentTypeName = nameOf(d.ContentType)
	return d, p.close()
}

// Describe says what has been read.
func (s *SignedData) Describe() *Description {
	d := &Description{
		Type: OIDSignedData, TypeName: nameOf(OIDSignedData),
		ContentType: s.ContentType, ContentTypeName: nameOf(s.ContentType), ContentSize: -1,
		CRLs: len(s.CRLs),
	}
	if s.HasContent {
		d.ContentSize = s.ContentSize
	}
	for _, a := range s.DigestAlgorithms {
		d.Digests = append(d.Digests, nameOf(a.OID))
	}
	for _, si := range s.Signers {
		d.Signers = append(d.Signers, describeSigner(si))
	}
	for _, c := range s.Certificates {
		d.Certificates = append(d.Certificates, describeCertificate(c))
	}
	for _, raw := range s.Unparsed {
		_, err := x509.ParseCertificate(raw)
		d.Certificates = append(d.Certificates, CertificateDescription{Err: err})
	}
	return d
}

func describeSigner(si *SignerInfo) SignerDescription {
	d := SignerDescription{
		Serial: si.Serial, SubjectKeyID: si.SubjectKeyID,
		Digest: nameOf(si.DigestAlgorithm.Algorithm), Algorithm: signatureName(si),
	}
	if si.Issuer != nil {
		d.Issuer = nameString(si.Issuer)
	}
	d.SigningTime, _ = signingTime(si)
	for _, a := range si.SignedAttributes {
		d.Attributes = append(d.Attributes, nameOf(a.Type))
	}
	d.Capabilities = describeCapabilities(si.Capabilities())
	return d
}

func describeCapabilities(l capability.List, err error) []string {
	if err != nil {
		return []string{"malformed"}
	}
	return l.Words()
}

func describeCertificate(c *x509.Certificate) CertificateDescription {
	return CertificateDescription{
		Subject: nameString(c.RawSubject), Issuer: nameString(c.RawIssuer), Serial: c.SerialNumber,
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, Capabilities: describeCapabilities(capability.FromCertificate(c)),
	}
}

// describeData reads what is only data.
func (p *object) describeData() (*Description, error) {
	d := &Description{ContentType: OIDData}
	if err := p.expect(ber.OctetString); err != nil {
		return nil, err
	}
	n, err := io.Copy(io.Discard, p.Content())
	d.ContentSize = n
	return d, err
}

// describe reads the types that are not signed: all are a SEQUENCE of version, some of originator, recipients, algorithms
// and the content (RFC 5652 sections 6 to 9, RFC 5083 section 2, RFC 3274 section 1.1).
func (p *object) describe(oid asn1.ObjectIdentifier, d *Description) error {
	d.ContentSize = -1
	if err := p.enter(ber.Sequence); err != nil {
		return err
	}
	if _, err := p.version(); err != nil {
		return err
	}
	var err error
	switch {
	case oid.Equal(OIDEnvelopedData), oid.Equal(OIDAuthEnvelopedData):
		if err = p.recipients(d); err == nil {
			err = p.encryptedContent(d)
		}
	case oid.Equal(OIDEncryptedData):
		err = p.encryptedContent(d)
	case oid.Equal(OIDCompressedData), oid.Equal(OIDDigestedData):
		err = p.plainContentInfo(d)
	case oid.Equal(OIDAuthData):
		if err = p.recipients(d); err == nil {
			err = p.plainContentInfo(d)
		}
	default:
		return fmt.Errorf("%w content type %s", ErrUnsupported, nameOf(oid))
	}
	for err == nil { // attributes, digests and MACs at the end
		_, err = p.Next()
	}
	if err != io.EOF {
		return err
	}
	return p.Leave()
}

// plainContentInfo reads an algorithm, for AuthenticatedData an optional second one, and an EncapsulatedContentInfo.
func (p *object) plainContentInfo(d *Description) error {
	h, err := p.must()
	if err != nil {
		return err
	}
	a, err := p.algorithm(h)
	if err != nil {
		return err
	}
	d.ContentAlgorithm = nameOf(a.Algorithm)
	if h, err = p.must(); err == nil && h.Tag == ber.Context(1) {
		if a, err = p.algorithm(h); err == nil {
			d.Digests = append(d.Digests, nameOf(a.Algorithm))
			h, err = p.must()
		}
	}
	if err == nil && h.Tag != ber.Sequence {
		err = p.Malformed("something else where content belongs")
	}
	if err != nil {
		return err
	}
	var content *digest
	if d.ContentType, content, err = p.encapsulated(nil); content != nil {
		d.ContentSize = content.size
	}
	return err
}

// encryptedContent reads type, algorithm and length of encrypted content.
func (p *object) encryptedContent(d *Description) error {
	oid, a, ciphertext, err := p.encryptedContentInfo()
	if err != nil {
		return err
	}
	d.ContentType, d.ContentAlgorithm = oid, nameOf(a.Algorithm)
	if ciphertext != nil {
		if d.ContentSize, err = io.Copy(io.Discard, ciphertext); err != nil {
			return err
		}
	}
	return p.Leave()
}
