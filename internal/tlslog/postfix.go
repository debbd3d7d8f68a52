package tlslog

import (
	"bytes"
	"slices"
	"strings"

	"mailseal/internal/logline"
	"mailseal/internal/tlslog/cause"
)

// postfix reads what Postfix says with smtp_tls_loglevel and smtpd_tls_loglevel
// = 1. The service is the last part of the program's name.
func (r *Reader) postfix(e logline.Entry, program, raw []byte) {
	service := program[bytes.LastIndexByte(program, '/')+1:]
	switch string(service) {
	case "smtpd", "tlsproxy":
		r.smtpd(e, raw)
	case "smtp", "lmtp":
		r.smtp(e, raw)
	}
}

// tlsWord is what Postfix says of how far it believes a peer (TLS_README).
func tlsWord(word string) (v Verdict, ok bool) {
	switch word {
	case "Anonymous":
		return No, true
	case "Untrusted":
		return Fail, true
	case "Trusted", "Verified":
		return OK, true
	}
	return NoVerdict, false
}

func (r *Reader) smtpd(e logline.Entry, raw []byte) {
	m := e.Message
	switch m[0] {
	case 'A', 'U', 'T', 'V':
		switch {
		case bytes.HasPrefix(m, []byte("TLS SNI ")):
			r.sni(e, string(m), raw)
		case bytes.Contains(m[:min(len(m), 48)], []byte(" TLS connection ")):
			r.connection(e, In, string(m), raw)
		}
	case 'S':
		if bytes.HasPrefix(m, []byte("SSL_accept error from ")) {
			r.handshakeError(e, In, string(m[len("SSL_accept error from "):]), raw)
		}
	case 'd':
		if bytes.HasPrefix(m, []byte("disconnect from ")) {
			r.disconnect(e, string(m[len("disconnect from "):]), raw)
		}
	case 'c', 's', 'w', 'e', 'f', 'N':
		r.warning(e, string(m), raw)
	}
}

func (r *Reader) smtp(e logline.Entry, raw []byte) {
	m := e.Message
	switch m[0] {
	case 'A', 'U', 'T', 'V':
		if bytes.Contains(m[:min(len(m), 48)], []byte(" TLS connection ")) {
			r.connection(e, Out, string(m), raw)
			return
		}
	case 'S':
		if bytes.HasPrefix(m, []byte("SSL_connect error to ")) {
			r.handshakeError(e, Out, string(m[len("SSL_connect error to "):]), raw)
			return
		}
	case 'c', 's', 'w', 'e', 'f', 'N':
		if r.warning(e, string(m), raw) {
			return
		}
	}
	if m = afterQueueID(m); bytes.HasPrefix(m, []byte("to=<")) && bytes.Contains(m, []byte(", relay=")) {
		r.delivery(e, string(m), raw)
	}
}

// connection reads "Trusted TLS connection established to NAME[ADDR]:PORT: TLSv1.3
// with cipher C (256/256 bits) ...".
func (r *Reader) connection(e logline.Entry, side Side, m string, raw []byte) {
	word, rest, _ := strings.Cut(m, " TLS connection ")
	v, ok := tlsWord(word)
	if !ok {
		return
	}
	_, rest, _ = strings.Cut(rest, " ") // established or reused
	direction, saw := "from ", sawPostfixIn
	if side == Out {
		direction, saw = "to ", sawPostfixOut
	}
	if rest, ok = strings.CutPrefix(rest, direction); !ok {
		return
	}
	r.saw[saw] = true
	p := r.process(e)
	r.settle(p)
	who, rest, _ := strings.Cut(rest, ": ")
	who, _, _ = strings.Cut(who, " to ") // SNI
	ev := r.event(e, side, v, raw)
	ev.Name, ev.Address = peer(who)
	ev.Said = word
	ev.Version, rest, _ = strings.Cut(bounded(rest), " ")
	ev.Cipher, _ = between(rest, "with cipher ", " ")
	if side == In && v == No {
		ev.Cause = cause.Find("no-certificate")
	}
	if v.Bad() {
		if p.to == who {
			ev.set(p.reason)
			if issuer, ok := strings.CutPrefix(p.reason, "untrusted issuer "); ok {
				ev.Issuer = issuer
			}
		}
	}
	p.reason, p.to = "", ""
	if side == In {
		p.in, p.refused = true, false
	} else {
		p.relays = []string{who}
	}
	// Of a delivery that is put off for it, the next line tells.
	p.pending = &ev
}

// warning reads what goes before a connection's line, what follows a handshake
// that has failed, and what Postfix says of its own files.
func (r *Reader) warning(e logline.Entry, m string, raw []byte) bool {
	m = strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(m, "warning: "), "error: "), "fatal: ")
	m = strings.TrimPrefix(m, "server ")
	if rest, ok := strings.CutPrefix(m, "certificate verification failed for "); ok {
		who, reason, _ := strings.Cut(rest, ": ")
		p := r.process(e)
		r.settle(p)
		p.to, p.reason = bounded(who), bounded(reason)
		return true
	}
	if rest, ok := strings.CutPrefix(m, "TLS library problem: "); ok {
		r.libraryProblem(e, rest, raw)
		return true
	}
	for _, w := range []struct{ text, id string }{
		{"does not match next certificate", "mismatch"},
		{"error loading private keys and certificates from: ", "key-unreadable"},
		{"cannot get RSA private key from file ", "key-unreadable"},
		{"cannot get ECDSA private key from file ", "key-unreadable"},
		{"cannot get private key from file ", "key-unreadable"},
		{"cannot get RSA certificate from file ", "certificate-unreadable"},
		{"cannot get ECDSA certificate from file ", "certificate-unreadable"},
		{"cannot get certificate from file ", "certificate-unreadable"},
		{"cannot load Certification Authority data", "ca-unreadable"},
		{"cannot load Certificate Authority data", "ca-unreadable"},
		{"No server certs available", "tls-off"},
		{"disabling TLS support", "tls-off"},
	} {
		if i := strings.Index(m, w.text); i >= 0 && i < 64 {
			r.ownFile(e, m, w.id, raw)
			return true
		}
	}
	if strings.HasSuffix(m, "disabling TLS support") {
		r.ownFile(e, m, "tls-off", raw)
		return true
	}
	return false
}

// ownFile begins what Postfix says of a file of its own; the library's reason
// follows.
func (r *Reader) ownFile(e logline.Entry, m, id string, raw []byte) {
	p := r.process(e)
	if ev := p.pending; ev != nil && ev.Side == Own && ev.Cause != nil && ev.Cause.ID == "mismatch" {
		r.also(ev, raw) // the second line of the same
		return
	}
	r.settle(p)
	ev := r.event(e, Own, NoVerdict, raw)
	ev.Said, ev.Cause = bounded(m), cause.Find(id)
	_, file, ok := strings.Cut(m, "file ")
	if !ok {
		_, file, ok = strings.Cut(m, "from: ")
	}
	if !ok {
		_, file, ok = strings.Cut(m, "CAfile=")
	}
	if !ok {
		_, file, ok = strings.Cut(m, " in ")
		file, _, _ = strings.Cut(file, " does not")
	}
	if ok {
		file, _, _ = strings.Cut(file, ": disabling")
		file, _, _ = strings.Cut(strings.TrimPrefix(file, `"`), `"`)
		ev.File = bounded(file)
	}
	p.pending = &ev
}

// libraryProblem reads OpenSSL's own words, which follow what they are about.
func (r *Reader) libraryProblem(e logline.Entry, rest string, raw []byte) {
	p := r.known(e)
	if p == nil || p.pending == nil {
		return
	}
	ev := p.pending
	r.also(ev, raw)
	if ev.Side != Own {
		if ev.Verdict == Software && (ev.Reason == "" || ev.Cause == nil || ev.Cause.ID == "handshake") {
			ev.set(library(rest))
			if ev.Cause == nil {
				ev.Cause = cause.Find("handshake")
			}
		}
		return
	}
	if ev.Reason == "" {
		ev.Reason = library(rest)
		switch c := cause.Of(ev.Reason); {
		case c == nil:
		case c.ID == "mismatch", c.ID == "file-missing", c.ID == "file-denied":
			ev.Cause = c
		}
	}
}

// handshakeError reads "NAME[ADDR]: -1" and "NAME[ADDR]:25: lost connection".
func (r *Reader) handshakeError(e logline.Entry, side Side, rest string, raw []byte) {
	p := r.process(e)
	r.settle(p)
	i := strings.LastIndex(rest, ": ")
	if i < 0 {
		return
	}
	ev := r.event(e, side, Software, raw)
	ev.Name, ev.Address = peer(rest[:i])
	ev.Said, ev.Cause = "handshake failed", cause.Find("handshake")
	if why := rest[i+2:]; why != "-1" && why != "0" && why != "1" {
		ev.Reason = bounded(why)
		if c := cause.Of(why); c != nil {
			ev.Cause = c
		}
	}
	p.refused = side == In
	p.pending = &ev
}

// disconnect reads "NAME[ADDR] ehlo=1 starttls=0/1 mail=1 ...": where there is no
// starttls= in a session with mail, it was in clear.
func (r *Reader) disconnect(e logline.Entry, rest string, raw []byte) {
	p := r.known(e)
	tls, refused := false, false
	if p != nil {
		r.settle(p)
		tls, refused = p.in, p.refused
		p.in, p.refused = false, false
	}
	who, counts, ok := strings.Cut(rest, " ")
	if !ok || tls || bytes.Contains(e.Program, []byte("smtps/")) || bytes.Contains(e.Program, []byte("submissions/")) {
		return
	}
	switch {
	case strings.Contains(counts, "starttls=0/"):
		if !refused {
			ev := r.event(e, Own, NoVerdict, raw)
			ev.Said, ev.Cause = "STARTTLS refused", cause.Find("unavailable")
			r.take(ev)
		}
	case r.saw[sawPostfixIn] && strings.Contains(counts, " mail=") && !strings.Contains(counts, " starttls=") && !strings.Contains(counts, "xclient="):
		ev := r.event(e, In, None, raw)
		ev.Name, ev.Address = peer(who)
		r.clear(ev, "no STARTTLS")
	}
}

// waits are why Postfix puts mail off over TLS.
var waits = []struct {
	text, id string
	verdict  Verdict
}{
	{"Server certificate not verified", "not-verified", Fail},
	{"Server certificate not trusted", "not-verified", Fail},
	{"TLS is required, but was not offered by host", "not-offered", None},
	{"Cannot start TLS: handshake failure", "handshake", Software},
	{"TLS is required, but our TLS engine is unavailable", "tls-off", Config},
	{"TLS is required, but unavailable", "not-offered", None},
	{"TLSA lookup error", "dane", Temp},
	{"no usable TLSA records", "dane", DANEFail},
}

// delivery reads "to=<A>, relay=NAME[ADDR]:PORT, ..., status=sent (...)".
func (r *Reader) delivery(e logline.Entry, m string, raw []byte) {
	i := strings.Index(m, ", delay=")
	if i < 0 {
		return
	}
	j := strings.LastIndex(m[:i], ", relay=")
	if j < 0 {
		return
	}
	who := m[j+len(", relay=") : i]
	_, status, _ := strings.Cut(m[i:], ", status=")
	p := r.known(e)
	if why, ok := strings.CutPrefix(status, "deferred ("); ok {
		for _, w := range waits {
			if strings.HasPrefix(why, w.text) {
				r.deferred(e, who, w.id, w.verdict, raw)
				return
			}
		}
	}
	if p != nil {
		r.settle(p)
	}
	if !strings.HasPrefix(status, "sent (") || !r.saw[sawPostfixOut] || p != nil && slices.Contains(p.relays, who) ||
		!strings.Contains(who, "[") || strings.Contains(who, "[/") || bytes.HasSuffix(e.Program, []byte("lmtp")) {
		return
	}
	ev := r.event(e, Out, None, raw)
	ev.Name, ev.Address = peer(who)
	r.clear(ev, "no STARTTLS")
}

// deferred adds to a result that mail waits for it, or is the result.
func (r *Reader) deferred(e logline.Entry, who, id string, v Verdict, raw []byte) {
	p := r.process(e)
	name, address := peer(who)
	if ev := p.pending; ev != nil && ev.Side == Out && ev.Name == name && ev.Address == address {
		ev.Deferred = true
		r.also(ev, raw)
		if ev.Verdict.Good() { // it verifies, but not for that name or fingerprint
			ev.Verdict, ev.Cause = Fail, cause.Find(id)
		}
		r.settle(p)
		return
	}
	r.settle(p)
	ev := r.event(e, Out, v, raw)
	ev.Name, ev.Address, ev.Deferred = name, address, true
	ev.Said, ev.Cause = "deferred", cause.Find(id)
	r.take(ev)
}

// sni reads "TLS SNI X from NAME[ADDR] not matched, using default chain".
func (r *Reader) sni(e logline.Entry, m string, raw []byte) {
	if !strings.Contains(m, " not matched, using default chain") {
		return
	}
	ev := r.event(e, Own, NoVerdict, raw)
	// The name is a stranger's choice, and no file: one of many makes no other fault.
	ev.Reason, _ = between(m, "TLS SNI ", " from ")
	ev.Said, ev.Cause = "SNI not matched", cause.Find("sni")
	r.take(ev)
}
