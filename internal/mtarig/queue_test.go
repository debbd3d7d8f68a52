package mtarig

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParsePostqueue(t *testing.T) {
	const out = `{"queue_name": "deferred", "queue_id": "4ABC", "arrival_time": 1, "message_size": 2, "forced_expire": false, "sender": "a@x", "recipients": [{"address": "b@y", "delay_reason": "host said: \"no\""}, {"address": "c@y"}]}
{"queue_name": "hold", "queue_id": "4DEF", "sender": "", "recipients": []}
`
	want := []Entry{
		{Queue: "deferred", ID: "4ABC", Sender: "a@x", Recipients: []Recipient{{"b@y", `host said: "no"`}, {"c@y", ""}}},
		{Queue: "hold", ID: "4DEF"},
	}
	got, err := parsePostqueue([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if _, err := parsePostqueue([]byte(`{"queue_name": `)); err == nil {
		t.Error("half an object is no error")
	}
}

func TestParseControl(t *testing.T) {
	const qf = "V8\nT1700000000\nMDeferred: 450 4.2.1 not now\nFs8b\n$_[127.0.0.1]\nS<a@x>\nrRFC822; b@y\nRPFD:<b@y>\nRPFD:<c@y>\nH??Subject: S<nobody>\n.\n"
	want := Entry{Queue: "deferred", ID: "4A1", Sender: "a@x", Recipients: []Recipient{
		{"b@y", "Deferred: 450 4.2.1 not now"}, {"c@y", "Deferred: 450 4.2.1 not now"},
	}}
	if d := cmp.Diff(want, parseControl("qf4A1", []byte(qf))); d != "" {
		t.Error(d)
	}
	if e := parseControl("hf4A2", []byte("qby a milter\nS<>\nRPFD:<b@y>\n")); e.Queue != "quarantined" || e.Recipients[0].Reason != "by a milter" {
		t.Errorf("%+v", e)
	}
}
