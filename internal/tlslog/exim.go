package tlslog

import (
	"bytes"
	"strings"

	"mailseal/internal/logline"
	"mailseal/internal/tlslog/cause"
)

// exim reads Exim's main log, also out of syslog: X= and CV= of mails that come
// (<=) and go (=>, ->, ==), and "TLS error on connection".
func (r *Reader) exim(e logline.Entry, raw []byte) {
	m := e.Message
	if len(m) > 20 && m[4] == '-' && m[10] == ' ' && m[13] == ':' { // syslog_timestamp
		m = m[20:]
	}
	if bytes.HasPrefix(m, []byte("TLS error on ")) {
		r.eximError(e, string(m), raw)
		return
	}
	if len(m) < 28 {
		return
	}
	// Message ids: "1tFqGa-0003Yb-2x <= ", longer since 4.97.
	i := bytes.IndexByte(m[:28], ' ')
	if i < 16 || i+4 > len(m) {
		return
	}
	arrow, rest := string(m[i+1:i+3]), m[i+4:]
	side := Out
	switch arrow {
	case "<=":
		side = In
	case "=>", "->", "*>", "==":
	default:
		r.eximRequired(e, rest, raw)
		return
	}
	// What stands before H= is addresses, and what stands behind C= the peer's words.
	h := bytes.Index(rest, []byte(" H="))
	if h < 0 {
		return
	}
	text := string(rest[h+1:])
	if c := strings.Index(text, ` C="`); c >= 0 {
		text = text[:c]
	}
	r.eximMail(e, side, arrow, text, raw)
}

// eximMail reads the fields from H= on.
func (r *Reader) eximMail(e logline.Entry, side Side, arrow, text string, raw []byte) {
	name, address := eximPeer(strings.TrimPrefix(text, "H="))
	session, _ := between(text, " X=", " ")
	if session == "" {
		if !r.saw[sawExim] || arrow == "==" || strings.Contains(text, " P=local") {
			return
		}
		ev := r.event(e, side, None, raw)
		ev.Name, ev.Address = name, address
		r.clear(ev, "no X=")
		return
	}
	r.saw[sawExim] = true
	cv, _ := between(text, " CV=", " ")
	dn, _ := between(text, ` DN="`, `"`)
	v := No
	switch {
	case cv == "yes":
		v = OK
	case cv == "dane":
		v = Trusted
	case cv == "no" && (side == Out || dn != ""):
		v = Fail
	}
	ev := r.event(e, side, v, raw)
	ev.Name, ev.Address, ev.Said, ev.Subject = name, address, "CV="+cv, dn
	ev.Version, ev.Cipher, _ = strings.Cut(session, ":")
	ev.Deferred = arrow == "=="
	r.take(ev)
}

// eximPeer reads "name (helo) [address]:port ...". What is in brackets is what
// the client calls itself, be it an address.
func eximPeer(s string) (name, address string) {
	name, rest, ok := strings.Cut(s, "[")
	if i := strings.IndexByte(name, '('); ok && i >= 0 {
		name = name[:i]
		_, rest, ok = strings.Cut(s, ") [")
	}
	if !ok {
		return "", ""
	}
	address, _, _ = strings.Cut(rest, "]")
	return bounded(strings.TrimSpace(name)), bounded(address)
}

// eximError reads "TLS error on connection from NAME (HELO) [ADDR] (gnutls_handshake):
// REASON", and the same with "connection to".
func (r *Reader) eximError(e logline.Entry, m string, raw []byte) {
	side, who := In, ""
	if _, after, ok := strings.Cut(m, " from "); ok {
		who = after
	} else if _, after, ok = strings.Cut(m, " to "); ok {
		side, who = Out, after
	}
	if file, ok := between(m, "(cert/key setup: cert=", " key="); ok {
		ev := r.event(e, Own, NoVerdict, raw)
		ev.File, ev.Said, ev.Cause = file, bounded(m[strings.Index(m, "(cert/key"):]), cause.Find("pair-unreadable")
		r.take(ev)
		return
	}
	name, address := eximPeer(who)
	i := strings.LastIndex(who, "): ")
	if address == "" || i < 0 || strings.Contains(who, "(recv)") || strings.Contains(who, "(send)") {
		return // after the handshake
	}
	ev := r.event(e, side, Software, raw)
	ev.Name, ev.Address, ev.Said = name, address, "TLS error"
	reason := who[i+3:]
	if strings.Contains(reason, "error:") {
		reason = library(reason)
	}
	ev.set(bounded(reason))
	if ev.Cause == nil {
		ev.Cause = cause.Find("handshake")
	}
	r.take(ev)
}

// eximRequired reads "H=name [addr]: a TLS session is required, but ...".
func (r *Reader) eximRequired(e logline.Entry, rest, raw []byte) {
	if !bytes.Contains(rest, []byte("a TLS session is required")) {
		return
	}
	m := string(rest)
	i := strings.Index(m, "H=")
	if i < 0 {
		return
	}
	ev := r.event(e, Out, None, raw)
	ev.Name, ev.Address = eximPeer(m[i+2:])
	ev.Said, ev.Deferred, ev.Cause = "TLS required", true, cause.Find("not-offered")
	r.take(ev)
}
