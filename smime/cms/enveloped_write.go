package cms

import (
	"bytes"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/ber"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// Encryption says how and for whom content is encrypted.
type Encryption struct {
	To          []recipient.To        // at least one
	Cipher      content.Cipher        // CBC makes an EnvelopedData, everything else an AuthEnvelopedData
	ContentType asn1.ObjectIdentifier // of what is encrypted; data if nil
	// Attributes are authenticated with the content, which CBC cannot do. The content-type attribute is none of them: it is added
	// where there are others, or where the content is not data (RFC 5083 section 2.1).
	Attributes []Attribute
}

// Encrypt writes a ContentInfo with plaintext encrypted: in DER if size, its octets, is known, otherwise (-1) in BER. After an
// error what was written is worth nothing.
func Encrypt(w io.Writer, plaintext io.Reader, size int64, e Encryption) error {
	s, err := e.envelope()
	if err != nil {
		return err
	}
	ciphertext := w
	start, after := s.indefinite()
	if size >= 0 {
		start, after = s.definite(size), nil
	} else {
		ciphertext = pieces{w}
	}
	if _, err = w.Write(start); err != nil {
		return err
	}
	c, err := s.algorithm.Encrypter(ciphertext, s.key, s.authenticated)
	if err != nil {
		return err
	}
	switch n, err := io.Copy(c, plaintext); {
	case err != nil:
		return err
	case size >= 0 && n != size:
		return fmt.Errorf("content to encrypt has %d octets, not %d", n, size)
	}
	tag, err := c.Finish()
	if err != nil {
		return err
	}
	if size < 0 {
		_, err = w.Write([]byte{0, 0, 0, 0}) // ends of content and EncryptedContentInfo
	}
	if err == nil {
		_, err = w.Write(append(s.end(tag), after...))
	}
	return err
}

// envelope is what stands around encrypted content.
type envelope struct {
	kind          asn1.ObjectIdentifier
	algorithm     content.Algorithm
	key           []byte
	head          []byte // version and RecipientInfos
	info          []byte // content type and algorithm
	authenticated []byte // attributes as a SET OF, nil for none
}

// envelope makes a key for the content and gives it to the recipients.
func (e Encryption) envelope() (*envelope, error) {
	if len(e.To) == 0 {
		return nil, errors.New("nobody to encrypt to")
	}
	s := &envelope{kind: OIDEnvelopedData, key: make([]byte, e.Cipher.KeySize())}
	var err error
	if s.algorithm, err = content.New(rand.Reader, e.Cipher); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	rand.Read(s.key) // never fails
	infos := make([][]byte, len(e.To))
	for i, to := range e.To {
		if infos[i], err = to.Wrap(rand.Reader, s.key); err != nil {
			return nil, err
		}
	}
	version := recipient.Version(infos...)
	if e.Cipher.Authenticated() {
		s.kind, version = OIDAuthEnvelopedData, 0
	}
	if err := s.attributes(e); err != nil {
		return nil, err
	}
	algorithm, err := s.algorithm.DER()
	if err != nil {
		return nil, err
	}
	var head, info cryptobyte.Builder
	head.AddASN1Int64(int64(version))
	head.AddASN1(der.SET, func(b *cryptobyte.Builder) { addSorted(b, infos) })
	info.AddASN1ObjectIdentifier(e.contentType())
	info.AddBytes(algorithm)
	if s.head, err = head.Bytes(); err != nil {
		return nil, err
	}
	s.info, err = info.Bytes()
	return s, err
}

func (e Encryption) contentType() asn1.ObjectIdentifier {
	if e.ContentType == nil {
		return OIDData
	}
	return e.ContentType
}

// attributes encodes the authenticated attributes.
func (s *envelope) attributes(e Encryption) error {
	if len(e.Attributes) == 0 && (!e.Cipher.Authenticated() || e.contentType().Equal(OIDData)) {
		return nil
	}
	if !e.Cipher.Authenticated() {
		return fmt.Errorf("%w: %v does not authenticate attributes", ErrUnsupported, e.Cipher)
	}
	var value cryptobyte.Builder
	value.AddASN1ObjectIdentifier(e.contentType())
	oid, err := value.Bytes()
	if err != nil {
		return err
	}
	all := append(slices.Clone(e.Attributes), Attribute{Type: oidContentType, Values: [][]byte{oid}})
	encoded := make([][]byte, len(all))
	for i, a := range all {
		if slices.ContainsFunc(all[i+1:], func(b Attribute) bool { return b.Type.Equal(a.Type) }) {
			return fmt.Errorf("%w: several attributes %s", ErrAttributes, nameOf(a.Type))
		}
		var b cryptobyte.Builder
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(a.Type)
			b.AddASN1(der.SET, func(b *cryptobyte.Builder) { addSorted(b, a.Values) })
		})
		if encoded[i], err = b.Bytes(); err != nil {
			return err
		}
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SET, func(b *cryptobyte.Builder) { addSorted(b, encoded) })
	s.authenticated, err = b.Bytes()
	return err
}

// definite is everything before size octets of content, encrypted, in DER.
func (s *envelope) definite(size int64) []byte {
	size = s.algorithm.CiphertextSize(size)
	rest := size + int64(len(s.end(make([]byte, s.algorithm.TagSize()))))
	b := ber.AppendHeader(nil, ber.Context(0), false, size)
	b = enclose(ber.Sequence, slices.Concat(s.info, b), size)
	b = enclose(ber.Sequence, slices.Concat(s.head, b), rest)
	b = enclose(ber.Context(0), b, rest)
	return enclose(ber.Sequence, slices.Concat(encodedOID(s.kind), b), rest)
}

// indefinite is everything before content of unknown size, in pieces, and what is behind the end.
func (s *envelope) indefinite() (start, after []byte) {
	start = slices.Concat([]byte{0x30, 0x80}, encodedOID(s.kind), []byte{0xa0, 0x80, 0x30, 0x80}, s.head,
		[]byte{0x30, 0x80}, s.info, []byte{0xa0, 0x80})
	return start, make([]byte, 6)
}

// end is what follows the content of an AuthEnvelopedData, and nothing in an EnvelopedData.
func (s *envelope) end(tag []byte) []byte {
	if len(tag) == 0 {
		return nil
	}
	b := bytes.Clone(s.authenticated)
	if len(b) > 0 {
		b[0] = 0xa1 // [1] IMPLICIT
	}
	b = ber.AppendHeader(b, ber.OctetString, false, int64(len(tag)))
	return append(b, tag...)
}

// pieces writes the pieces of an OCTET STRING.
type pieces struct{ w io.Writer }

func (p pieces) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil // an empty piece is allowed, but some stumble
	}
	if _, err := p.w.Write(ber.AppendHeader(nil, ber.OctetString, false, int64(len(b)))); err != nil {
		return 0, err
	}
	return p.w.Write(b)
}
