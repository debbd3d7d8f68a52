package smime

import (
	"crypto/x509"
	"errors"
	"io"

	"mailseal/internal/message"
	"mailseal/internal/spool"
	"mailseal/smime/cms"
)

// VerifyOptions bound the work. The zero value is good for mail with CRLF.
type VerifyOptions struct {
	Limits message.Limits
	CMS    cms.Limits
	// Root is the mail's walk where the caller has it already.
	Root *message.Part
	// Spool is needed for mail with LF alone, which is verified as CRLF.
	Spool *spool.Store
	// Content, if set, gets the content of an opaque signature as it streams.
	// It is to be believed only after Verify returned, and what it said.
	Content io.Writer
	// ParseCertificate as in cms.ReadOptions.
	ParseCertificate func(der []byte) (*x509.Certificate, error)
	// Certificates are known to the caller and tried for signers whose own
	// certificate is not in the mail.
	Certificates []*x509.Certificate
}

// A Report is what is known of a mail's signature without trusting anybody.
type Report struct {
	Kind Kind
	// Part is the section of the signature (RFC 7281 section 3.2.1), "" when
	// Kind is not a signed one.
	Part    string
	Signers []Signer
	// Certificates are all that came along, parsed; Unparsed counts the others.
	Certificates []*x509.Certificate
	CRLs         [][]byte
	Unparsed     int
	// Err is nil or a *Problem: then no signer counts.
	Err error
	// Nested are S/MIME objects that cover only a part of the mail, in order;
	// they decide nothing. There are at most MaxNested.
	Nested []Nested
}

// MaxNested bounds Report.Nested.
const MaxNested = 32

// A Signer is one signature over the mail and what became of it.
type Signer struct {
	// Result.Err is nil when the signature is good over the content.
	Result cms.SignerResult
}

// Nested is an S/MIME object further inside.
type Nested struct {
	Section string
	Kind    Kind
}

// Verify finds out whether the mail as a whole is signed and each signature
// holds. Its error is one of I/O or a passed *message.LimitError; what is
// wrong with the mail or its signature is in the Report.
func Verify(m *message.Message, o VerifyOptions) (*Report, error) {
	return nil, errors.New("not implemented yet")
}
