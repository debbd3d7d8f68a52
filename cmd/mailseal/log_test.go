package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"mailseal/internal/tlslog"
)

var updateLog = flag.Bool("update-log", false, "write testdata/log")

// aLog copies a log that internal/tlslog has, as if it had been written on
// 22 November 2026.
func aLog(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../internal/tlslog/testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return aFile(t, filepath.Join(t.TempDir(), name), b)
}

func aFile(t testing.TB, path string, b []byte) string {
	t.Helper()
	written := time.Date(2026, 11, 22, 23, 0, 0, 0, time.Local)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, written, written); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLogGolden: what is told of the logs of real servers.
func TestLogGolden(t *testing.T) {
	logs, err := filepath.Glob("../../internal/tlslog/testdata/*.log")
	if err != nil || len(logs) == 0 {
		t.Fatalf("%v, %v", logs, err)
	}
	for _, log := range logs {
		name := filepath.Base(log)
		t.Run(name, func(t *testing.T) {
			out, errs, status := call("", "log", aLog(t, name))
			if status != 0 || errs != "" {
				t.Fatalf("status %d, %s", status, errs)
			}
			golden := filepath.Join("testdata/log", strings.TrimSuffix(name, ".log")+".txt")
			if *updateLog {
				put(t, golden, out)
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), out); d != "" {
				t.Error(d)
			}
		})
	}
}

// rows are the peers of a report, with their counts and causes.
func rows(t *testing.T, out string) []string {
	t.Helper()
	var r struct {
		Peers []struct {
			Direction, Name, Address, Cause string
			Counts                          map[string]int
		}
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var all []string
	for _, p := range r.Peers {
		counts, err := json.Marshal(p.Counts)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.Join(strings.Fields(p.Direction+" "+p.Name+" "+p.Address+" "+strings.ReplaceAll(string(counts), `"`, "")+" "+p.Cause), " "))
	}
	return all
}

// TestLogChooses: times, peers, and what is read.
func TestLogChooses(t *testing.T) {
	const journal = `{"__REALTIME_TIMESTAMP":"1795248000000000","_HOSTNAME":"mx","SYSLOG_IDENTIFIER":"sm-mta","_PID":"7","MESSAGE":"STARTTLS=server, relay=krb5.example.jp [192.0.2.5], version=TLSv1.3, verify=OK, cipher=X, bits=1/1"}` + "\n"
	client := aLog(t, "sendmail-client.log")
	for _, tt := range []struct {
		name  string
		stdin string
		args  []string
		want  []string
	}{
		{"all", "", []string{client}, []string{"out dhcp.example.jp 192.0.2.7 {FAIL:1,OK:1} unknown-ca", "out mx.partner.example {FAIL:1} expired", "out mx.broken.example 203.0.113.9 {SOFTWARE:1} handshake", "out mx.plain.example 203.0.113.25 {NONE:1} clear"}},
		{"flags behind files", "", []string{client, "-since", "2026-11-22"}, []string{"out dhcp.example.jp 192.0.2.7 {OK:1}"}},
		{"until", "", []string{"-until", "2026-11-21 09:20", client}, []string{"out dhcp.example.jp 192.0.2.7 {FAIL:1} unknown-ca"}},
		{"a name", "", []string{"-peer", "MX.partner.example", client}, []string{"out mx.partner.example {FAIL:1} expired"}},
		{"a pattern", "", []string{"-peer", "*.example.jp", client}, []string{"out dhcp.example.jp 192.0.2.7 {FAIL:1,OK:1} unknown-ca"}},
		{"a network", "", []string{"-peer", "203.0.113.16/28", client}, []string{"out mx.plain.example 203.0.113.25 {NONE:1} clear"}},
		{"the standard input", journal, []string{"-"}, []string{"in krb5.example.jp 192.0.2.5 {OK:1}"}},
		{"both", journal, []string{"-", client, "-peer", "*.jp"}, []string{"out dhcp.example.jp 192.0.2.7 {FAIL:1,OK:1} unknown-ca", "in krb5.example.jp 192.0.2.5 {OK:1}"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, errs, status := call(tt.stdin, append([]string{"log", "-json"}, tt.args...)...)
			if status != 0 || errs != "" {
				t.Fatalf("status %d, %s", status, errs)
			}
			if d := cmp.Diff(tt.want, rows(t, out)); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestLogRotated: -a reads what a log was rotated to, compressed or not.
func TestLogRotated(t *testing.T) {
	dir := t.TempDir()
	line := func(day, verify string) []byte {
		return []byte("Nov " + day + " 09:00:00 mx sm-mta[7]: STARTTLS=server, relay=a [192.0.2.5], version=TLSv1.3, verify=" + verify + ", cipher=X, bits=1/1\n")
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(line(" 1", "FAIL")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "maillog")
	aFile(t, name+".1.gz", z.Bytes())
	aFile(t, name+".0", line("10", "NO"))
	aFile(t, name, line("20", "OK"))
	for args, want := range map[string]string{"": "in a 192.0.2.5 {OK:1}", "-a": "in a 192.0.2.5 {FAIL:1,NO:1,OK:1} unstated"} {
		out, errs, status := call("", append(append([]string{"log", "-json"}, strings.Fields(args)...), name)...)
		if d := cmp.Diff([]string{want}, rows(t, out)); d != "" || status != 0 {
			t.Errorf("%q: status %d, %s, %s", args, status, errs, d)
		}
	}
	// A file that is cut off does not hide the others.
	aFile(t, name+".1.gz", z.Bytes()[:z.Len()-6])
	out, errs, status := call("", "log", "-json", "-a", name)
	if status != exDataErr || !strings.Contains(errs, "maillog.1.gz: unexpected EOF") || len(rows(t, out)) != 1 {
		t.Errorf("status %d, %s, %s", status, errs, out)
	}
}

// TestLogCheck: the exit status is for monitoring.
func TestLogCheck(t *testing.T) {
	for _, tt := range []struct {
		log    string
		args   string
		status int
	}{
		{"sendmail-server.log", "", 0},                           // FAIL, and OK since
		{"sendmail-server.log", "-until 2026-11-22", 1},          // FAIL
		{"sendmail-clients.log", "", 1},                          //
		{"sendmail-clients.log", "-peer 198.51.100.14", 0},       // a scanner
		{"sendmail-faults.log", "", 0},                           // mended at last
		{"sendmail-faults.log", "-until 2026-11-19", 1},          // not yet
		{"sendmail-faults.log", "-peer krb5.example.jp", 0},      //
		{"postfix-server.log", "-until 2026-11-13", 1},           // mismatch
		{"mailseal.log", "-peer 127.0.0.1", 0},                   // the probe is good again
		{"mailseal.log", "-peer 127.0.0.1 -until 2026-11-22", 0}, // nothing yet
	} {
		if _, errs, status := call("", append([]string{"log", "-check", aLog(t, tt.log)}, strings.Fields(tt.args)...)...); status != tt.status || errs != "" {
			t.Errorf("%s %s: status %d, %s", tt.log, tt.args, status, errs)
		}
	}
}

// TestLogRefused: what cannot be read is told in a line.
func TestLogRefused(t *testing.T) {
	strange := aFile(t, filepath.Join(t.TempDir(), "x"), []byte("once upon a time\nthere was a log\n"))
	for _, tt := range []struct {
		args   string
		status int
		want   string
	}{
		{"absent.log", exNoInput, "mailseal log: open absent.log: no such file or directory\n"},
		{"-a absent.log", exNoInput, "mailseal log: absent.log: neither it nor a rotated file is there\n"},
		{"-since tomorrow x", exUsage, "mailseal log: -since \"tomorrow\": want how long ago, as 90m or 7d, or a date, as 2026-11-22 or \"2026-11-22 08:00\"; see mailseal log -h\n"},
		{"-peer [x y", exUsage, "mailseal log: invalid value \"[x\" for flag -peer: want a name, a pattern as *.example.jp, an address or a network; see mailseal log -h\n"},
		{"-json -v x", exUsage, "mailseal log: -v lists lines and -json does not; see mailseal log -h\n"},
		{"-f a b", exUsage, "mailseal log: -f follows one file, not 2; see mailseal log -h\n"},
		{".", exDataErr, "mailseal log: . is a folder\n"},
		{strange, 0, "mailseal log: no line of it is one of a log that is known here: syslog, journalctl -o short or json, Exim's main log\n"},
	} {
		if _, errs, status := call("", append([]string{"log"}, strings.Fields(tt.args)...)...); status != tt.status || errs != tt.want {
			t.Errorf("%s: status %d, %s", tt.args, status, errs)
		}
	}
}

func TestParseMoment(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 30, 0, 0, time.FixedZone("JST", 9*3600))
	for s, want := range map[string]string{
		"90m": "2026-11-22T11:00:00+09:00", "7d": "2026-11-15T12:30:00+09:00", "0d": "2026-11-22T12:30:00+09:00", "today": "2026-11-22T00:00:00+09:00",
		"yesterday": "2026-11-21T00:00:00+09:00", "2026-11-02": "2026-11-02T00:00:00+09:00", "2026-11-02 08:00": "2026-11-02T08:00:00+09:00",
		"2026-11-02T08:00:15": "2026-11-02T08:00:15+09:00", "2026-11-02T08:00:15Z": "2026-11-02T08:00:15Z",
		"7": "-", "-7d": "-", "7days": "-", "-5m": "-", "11/22": "-", "1e9d": "-",
	} {
		got := "-"
		if at, err := parseMoment(s, now); err == nil {
			got = at.Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
}

// TestLogFollow: -f tells what comes, across a rotation, until it is told to end.
func TestLogFollow(t *testing.T) {
	name := filepath.Join(t.TempDir(), "maillog")
	now := time.Now()
	line := func(pid, rest string) string {
		return now.Format(time.Stamp) + " mx sm-mta[" + pid + "]: " + rest + "\n"
	}
	const fail = "STARTTLS=client, relay=dhcp.example.jp., version=TLSv1.3, verify=FAIL, cipher=X, bits=1/1"
	put(t, name, line("1", fail)+line("1", "STARTTLS=client, cert-subject=/CN=dhcp, cert-issuer=/CN=CA, verifymsg=certificate has expired"))
	r, w := io.Pipe()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, Env{Args: []string{"log", "-f", "-since", "1h", name}, Stdin: strings.NewReader(""), Stdout: w, Stderr: io.Discard, Getenv: os.Getenv})
		w.Close()
	}()
	got := newLogbook(t, r)
	got.await(now.Format(logTime)+" FAIL out dhcp.example.jp", "TLSv1.3 verify=FAIL: the peer's certificate has expired (certificate has expired)")
	if err := os.Rename(name, name+".0"); err != nil {
		t.Fatal(err)
	}
	put(t, name, line("2", "STARTTLS=client, relay=evil+1B.example., version=TLSv1.3, verify=OK, cipher=X, bits=1/1"))
	got.await("OK out", `evil\x1b.example`) // told though no line follows
	put(t, name, line("3", "STARTTLS=server: file /etc/mail/certs/host.key unsafe: Group readable file"))
	got.await("HOST sm-mta /etc/mail/certs/host.key", "the key file can be read by others")
	stop()
	if status := <-ended; status != 0 {
		t.Errorf("status %d", status)
	}
}

// TestLogFollowInput: the journal through a pipe, as JSON a line.
func TestLogFollowInput(t *testing.T) {
	in, feed := io.Pipe()
	out, w := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(context.Background(), Env{Args: []string{"log", "-f", "-json", "-"}, Stdin: in, Stdout: w, Stderr: io.Discard, Getenv: os.Getenv})
		w.Close()
	}()
	if _, err := io.WriteString(feed, "2026-11-22T09:00:00+0900 mx postfix/smtp[7]: Untrusted TLS connection established to mx.b.example[192.0.2.1]:25: TLSv1.3 with cipher X (1/1 bits)\n"); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n') // before the end of the input
	const want = `{"time":"2026-11-22T09:00:00+09:00","host":"mx","program":"postfix/smtp","direction":"out","verdict":"FAIL","name":"mx.b.example","address":"192.0.2.1","said":"Untrusted","version":"TLSv1.3"}`
	if err != nil || strings.TrimSpace(line) != want {
		t.Errorf("%v: %s", err, line)
	}
	feed.Close()
	if status := <-ended; status != 0 {
		t.Errorf("status %d", status)
	}
}

// FuzzLog: whatever is in a log, a terminal gets nothing but text.
func FuzzLog(f *testing.F) {
	logs, err := filepath.Glob("../../internal/tlslog/testdata/*.log")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range logs {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for range 3 {
			head, rest, _ := bytes.Cut(b, []byte("STARTTLS"))
			f.Add(head)
			b = rest
		}
	}
	f.Add([]byte("Nov 21 09:08:21 mx sm-mta[7]: STARTTLS=server, relay=a+1B [192.0.2.1], version=\x1b, verify=\x07, cipher=X, bits=1/1\n"))
	f.Add([]byte("Nov 21 09:08:21 mx sm-mta[7]: STARTTLS=server: file \x1b[2J\xe2\x80\xae unsafe: \x9b\n"))
	f.Fuzz(func(t *testing.T, log []byte) {
		now := time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)
		for _, how := range []logReader{{verbose: true}, {json: true}, {follow: true}, {follow: true, json: true}} {
			var out bytes.Buffer
			how.env, how.now = Env{Stdin: bytes.NewReader(log), Stdout: &out, Stderr: io.Discard}, now
			if how.follow { // without the waiting
				how.reader = tlslog.NewReader(how.tell, true)
				if err := how.read(context.Background(), "-"); err != nil {
					t.Fatal(err)
				}
				how.reader.Flush()
			} else if err := how.run(context.Background(), []string{"-"}); err != nil {
				t.Fatal(err)
			}
			for _, r := range out.String() {
				if r != '\n' && !unicode.IsPrint(r) {
					t.Fatalf("%q", out.String())
				}
			}
		}
	})
}

// TestColumns: every verdict has its column.
func TestColumns(t *testing.T) {
	seen := map[tlslog.Verdict]bool{}
	for _, v := range verdictColumns {
		seen[v] = true
	}
	for v := tlslog.OK; v <= tlslog.Not; v++ {
		if !seen[v] {
			t.Errorf("no column for %s", v)
		}
	}
}
