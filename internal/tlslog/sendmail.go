package tlslog

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"mailseal/internal/logline"
	"mailseal/internal/tlslog/cause"
)

// sendmail reads what sendmail says at LogLevel 9 (the result), 12 (whose
// certificate) and 14 (why).
func (r *Reader) sendmail(e logline.Entry, raw []byte) {
	m := e.Message
	switch {
	case bytes.HasPrefix(m, []byte("STARTTLS")):
		r.starttls(e, string(m), raw)
	case bytes.HasPrefix(m, []byte("starting daemon (")):
		p := r.process(e)
		if p.daemon, p.inited = bytes.Contains(m, []byte(": SMTP")), false; p.daemon {
			// What it does without is said again, if it is so again.
			ev := r.event(e, Own, NoVerdict, raw)
			ev.Mended = []string{"dh-missing", "crl-file", "dh-weak"}
			r.take(ev)
		}
	case bytes.HasPrefix(m, []byte("started as: ")):
		if p := r.known(e); p != nil && p.daemon && !p.inited {
			p.daemon = false
			ev := r.event(e, Own, NoVerdict, raw)
			ev.Said, ev.Cause = "started without STARTTLS=server, init=1", cause.Find("tls-off")
			r.take(ev)
		}
	}
	switch m = afterQueueID(m); {
	case bytes.HasPrefix(m, []byte("ruleset=tls_")):
		r.ruleset(e, string(m), raw)
	case bytes.HasPrefix(m, []byte("to=")) && bytes.Contains(m, []byte("smtp, pri=")):
		r.sendmailTo(e, string(m), raw)
	case bytes.HasPrefix(m, []byte("from=")) && bytes.Contains(m, []byte(", daemon=")):
		r.sendmailFrom(e, string(m), raw)
	case bytes.HasPrefix(m, []byte("--- 454 4.3.3 TLS not available")):
		ev := r.event(e, Own, NoVerdict, raw)
		ev.Said, ev.Cause = "454 4.3.3 TLS not available", cause.Find("unavailable")
		r.take(ev)
	}
}

// starttls reads a line that begins with STARTTLS.
func (r *Reader) starttls(e logline.Entry, m string, raw []byte) {
	side := Out
	rest, ok := strings.CutPrefix(m, "STARTTLS=client")
	if !ok {
		side = In
		rest, ok = strings.CutPrefix(m, "STARTTLS=server")
	}
	if !ok {
		r.certVerify(e, m, raw)
		return
	}
	switch {
	case strings.HasPrefix(rest, ", relay="):
		r.sendmailResult(e, side, rest, raw)
	case strings.HasPrefix(rest, ", cert-subject="):
		r.certSubject(e, rest, raw)
	case strings.HasPrefix(rest, ": file "):
		r.unsafe(e, rest, raw)
	case strings.HasPrefix(rest, ", error: "), strings.HasPrefix(rest, ": error:"):
		r.sendmailError(e, side, rest, raw)
	case rest == ", init=1":
		p := r.process(e)
		p.inited = true
		r.settle(p)
		if side == In {
			ev := r.event(e, Own, NoVerdict, raw)
			ev.Mended = []string{"tls-off", "unavailable", "mismatch", "key-unreadable", "certificate-unreadable", "ca-unreadable", "key-readable",
				"file-writable", "file-denied", "file-kind", "file-missing"}
			r.take(ev)
		}
	case strings.HasPrefix(rest, ", Diffie-Hellman init, key="):
		if bits, _ := between(rest, "key=", " bit"); bits == "512" || bits == "768" || bits == "1024" {
			ev := r.event(e, Own, NoVerdict, raw)
			ev.Said, ev.Cause = "Diffie-Hellman "+bits+" bit", cause.Find("dh-weak")
			r.take(ev)
		}
	}
}

// sendmailResult reads ", relay=R, version=V, verify=W, cipher=C, bits=B/B".
func (r *Reader) sendmailResult(e logline.Entry, side Side, rest string, raw []byte) {
	r.saw[sawSendmail] = true
	p := r.process(e)
	r.settle(p)
	who, _ := between(rest, ", relay=", ", version=")
	word, _ := between(rest, ", verify=", ",")
	ev := r.event(e, side, parseVerdict(word), raw)
	ev.Name, ev.Address = relay(who)
	ev.Version, _ = between(rest, ", version=", ",")
	ev.Cipher, _ = between(rest, ", cipher=", ",")
	ev.Said = "verify=" + word
	if ev.Verdict.Bad() {
		ev.set(p.reason)
	}
	if ev.Verdict == DANEFail {
		ev.Cause = cause.Find("dane")
	}
	p.reason = ""
	if side == In {
		p.in = true
	} else if to := ev.Name + ev.Address; !slices.Contains(p.relays, to) {
		if len(p.relays) == maxRelays {
			p.relays = p.relays[1:]
		}
		p.relays = append(p.relays, to)
	}
	p.pending = &ev
}

// certSubject reads ", cert-subject=S, cert-issuer=I, verifymsg=M" (LogLevel 12),
// which follows the result.
func (r *Reader) certSubject(e logline.Entry, rest string, raw []byte) {
	p := r.known(e)
	if p == nil || p.pending == nil {
		return
	}
	ev := p.pending
	r.also(ev, raw)
	subject, _ := between(rest, ", cert-subject=", ", cert-issuer=")
	issuer, _ := between(rest, ", cert-issuer=", ", verifymsg=")
	ev.Subject, ev.Issuer = plus(subject), plus(issuer)
	if msg, _ := between(rest, ", verifymsg=", "\n"); ev.Verdict.Bad() && msg != "ok" {
		ev.set(plus(msg))
	}
}

// certVerify reads "STARTTLS: TLS cert verify: depth=D S, state=N, reason=W"
// (LogLevel 14), which comes before the result.
func (r *Reader) certVerify(e logline.Entry, m string, raw []byte) {
	if !strings.HasPrefix(m, "STARTTLS: TLS cert verify: ") || !strings.Contains(m, ", state=0, ") {
		return
	}
	// The subject is the stranger's, and has been escaped by nobody.
	p := r.process(e)
	r.settle(p)
	p.reason = bounded(m[strings.LastIndex(m, "reason=")+len("reason="):])
}

// unsafe reads ": file F unsafe: REASON".
func (r *Reader) unsafe(e logline.Entry, rest string, raw []byte) {
	i := strings.LastIndex(rest, " unsafe: ")
	if i < len(": file ") {
		return
	}
	ev := r.event(e, Own, NoVerdict, raw)
	ev.File, ev.Reason = bounded(rest[len(": file "):i]), bounded(rest[i+len(" unsafe: "):])
	ev.Said = "unsafe: " + ev.Reason
	base := strings.ToLower(path.Base(ev.File))
	crl := strings.Contains(base, "crl") && !strings.Contains(ev.Reason, "rit")
	id := "file-kind"
	switch {
	case strings.HasPrefix(base, "dh") && strings.Contains(ev.Reason, "No such file"):
		id = "dh-missing"
	case crl:
		id = "crl-file"
	case strings.Contains(ev.Reason, "readable"):
		id = "key-readable"
	case strings.Contains(ev.Reason, "writable"):
		id = "file-writable"
	case strings.Contains(ev.Reason, "Permission denied"):
		id = "file-denied"
	case strings.Contains(ev.Reason, "No such file"):
		id = "file-missing"
	}
	ev.Cause = cause.Find(id)
	r.take(ev)
}

// sendmailError reads ", error: accept failed=-1, reason=W, ..., relay=R" and
// what is said of files that cannot be taken.
func (r *Reader) sendmailError(e logline.Entry, side Side, rest string, raw []byte) {
	for _, w := range []struct{ text, id string }{
		{"SSL_CTX_check_private_key failed(", "mismatch"},
		{"SSL_CTX_use_PrivateKey_file(", "key-unreadable"},
		{"SSL_CTX_use_certificate_file(", "certificate-unreadable"},
		{"SSL_CTX_use_certificate_chain_file(", "certificate-unreadable"},
		{"load verify locs ", "ca-unreadable"},
		{"PEM_read_bio_X509_CRL(", "crl-file"},
		{"BIO_new=", "crl-file"},
	} {
		if _, after, ok := strings.Cut(rest, w.text); ok {
			ev := r.event(e, Own, NoVerdict, raw)
			file, _, _ := strings.Cut(after, ")")
			file, _, _ = strings.Cut(file, ",")
			ev.File, ev.Said, ev.Cause = bounded(file), bounded(strings.TrimPrefix(rest, ", error: ")), cause.Find(w.id)
			r.take(ev)
			return
		}
	}
	p := r.known(e)
	if strings.Contains(rest, "accept failed=") || strings.Contains(rest, "connect failed=") {
		if p = r.process(e); p.pending != nil && p.pending.Verdict == Software && p.pending.Side == side && p.pending.Reason == "" {
			// The ruleset's line came first.
			r.also(p.pending, raw)
		} else {
			r.settle(p)
			ev := r.event(e, side, Software, raw)
			if who, ok := between(rest, ", relay=", "\n"); ok {
				ev.Name, ev.Address = relay(who)
			}
			ev.Said, p.pending = "handshake failed", &ev
		}
		reason, _ := between(rest, "reason=", ",")
		p.pending.set(reason)
		if p.pending.Cause == nil {
			p.pending.Cause = cause.Find("handshake")
		}
		return
	}
	// ": error:0A000412:SSL routines::sslv3 alert bad certificate:..." follows.
	if p != nil && p.pending != nil && p.pending.Verdict == Software {
		r.also(p.pending, raw)
		if p.pending.Reason == "" {
			p.pending.set(library(rest))
		}
	}
}

// ruleset reads "ruleset=tls_server, arg1=SOFTWARE, relay=R, reject=403 4.7.0 ...":
// the access map, or a handshake that has failed, keeps a mail here.
func (r *Reader) ruleset(e logline.Entry, m string, raw []byte) {
	rule, _ := between(m, "ruleset=", ",")
	word, _ := between(m, ", arg1=", ",")
	who, ok := between(m, ", relay=", ", reject=")
	if !ok {
		return
	}
	side := Out
	if rule == "tls_client" {
		side = In
	}
	name, address := relay(who)
	p := r.process(e)
	if ev := p.pending; ev != nil && ev.Side == side && (ev.Verdict == parseVerdict(word) || ev.Name == "" && ev.Address == "") {
		// The result has come before, of a handshake without saying with whom.
		if ev.Name == "" && ev.Address == "" {
			ev.Name, ev.Address = name, address
		}
		ev.Deferred = true
		r.also(ev, raw)
		return
	}
	r.settle(p)
	ev := r.event(e, side, parseVerdict(word), raw)
	ev.Name, ev.Address, ev.Said, ev.Deferred = name, address, "verify="+word, true
	reject, _ := between(m, ", reject=", "\n")
	switch ev.Verdict {
	case Software:
		ev.Cause = cause.Find("handshake")
	case None, Clear:
		ev.Cause = cause.Find("not-offered")
	default:
		ev.set(reject)
		if ev.Cause == nil {
			ev.Cause = cause.Find("not-verified")
		}
	}
	p.pending = &ev
}

// sendmailTo reads a delivery: where the log would have said STARTTLS=client and
// has not, it was in clear.
func (r *Reader) sendmailTo(e logline.Entry, m string, raw []byte) {
	p := r.known(e)
	_, m, _ = strings.Cut(m, "smtp, pri=") // behind what senders can write
	who, ok := between(m, ", relay=", ", dsn=")
	ev := Event{}
	ev.Name, ev.Address = relay(who)
	if p != nil {
		if to := p.pending; to != nil && to.Side == Out && to.Address == "" && to.Name == ev.Name {
			to.Address = ev.Address // which only this line has
		}
		r.settle(p)
	}
	if !ok || !r.saw[sawSendmail] || !strings.Contains(m, ", stat=Sent") || strings.HasPrefix(who, "localhost") {
		return
	}
	for _, id := range []string{ev.Name + ev.Address, ev.Name, ev.Address} {
		if p != nil && slices.Contains(p.relays, id) {
			return
		}
	}
	name, address := ev.Name, ev.Address
	ev = r.event(e, Out, None, raw)
	ev.Name, ev.Address = name, address
	r.clear(ev, "no STARTTLS")
}

// sendmailFrom reads a mail that has come: the same the other way.
func (r *Reader) sendmailFrom(e logline.Entry, m string, raw []byte) {
	if !r.saw[sawSendmail] || !strings.Contains(m, ", proto=") {
		return
	}
	if p := r.known(e); p != nil && p.in {
		r.settle(p)
		return
	}
	i := strings.LastIndex(m, ", relay=")
	if i < 0 || !strings.Contains(m[i:], " [") || strings.HasPrefix(m[i:], ", relay=localhost ") {
		return
	}
	ev := r.event(e, In, None, raw)
	ev.Name, ev.Address = relay(m[i+len(", relay="):])
	r.clear(ev, "no STARTTLS")
}

// library takes the words out of "error:0A000412:SSL routines::sslv3 alert bad
// certificate:../ssl/record/rec_layer_s3.c:1601:SSL alert number 42".
func library(s string) string {
	_, s, ok := strings.Cut(s, "error:")
	if !ok {
		return bounded(s)
	}
	parts := strings.SplitN(s, ":", 5) // number, library, function, reason, place
	if len(parts) < 4 {
		return bounded(s)
	}
	return bounded(strings.TrimSpace(parts[3]))
}
