package message

import (
	"fmt"
	"io"
)

// A LimitError says which bound of Limits a mail passed.
type LimitError struct {
	Bound string // "depth", "parts", "header" or "fields"
	Limit int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("mail is over the bound of %d on %s", e.Limit, e.Bound)
}

// A Part is a MIME entity (RFC 2045 section 2.4): the mail itself, which is
// the root, or a body part.
type Part struct {
	Header            Header
	MediaType         string // lower case
	Params            map[string]string
	Encoding          string // lower case
	Disposition       string // lower case
	DispositionParams map[string]string
	// The entity's header begins at Offset in the message's Body and its
	// content is [BodyOffset, End). The root has 0 for both.
	Offset, BodyOffset, End int64
	// Section is the part's number (RFC 3501 section 6.4.5), "" for the root.
	Section string
	// Parts are the children of a multipart, or the one of a message/rfc822.
	Parts []*Part
	// Closed tells that a multipart's closing delimiter was there.
	Closed bool
	// Malformed is why the part's MIME fields cannot be trusted, or "".
	Malformed string
}

// Walk finds the parts of a mail.
func Walk(h Header, b Body, l Limits) (*Part, error) { return nil, errUnfinished }

// Raw returns the whole entity, header and all: the bytes that a signature
// over it covers. The line end before the next delimiter is not in it
// (RFC 1847 section 2.1, RFC 2046 section 5.1.1).
func (p *Part) Raw(b Body) Body { return Section(b, p.Offset, p.End-p.Offset) }

// Content returns the part's content as it stands in the mail.
func (p *Part) Content(b Body) Body { return Section(b, p.BodyOffset, p.End-p.BodyOffset) }

// Decode returns the content with base64 or quoted-printable undone.
func (p *Part) Decode(b Body) io.Reader { return NewReader(p.Content(b)) }
