package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// A systemd is the side of it that a daemon talks to, and the environment that
// it gives.
type systemd struct {
	t    *testing.T
	conn *net.UnixConn
	env  map[string]string
}

func newSystemd(t *testing.T) *systemd {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &systemd{t: t, conn: conn, env: map[string]string{"NOTIFY_SOCKET": path}}
}

func (s *systemd) getenv(key string) string { return s.env[key] }

// hear returns the next message.
func (s *systemd) hear() string {
	s.t.Helper()
	text, err := s.read(patience)
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

func (s *systemd) read(patience time.Duration) (string, error) {
	if err := s.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	b := make([]byte, 1000)
	n, err := s.conn.Read(b)
	return string(b[:n]), err
}

// await reads until a message comes.
func (s *systemd) await(want string) {
	s.t.Helper()
	for s.hear() != want {
	}
}

// heard returns what has been sent already and not been read.
func (s *systemd) heard() (all []string) {
	s.t.Helper()
	for {
		text, err := s.read(time.Millisecond)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return all
		}
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, text)
	}
}

// skip passes over what has been logged by now.
func (l *logbook) skip() {
	for {
		select {
		case <-l.lines:
		default:
			return
		}
	}
}

// TestWatchdogPeriod reads the environment as sd_watchdog_enabled(3) does.
func TestWatchdogPeriod(t *testing.T) {
	self := strconv.Itoa(os.Getpid())
	for _, tt := range []struct {
		usec, pid string
		want      time.Duration
		bad       bool
	}{
		{"", "", 0, false},
		{"60000000", "", time.Minute, false},
		{"60000000", self, time.Minute, false},
		{"60000000", "1", 0, false},
		{"60000000", "x", 0, false},
		{"", self, 0, false},
		{"0", self, 0, true},
		{"-1", self, 0, true},
		{"1m", self, 0, true},
		{"9223372036854775807", self, 0, true},
	} {
		got, err := watchdogPeriod(func(key string) string {
			return map[string]string{"WATCHDOG_USEC": tt.usec, "WATCHDOG_PID": tt.pid}[key]
		})
		if got != tt.want || (err != nil) != tt.bad {
			t.Errorf("%q, %q: %v, %v; want %v", tt.usec, tt.pid, got, err, tt.want)
		}
	}
}

// stuck is a listener whose Accept can be made to hang, as a serve loop that is
// stuck does: the kernel still takes connections, and nobody answers them.
type stuck struct {
	net.Listener
	hang    atomic.Bool
	release chan struct{}
}

func (s *stuck) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if s.hang.Load() {
		<-s.release
	}
	return conn, err
}

// TestWatchdog: systemd hears of us as long as every socket answers, and not
// when one of two serve loops hangs; then the log says which.
func TestWatchdog(t *testing.T) {
	defer goleak.VerifyNone(t)
	sd := newSystemd(t)
	sd.env["WATCHDOG_USEC"] = "1500000"
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	second := &stuck{Listener: ln, release: make(chan struct{})}
	r := startWith(t, house(t), sd.getenv, func(d *daemon) { d.lns = append(d.lns, listener{second, d.server}) })
	sd.await("READY=1\nSTATUS=listening")
	for range 3 {
		sd.await("WATCHDOG=1")
	}

	second.hang.Store(true)
	r.log.skip()
	for range 2 { // the first question may have been put before
		r.log.await("no sign of life", ln.Addr().String(), "i/o timeout")
	}
	sd.heard() // what was sent before these lines
	r.log.await("no sign of life", ln.Addr().String())
	if got := sd.heard(); len(got) > 0 {
		t.Errorf("with a serve loop that hangs, systemd was told %q", got)
	}

	second.hang.Store(false)
	close(second.release)
	sd.await("WATCHDOG=1")
	if err := r.end(); err != nil {
		t.Errorf("run: %v", err)
	}
	sd.await("STOPPING=1\nWATCHDOG=1")
}

// TestWatchdogFull: a server that has all the connections that it takes lets
// others wait, and is no less alive.
func TestWatchdogFull(t *testing.T) {
	defer goleak.VerifyNone(t)
	sd := newSystemd(t)
	sd.env["WATCHDOG_USEC"] = "1500000"
	name := house(t)
	rewrite(t, name, "[milter]", "[milter]\nmax_connections = 1")
	r := start(t, name, sd.getenv)
	conn, err := net.Dial("unix", filepath.Join(filepath.Dir(name), "milter.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for r.server.Stats().Open == 0 { // until it has been accepted
		time.Sleep(time.Millisecond)
	}
	sd.heard()
	for range 4 {
		sd.await("WATCHDOG=1")
	}
	if err := r.end(); err != nil {
		t.Errorf("run: %v", err)
	}
}

// TestAsk: what keeps the question from being put is no bad answer, silence is.
func TestAsk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sock")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	at := &net.UnixAddr{Name: path, Net: "unix"}
	if err := ask(ctx, at, patience); err != nil {
		t.Errorf("a socket that is gone: %v", err)
	}
	ln, err := net.ListenUnix("unix", at)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := ask(ctx, at, 10*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nobody accepts: %v", err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
	if err := ask(ctx, at, patience); err == nil {
		t.Error("nobody listens, and it counts as an answer")
	}
}
