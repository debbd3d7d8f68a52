package smime

import (
	"crypto"
	"errors"
	"io"
	"time"

	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/internal/spool"
)

// A Format is how a signature and its content travel.
type Format int

const (
	Detached Format = iota // multipart/signed: readable without S/MIME
	Opaque                 // application/pkcs7-mime: nothing on the way can change it unseen
)

func (f Format) String() string {
	if f == Opaque {
		return "opaque"
	}
	return "detached"
}

// SignOptions say who signs and how. Identity and Spool are needed.
type SignOptions struct {
	Identity pki.Identity
	Format   Format
	Digest   crypto.Hash // 0: SHA-256; Ed25519 always signs with SHA-512 (RFC 8419)
	PSS      bool        // RSA: RSASSA-PSS instead of PKCS #1 v1.5
	Now      func() time.Time
	Rand     io.Reader    // of the boundary, crypto/rand if nil
	Spool    *spool.Store // where encoded parts and opaque bodies are made
	Limits   message.Limits
	// Root is the mail's walk where the caller has it already.
	Root *message.Part
}

// An UnsignableError says why a mail cannot be signed without changing what
// it says or breaking a signature inside. The mail itself is as it was.
type UnsignableError struct {
	Section string // the part's number (RFC 3501 section 6.4.5), "" for the mail
	Reason  string
}

func (e *UnsignableError) Error() string {
	if e.Section == "" {
		return "mail cannot be signed: " + e.Reason
	}
	return "mail cannot be signed: part " + e.Section + ": " + e.Reason
}

// Sign returns the edits that turn the mail into a signed one; they own the
// new body, which reads from the old one. ErrProtected: it is signed or
// encrypted already. *UnsignableError, *message.LimitError: it cannot be signed.
// Every other error is I/O or the key.
func Sign(m *message.Message, o SignOptions) ([]message.Edit, error) {
	return nil, errors.New("not implemented yet")
}
