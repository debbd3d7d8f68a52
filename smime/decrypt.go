package smime

import (
	"context"
	"errors"
	"fmt"
	"io"

	"mailseal/internal/message"
	"mailseal/internal/spool"
	"mailseal/smime/cms"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// Why a mail is not decrypted.
var (
	// ErrNotEncrypted: the mail as a whole is not encrypted.
	ErrNotEncrypted = errors.New("mail is not encrypted")
	// ErrNoRecipient: it is encrypted for others. Everybody can see that.
	ErrNoRecipient = cms.ErrNoRecipient
	// ErrDecrypt is all that is said of everything that depends on a key: a
	// wrong one, bad padding, a bad tag, an entity that is none. Who could tell
	// them apart could decrypt with the help of our answers (RFC 3218).
	ErrDecrypt = cms.ErrDecrypt
)

// DecryptOptions say with which keys, and bound the work. Keys and Spool are
// needed.
type DecryptOptions struct {
	Keys   recipient.Keys
	Spool  *spool.Store
	Limits message.Limits
	CMS    cms.Limits
	// GCMInEnvelopedData as in cms.ReadEnvelopedOptions.
	GCMInEnvelopedData bool
	// Headers puts protected header fields (RFC 9788) in the place of those
	// that the mail came with.
	Headers bool
	// Depth is how many layers are opened, 0 for 8.
	Depth int
	// Context ends the work early; nil never does.
	Context context.Context
	// Signed, if set, is shown the mail as it is before a signature over what is
	// encrypted is taken off, and may judge that. Its error ends the work.
	Signed func(*message.Message) error
}

// Opened is what was opened.
type Opened struct {
	// Layers are those that are off, outermost first.
	Layers []OpenedLayer
	// Header is that of the entity that was inside, with all its fields.
	Header message.Header
	// Protected is what it says of the mail's own header fields, nil where it
	// says nothing (RFC 9788).
	Protected *Protected
	// Rest is why a layer further inside was not opened and stays: nil where
	// there is none, ErrNoRecipient where it is for somebody behind us.
	Rest error
}

// An OpenedLayer is what was around the content.
type OpenedLayer struct {
	// Kind is Enveloped, AuthEnveloped, Compressed, or a signature over what is
	// encrypted: nothing is known of that but what DecryptOptions.Signed found.
	Kind Kind
	// Of Enveloped and AuthEnveloped:
	Cipher     content.Cipher
	Recipients []*recipient.Info
	Recipient  int             // which of Recipients gave the key
	By         []recipient.Key // those that open it, the one for that recipient first
}

// Decrypt returns the edits that put what is inside of an encrypted mail into
// its place; they own the new body.
//
// Only a mail that is encrypted as a whole is opened, never a part of one: an
// attacker who puts a stolen ciphertext beside text of his own gets no text of
// ours that has both (EFAIL). From what was encrypted the body comes and the
// Content fields that describe it. Layer by layer is opened, of encryption and
// compression, and signatures over what is encrypted. A signature over anything
// else, inside, stays to be verified.
//
// ErrNotEncrypted, ErrNoRecipient, ErrDecrypt, *Problem and *message.LimitError
// are the mail's fault; every other error is one of I/O.
func Decrypt(m *message.Message, o DecryptOptions) ([]message.Edit, *Opened, error) {
	p := NewOpening(m, o)
	defer p.Close()
	opened, err := p.Decrypt()
	if err != nil {
		return nil, nil, err
	}
	return p.Edits(), opened, nil
}

// An opening is a mail on its way out of its layers.
type opening struct {
	DecryptOptions
	*Opened
	mail      *message.Message
	now       inner // what is left
	kind      Kind
	held      []io.Closer // that now reads from
	decrypted bool
}

// layers takes off one layer after the other.
func (d *opening) layers() error {
	for {
		if err := d.late(); err != nil {
			return err
		}
		root, kind, err := d.now.glance(d.Limits)
		if err != nil {
			return err
		}
		d.kind = kind
		if !d.opens(d.kind) {
			return nil
		}
		switch err := d.layer(root); {
		case err == errEnough:
			return nil
		case err == nil:
		case d.decrypted && fault(err):
			d.Rest = err
			return nil
		default:
			return err
		}
	}
}

// opens reports whether a layer is one to take off. A signature is one only
// before something was decrypted.
func (d *opening) opens(k Kind) bool {
	switch k {
	case Enveloped, AuthEnveloped, Compressed:
		return true
	case SignedDetached, SignedOpaque:
		return !d.decrypted
	}
	return false
}

// errEnough: the layer stays, as nothing is encrypted in it.
var errEnough = errors.New("nothing encrypted inside")

// layer takes off the layer that is outermost now.
func (d *opening) layer(root *message.Part) error {
	if repeated(root) {
		return &Problem{BadStructure, "more than one Content-Type", nil}
	}
	if len(d.Layers) == 0 {
		// What is behind a header's end stands before what comes out, for who sees it
		// there: it would be shown together (EFAIL).
		if why := veiled(d.mail.Header); why != "" {
			return &Problem{BadStructure, why, nil}
		}
	}
	if len(d.Layers) == d.Depth {
		return &Problem{TooLarge, fmt.Sprintf("more than %d layers of S/MIME", d.Depth), nil}
	}
	switch d.kind {
	case Enveloped, AuthEnveloped:
		return d.decrypt(root)
	case SignedDetached:
		return d.unsign(d.opens)
	}
	if !d.decrypted {
		inside, err := preview(d.body(), root, d.kind, d.Spool, d.Limits)
		if err != nil {
			return err
		}
		if !d.opens(inside) || inside == SignedDetached {
			return errEnough
		}
		if err := d.tell(); err != nil {
			return err
		}
	}
	return d.unpack(root)
}

// fault reports whether an error of a layer is the mail's fault, and not one of
// I/O.
func fault(err error) bool {
	var problem *Problem
	var limit *message.LimitError
	return errors.Is(err, ErrNoRecipient) || errors.Is(err, ErrDecrypt) || errors.As(err, &problem) || errors.As(err, &limit)
}
