package tally_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailseal/internal/tlslog"
	"mailseal/internal/tlslog/cause"
	"mailseal/internal/tlslog/tally"
)

var begin = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// at is an Event of a minute.
func at(minute int, side tlslog.Side, name string, v tlslog.Verdict, why string) *tlslog.Event {
	return &tlslog.Event{Time: begin.Add(time.Duration(minute) * time.Minute), Side: side, Name: name, Verdict: v, Version: "TLSv1.3", Said: "verify=" + v.String(), Cause: cause.Find(why)}
}

func own(minute int, program, why string, mended ...string) *tlslog.Event {
	return &tlslog.Event{Time: begin.Add(time.Duration(minute) * time.Minute), Side: tlslog.Own, Program: program, Cause: cause.Find(why), Mended: mended}
}

// summary is a Report in lines.
func summary(events ...*tlslog.Event) (rows, causes []string, failing bool) {
	t := tally.New(tally.MaxPeers, tally.MaxFaults)
	for _, e := range events {
		t.Add(e)
	}
	r := t.Report()
	for _, f := range r.Faults {
		s := fmt.Sprintf("host %s %d", f.Cause, f.Count)
		if f.Mended {
			s += " mended"
		}
		rows = append(rows, s)
	}
	for _, p := range r.Peers {
		counts, _ := json.Marshal(p.Counts)
		rows = append(rows, strings.TrimSpace(fmt.Sprintf("%s %s%s %s %s", p.Side, p.Name, p.Address, strings.ReplaceAll(string(counts), `"`, ""), p.Cause)))
	}
	for _, c := range r.Causes {
		causes = append(causes, fmt.Sprintf("%s %d %d", c.ID, c.Count, c.Peers))
	}
	return rows, causes, r.Failing()
}

const (
	in, out, mail, probe = tlslog.In, tlslog.Out, tlslog.Mail, tlslog.Probe
)

func TestTally(t *testing.T) {
	for _, tt := range []struct {
		name    string
		events  []*tlslog.Event
		rows    []string
		causes  []string
		failing bool
	}{
		{"nothing", nil, nil, nil, false},
		{"the worst first", []*tlslog.Event{
			at(1, in, "ok", tlslog.OK, ""), at(1, in, "no", tlslog.No, "no-certificate"), at(1, in, "broken", tlslog.Software, "version"),
			at(1, out, "clear", tlslog.None, "clear"), at(1, out, "fail", tlslog.Fail, "expired"), at(2, out, "fail", tlslog.Fail, "expired"), at(1, out, "once", tlslog.Fail, "name")},
			[]string{"out fail {FAIL:2} expired", "out once {FAIL:1} name", "in broken {SOFTWARE:1} version", "out clear {NONE:1} clear", "in no {NO:1}", "in ok {OK:1}"},
			[]string{"expired 2 1", "name 1 1", "version 1 1", "clear 1 1"}, true},
		{"mended: the last word counts", []*tlslog.Event{at(1, out, "a", tlslog.Fail, "unknown-ca"), at(2, out, "a", tlslog.OK, "")},
			[]string{"out a {OK:1,FAIL:1} unknown-ca"}, []string{"unknown-ca 1 1"}, false},
		{"lines of two files that overlap", []*tlslog.Event{at(2, out, "a", tlslog.OK, ""), at(1, out, "a", tlslog.Fail, "unknown-ca")},
			[]string{"out a {OK:1,FAIL:1} unknown-ca"}, []string{"unknown-ca 1 1"}, false},
		{"both directions are apart, letters are not", []*tlslog.Event{at(1, out, "A.example", tlslog.OK, ""), at(1, in, "a.example", tlslog.OK, ""), at(1, out, "a.EXAMPLE", tlslog.OK, "")},
			[]string{"out A.example {OK:2}", "in a.example {OK:1}"}, nil, false},
		{"a certificate says more than handshakes", []*tlslog.Event{at(1, in, "a", tlslog.Software, "version"), at(2, in, "a", tlslog.Software, "version"), at(3, in, "a", tlslog.Fail, "expired")},
			[]string{"in a {FAIL:1,SOFTWARE:2} expired"}, []string{"expired 1 1", "version 2 1"}, true},
		{"why is not said", []*tlslog.Event{at(1, out, "a", tlslog.Fail, "")}, []string{"out a {FAIL:1} unstated"}, []string{"unstated 1 1"}, true},
		{"it was good before", []*tlslog.Event{at(1, out, "a", tlslog.OK, ""), at(2, out, "a", tlslog.Fail, ""), at(3, out, "a", tlslog.Fail, ""), at(1, out, "b", tlslog.OK, "")},
			[]string{"out a {OK:1,FAIL:2} turned", "out b {OK:1}"}, []string{"turned 2 1"}, true},
		{"everybody fails", []*tlslog.Event{at(1, out, "a", tlslog.Fail, ""), at(2, out, "b", tlslog.Fail, ""), at(3, in, "c", tlslog.Fail, "")},
			[]string{"out a {FAIL:1} all-fail", "out b {FAIL:1} all-fail", "in c {FAIL:1} all-fail"}, []string{"all-fail 3 3"}, true},
		{"everybody but one", []*tlslog.Event{at(1, out, "a", tlslog.Fail, ""), at(2, out, "b", tlslog.Fail, ""), at(3, in, "c", tlslog.Fail, ""), at(4, in, "d", tlslog.OK, "")},
			[]string{"out a {FAIL:1} unstated", "out b {FAIL:1} unstated", "in c {FAIL:1} unstated", "in d {OK:1}"}, []string{"unstated 3 3"}, true},
		{"strangers' handshakes and signatures do not count", []*tlslog.Event{at(1, in, "scan", tlslog.Software, "plain"), at(1, mail, "spam.example", tlslog.Fail, "signature")},
			[]string{"in scan {SOFTWARE:1} plain", "mail spam.example {FAIL:1} signature"}, []string{"plain 1 1", "signature 1 1"}, false},
		{"a probe that fails", []*tlslog.Event{at(1, probe, "mx:25", tlslog.OK, ""), at(2, probe, "mx:25", tlslog.Temp, "not-served")},
			[]string{"probe mx:25 {OK:1,TEMP:1} not-served"}, []string{"not-served 1 1"}, true},

		{"a fault", []*tlslog.Event{own(1, "sm-mta", "key-readable"), own(2, "sm-mta", "key-readable"), own(2, "sm-mta", "tls-off")},
			[]string{"host key-readable 2", "host tls-off 1"}, []string{"key-readable 2 0", "tls-off 1 0"}, true},
		{"a fault without harm", []*tlslog.Event{own(1, "sm-mta", "dh-missing")}, []string{"host dh-missing 1"}, []string{"dh-missing 1 0"}, false},
		{"mended by a start", []*tlslog.Event{own(1, "sm-mta", "key-readable"), own(2, "sm-mta", "", "key-readable")},
			[]string{"host key-readable 1 mended"}, []string{"key-readable 1 0"}, false},
		{"mended, and again", []*tlslog.Event{own(1, "sm-mta", "key-readable"), own(2, "sm-mta", "", "key-readable"), own(3, "sm-mta", "key-readable")},
			[]string{"host key-readable 2"}, []string{"key-readable 2 0"}, true},
		{"another program's start", []*tlslog.Event{own(1, "postfix/smtpd", "mismatch"), own(2, "sm-mta", "", "mismatch")},
			[]string{"host mismatch 1"}, []string{"mismatch 1 0"}, true},
		{"mended, as a client has TLS", []*tlslog.Event{own(1, "", "unavailable"), at(2, in, "a", tlslog.No, "")},
			[]string{"host unavailable 1 mended", "in a {NO:1}"}, []string{"unavailable 1 0"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rows, causes, failing := summary(tt.events...)
			if d := cmp.Diff(tt.rows, rows); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.causes, causes); d != "" {
				t.Error(d)
			}
			if failing != tt.failing {
				t.Errorf("failing: %v", failing)
			}
		})
	}
}

// TestBounds: of very many peers and faults the later ones are counted together.
func TestBounds(t *testing.T) {
	s := tally.New(10, 5)
	for i := range 100 {
		s.Add(at(i, in, fmt.Sprintf("c%d", i), tlslog.Fail, "unknown-ca"))
		s.Add(own(i, "sm-mta", "key-readable"))
		e := own(i, "sm-mta", "file-missing")
		e.File = fmt.Sprint(i)
		s.Add(e)
	}
	r := s.Report()
	if len(r.Peers) != 11 || len(r.Faults) != 5 || r.Events != 300 {
		t.Fatalf("%d peers, %d faults, %d events", len(r.Peers), len(r.Faults), r.Events)
	}
	others := r.Peers[0]
	if others.Others != 90 || others.Counts[tlslog.Fail] != 90 || others.Name != "" {
		t.Errorf("others: %+v", others)
	}
}

func TestJSON(t *testing.T) {
	s := tally.New(10, 10)
	s.Add(at(1, out, "a", tlslog.Fail, "expired"))
	r := s.Report()
	r.Causes[0].What, r.Causes[0].Do = "what", "do"
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"from":"2026-11-22T08:01:00Z","to":"2026-11-22T08:01:00Z","lines":0,"events":1,` +
		`"peers":[{"direction":"out","name":"a","counts":{"FAIL":1},"said":"verify=FAIL","verdict":"FAIL","first":"2026-11-22T08:01:00Z","last":"2026-11-22T08:01:00Z","versions":["TLSv1.3"],"cause":"expired"}],` +
		`"host":[],"causes":[{"cause":"expired","what":"what","do":"do","count":1,"peers":1}]}`
	if d := cmp.Diff(want, string(b)); d != "" {
		t.Error(d)
	}
}
