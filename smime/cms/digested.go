package cms

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"fmt"
	"io"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/ber"
	"mailseal/smime/cms/syntax"
)

// Digested is a read DigestedData (RFC 5652 section 7), its content already passed on.
type Digested struct {
	ContentType asn1.ObjectIdentifier
	Digest      crypto.Hash
	Size        int64 // of the content
}

// ReadDigested reads a ContentInfo that holds a DigestedData, to the end of r. The content goes to o.Content; it is whole only if
// the error is nil, and ErrDigest says that it is not what was digested.
func ReadDigested(r io.Reader, o ReadOptions) (*Digested, error) {
	p := newObject(r, o)
	a, err := p.openPlain(OIDDigestedData)
	if err != nil {
		return nil, err
	}
	d := &Digested{Digest: syntax.Hash(a.Algorithm)}
	if d.Digest == 0 {
		return nil, fmt.Errorf("%w: digest %s", ErrUnsupported, nameOf(a.Algorithm))
	}
	oid, content, err := p.encapContentInfo([]crypto.Hash{d.Digest})
	switch {
	case err != nil:
		return nil, err
	case content == nil:
		return nil, p.Malformed("there is no digested content")
	}
	d.ContentType, d.Size = oid, content.size
	if err := p.expect(ber.OctetString); err != nil {
		return nil, err
	}
	encoded, err := p.small()
	if err != nil {
		return nil, err
	}
	s := input(encoded)
	var sum []byte
	if !s.ReadASN1Bytes(&sum, der.OCTET_STRING) {
		return nil, p.Malformed("digest")
	}
	if err := p.Leave(); err != nil {
		return nil, err
	}
	if err := p.close(); err != nil {
		return nil, err
	}
	if !bytes.Equal(sum, content.sums[d.Digest]) {
		return nil, ErrDigest
	}
	return d, nil
}
