// Package cause knows why TLS between mail servers is not verified, or does not
// come about, and what a postmaster does about it. It goes by the words of
// OpenSSL, GnuTLS and the servers themselves, which is all that a log has.
package cause

import (
	"slices"
	"strings"
)

// A Cause is a reason in a log, explained.
type Cause struct {
	ID   string // one word, for programs
	What string // what it is, for the table
	Do   string // what to do
}

// Find returns the cause with a name, nil when there is none.
func Find(id string) *Cause {
	for i := range table {
		if table[i].ID == id {
			return &table[i]
		}
	}
	return nil
}

// All returns every cause, in the order of the documentation.
func All() []Cause { return slices.Clone(table) }

// Of returns the cause that a reason in a log names, nil for one that is not
// known: the reason itself is all there is to say then.
func Of(reason string) *Cause {
	if reason == "" {
		return nil
	}
	reason = strings.ToLower(reason)
	for _, w := range words {
		if strings.Contains(reason, w.text) {
			return Find(w.id)
		}
	}
	return nil
}

// words are what reasons hold, the more telling first.
var words = []struct{ text, id string }{
	// What is said of the peer's certificate: X509_verify_cert_error_string(3), old
	// and new spelling, and GnuTLS.
	{"self-signed certificate in certificate chain", "unknown-ca"},
	{"self signed certificate in certificate chain", "unknown-ca"},
	{"self-signed certificate", "self-signed"},
	{"self signed certificate", "self-signed"},
	{"unable to get local issuer certificate", "unknown-ca"},
	{"unable to get issuer certificate", "unknown-ca"},
	{"untrusted issuer", "unknown-ca"},
	{"certificate not trusted", "unknown-ca"},
	{"issuer is unknown", "unknown-ca"},
	{"signer not found", "unknown-ca"},
	{"unable to verify the first certificate", "intermediate"},
	{"crl has expired", "crl-expired"},
	{"crl is not yet valid", "crl-expired"},
	{"unable to get certificate crl", "crl-missing"},
	{"unable to get crl issuer", "crl-missing"},
	{"crl signature failure", "crl-missing"},
	{"different crl scope", "crl-missing"},
	{"tlsa", "dane"},
	{"dane", "dane"},

	// What the peer says of ours: alerts (RFC 8446 section 6.2).
	{"alert unknown ca", "refused-ca"},
	{"ca is unknown", "refused-ca"},
	{"alert number 48", "refused-ca"},
	{"alert certificate expired", "refused-expired"},
	{"alert certificate revoked", "refused-revoked"},
	{"alert unrecognized name", "refused-name"},
	{"alert certificate required", "wanted"},
	{"peer did not return a certificate", "wanted"},
	{"alert bad certificate", "refused"},
	{"alert certificate unknown", "refused"},
	{"alert unsupported certificate", "refused"},
	{"certificate is bad", "refused"},
	{"unknown certificate", "refused"},
	{"alert protocol version", "version"},
	{"alert insufficient security", "cipher"},
	{"alert handshake failure", "handshake"},
	{"alert inappropriate fallback", "version"},

	{"certificate has expired", "expired"},
	{"certificate is expired", "expired"},
	{"certificate is not yet valid", "not-yet-valid"},
	{"certificate is not yet activated", "not-yet-valid"},
	{"certificate revoked", "revoked"},
	{"certificate is revoked", "revoked"},
	{"certificate purpose", "purpose"},
	{"hostname mismatch", "name"},
	{"ip address mismatch", "name"},
	{"name does not match", "name"},
	{"too weak", "weak"},
	{"insecure algorithm", "weak"},
	{"key too small", "dh"},
	{"chain too long", "chain"},
	{"path length constraint", "chain"},
	{"invalid ca certificate", "chain"},
	{"ca cert does not include key usage", "chain"},

	{"unsupported protocol", "version"},
	{"version too low", "version"},
	{"unknown protocol", "version"},
	{"unsupported version", "version"},
	{"no protocols available", "version"},
	{"no shared cipher", "cipher"},
	{"no suitable", "cipher"},
	{"no cipher", "cipher"},
	{"no supported cipher", "cipher"},
	{"wrong version number", "plain"},
	{"http request", "plain"},
	{"unexpected tls packet", "plain"},
	{"packet length too long", "plain"},
	{"decryption has failed", "plain"},
	{"timed out", "timeout"},
	{"timeout", "timeout"},
	{"unexpected eof", "broken-off"},
	{"lost connection", "broken-off"},
	{"connection reset", "broken-off"},
	{"non-properly terminated", "broken-off"},
	{"connection closed", "broken-off"},
	{"broken pipe", "broken-off"},

	{"key values mismatch", "mismatch"},
	{"does not match next certificate", "mismatch"},
	{"key is for a different cert", "mismatch"},
	{"check_private_key", "mismatch"},
	{"handshake failure", "handshake"},
	{"no such file", "file-missing"},
	{"permission denied", "file-denied"},
}
