package milter

import (
	"fmt"
	"strings"

	milterlib "github.com/emersion/go-milter"

	"mailseal/internal/fault"
	"mailseal/internal/message"
)

// A final is an answer to the MTA. The library makes a new backend after every
// answer whose Continue is false, even after one to a single RCPT: the rest of
// the mail would go to somebody who has never seen its beginning. To the MTA
// it is as final as its code says.
type final struct {
	code byte
	data []byte
}

var _ milterlib.Response = final{}

func (f final) Response() *milterlib.Message {
	return &milterlib.Message{Code: f.code, Data: f.data}
}

func (f final) Continue() bool { return true }

var (
	answerContinue = final{code: byte(milterlib.ActContinue)}
	answerAccept   = final{code: byte(milterlib.ActAccept)}
	answerDiscard  = final{code: byte(milterlib.ActDiscard)}
)

// A reply line has 512 bytes with code and CRLF (RFC 5321 section 4.5.3.1.5).
const maxReplyText = 450

// answerFault tells a kind of fault.
func answerFault(k fault.Kind) final {
	return replyCode(k.Reply())
}

// answerVerdict tells a verdict, without its edits. An action that we do not
// know is as good as none: the mail is deferred.
func answerVerdict(v message.Verdict) final {
	switch v.Action {
	case message.Accept, message.Quarantine:
		return answerAccept
	case message.Discard:
		return answerDiscard
	case message.Reject:
		return replyAs(fault.Rejected, v.Reply)
	}
	return replyAs(fault.Deferred, v.Reply)
}

// replyAs fills what r leaves open, or says wrongly, from the row of k. The
// class must be that of the action: a deferred mail is not lost because
// somebody wrote 550 into its reply.
func replyAs(k fault.Kind, r message.Reply) final {
	code, enhanced, text := k.Reply()
	if r.Code/100 == code/100 {
		code = r.Code
	}
	if goesWith(r.Enhanced, code) {
		enhanced = r.Enhanced
	}
	if t := oneLine(r.Text); t != "" {
		text = t
	}
	return replyCode(code, enhanced, text)
}

// goesWith reports whether s is an enhanced code of the same class (RFC 3463
// section 2). Postfix breaks off with a milter whose classes differ.
func goesWith(s string, code int) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || parts[0] != fmt.Sprint(code/100) {
		return false
	}
	for _, p := range parts[1:] {
		if len(p) < 1 || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}

// replyCode builds SMFIR_REPLYCODE. Both MTAs take the text for a format, so %
// is doubled.
func replyCode(code int, enhanced, text string) final {
	line := fmt.Sprintf("%d %s %s", code, enhanced, strings.ReplaceAll(text, "%", "%%"))
	return final{code: byte(milterlib.ActReplyCode), data: append([]byte(line), 0)}
}

// oneLine makes text fit for one line of a reply: printable ASCII (there is no
// other without SMTPUTF8) and not too long.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\r' || r == '\n':
			return ' '
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxReplyText {
		text = strings.TrimRight(text[:maxReplyText], " ")
	}
	return text
}
