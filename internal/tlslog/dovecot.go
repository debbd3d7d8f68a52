package tlslog

import (
	"bytes"
	"strings"

	"mailseal/internal/logline"
	"mailseal/internal/tlslog/cause"
)

// dovecot reads handshakes that have failed, and what Dovecot says of its files.
// It says nothing of clients' certificates where all is well.
func (r *Reader) dovecot(e logline.Entry, raw []byte) {
	m := e.Message
	if i := bytes.Index(m, []byte("SSL_accept() failed: ")); i >= 0 {
		address, ok := between(string(m), ", rip=", ",")
		if !ok {
			return
		}
		ev := r.event(e, In, Software, raw)
		ev.Address, ev.Said = address, "handshake failed"
		// The reason ends where the user's fields go on.
		reason := string(m[i+len("SSL_accept() failed: "):])
		reason, _, _ = strings.Cut(reason, ", session=")
		reason, _, _ = strings.Cut(reason, " (no auth")
		ev.set(library(reason))
		if ev.Cause == nil {
			ev.Cause = cause.Find("handshake")
		}
		r.take(ev)
		return
	}
	if !bytes.Contains(m, []byte("SSL")) && !bytes.Contains(m, []byte("ssl_")) {
		return
	}
	text := string(m)
	for _, w := range []struct{ text, id string }{
		{"Key is for a different cert", "mismatch"},
		{"key values mismatch", "mismatch"},
		{"Can't load SSL private key", "key-unreadable"},
		{"Couldn't parse private SSL key", "key-unreadable"},
		{"Can't load SSL certificate", "certificate-unreadable"},
		{"Can't load private key", "key-unreadable"},
		{"Couldn't parse DH parameters", "dh-missing"},
		{"Failed to initialize SSL server context", "tls-off"},
	} {
		if strings.Contains(text, w.text) {
			ev := r.event(e, Own, NoVerdict, raw)
			text, _, _ = strings.Cut(text, ": user=<") // who was there when it was seen
			ev.Said, ev.Cause = bounded(text), cause.Find(w.id)
			r.take(ev)
			return
		}
	}
}
