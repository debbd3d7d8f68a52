package metrics

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"mailseal/certmgr/ca"
	"mailseal/internal/fault"
	"mailseal/internal/gateway"
	"mailseal/internal/pki"
	"mailseal/internal/policy"
	"mailseal/internal/spool"
	"mailseal/internal/testpki"
	"mailseal/internal/verdict"
	"mailseal/milter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type lost int64

func (l lost) Lost() int64 { return int64(l) }

type stats milter.Stats

func (s stats) Stats() milter.Stats { return milter.Stats(s) }

// whole are Metrics with all that they can have.
func whole(t testing.TB, now time.Time) (*Metrics, *spool.Usage) {
	t.Helper()
	usage := new(spool.Usage)
	m := New(Config{Version: "v1.2.3", Revision: "abc", Go: "go1.26", Spool: usage, Now: func() time.Time { return now }})
	p := testpki.New(t)
	id := p.User("alice@example.test", ca.P256)
	id.Name = "alice"
	m.Identities([]pki.Identity{id})
	m.Watch(Before, stats{Open: 2, Faults: map[fault.Kind]int64{fault.Malformed: 1}})
	m.WatchLog(lost(8))
	m.Watch(Milter, stats{
		Open: 3, Limit: 500, Connections: 17, Waits: 2, Broken: 4, AcceptRetries: 5, Panics: 6, Received: 1000, Sent: 2000,
		Faults: map[fault.Kind]int64{fault.Storage: 7},
	})
	return m, usage
}

// told are the samples of a scrape.
func told(t *testing.T, m *Metrics) []string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	var samples []string
	for line := range strings.Lines(w.Body.String()) {
		if !strings.HasPrefix(line, "#") {
			samples = append(samples, strings.TrimSpace(line))
		}
	}
	return samples
}

// compare wants these samples, and no others of the same names.
func compare(t *testing.T, m *Metrics, want string) {
	t.Helper()
	name := func(sample string) string {
		return strings.FieldsFunc(sample, func(r rune) bool { return r == ' ' || r == '{' })[0]
	}
	names := map[string]bool{}
	var wanted, got []string
	for line := range strings.Lines(strings.TrimSpace(want)) {
		line = strings.TrimSpace(line)
		names[name(line)] = true
		wanted = append(wanted, line)
	}
	for _, line := range told(t, m) {
		if names[name(line)] {
			got = append(got, line)
		}
	}
	slices.Sort(wanted)
	slices.Sort(got)
	if d := cmp.Diff(wanted, got); d != "" {
		t.Error(d)
	}
}

func TestDecided(t *testing.T) {
	m, _ := whole(t, time.Now())
	for _, d := range []gateway.Measure{
		{Direction: policy.Outbound, Event: "signed", Took: gateway.Steps{Decide: time.Microsecond, Sign: 2 * time.Millisecond}},
		{Direction: policy.Outbound, Event: "signed", Took: gateway.Steps{Decide: time.Microsecond, Sign: 3 * time.Second}},
		{Direction: policy.Outbound, Event: "passed", Took: gateway.Steps{Decide: time.Microsecond}},
		{Event: "verified", Status: verdict.Pass, Took: gateway.Steps{Decide: time.Microsecond, Verify: time.Millisecond}},
		{Event: "verified", Status: verdict.Pass, Decrypted: gateway.DecryptedYes},
		{Event: "rejected", Status: verdict.None, Decrypted: gateway.DecryptedFailed},
		{Event: "deferred", Failed: true, Fault: fault.Timeout},
		{Event: "passed", Status: verdict.TempError, Failed: true, Fault: fault.Storage},
		// Nothing makes these.
		{Event: "verified", Status: "such a status", Failed: true, Fault: fault.Kind(77)},
		{Event: "such an event", Status: verdict.None},
		{Event: "such an event", Status: verdict.None},
	} {
		m.Decided(d)
	}
	m.Took(milter.Whole, 20*time.Millisecond)
	m.Took(milter.Step(77), time.Hour)
	compare(t, m, `
		mailseal_mails_total{action="deferred",direction="inbound",smime=""} 1
		mailseal_mails_total{action="deferred",direction="outbound",smime=""} 0
		mailseal_mails_total{action="passed",direction="inbound",smime="temperror"} 1
		mailseal_mails_total{action="passed",direction="outbound",smime=""} 1
		mailseal_mails_total{action="quarantined",direction="inbound",smime="temperror"} 0
		mailseal_mails_total{action="rejected",direction="inbound",smime=""} 0
		mailseal_mails_total{action="rejected",direction="outbound",smime=""} 0
		mailseal_mails_total{action="signed",direction="outbound",smime=""} 2
		mailseal_mails_total{action="verified",direction="inbound",smime="fail"} 0
		mailseal_mails_total{action="verified",direction="inbound",smime="neutral"} 0
		mailseal_mails_total{action="verified",direction="inbound",smime="none"} 0
		mailseal_mails_total{action="verified",direction="inbound",smime="pass"} 2
		mailseal_mails_total{action="rejected",direction="inbound",smime="none"} 1
		mailseal_encrypted_mails_total{decrypted="yes"} 1
		mailseal_encrypted_mails_total{decrypted="no"} 0
		mailseal_encrypted_mails_total{decrypted="failed"} 1
		mailseal_mails_total{action="verified",direction="inbound",smime="permerror"} 0
		mailseal_mails_total{action="verified",direction="inbound",smime="policy"} 0
		mailseal_mails_total{action="verified",direction="inbound",smime="temperror"} 0
		mailseal_mails_total{action="other",direction="inbound",smime="none"} 2
		mailseal_mails_total{action="verified",direction="inbound",smime="other"} 1
		mailseal_faults_total{kind="deferred",stage="gateway"} 0
		mailseal_faults_total{kind="internal",stage="gateway"} 1
		mailseal_faults_total{kind="malformed",stage="gateway"} 0
		mailseal_faults_total{kind="rejected",stage="gateway"} 0
		mailseal_faults_total{kind="storage",stage="gateway"} 1
		mailseal_faults_total{kind="timeout",stage="gateway"} 1
		mailseal_faults_total{kind="too-large",stage="gateway"} 0
		mailseal_faults_total{kind="too-many-recipients",stage="gateway"} 0
		mailseal_faults_total{kind="deferred",stage="before"} 0
		mailseal_faults_total{kind="internal",stage="before"} 0
		mailseal_faults_total{kind="malformed",stage="before"} 1
		mailseal_faults_total{kind="rejected",stage="before"} 0
		mailseal_faults_total{kind="storage",stage="before"} 0
		mailseal_faults_total{kind="timeout",stage="before"} 0
		mailseal_faults_total{kind="too-large",stage="before"} 0
		mailseal_faults_total{kind="too-many-recipients",stage="before"} 0
		mailseal_faults_total{kind="deferred",stage="milter"} 0
		mailseal_faults_total{kind="internal",stage="milter"} 0
		mailseal_faults_total{kind="malformed",stage="milter"} 0
		mailseal_faults_total{kind="rejected",stage="milter"} 0
		mailseal_faults_total{kind="storage",stage="milter"} 7
		mailseal_faults_total{kind="timeout",stage="milter"} 0
		mailseal_faults_total{kind="too-large",stage="milter"} 0
		mailseal_faults_total{kind="too-many-recipients",stage="milter"} 0`)
	compare(t, m, `
		mailseal_step_duration_seconds_count{step="decide"} 11
		mailseal_step_duration_seconds_count{step="receive"} 0
		mailseal_step_duration_seconds_count{step="send"} 0
		mailseal_step_duration_seconds_count{step="sign"} 2
		mailseal_step_duration_seconds_count{step="verify"} 1
		mailseal_step_duration_seconds_count{step="whole"} 1
		mailseal_step_duration_seconds_sum{step="decide"} 4e-06
		mailseal_step_duration_seconds_sum{step="receive"} 0
		mailseal_step_duration_seconds_sum{step="send"} 0
		mailseal_step_duration_seconds_sum{step="sign"} 3.002
		mailseal_step_duration_seconds_sum{step="verify"} 0.001
		mailseal_step_duration_seconds_sum{step="whole"} 0.02`)
}

func TestState(t *testing.T) {
	now := time.Unix(1800000000, 0)
	m, usage := whole(t, now)
	store, err := spool.New(spool.Config{Dir: t.TempDir(), Memory: 1, Usage: usage})
	if err != nil {
		t.Fatal(err)
	}
	f := store.Create()
	defer f.Close()
	if _, err := f.Write(make([]byte, 32<<10+1)); err != nil {
		t.Fatal(err)
	}
	m.Cleaned(0)
	m.Cleaned(3)
	m.Cleaned(1)
	compare(t, m, `
		mailseal_before_cleaned_mails_total 2
		mailseal_before_mails_total 3
		mailseal_log_lines_lost_total 8
		mailseal_build_info{goversion="go1.26",revision="abc",version="v1.2.3"} 1
		mailseal_open_connections{socket="before"} 2
		mailseal_open_connections{socket="milter"} 3
		mailseal_max_connections{socket="before"} 0
		mailseal_max_connections{socket="milter"} 500
		mailseal_connections_total{socket="before"} 0
		mailseal_connections_total{socket="milter"} 17
		mailseal_connection_waits_total{socket="before"} 0
		mailseal_connection_waits_total{socket="milter"} 2
		mailseal_broken_connections_total{socket="before"} 0
		mailseal_broken_connections_total{socket="milter"} 4
		mailseal_accept_retries_total{socket="before"} 0
		mailseal_accept_retries_total{socket="milter"} 5
		mailseal_panics_total{socket="before"} 0
		mailseal_panics_total{socket="milter"} 6
		mailseal_received_bytes_total{socket="before"} 0
		mailseal_received_bytes_total{socket="milter"} 1000
		mailseal_sent_bytes_total{socket="before"} 0
		mailseal_sent_bytes_total{socket="milter"} 2000
		mailseal_spool_files 1
		mailseal_spool_bytes{place="memory"} 32768
		mailseal_spool_bytes{place="disk"} 32768`)
}

func TestReloaded(t *testing.T) {
	now := time.Unix(1800000000, 0)
	m, _ := whole(t, now)
	m.now = func() time.Time { return now }
	now = now.Add(time.Hour)
	m.Reloaded(fmt.Errorf("line 3"))
	m.Reloaded(fmt.Errorf("line 4"))
	compare(t, m, `
		mailseal_reloads_total{result="failed"} 2
		mailseal_reloads_total{result="ok"} 0
		mailseal_last_reload_successful 0
		mailseal_last_reload_success_timestamp_seconds 1.8e+09`)
	m.Reloaded(nil)
	compare(t, m, `
		mailseal_reloads_total{result="failed"} 2
		mailseal_reloads_total{result="ok"} 1
		mailseal_last_reload_successful 1
		mailseal_last_reload_success_timestamp_seconds 1.8000036e+09`)
}

// Identities that are gone are told no more, and a name that is no UTF-8 or is
// there twice spoils nothing.
func TestIdentities(t *testing.T) {
	m, _ := whole(t, time.Now())
	at := time.Unix(1800000000, 0).UTC()
	p := testpki.NewAt(t, at)
	named := func(name string, kind ca.KeyKind) pki.Identity {
		id := p.User(name+"@example.test", kind)
		id.Name = name
		return id
	}
	odd := named("odd", ca.P256)
	odd.Name = "\xff\"\n"
	later := named("bob", ca.P256)
	sooner := later
	c := *later.Certificate
	c.NotAfter = at.Add(time.Hour)
	sooner.Certificate = &c
	m.Identities([]pki.Identity{later, sooner, odd})
	seconds := func(t time.Time) string { return strconv.FormatFloat(float64(t.Unix()), 'g', -1, 64) }
	compare(t, m, `
		mailseal_identity_expiry_timestamp_seconds{identity="bob"} `+seconds(at.Add(time.Hour))+`
		mailseal_identity_expiry_timestamp_seconds{identity="�\"\n"} `+seconds(odd.Certificate.NotAfter))
	m.Identities(nil)
	if n, err := testutil.GatherAndCount(m.registry, "mailseal_identity_expiry_timestamp_seconds"); n != 0 || err != nil {
		t.Errorf("%d identities, %v", n, err)
	}
}

func TestNames(t *testing.T) {
	m, _ := whole(t, time.Now())
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Counting is on the way of every mail.
func TestFeedingAllocatesNothing(t *testing.T) {
	m, _ := whole(t, time.Now())
	d := gateway.Measure{Event: "verified", Status: verdict.Pass, Failed: true, Took: gateway.Steps{Decide: 1, Sign: 1, Verify: 1}}
	if n := testing.AllocsPerRun(100, func() {
		m.Decided(d)
		m.Took(milter.Receive, time.Second)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDecided(b *testing.B) {
	m, _ := whole(b, time.Now())
	d := gateway.Measure{Direction: policy.Outbound, Event: "signed", Took: gateway.Steps{Decide: time.Microsecond, Sign: time.Millisecond}}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Decided(d)
			m.Took(milter.Receive, time.Second)
			m.Took(milter.Send, time.Second)
			m.Took(milter.Whole, time.Second)
		}
	})
}
