// Package probe asks a running mail server for TLS, as its peers do, and says
// whether what it presents is what it should:
//
//	u, err := probe.Parse("smtp://127.0.0.1:25")
//	r := probe.Check(ctx, u, probe.Want{Host: "mx.example.jp", CAs: bundle, Leaf: installed})
//	log("probe", "verify", r.Verify(), "error", r.Err)
//
// A certificate on the disk proves nothing: Sendmail, Postfix and Dovecot read
// theirs at their start, and switch TLS off without a word to anybody where they
// cannot. Only a connection shows what is served. Nothing that the server says
// is believed, and it can neither keep the caller waiting nor fill its memory.
//
// RFC 3207 (SMTP STARTTLS), RFC 2595 (POP3 STLS), RFC 9051 section 6.2.1 (IMAP
// STARTTLS), RFC 8314 (TLS from the first byte), RFC 6125 (names).
package probe

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"
)

// Want is what a server should present, and how it is asked. The zero value
// takes any certificate that some CA of CAs has signed, which is none.
type Want struct {
	// Host is the name that the certificate has to cover; "" is the URL's
	// ?name=, else its host. Where these are but addresses, any name will do.
	Host string
	// CAs are trusted: the CA file that peers have. Those that are not
	// self-signed help to build a chain and are no end of one.
	CAs []*x509.Certificate
	// Leaf is the certificate that must be served; nil: any.
	Leaf *x509.Certificate
	// Client is presented where the server asks for a certificate.
	Client *tls.Certificate
	// At is when the certificates have to be valid; zero is now.
	At time.Time
	// MinVersion is the least version of TLS that is good enough, as
	// tls.VersionTLS12; 0 takes any from TLS 1.0 on.
	MinVersion uint16
	// Timeout bounds all of it; 0 is half a minute. Some servers let a client
	// wait for seconds before they greet.
	Timeout time.Duration
}

// A Result is what came of one connection. Fields are set as far as it went.
type Result struct {
	URL URL
	// Offered: the server has offered TLS, or spoken it from the first byte.
	Offered bool
	// Banner is the name that the server calls itself in its greeting.
	Banner string
	// Version, Cipher and Curve (of the key exchange) as "TLSv1.3",
	// "TLS_AES_256_GCM_SHA384", "X25519"; "" before the handshake.
	Version, Cipher, Curve string
	// Chain is what the server has sent, its own certificate first.
	Chain []*x509.Certificate
	// AsksClient: the server asked for a client certificate. AcceptsFrom are
	// the names of the CAs that it says it takes them from, as RFC 4514 has
	// them; empty: it does not say.
	AsksClient  bool
	AcceptsFrom []string
	// Notes are what should be mended though the connection is good.
	Notes []string
	// Err is why it is not: a *Failure.
	Err error

	version uint16
}

// OK reports whether all was as wanted.
func (r Result) OK() bool { return r.Err == nil && len(r.Chain) > 0 }

// Cause is the kind of Err, "" where there is none.
func (r Result) Cause() Cause {
	if f := (*Failure)(nil); errors.As(r.Err, &f) {
		return f.Cause
	}
	return ""
}

// Verify is the result in the MTAs' words: OK, NO (no TLS is to be had), TEMP
// (nobody answers, so nothing is known), FAIL (every other).
func (r Result) Verify() string {
	switch {
	case r.OK():
		return "OK"
	case r.Cause() == Unreachable:
		return "TEMP"
	case r.Cause() == NotOffered || r.Cause() == Unavailable:
		return "NO"
	}
	return "FAIL"
}

// Leaf is the server's own certificate, nil where none came.
func (r Result) Leaf() *x509.Certificate {
	if len(r.Chain) == 0 {
		return nil
	}
	return r.Chain[0]
}

// A Cause is a kind of why a probe did not succeed.
type Cause string

// The causes, in the order in which they come up.
const (
	// Unreachable: no connection, no answer in time, or one that puts us off
	// (421 and the like).
	Unreachable Cause = "unreachable"
	// Refused: the server lets nobody in, or not us.
	Refused Cause = "refused"
	// Protocol: what answers does not speak the protocol, or speaks too much.
	Protocol Cause = "protocol"
	// NotOffered: TLS is not offered.
	NotOffered Cause = "not-offered"
	// Unavailable: TLS is offered or known, and refused: 454.
	Unavailable Cause = "unavailable"
	// Handshake: the two did not agree, or the server did not take our
	// certificate.
	Handshake Cause = "handshake"
	// OtherLeaf: not the wanted certificate; the server has not read it.
	OtherLeaf Cause = "other-certificate"
	// OldVersion: of TLS.
	OldVersion Cause = "old-version"
	Expired    Cause = "expired"
	NotYet     Cause = "not-yet-valid"
	SelfSigned Cause = "self-signed"
	UnknownCA  Cause = "unknown-ca"
	// Incomplete: a certificate between the server's and its root is missing.
	Incomplete Cause = "incomplete"
	OtherName  Cause = "other-name"
	// Invalid: the chain breaks any other rule.
	Invalid Cause = "invalid"
)

// A Failure is why a server does not present what it should, in words for its
// postmaster.
type Failure struct {
	Cause Cause
	Text  string
	Err   error // may be nil
}

func (f *Failure) Error() string { return f.Text }

func (f *Failure) Unwrap() error { return f.Err }
