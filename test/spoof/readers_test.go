package spoof_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	mimeparts "mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mailseal/internal/verdict"
)

// A reader of mail as there are many: each takes a mail apart in its own way.
type reader struct {
	crEnds    bool // a CR alone ends a line
	blankEnds bool // a line of blanks ends the header
	junkEnds  bool // so does one that is no field
	last      bool // of several types the last one counts
	strict    bool // a blank before the colon makes no field
	controls  bool // control characters in a header are overlooked
	comments  bool // comments are not understood
	prefix    bool // what begins as a delimiter is one
	goesOn    bool // there may be parts behind the last
	decodes   bool // a multipart may be encoded as a whole
}

// shown is the text that the reader shows of a mail, of an entity in it if deep.
func (r reader) shown(entity string, depth int) string {
	if depth > 4 {
		return ""
	}
	if r.crEnds {
		entity = strings.ReplaceAll(strings.ReplaceAll(entity, "\r\n", "\n"), "\r", "\n")
	}
	entity = strings.ReplaceAll(entity, "\r\n", "\n")
	fields, body := r.header(entity)
	kind, params := r.mediaType(fields["content-type"])
	encoding := strings.ToLower(strings.TrimSpace(fields["content-transfer-encoding"]))
	switch {
	case strings.HasPrefix(kind, "multipart/") && params["boundary"] != "":
		if r.decodes {
			body = decode(encoding, body)
		}
		var text string
		for _, p := range r.split(body, "--"+params["boundary"]) {
			text += r.shown(p, depth+1)
		}
		return text
	case kind == "", strings.HasPrefix(kind, "text/"), strings.HasPrefix(kind, "multipart/"), strings.HasPrefix(kind, "message/"):
		return decode(encoding, body)
	}
	return ""
}

// header reads fields up to what ends them.
func (r reader) header(entity string) (fields map[string]string, body string) {
	fields = map[string]string{}
	var name string
	for rest := entity; ; {
		line, behind, more := strings.Cut(rest, "\n")
		if r.controls {
			line = strings.Map(func(c rune) rune {
				if c < ' ' && c != '\t' {
					return -1
				}
				return c
			}, line)
		}
		blank := strings.TrimSpace(line) == ""
		before, value, colon := strings.Cut(line, ":")
		before = strings.ToLower(before)
		if !r.strict {
			before = strings.TrimRight(before, " \t")
		}
		switch {
		case line == "", blank && r.blankEnds:
			return fields, behind
		case line[0] == ' ' || line[0] == '\t':
			if name != "" {
				fields[name] += line
			}
		case !colon || before == "" || strings.ContainsAny(before, " \t"):
			if r.junkEnds && (len(rest) < len(entity) || !strings.HasPrefix(line, "From ")) { // mbox's line
				return fields, rest
			}
			name = ""
		default:
			name = before
			if _, has := fields[name]; !has || r.last {
				fields[name] = value
			} else {
				name = ""
			}
		}
		if rest = behind; !more {
			return fields, ""
		}
	}
}

// mediaType reads a Content-Type as simple programs do.
func (r reader) mediaType(value string) (kind string, params map[string]string) {
	if !r.comments {
		if k, p, err := mime.ParseMediaType(value); err == nil {
			return k, p
		}
	}
	params = map[string]string{}
	words := strings.Split(value, ";")
	for _, w := range words[1:] {
		k, v, _ := strings.Cut(w, "=")
		if k = strings.ToLower(strings.TrimSpace(k)); params[k] == "" || r.last {
			params[k] = strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	kind, _, _ = strings.Cut(strings.TrimSpace(strings.ToLower(words[0])), " ")
	return kind, params
}

// split parts a body at its delimiters.
func (r reader) split(body, mark string) (parts []string) {
	var part []string
	in, over := false, false
	flush := func() {
		if in {
			parts = append(parts, strings.Join(part, "\n"))
		}
		part = nil
	}
	for line := range strings.SplitSeq(body, "\n") {
		trimmed := strings.TrimRight(line, " \t\r")
		switch is := trimmed == mark || r.prefix && strings.HasPrefix(line, mark) && !strings.HasPrefix(line, mark+"--"); {
		case is && !over:
			flush()
			in = true
		case trimmed == mark+"--":
			flush()
			in, over = false, !r.goesOn
		default:
			part = append(part, line)
		}
	}
	flush()
	return parts
}

func decode(encoding, body string) string {
	switch encoding {
	case "base64":
		b, _ := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(body), ""))
		return string(b)
	case "quoted-printable":
		b, _ := io.ReadAll(quotedprintable.NewReader(strings.NewReader(body)))
		return string(b)
	}
	return body
}

// library is what Go's own packages show.
func library(m []byte) (text string) {
	msg, err := netmail.ReadMessage(bytes.NewReader(m))
	if err != nil {
		return ""
	}
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || strings.HasPrefix(kind, "application/") {
		return ""
	}
	if !strings.HasPrefix(kind, "multipart/") || params["boundary"] == "" {
		b, _ := io.ReadAll(msg.Body)
		return string(b)
	}
	for parts := mimeparts.NewReader(msg.Body, params["boundary"]); ; {
		p, err := parts.NextPart()
		if err != nil {
			return text
		}
		if kind, _, err := mime.ParseMediaType(p.Header.Get("Content-Type")); err != nil || !strings.HasPrefix(kind, "application/") {
			b, _ := io.ReadAll(p)
			text += string(b)
		}
	}
}

// mark is in all that Mallory writes.
const mark = "MALLORY"

// inserts are what she puts somewhere into a mail of Alice's: lines, and characters.
var inserts = []string{
	"Content-Type: text/html", "Content-Type: text/plain", "Content-Type: multipart/mixed; boundary=x", "content-type :text/html", "Content-Type: multipart/mixed; boundary=\"=_s\"",
	"Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: quoted-printable", "Content-Transfer-Encoding: 7bit", "MIME-Version: 1.0", "X: y", " folded", " ", "\t", "", mark, mark,
	mark + ": " + mark, "--=_s", "--=_s--", "--=_sx", "--=_", "--x", "--x--", "--", "--=_s " + mark, "--=_s;", " --=_s", "Subject: " + mark, "From mallory", ": " + mark, "=", b64([]byte(mark)),
	" boundary=x", "\tboundary=x;", " ; boundary=\"x\"", " (", " )", "X-Y:\r", "X\x00: y",
}

var characters = []string{
	"\r", "\n", "\r\n", "\x00", "\v", "\f", "\x85", "\u0085", "\u2028", " ", "\t", ";", "\"", "(", ")", "\\", "=", ":", "--", "\r\n ", "\r\r", "\r\n\r\n", "; boundary=x", "; boundary*=us-ascii''x", "; boundary*0=x", "\n\n",
	"(\")", "\\\"", mark, "\rContent-Type: text/html\r\r" + mark, "\r--=_s\r\r" + mark + "\r", "\nContent-Type: text/html\n\n" + mark,
}

// changed puts lines and characters somewhere into a mail.
func changed(rt *rapid.T, m string) string {
	for range rapid.IntRange(1, 3).Draw(rt, "changes") {
		if rapid.IntRange(0, 2).Draw(rt, "line") > 0 {
			lines := strings.SplitAfter(m, "\r\n")
			i := rapid.IntRange(0, len(lines)-1).Draw(rt, "at")
			if rapid.Bool().Draw(rt, "early") {
				i = min(i, 7) // in the header, or behind it
			}
			lines[i] = rapid.SampledFrom(inserts).Draw(rt, "what") + "\r\n" + lines[i]
			m = strings.Join(lines, "")
			continue
		}
		i := rapid.IntRange(0, len(m)).Draw(rt, "at")
		m = m[:i] + rapid.SampledFrom(characters).Draw(rt, "what") + m[i:]
	}
	return m
}

// Whatever is put round what Alice signed: if it is said to be hers, no reader shows
// anything else.
func TestNoReaderSeesMore(t *testing.T) {
	w := newWorld(t)
	b := newBench(t, w)
	mails := []string{crlf(signed(alice, words, w.alice)), crlf(mail(alice, opaque(inside(words, by(w.alice)))))}
	for _, m := range mails {
		if d := b.deliver(t, []byte(m), bob); d.outcome.Result.Status != verdict.Pass {
			t.Fatalf("a good mail: %s", d.json)
		}
	}
	passes := 0
	rapid.Check(t, func(rt *rapid.T) {
		m := rapid.SampledFrom(mails).Draw(rt, "mail")
		m = changed(rt, m)
		d := b.deliver(t, []byte(m), bob)
		if d.outcome.Result == nil || d.outcome.Result.Status != verdict.Pass {
			return
		}
		passes++
		if text := library([]byte(m)); strings.Contains(text, mark) {
			rt.Fatalf("Go's packages show %q of\n%q", text, m)
		}
		for range 32 {
			var r reader
			for _, flag := range []*bool{&r.crEnds, &r.blankEnds, &r.junkEnds, &r.last, &r.strict, &r.controls, &r.comments, &r.prefix, &r.goesOn, &r.decodes} {
				*flag = rapid.Bool().Draw(rt, "lax")
			}
			if text := r.shown(m, 0); strings.Contains(text, mark) {
				rt.Fatalf("%+v shows %q of\n%q", r, text, m)
			}
		}
	})
	t.Logf("%d passed", passes)
}
