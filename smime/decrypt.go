package smime

import (
	"errors"

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
	// ErrDecrypt is all that is said of everything that depends on a key.
	ErrDecrypt = cms.ErrDecrypt
)

// DecryptOptions say with which keys, and bound the work. Keys and Spool are needed.
type DecryptOptions struct {
	Keys   []recipient.Key
	Spool  *spool.Store
	Limits message.Limits
	CMS    cms.Limits
	// GCMInEnvelopedData as in cms.ReadEnvelopedOptions.
	GCMInEnvelopedData bool
	// Depth is how many layers are opened, 0 for 8.
	Depth int
}

// Opened is what was opened.
type Opened struct {
	// Layers are those that are off, outermost first.
	Layers []OpenedLayer
	// Header is that of the entity that was inside, with all its fields.
	Header message.Header
}

// An OpenedLayer is what was around the content.
type OpenedLayer struct {
	Kind Kind
	// Of Enveloped and AuthEnveloped:
	Cipher     content.Cipher
	Recipients []*recipient.Info
	Recipient  int // which of Recipients gave the key
	Key        int // which of DecryptOptions.Keys opened it
}

// Decrypt returns the edits that put what is inside of an encrypted mail into its place; they own
// the new body. ErrNotEncrypted, ErrNoRecipient, ErrDecrypt, *Problem and *message.LimitError are
// the mail's fault; every other error is one of I/O.
func Decrypt(m *message.Message, o DecryptOptions) ([]message.Edit, *Opened, error) {
	return nil, nil, errors.ErrUnsupported
}
