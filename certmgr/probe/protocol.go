package probe

import (
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strings"
)

// A protocol is how a server is asked for TLS.
type protocol interface {
	// greeting reads what the server says first, and finds its name in it.
	greeting(w *wire) (banner string, err error)
	// startTLS returns nil when the handshake may begin. Offered: the server has
	// said beforehand that it can.
	startTLS(w *wire) (offered bool, err error)
	// ask has an answer from any server that is content with the handshake:
	// with TLS 1.3 one that is not says so only after it (RFC 8446 section 4.4.4).
	ask(w *wire) error
	// bye is said at the end; the answer does not matter.
	bye(w *wire) error
}

func (u URL) protocol() protocol {
	switch strings.TrimSuffix(u.Scheme, "s") {
	case "pop3":
		return pop3{}
	case "imap":
		return imap{}
	}
	return smtp{}
}

// notOffered is what there is to be said of a server without TLS, which was asked
// for it all the same and has answered. One that cannot read its key or
// certificate offers nothing and says so only when asked.
func notOffered(command, answer string, known bool) error {
	f := &Failure{Cause: NotOffered, Text: fmt.Sprintf("%s is not offered; asked for all the same, it answers %q: TLS is switched off", command, answer)}
	if known {
		f.Cause = Unavailable
		f.Text += ", or the server cannot use its key, certificate or CA file, which its own log says at its start"
	}
	return f
}

func unavailable(command, answer string) error {
	return &Failure{Cause: Unavailable, Text: fmt.Sprintf("%s is offered, and refused with %q: "+
		"the server cannot use its key, certificate or CA file, which its own log says", command, answer)}
}

// smtp is RFC 5321 with RFC 3207.
type smtp struct{}

func (smtp) greeting(w *wire) (string, error) {
	_, text, err := w.ReadResponse(220)
	if err != nil {
		return "", lost("waiting for the greeting", err)
	}
	name, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	return hostName(name), nil
}

func (s smtp) startTLS(w *wire) (offered bool, err error) {
	extensions, err := s.ehlo(w)
	if err != nil {
		return false, err
	}
	for line := range strings.SplitSeq(extensions, "\n") {
		word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		offered = offered || strings.EqualFold(word, "STARTTLS")
	}
	if err := w.say("STARTTLS"); err != nil {
		return offered, lost("STARTTLS", err)
	}
	code, text, err := w.ReadResponse(0)
	answer := said(code, text)
	switch {
	case err != nil:
		return offered, lost("STARTTLS", err)
	case !offered:
		return false, notOffered("STARTTLS", answer, code == 454)
	case code == 454:
		return true, unavailable("STARTTLS", answer)
	case code != 220:
		return true, refused("STARTTLS", code, answer)
	}
	return true, nil
}

// ehlo introduces us by our address: no name of ours need be known.
func (smtp) ehlo(w *wire) (string, error) {
	literal := "[127.0.0.1]"
	if a, ok := w.LocalAddr().(*net.TCPAddr); ok {
		literal = "[" + a.IP.String() + "]"
		if a.IP.To4() == nil {
			literal = "[IPv6:" + a.IP.String() + "]" // RFC 5321 section 4.1.3
		}
	}
	if err := w.say("EHLO %s", literal); err != nil {
		return "", lost("EHLO", err)
	}
	_, text, err := w.ReadResponse(250)
	if reply := (*textproto.Error)(nil); errors.As(err, &reply) && reply.Code/100 == 5 {
		return "", &Failure{NotOffered, fmt.Sprintf("EHLO is answered %q: without EHLO there is no STARTTLS", said(reply.Code, reply.Msg)), nil}
	}
	if err != nil {
		return "", lost("EHLO", err)
	}
	_, extensions, _ := strings.Cut(text, "\n")
	return extensions, nil
}

func (s smtp) ask(w *wire) error {
	_, err := s.ehlo(w)
	return err
}

func (smtp) bye(w *wire) error { return w.say("QUIT") }

// pop3 is RFC 1939 with RFC 2449 (CAPA) and RFC 2595 (STLS).
type pop3 struct{}

func (pop3) greeting(w *wire) (string, error) {
	line, err := pop3Answer(w, "waiting for the greeting")
	return nameIn(line), err
}

// pop3Answer reads a line that says yes. A no is a failure.
func pop3Answer(w *wire, doing string) (string, error) {
	line, err := w.ReadLine()
	if err != nil {
		return "", lost(doing, err)
	}
	status, rest, _ := strings.Cut(line, " ")
	switch strings.ToUpper(status) {
	case "+OK":
		return rest, nil
	case "-ERR":
		return "", &Failure{Refused, fmt.Sprintf("%s: it answers %q", doing, plain(line)), nil}
	}
	return "", &Failure{Protocol, fmt.Sprintf("%s: %q is no answer of a POP3 server", doing, plain(line)), nil}
}

func (p pop3) startTLS(w *wire) (offered bool, err error) {
	if offered, err = p.capa(w); err != nil {
		return false, err
	}
	if err := w.say("STLS"); err != nil {
		return offered, lost("STLS", err)
	}
	line, err := w.ReadLine()
	switch {
	case err != nil:
		return offered, lost("STLS", err)
	case !offered:
		return false, notOffered("STLS", plain(line), false)
	case !strings.HasPrefix(strings.ToUpper(line), "+OK"):
		return true, unavailable("STLS", plain(line))
	}
	return true, nil
}

// capa reports whether STLS is among the capabilities. A server without CAPA has none.
func (pop3) capa(w *wire) (bool, error) {
	if err := w.say("CAPA"); err != nil {
		return false, lost("CAPA", err)
	}
	_, err := pop3Answer(w, "CAPA")
	if f := (*Failure)(nil); errors.As(err, &f) && f.Cause == Refused {
		return false, nil
	} else if err != nil {
		return false, err
	}
	for offered := false; ; {
		line, err := w.ReadLine()
		if err != nil {
			return false, lost("CAPA", err)
		}
		if line == "." {
			return offered, nil
		}
		offered = offered || strings.EqualFold(line, "STLS")
	}
}

func (p pop3) ask(w *wire) error {
	_, err := p.capa(w)
	return err
}

func (pop3) bye(w *wire) error { return w.say("QUIT") }

// imap is RFC 9051, and RFC 3501 before it.
type imap struct{}

func (imap) greeting(w *wire) (string, error) {
	line, err := w.ReadLine()
	if err != nil {
		return "", lost("waiting for the greeting", err)
	}
	status, rest, _ := strings.Cut(strings.TrimPrefix(line, "* "), " ")
	switch {
	case !strings.HasPrefix(line, "* "):
	case strings.EqualFold(status, "OK"):
		return nameIn(rest), nil
	case strings.EqualFold(status, "BYE"):
		return "", &Failure{Refused, fmt.Sprintf("it greets with %q", plain(line)), nil}
	case strings.EqualFold(status, "PREAUTH"):
		// RFC 9051 section 7.1.4: then STARTTLS is not possible any more.
		return "", &Failure{Protocol, "it greets with PREAUTH, after which there is no STARTTLS", nil}
	}
	return "", &Failure{Protocol, fmt.Sprintf("it greets with %q, which is none of an IMAP server", plain(line)), nil}
}

// command sends one and reads to its answer, which it returns without the tag,
// and whether a line of untagged ones has a word.
func (imap) command(w *wire, command, word string) (answer string, found bool, err error) {
	w.tag++
	tag := fmt.Sprintf("p%d", w.tag)
	if err := w.say("%s %s", tag, command); err != nil {
		return "", false, lost(command, err)
	}
	for {
		line, err := w.ReadLine()
		if err != nil {
			return "", false, lost(command, err)
		}
		if rest, ok := strings.CutPrefix(line, tag+" "); ok {
			return rest, found, nil
		}
		words := strings.Fields(strings.ToUpper(line))
		if len(words) < 2 || words[0] != "*" {
			return "", false, &Failure{Protocol, fmt.Sprintf("%s: %q is no answer of an IMAP server", command, plain(line)), nil}
		}
		for _, v := range words[2:] {
			found = found || words[1] == "CAPABILITY" && v == word
		}
	}
}

func (i imap) startTLS(w *wire) (offered bool, err error) {
	answer, offered, err := i.command(w, "CAPABILITY", "STARTTLS")
	if err != nil {
		return false, err
	}
	if !agrees(answer) {
		return false, &Failure{Cause: Refused, Text: fmt.Sprintf("CAPABILITY: it answers %q", plain(answer))}
	}
	answer, _, err = i.command(w, "STARTTLS", "")
	switch {
	case err != nil:
		return offered, err
	case !offered:
		return false, notOffered("STARTTLS", plain(answer), false)
	case !agrees(answer):
		return true, unavailable("STARTTLS", plain(answer))
	}
	return true, nil
}

func agrees(answer string) bool {
	status, _, _ := strings.Cut(answer, " ")
	return strings.EqualFold(status, "OK")
}

func (i imap) ask(w *wire) error {
	_, _, err := i.command(w, "CAPABILITY", "")
	return err
}

func (i imap) bye(w *wire) error {
	w.tag++
	return w.say("p%d LOGOUT", w.tag)
}

// nameIn finds a host's name in a greeting that need not have one.
func nameIn(greeting string) string {
	for word := range strings.FieldsSeq(greeting) {
		_, after, at := strings.Cut(strings.Trim(word, "<>"), "@") // RFC 1939's <process.time@host>
		if !at {
			after = word
		}
		if name := hostName(after); strings.Contains(name, ".") && !strings.HasSuffix(name, ".") {
			return name
		}
	}
	return ""
}

// hostName is a word where it can be a host's name, else "".
func hostName(word string) string {
	if len(word) > 253 || strings.Trim(word, "0123456789.") == "" || strings.HasPrefix(word, "-") {
		return ""
	}
	for _, r := range word {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_", r) {
			return ""
		}
	}
	return word
}
