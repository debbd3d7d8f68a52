package tlslog_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailseal/internal/logfile"
	"mailseal/internal/logline"
	"mailseal/internal/tlslog"
)

var update = flag.Bool("update", false, "write testdata/*.events")

// read returns what a Reader makes of a log.
func read(t testing.TB, log string, keep bool) []tlslog.Event {
	t.Helper()
	var all []tlslog.Event
	r := tlslog.NewReader(func(e tlslog.Event) { all = append(all, e) }, keep)
	p := &logline.Parser{Latest: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), Location: time.UTC}
	err := logfile.Each(strings.NewReader(log), func(line []byte) error {
		if e, ok := p.Parse(line); ok {
			r.Line(e, line)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Flush()
	return all
}

// show is an Event in a line, for people who look at differences.
func show(e tlslog.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", e.Time.Format("01-02 15:04:05"), e.Side)
	for _, f := range []struct{ key, value string }{
		{"", e.Verdict.String()}, {"name", e.Name}, {"address", e.Address}, {"file", e.File}, {"said", e.Said}, {"version", e.Version},
		{"reason", e.Reason}, {"subject", e.Subject}, {"issuer", e.Issuer}, {"mended", strings.Join(e.Mended, ",")},
	} {
		switch {
		case f.value == "":
		case f.key == "":
			b.WriteString(" " + f.value)
		default:
			fmt.Fprintf(&b, " %s=%q", f.key, f.value)
		}
	}
	if e.Deferred {
		b.WriteString(" waits")
	}
	if e.Cause != nil {
		b.WriteString(" -> " + e.Cause.ID)
	}
	return b.String()
}

// TestLogs: what is read of logs of real servers (sendmail 8.17.1, Postfix 3.7,
// Exim 4.96, Dovecot 2.3; their hosts' names and addresses changed) is what is
// written beside them.
func TestLogs(t *testing.T) {
	logs, err := filepath.Glob("testdata/*.log")
	if err != nil || len(logs) == 0 {
		t.Fatalf("%v: %v", logs, err)
	}
	for _, name := range logs {
		t.Run(filepath.Base(name), func(t *testing.T) {
			log, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, e := range read(t, string(log), false) {
				got.WriteString(show(e) + "\n")
			}
			golden := strings.TrimSuffix(name, ".log") + ".events"
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got.String()); d != "" {
				t.Error(d)
			}
		})
	}
}
