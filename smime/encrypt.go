package smime

import (
	"errors"

	"mailseal/internal/message"
	"mailseal/internal/spool"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// EncryptOptions say for whom and how. To and Spool are needed.
type EncryptOptions struct {
	To []recipient.To
	// Cipher is AES-256-CBC if it is the zero Cipher: the one that every client reads. CBC makes an
	// enveloped-data, everything else an authEnveloped-data (RFC 5083).
	Cipher  content.Cipher
	Spool   *spool.Store
	Protect HeaderProtection
	// Again encrypts also what is encrypted already.
	Again  bool
	Limits message.Limits
	// Root is the mail's walk where the caller has it already.
	Root *message.Part
}

// Encrypt returns the edits that turn the mail into an encrypted one; they own the new body.
// ErrProtected: it is encrypted already.
func Encrypt(m *message.Message, o EncryptOptions) ([]message.Edit, error) {
	return nil, errors.ErrUnsupported
}
