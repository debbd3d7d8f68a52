package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// scrape asks for the metrics as Prometheus does.
func scrape(t *testing.T, network, address string) string {
	t.Helper()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	defer tr.CloseIdleConnections()
	r, err := (&http.Client{Transport: tr, Timeout: patience}).Get("http://localhost/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != 200 {
		t.Fatalf("status %d, %v: %s", r.StatusCode, err, b)
	}
	return string(b)
}

// holds wants these samples in a scrape. An answer may be seen before it has
// been counted, so a later scrape will do.
func holds(t *testing.T, socket string, samples ...string) (text string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		text = scrape(t, "unix", socket)
		missing := slices.DeleteFunc(slices.Clone(samples), func(s string) bool { return strings.Contains(text, "\n"+s+"\n") })
		if len(missing) == 0 {
			return text
		}
		if time.Now().After(end) {
			t.Fatalf("no %q in %s", missing, text)
		}
	}
}

// TestMetrics: the daemon tells what it did, on a socket with the rights asked
// for, across reloads, and until its own sockets have ended.
func TestMetrics(t *testing.T) {
	defer goleak.VerifyNone(t)
	name := house(t)
	dir := filepath.Dir(name)
	socket := filepath.Join(dir, "metrics.sock")
	rewrite(t, name, "[milter]", "[metrics]\nlisten = \"unix:metrics.sock\"\nsocket_mode = \"0600\"\n\n[milter]\nearlier_milters = true\nbefore_socket = \"unix:before.sock\"")
	r := start(t, name, nil)
	r.log.await("listening", "metrics="+socket)
	if fi, err := os.Stat(socket); err != nil || fi.Mode() != os.ModeSocket|0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	mail(t, filepath.Join(dir, "milter.sock"))
	r.log.await("signed")
	holds(t, socket, `mailseal_mails_total{action="signed",direction="outbound",smime=""} 1`,
		`mailseal_step_duration_seconds_count{step="whole"} 1`, `mailseal_last_reload_successful 1`,
		`mailseal_reloads_total{result="ok"} 0`, `mailseal_spool_files 0`, `mailseal_log_lines_lost_total 0`,
		`mailseal_before_mails_total 0`, `mailseal_connections_total{socket="before"} 0`)
	mail(t, filepath.Join(dir, "before.sock"))
	holds(t, socket, `mailseal_mails_total{action="signed",direction="outbound",smime=""} 1`, `mailseal_before_mails_total 1`,
		`mailseal_before_cleaned_mails_total 0`, `mailseal_connections_total{socket="before"} 1`)

	rewrite(t, name, "metrics.sock", "elsewhere.sock")
	r.again <- syscall.SIGHUP
	r.log.await("restart to change", "keys=metrics.listen")
	r.log.await("reloaded")
	if err := os.Rename(filepath.Join(dir, "ids"), filepath.Join(dir, "gone")); err != nil {
		t.Fatal(err)
	}
	r.again <- syscall.SIGHUP
	r.log.await("kept the old configuration")
	text := holds(t, socket, `mailseal_reloads_total{result="ok"} 1`, `mailseal_reloads_total{result="failed"} 1`, `mailseal_last_reload_successful 0`,
		`mailseal_mails_total{action="signed",direction="outbound",smime=""} 1`)
	if n := strings.Count(text, "\nmailseal_identity_expiry_timestamp_seconds{"); n != 2 {
		t.Errorf("%d identities", n)
	}
	if err := r.end(); err != nil {
		t.Errorf("run: %v", err)
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// TestMetricsRefused: a place that is taken, or not for us, keeps the daemon
// from starting, and no milter's socket is left behind.
func TestMetricsRefused(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for listen, tt := range map[string]struct {
		status int
		want   string
	}{
		ln.Addr().String():     {exUnavailable, "mailseal.toml:6:10: metrics.listen: listen tcp " + ln.Addr().String() + ": bind: address already in use"},
		"unix:milter.sock":     {exUnavailable, "another process answers on it"},
		"unix:absent/m.sock":   {exUnavailable, "mailseal.toml:6:10: metrics.listen: make socket "},
		"192.0.2.1:9113":       {exConfig, "mailseal.toml:6:10: metrics.listen: 192.0.2.1 is not a loopback address"},
		"[::]:9113":            {exConfig, "mailseal.toml:6:10: metrics.listen: :: is not a loopback address"},
		"[::ffff:0.0.0.0]:913": {exConfig, "mailseal.toml:6:10: metrics.listen: ::ffff:0.0.0.0 is not a loopback address"},
	} {
		name := house(t)
		rewrite(t, name, "[milter]", "[metrics]\nlisten = \""+listen+"\"\n\n[milter]")
		_, errs, status := call("", "milter", "-config", name)
		if status != tt.status || !strings.Contains(errs, tt.want) {
			t.Errorf("%s: status %d, %s\nwant %d, %s", listen, status, errs, tt.status, tt.want)
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(name), "milter.sock")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the milter's socket is left: %v", listen, err)
		}
		if _, errs, status := call("", "check", "-config", name); tt.status == exConfig && (status != exConfig || !strings.Contains(errs, tt.want)) {
			t.Errorf("check of %s: status %d, %s", listen, status, errs)
		}
	}
}
