// Package daemon runs the product itself, `mailseal milter` or `mailseal
// certmgr`, for tests: built as it is shipped, configured by a file, told things
// by signals, and judged by what it logs and what its MTA delivers.
package daemon

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Patience is how long anything may take that takes a moment, on a machine
// that is busy with other tests.
const Patience = 2 * time.Minute

// A Daemon is a process of `mailseal milter` and those that come after it with
// the same configuration file. Its methods are for one goroutine at a time, but
// for those that look at the log.
type Daemon struct {
	process
	dir      string
	settings Settings
}

// New writes a configuration and starts nothing. What has been started ends
// with the test.
func New(t testing.TB, s Settings) *Daemon {
	t.Helper()
	d := &Daemon{dir: t.TempDir()}
	d.prepare(t, "milter")
	d.Configure(s)
	return d
}

// Start writes a configuration and starts a daemon with it.
func Start(t testing.TB, s Settings) *Daemon {
	t.Helper()
	d := New(t, s)
	d.Start()
	return d
}

// Configure writes the configuration anew. A running daemon does not look at
// it until it is told to.
func (d *Daemon) Configure(s Settings) {
	d.t.Helper()
	d.settings = s
	s.write(d.t, d.dir)
}

// Settings are those of the latest Configure.
func (d *Daemon) Settings() Settings { return d.settings }

// Folder holds the configuration and what it names.
func (d *Daemon) Folder() string { return d.dir }

// File is the path of the configuration.
func (d *Daemon) File() string { return filepath.Join(d.dir, "mailseal.toml") }

// Trust is the path of the trust anchors.
func (d *Daemon) Trust() string { return filepath.Join(d.dir, "ca.pem") }

// Dial connects to the daemon as an MTA does.
func (d *Daemon) Dial() (net.Conn, error) {
	kind, where, _ := strings.Cut(d.settings.Socket, ":")
	if kind == "inet" {
		port, host, _ := strings.Cut(where, "@")
		return net.Dial("tcp", net.JoinHostPort(host, port))
	}
	return net.Dial("unix", where)
}

// Start starts a daemon and returns when an MTA can connect to it.
func (d *Daemon) Start() {
	d.t.Helper()
	d.begin(slices.Concat(d.settings.Under, []string{Binary(d.t), "milter", "-config", d.File()}))
	d.awaitSocket()
}

func (d *Daemon) awaitSocket() {
	d.t.Helper()
	deadline := time.Now().Add(Patience)
	for {
		conn, err := d.Dial()
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-d.ended:
			d.endedAtOnce()
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("nobody listens on %s: %v", d.settings.Socket, err)
		}
	}
}
