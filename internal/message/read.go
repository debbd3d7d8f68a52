package message

import (
	"errors"
	"io"

	"mailseal/internal/spool"
)

// Limits bound what one mail may cost. A zero field is the default.
type Limits struct {
	// Depth is how deep parts may be nested (32), Parts how many there may
	// be (1000).
	Depth, Parts int
	// Header is the greatest size of one entity's header in bytes (1 MiB).
	Header int64
}

var errUnfinished = errors.New("not implemented yet")

// Read reads a mail from a file or a pipe, with LF or CRLF. Its envelope is
// empty. The caller closes the Body.
func Read(r io.Reader, s *spool.Store, l Limits) (*Message, error) { return nil, errUnfinished }

// WriteTo writes the mail, byte for byte as it was read.
func (m *Message) WriteTo(w io.Writer) (int64, error) { return 0, errUnfinished }

// Apply returns what an MTA would make of the mail and the edits. It changes
// nothing and shares the bodies, which stay with their owners.
func (m *Message) Apply(edits []Edit) (*Message, error) { return nil, errUnfinished }

// CRLF reads r with each bare LF turned into CRLF (RFC 8551 section 3.1.1).
func CRLF(r io.Reader) io.Reader { return r }

// Boundary returns a new multipart boundary (RFC 2046 section 5.1.1). It has
// "=_" in it, which neither base64 nor quoted-printable can contain, and is
// to be quoted. A nil rand is crypto/rand.
func Boundary(rand io.Reader) string { return "" }
