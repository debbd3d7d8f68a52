package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"mailseal/internal/config"
	"mailseal/internal/gateway"
	"mailseal/internal/message"
	"mailseal/internal/policy"
	"mailseal/internal/verdict"
)

// TestTell: each verdict has its line and its exit status.
func TestTell(t *testing.T) {
	c := &config.Config{AuthservID: "mx.example.test"}
	for name, tt := range map[string]struct {
		o      gateway.Outcome
		status int
		want   string
	}{
		"signed": {gateway.Outcome{
			Verdict: message.Verdict{Action: message.Accept}, Event: "signed", Direction: policy.Outbound, Identity: "alice",
		}, 0, "accept: outbound signed by identity alice"},
		"passed": {gateway.Outcome{
			Verdict: message.Verdict{Action: message.Accept}, Event: "passed", Direction: policy.Outbound, Why: []string{"a", "signing is off"},
		}, 0, "accept: outbound passed: signing is off"},
		"verified": {gateway.Outcome{
			Verdict: message.Verdict{Action: message.Accept}, Event: "verified", Result: &verdict.Result{Status: verdict.None},
		}, 0, "accept: inbound verified: mx.example.test; smime=none"},
		"opened": {gateway.Outcome{
			Verdict: message.Verdict{Action: message.Accept, Edits: []message.Edit{message.ReplaceBody{}, message.ReturnHeaders{}}},
			Event:   "opened", Result: &verdict.Result{Status: verdict.None},
		}, 0, "accept: inbound opened: mx.example.test; smime=none"},
		"deferred": {gateway.Outcome{
			Verdict: message.Verdict{Action: message.Defer, Reply: message.Reply{Code: 452, Enhanced: "4.3.1", Text: "try again"}},
			Event:   "deferred", Err: errors.New("disk\nfull"), Why: []string{"storage"},
		}, 75, "defer: inbound deferred: storage: 452 4.3.1 try again: disk full"},
		"rejected": {gateway.Outcome{
			Verdict: message.Verdict{Action: message.Reject, Reply: message.Reply{Code: 552, Enhanced: "5.3.4", Text: "message too large"}},
			Event:   "rejected", Why: []string{"too-large"},
		}, 69, "reject: inbound rejected: too-large: 552 5.3.4 message too large"},
		"discarded": {gateway.Outcome{
			Verdict: message.Verdict{Action: message.Discard}, Event: "discarded",
		}, 99, "discard: inbound discarded"},
		"quarantined": {gateway.Outcome{
			Verdict: message.Verdict{Action: message.Quarantine, Reply: message.Reply{Text: "cannot be processed"}}, Event: "quarantined",
		}, 99, "quarantine: inbound quarantined: cannot be processed"},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			env := Env{Stderr: &b}
			f := filter{env: message.Envelope{Recipients: []message.Recipient{{Address: "bob@partner.test"}}}}
			if status := report(&b, "filter", f.tell(env, c, tt.o)); status != tt.status || b.String() != tt.want+"\n" {
				t.Errorf("status %d, %q; want %d, %q", status, b.String(), tt.status, tt.want)
			}
			b.Reset()
			f.json = true
			status := report(&b, "filter", f.tell(env, c, tt.o))
			var got struct {
				Action, Event, Direction, Identity, Reply, Problem, Return string
				Why, Recipients                                            []string
				Result                                                     *verdict.Result
			}
			if err := json.Unmarshal(b.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if status != tt.status || got.Action != tt.o.Verdict.Action.String() || got.Event != name || got.Identity != tt.o.Identity ||
				len(got.Why) != len(tt.o.Why) || (got.Result != nil) != (tt.o.Result != nil) || got.Recipients[0] != "bob@partner.test" ||
				(got.Problem != "") != (tt.o.Err != nil) || (got.Return == "HDRS") != (name == "opened") || !strings.HasSuffix(got.Reply, tt.o.Verdict.Reply.Text) {
				t.Errorf("status %d, %+v", status, got)
			}
		})
	}
}

// TestEnvelope: the flags as the MTA would tell them.
func TestEnvelope(t *testing.T) {
	var f filter
	f.login = "anna"
	if err := f.envelope("2001:db8::1", "<>", []string{"<a@b.example>", "c@d.example"}); err != nil {
		t.Fatal(err)
	}
	e := f.env
	if e.Sender != "" || e.Client.Addr.String() != "2001:db8::1" || e.Client.Login != "anna" ||
		len(e.Recipients) != 2 || e.Recipients[0].Address != "a@b.example" {
		t.Errorf("%+v", e)
	}
	for _, rcpt := range []string{"<>", "a@b.example\nc@d.example"} {
		if err := new(filter).envelope("", "x@y.example", []string{rcpt}); err == nil {
			t.Errorf("recipient %q is taken", rcpt)
		}
	}
}
