package cms

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"io"

	"mailseal/smime/cms/ber"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// Why there is no plaintext.
var (
	// ErrNoRecipient: it is encrypted, but to nobody whose key is at hand, or not to all who would read it. Nothing of what
	// was encrypted says so.
	ErrNoRecipient = errors.New("encrypted for nobody whose key is here")
	// ErrDecrypt is all that is said of everything that depends on a key: a wrong one, bad padding, a bad tag, a ciphertext that
	// is cut off, plaintext that the caller's Check refuses. Who could tell one from the other could decrypt with
	// the help of our answers (RFC 3218, RFC 5652 section 14).
	ErrDecrypt = errors.New("cannot be decrypted")
)

// Spool is where plaintext waits until it is known to be good. Nobody but ReadEnveloped uses it.
type Spool interface {
	io.Writer
	io.ReaderAt
	io.Closer
}

// Plaintext is decrypted content that is good. Its owner closes it.
type Plaintext struct {
	spool Spool
	size  int64
}

// ReadAt reads what was decrypted.
func (p *Plaintext) ReadAt(b []byte, off int64) (int, error) {
	return io.NewSectionReader(p.spool, 0, p.size).ReadAt(b, off)
}

// Size is the number of octets.
func (p *Plaintext) Size() int64 { return p.size }

// Close frees what the Spool holds.
func (p *Plaintext) Close() error { return p.spool.Close() }

// ReadEnvelopedOptions say who opens and where the plaintext goes.
type ReadEnvelopedOptions struct {
	Keys recipient.Keys
	// Spool makes the place for the plaintext, one for each content-encryption key that our keys give. It is closed unless all
	// is good.
	Spool func() (Spool, error)
	// Check looks at the plaintext before anybody else does; what it refuses counts as not decrypted. One of 256 wrong keys
	// yields right padding, and Check then sees noise. Without AEAD it sees noise in other cases too, so that they take the
	// same time. nil takes everything.
	Check  func(*io.SectionReader) bool
	Limits Limits
	// GCMInEnvelopedData takes an authenticated cipher where RFC 5083 section 1 forbids it, as some write it: with the tag behind the
	// ciphertext.
	GCMInEnvelopedData bool
}

// Enveloped is a read EnvelopedData (RFC 5652 section 6.1) or AuthEnvelopedData (RFC 5083 section 2.1).
type Enveloped struct {
	Type        asn1.ObjectIdentifier // OIDEnvelopedData or OIDAuthEnvelopedData
	Version     int
	Recipients  []*recipient.Info
	Opened      int             // which of Recipients gave the key
	By          []recipient.Key // that opened it, the one for that recipient first
	ContentType asn1.ObjectIdentifier
	Cipher      content.Cipher
	Attributes  []Attribute // authenticated with the content
	Content     *Plaintext
}

// ReadEnveloped reads a ContentInfo that holds an EnvelopedData or AuthEnvelopedData, to the end of r, and decrypts it. There
// is plaintext only with a nil error: after the tag was checked, or the padding was found right.
func ReadEnveloped(r io.Reader, o ReadEnvelopedOptions) (*Enveloped, error) {
	p := newObject(r, ReadOptions{Limits: o.Limits})
	oid, err := p.open()
	if err != nil {
		return nil, err
	}
	if !oid.Equal(OIDEnvelopedData) && !oid.Equal(OIDAuthEnvelopedData) {
		return nil, fmt.Errorf("%w content type %s, not enveloped-data", ErrUnsupported, nameOf(oid))
	}
	d := &decryption{object: p, options: o, Enveloped: &Enveloped{Type: oid}}
	defer d.discard()
	if err := d.read(); err != nil {
		return nil, err
	}
	if err := p.close(); err != nil {
		return nil, err
	}
	return d.release()
}

// recipientInfos reads an optional OriginatorInfo and the RecipientInfos (RFC 5652 sections 6.1 and 6.2).
func (p *object) recipientInfos() (infos []*recipient.Info, err error) {
	h, err := p.must()
	if err == nil && h.Tag == ber.Context(0) {
		h, err = p.must()
	}
	if err == nil && h.Tag != ber.Set {
		err = p.Malformed("something else where recipients belong")
	}
	if err != nil {
		return nil, err
	}
	err = p.each(p.limits.Recipients, "recipients", func(ber.Header) error {
		raw, err := p.raw()
		if err != nil {
			return err
		}
		info, err := recipient.Parse(raw)
		if err != nil {
			return p.Malformed(err.Error())
		}
		infos = append(infos, info)
		return nil
	})
	return infos, err
}
