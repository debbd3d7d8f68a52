// Package tlslog reads from mail logs what became of STARTTLS and S/MIME: which
// peer was verified, which was not and why, and what a server said of its own
// certificate files.
//
// It knows the lines of sendmail, Postfix, Exim, Dovecot and mailseal itself. A
// Reader makes Events of them, a Summary adds Events up. Where one line has the
// result and another of the same process its reason, they become one Event.
//
// Log lines hold what strangers have said. Names are decoded (sendmail's +HH) and
// kept as they are; whoever prints them escapes them (Printable).
package tlslog

import (
	"time"

	"mailseal/internal/tlslog/cause"
)

// A Side is what an Event is about.
type Side uint8

const (
	In    Side = iota + 1 // a client that came here
	Out                   // a server that this host sent to
	Mail                  // the signature of a mail
	Probe                 // certmgr has looked at a server of this host
	Own                   // this host's own files and settings
)

var sides = [...]string{In: "in", Out: "out", Mail: "mail", Probe: "probe", Own: "own"}

func (s Side) String() string { return sides[s] }

// MarshalText gives the word for JSON.
func (s Side) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Verdict is one of sendmail's words behind verify=. What other programs say is
// told in these; the word that stood in the log is Event.Said.
type Verdict uint8

const (
	NoVerdict Verdict = iota
	OK                // verified
	Trusted           // verified by DANE
	Fail              // a certificate was given and does not verify
	DANEFail          // it does not match its TLSA records
	Software          // the handshake failed
	Temp              // a temporary error
	Protocol          // SMTP went wrong
	Config            // sendmail's tls_*_features are wrong
	Failure           // anything else
	None              // no TLS: in clear
	Clear             // in clear, after TLS has failed
	No                // the peer gave no certificate
	Not               // none was asked for
	verdicts
)

var verdictWords = [verdicts]string{"", "OK", "TRUSTED", "FAIL", "DANE_FAIL", "SOFTWARE", "TEMP", "PROTOCOL", "CONFIG", "FAILURE", "NONE", "CLEAR", "NO", "NOT"}

func (v Verdict) String() string { return verdictWords[v] }

// MarshalText gives the word for JSON.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// parseVerdict takes sendmail's word.
func parseVerdict(s string) Verdict {
	for v := OK; v < verdicts; v++ {
		if verdictWords[v] == s {
			return v
		}
	}
	return Failure
}

// Good: the peer is who it says.
func (v Verdict) Good() bool { return v == OK || v == Trusted }

// Bad: it is not, or TLS has failed. A peer without a certificate is neither.
func (v Verdict) Bad() bool { return v >= Fail && v <= Failure }

// An Event is what one line says, or a few of the same process together.
type Event struct {
	Time    time.Time
	Host    string // where it was logged
	Program string
	Side    Side
	Verdict Verdict // NoVerdict with Own

	// Name and Address are the peer; the name is believed no more than the server
	// believed it. With Own they are empty, and with Mail Name is a domain.
	Name, Address string

	Said    string // the program's own word: "verify=FAIL", "Untrusted", "CV=no"
	Version string // "TLSv1.3"
	Cipher  string

	Reason  string // in the words of the log
	Subject string // of the peer's certificate
	Issuer  string
	File    string // with Own

	Cause    *cause.Cause // nil: nothing is wrong, or nobody knows
	Deferred bool         // mail waits for it

	// Mended tells that a fault of this host with one of these causes is over.
	Mended []string

	// Lines are those of the log that it was made of, when the Reader keeps them.
	Lines []string
}

// set looks for the cause of what is wrong.
func (e *Event) set(reason string) {
	e.Reason = reason
	e.Cause = cause.Of(reason)
}
