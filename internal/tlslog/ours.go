package tlslog

import (
	"bytes"
	"net/url"
	"strconv"
	"strings"

	"mailseal/internal/logline"
	"mailseal/internal/tlslog/cause"
)

// mailseal reads what mailseal itself says (doc/log.md): the results of
// signatures, and what certmgr has installed and probed.
func (r *Reader) mailseal(e logline.Entry, raw []byte) {
	m := e.Message
	i := bytes.Index(m, []byte(": "))
	if i < 0 || i > 64 {
		return
	}
	rest := m[i+2:]
	switch {
	case bytes.HasPrefix(rest, []byte("verified ")), bytes.HasPrefix(rest, []byte("rejected ")), bytes.HasPrefix(rest, []byte("quarantined ")):
		r.signature(e, string(rest), raw)
	case bytes.HasPrefix(rest, []byte("certmgr: ")):
		r.certmgr(e, string(rest[len("certmgr: "):]), raw)
	case bytes.HasPrefix(rest, []byte("probe ")), bytes.HasPrefix(rest, []byte("rolled back ")):
		r.certmgr(e, string(rest), raw)
	}
}

func (r *Reader) signature(e logline.Entry, text string, raw []byte) {
	_, v := pairs(text)
	if v["verify"] == "" {
		return
	}
	ev := r.event(e, Mail, parseVerdict(v["verify"]), raw)
	who := v["signer"]
	if who == "" {
		who = v["author"]
	}
	_, domain, ok := cutLast(who, "@")
	if !ok {
		domain = who
	}
	ev.Name, ev.Said, ev.Reason = bounded(strings.ToLower(domain)), "smime="+v["smime"], bounded(v["reason"])
	if ev.Verdict == Fail {
		ev.Cause = cause.Find("signature")
	}
	r.take(ev)
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// probed has the causes for certmgr's words (certmgr/probe). What is not here is
// that something else is served, or nothing.
var probed = map[string]string{
	"not-offered": "not-offered", "unavailable": "unavailable", "handshake": "handshake", "old-version": "version", "expired": "expired",
	"not-yet-valid": "not-yet-valid", "self-signed": "self-signed", "unknown-ca": "unknown-ca", "incomplete": "intermediate", "other-name": "name",
}

func (r *Reader) certmgr(e logline.Entry, text string, raw []byte) {
	event, v := pairs(text)
	switch {
	case event == "rolled back":
		ev := r.event(e, Own, NoVerdict, raw)
		ev.Said, ev.File, ev.Reason, ev.Cause = event, bounded(v["target"]), bounded(v["error"]), cause.Find("rolled-back")
		r.take(ev)
	case v["url"] != "" && v["verify"] != "":
		ev := r.event(e, Probe, parseVerdict(v["verify"]), raw)
		ev.Name = bounded(v["url"])
		if u, err := url.Parse(v["url"]); err == nil && u.Host != "" {
			ev.Name = bounded(u.Host)
		}
		ev.Said, ev.Version, ev.Reason = event, bounded(v["tls"]), bounded(v["error"])
		if ev.Verdict.Bad() {
			if ev.Cause = cause.Find(probed[v["cause"]]); ev.Cause == nil {
				ev.Cause = cause.Find("not-served")
			}
		} else if ev.Verdict.Good() {
			ev.Mended = []string{"rolled-back"}
		}
		r.take(ev)
	}
}

// pairs takes a line of ours apart: the event, and its keys with their values,
// quotes undone. Of a key that comes twice the first counts.
func pairs(text string) (event string, values map[string]string) {
	values = map[string]string{}
	for text != "" {
		word, rest, _ := strings.Cut(text, " ")
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			if len(values) == 0 {
				event = strings.TrimSpace(event + " " + word)
			}
			text = rest
			continue
		}
		if strings.HasPrefix(value, `"`) {
			quoted, err := strconv.QuotedPrefix(text[len(key)+1:])
			if err != nil {
				return event, values
			}
			rest = strings.TrimPrefix(text[len(key)+1+len(quoted):], " ")
			if value, err = strconv.Unquote(quoted); err != nil {
				return event, values
			}
		}
		if _, ok := values[key]; !ok {
			values[key] = value
		}
		text = rest
	}
	return event, values
}
