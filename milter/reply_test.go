package milter

import (
	"strings"
	"testing"

	"mailseal/internal/fault"
	"mailseal/internal/message"
)

func TestAnswers(t *testing.T) {
	long := strings.Repeat("word ", 200)
	tests := []struct {
		what string
		v    message.Verdict
		want string
	}{
		{"the zero verdict defers", message.Verdict{}, "y451 4.7.1 not decided yet, try again later\x00"},
		{"an action that is none defers", message.Verdict{Action: 99}, "y451 4.7.1 not decided yet, try again later\x00"},
		{"accept", message.Verdict{Action: message.Accept, Reply: message.Reply{Code: 550, Text: "x"}}, "a"},
		{"discard", message.Verdict{Action: message.Discard}, "d"},
		{"reject", message.Verdict{Action: message.Reject}, "y550 5.7.1 message refused by policy\x00"},
		{"reject with a reply", message.Verdict{Action: message.Reject, Reply: message.Reply{Code: 554, Enhanced: "5.7.5", Text: "not signed"}}, "y554 5.7.5 not signed\x00"},
		{"defer with a reply", message.Verdict{Reply: message.Reply{Code: 421, Enhanced: "4.3.2", Text: "down"}}, "y421 4.3.2 down\x00"},
		{"a code of the other class is not the action's", message.Verdict{Reply: message.Reply{Code: 550, Enhanced: "5.7.1", Text: "no"}}, "y451 4.7.1 no\x00"},
		{"nor the enhanced one", message.Verdict{Action: message.Reject, Reply: message.Reply{Code: 553, Enhanced: "4.7.1", Text: "no"}}, "y553 5.7.1 no\x00"},
		{"codes that are none", message.Verdict{Action: message.Reject, Reply: message.Reply{Code: 5000, Enhanced: "5.7.1234"}}, "y550 5.7.1 message refused by policy\x00"},
		{"negative", message.Verdict{Action: message.Reject, Reply: message.Reply{Code: -550, Enhanced: "5.7"}}, "y550 5.7.1 message refused by policy\x00"},
		{"both MTAs take the text for a format", message.Verdict{Action: message.Reject, Reply: message.Reply{Text: "100% %s"}}, "y550 5.7.1 100%% %%s\x00"},
		{"one line", message.Verdict{Action: message.Reject, Reply: message.Reply{Text: " a\r\n250 ok\x00\tb "}}, "y550 5.7.1 a 250 ok? b\x00"},
		{"ASCII", message.Verdict{Action: message.Reject, Reply: message.Reply{Text: "nö \x7f"}}, "y550 5.7.1 n? ?\x00"},
		{"blank text is none", message.Verdict{Action: message.Reject, Reply: message.Reply{Text: " \r\n"}}, "y550 5.7.1 message refused by policy\x00"},
		{"not too long", message.Verdict{Action: message.Reject, Reply: message.Reply{Text: long}}, "y550 5.7.1 " + strings.TrimSpace(long[:450]) + "\x00"},
	}
	for _, tt := range tests {
		m := serve(t, &recorder{verdict: tt.v}).dial().start()
		got := m.deliver("a@example", []string{"b@example"}, nil, "x")
		if len(got) != 1 || got[0] != tt.want {
			t.Errorf("%s: %q; want %q", tt.what, got, tt.want)
		}
		m.quit()
	}
}

// Every answer to a kind of fault is one that both MTAs understand: Postfix
// breaks off when the classes differ.
func TestAnswersToFaults(t *testing.T) {
	for k := fault.Internal; k <= fault.Rejected; k++ {
		f := answerFault(k)
		line := string(f.data)
		if f.code != 'y' || len(line) < 12 || line[0] != line[4] || !strings.HasSuffix(line, "\x00") {
			t.Errorf("%v: %c %q", k, f.code, line)
		}
	}
}

// The library throws a session away after every answer that does not continue.
func TestAnswersKeepTheSession(t *testing.T) {
	for _, f := range []final{answerAccept, answerDiscard, answerContinue, answerFault(fault.Rejected)} {
		if !f.Continue() {
			t.Errorf("%q", f.code)
		}
	}
}
