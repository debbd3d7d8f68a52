package logline_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mailseal/internal/logline"
)

var tokyo = time.FixedZone("JST", 9*3600)

// show is an Entry in a line.
func show(e logline.Entry, ok bool) string {
	if !ok {
		return "-"
	}
	return fmt.Sprintf("%s|%s|%s|%d|%s", e.Time.Format(time.RFC3339Nano), e.Host, e.Program, e.PID, e.Message)
}

func TestParse(t *testing.T) {
	latest := time.Date(2026, 11, 22, 12, 0, 0, 0, tokyo)
	for _, tt := range []struct{ name, line, want string }{
		{"syslog", "Nov  2 08:00:15 mx postfix/smtpd[19530]: connect from unknown[192.0.2.1]",
			"2026-11-02T08:00:15+09:00|mx|postfix/smtpd|19530|connect from unknown[192.0.2.1]"},
		{"with a tag alone", "Nov  2 08:00:15 mx dovecot: imap-login: Login", "2026-11-02T08:00:15+09:00|mx|dovecot|0|imap-login: Login"},
		{"without a host", "Nov  2 08:00:15 sendmail[123]: STARTTLS=server, init=1", "2026-11-02T08:00:15+09:00||sendmail|123|STARTTLS=server, init=1"},
		{"with facility and level", "Nov  2 08:00:15 <mail.info> mx sm-mta[9]: text", "2026-11-02T08:00:15+09:00|mx|sm-mta|9|text"},
		{"short-precise", "Nov  2 08:00:15.123456 mx a[1]: text", "2026-11-02T08:00:15+09:00|mx|a|1|text"},
		{"after now, so last year", "Dec 31 23:59:59 mx a[1]: text", "2025-12-31T23:59:59+09:00|mx|a|1|text"},
		{"clocks that differ", "Nov 23 11:00:00 mx a[1]: text", "2026-11-23T11:00:00+09:00|mx|a|1|text"},
		{"leap day", "Feb 29 08:00:00 mx a[1]: text", "2024-02-29T08:00:00+09:00|mx|a|1|text"},
		{"priority", "<22>Nov  2 08:00:15 mx a[1]: text", "2026-11-02T08:00:15+09:00|mx|a|1|text"},
		{"no tag", "Nov  2 08:00:15 mx last message repeated 3 times", "2026-11-02T08:00:15+09:00|mx||0|last message repeated 3 times"},
		{"rsyslog", "2026-11-02T08:00:15.123456+09:00 mx sm-mta[19876]: STARTTLS=client",
			"2026-11-02T08:00:15.123456+09:00|mx|sm-mta|19876|STARTTLS=client"},
		{"short-iso", "2026-11-02T08:00:15+0900 mx sm-mta[19876]: text", "2026-11-02T08:00:15+09:00|mx|sm-mta|19876|text"},
		{"UTC", "2026-11-02T08:00:15Z mx sm-mta[19876]: text", "2026-11-02T08:00:15Z|mx|sm-mta|19876|text"},
		{"without a zone", "2026-11-02T08:00:15 mx sm-mta[19876]: text", "2026-11-02T08:00:15+09:00|mx|sm-mta|19876|text"},
		{"mailseal on a terminal", "2026-10-01T12:00:00.005+09:00 -: listening socket=x", "2026-10-01T12:00:00.005+09:00|||0|-: listening socket=x"},
		{"RFC 5424", "<22>1 2026-11-02T08:00:15.123456+09:00 mx.example.jp sm-mta 19876 - - STARTTLS=client",
			"2026-11-02T08:00:15.123456+09:00|mx.example.jp|sm-mta|19876|STARTTLS=client"},
		{"RFC 5424 with data", `<22>1 2026-11-02T08:00:15Z mx a 1 ID [x@1 k="a \"] b"][y z="]"] text`, "2026-11-02T08:00:15Z|mx|a|1|text"},
		{"RFC 5424 with nothing known", "<22>1 2026-11-02T08:00:15Z - - - - - \ufefftext", "2026-11-02T08:00:15Z|||0|text"},
		{"journal", `{"__REALTIME_TIMESTAMP":"1793606415123456","_HOSTNAME":"mx","SYSLOG_IDENTIFIER":"postfix/smtpd","_PID":"7","MESSAGE":"connect from x"}`,
			time.UnixMicro(1793606415123456).Format(time.RFC3339Nano) + "|mx|postfix/smtpd|7|connect from x"},
		{"journal with bytes", `{"__REALTIME_TIMESTAMP":"1793606415123456","SYSLOG_PID":"8","_PID":"7","MESSAGE":[104,105,255]}`,
			time.UnixMicro(1793606415123456).Format(time.RFC3339Nano) + "|||8|hi\xff"},
		{"Exim", "2026-11-02 08:00:15 1tFqGa-0003Yb-2x <= a@b", "2026-11-02T08:00:15+09:00||exim|0|1tFqGa-0003Yb-2x <= a@b"},
		{"Exim with everything", "2026-11-02 08:00:15.123 +0100 [77] 1tFqGa-0003Yb-2x <= a@b", "2026-11-02T08:00:15+01:00||exim|77|1tFqGa-0003Yb-2x <= a@b"},

		{"nothing", "", "-"},
		{"text", "once upon a time there was a log", "-"},
		{"no such month", "Foo  2 08:00:15 mx a[1]: text", "-"},
		{"between months", "anF  2 08:00:15 mx a[1]: text", "-"},
		{"no such day", "Feb 30 08:00:15 mx a[1]: text", "-"},
		{"no such hour", "Nov  2 24:00:15 mx a[1]: text", "-"},
		{"time alone", "Nov  2 08:00:15 ", "-"},
		{"colon alone", "Nov  2 08:00:15 : x", "2026-11-02T08:00:15+09:00|||0|: x"},
		{"RFC 5424 cut", "<22>1 2026-11-02T08:00:15Z mx", "-"},
		{"RFC 5424 with data that does not end", `<22>1 2026-11-02T08:00:15Z mx a 1 - [x y="`, "-"},
		{"priorities without end", "<22><22><22><22><22><22>", "-"},
		{"journal without a time", `{"MESSAGE":"connect from x"}`, "-"},
		{"journal cut", `{"__REALTIME_TIMESTAMP":"1793`, "-"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &logline.Parser{Latest: latest, Location: tokyo}
			for range 2 { // the second time from what it remembers
				if got := show(p.Parse([]byte(tt.line))); got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			}
		})
	}
}

// TestNewYear: a file that runs over New Year has both years.
func TestNewYear(t *testing.T) {
	p := &logline.Parser{Latest: time.Date(2027, 1, 3, 0, 0, 0, 0, time.UTC), Location: time.UTC}
	var got []string
	for _, stamp := range []string{"Dec 30 12:00:00", "Dec 31 23:59:59", "Jan  1 00:00:00", "Jan  2 12:00:00"} {
		e, _ := p.Parse([]byte(stamp + " mx a[1]: text"))
		got = append(got, e.Time.Format(time.DateTime))
	}
	want := []string{"2026-12-30 12:00:00", "2026-12-31 23:59:59", "2027-01-01 00:00:00", "2027-01-02 12:00:00"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestTimes: any time of the last year is read as what was written.
func TestTimes(t *testing.T) {
	latest := time.Date(2026, 11, 22, 12, 0, 0, 0, tokyo)
	p := &logline.Parser{Latest: latest, Location: tokyo}
	rapid.Check(t, func(t *rapid.T) {
		at := latest.Add(-time.Duration(rapid.Int64Range(0, 363*24*3600).Draw(t, "seconds")) * time.Second)
		for _, layout := range []string{time.Stamp, time.RFC3339, "2006-01-02T15:04:05-0700", "2006-01-02 15:04:05 -0700"} {
			e, ok := p.Parse([]byte(at.Format(layout) + " mx a[1]: text and more"))
			if !ok || !e.Time.Equal(at) {
				t.Fatalf("%s became %v", at.Format(layout), e.Time)
			}
		}
	})
}

// FuzzParse: whatever the line, what is found of it is part of it.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"Nov  2 08:00:15 mx postfix/smtpd[19530]: connect", "2026-11-02T08:00:15.123456+09:00 mx sm-mta[19876]: x",
		`<22>1 2026-11-02T08:00:15Z mx a 1 ID [x@1 k="a \"] b"] text`, `{"__REALTIME_TIMESTAMP":"1","MESSAGE":[1]}`, "2026-11-02 08:00:15 +0100 [7] x",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		p := &logline.Parser{Latest: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), Location: time.UTC}
		before := bytes.Clone(line)
		e, ok := p.Parse(line)
		if !bytes.Equal(line, before) {
			t.Error("the line was changed")
		}
		if !ok || line[0] == '{' {
			return
		}
		if e.Time.IsZero() {
			t.Error("no time")
		}
		for _, part := range [][]byte{e.Host, e.Message} {
			if !bytes.Contains(line, part) {
				t.Errorf("%q is not of the line", part)
			}
		}
	})
}
