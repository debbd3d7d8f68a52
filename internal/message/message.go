// Package message is a mail as bytes: its envelope, its header fields raw and
// in order, its body in a spool, the MIME structure as offsets into the
// received bytes, and the edits that a milter may ask an MTA to make. It knows
// no cryptography and changes nothing that it was given.
//
// A signature is made over bytes, so nothing here is ever re-serialised:
// fields keep leading blanks, folds and spelling, and a body part is a range
// of the body as it came (RFC 1847 section 2.1, RFC 5322, RFC 2045, RFC 2046).
package message

import (
	"io"
	"net/netip"
)

// A Message is one mail in one transaction. Its owner closes Body.
type Message struct {
	Envelope Envelope
	Header   Header
	Body     Body
	// Newline is how the received mail ended its lines, "\r\n" or "\n". The
	// signed form of a mail always has CRLF (RFC 8551 section 3.1.1).
	Newline string
	// separator is the empty line behind the header, endNone where the mail
	// that was read ended before it.
	separator lineEnd
}

// A Body is the part of a mail after the empty line. It may be read from
// several goroutines and is closed by its owner.
type Body interface {
	io.ReaderAt
	io.Closer
	// Size is the length in bytes.
	Size() int64
}

// An Envelope is what the MTA knows of a transaction besides the mail itself.
type Envelope struct {
	// QueueID is the MTA's name for the mail (macro i), "" before it has one.
	QueueID string
	// Sender is the reverse-path without angle brackets, "" for <>.
	Sender string
	// SenderArgs are the ESMTP parameters of MAIL, as "SMTPUTF8" or "BODY=8BITMIME".
	SenderArgs []string
	// Recipients are those that the MTA accepted, in order.
	Recipients []Recipient
	Client     Client
}

// A Recipient is a forward-path without angle brackets and its ESMTP parameters.
type Recipient struct {
	Address string
	Args    []string
}

// A Client is the peer that handed the mail to the MTA, in the MTA's words.
type Client struct {
	// Name is the verified host name, or the address in brackets.
	Name string
	// Addr is the zero Addr where the MTA gave none.
	Addr netip.Addr
	Helo string
	// Login is the authenticated user ({auth_authen}), "" when there is none.
	Login string
	TLS   TLS
}

// TLS is the client's STARTTLS session as the MTA reports it. The zero value
// is a session without TLS.
type TLS struct {
	Version, Cipher, Bits string
	// Verify is sendmail's {verify}; Postfix has no such macro.
	Verify string
	// Subject and Issuer name the client's certificate. Postfix gives them,
	// as a common name, for trusted certificates only.
	Subject, Issuer string
}
