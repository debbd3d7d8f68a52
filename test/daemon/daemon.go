// Package daemon runs the product itself, `mailseal milter`, for tests: built
// as it is shipped, configured by a file, told things by signals, and judged
// by what it logs and what its MTA delivers.
package daemon

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
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
	t        testing.TB
	dir      string
	settings Settings

	cmd   *exec.Cmd     // nil when none runs
	ended chan struct{} // closed when it has
	watch *exec.Cmd
	leash io.WriteCloser

	log logbook
}

// New writes a configuration and starts nothing. What has been started ends
// with the test.
func New(t testing.TB, s Settings) *Daemon {
	t.Helper()
	d := &Daemon{t: t, dir: t.TempDir()}
	d.log.grown = make(chan struct{})
	d.Configure(s)
	t.Cleanup(func() {
		if d.cmd != nil {
			d.Stop()
		}
		if bad := d.Lines(0, `: panic |DATA RACE`); len(bad) > 0 {
			t.Errorf("mailseal milter is in trouble: %s", bad)
		}
		if t.Failed() {
			t.Logf("log of mailseal:\n%s", d.Log())
		}
	})
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
	words := append(slices.Clone(d.settings.Under), Binary(d.t), "milter", "-config", d.File())
	cmd := exec.Command(words[0], words[1:]...)
	r, w, err := os.Pipe()
	if err != nil {
		d.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	w.Close() // its end is seen when the daemon has gone
	if err != nil {
		r.Close()
		d.t.Fatal(err)
	}
	ended := make(chan struct{})
	d.cmd, d.ended = cmd, ended
	go func() {
		d.log.take(r)
		r.Close()
		cmd.Wait() // its state is asked for
		close(ended)
	}()
	if err := d.hold(); err != nil {
		d.t.Fatal(err)
	}
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
			d.t.Fatalf("mailseal milter ended at once, status %d:\n%s", d.cmd.ProcessState.ExitCode(), d.Log())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("nobody listens on %s: %v", d.settings.Socket, err)
		}
	}
}

// leash kills a daemon when the test process is gone, whatever the way.
const leash = `read word; [ "$word" = ended ] || kill -KILL "$1"`

func (d *Daemon) hold() error {
	d.watch = exec.Command("/bin/sh", "-c", leash, "leash", strconv.Itoa(d.cmd.Process.Pid))
	d.watch.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // ^C is for us alone
	var err error
	if d.leash, err = d.watch.StdinPipe(); err != nil {
		return err
	}
	return d.watch.Start()
}

// Signal sends a signal.
func (d *Daemon) Signal(s syscall.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		d.t.Errorf("send %v: %v", s, err)
	}
}

// Pid is the daemon's process.
func (d *Daemon) Pid() int { return d.cmd.Process.Pid }

// Kill ends the daemon as a crash does and returns when it is gone. It may be
// called from any goroutine, but by one.
func (d *Daemon) Kill() {
	d.cmd.Process.Kill()
	d.Wait()
}

// PeakMemory is the most that the daemon has had in memory, in bytes. Where
// there is no /proc it is 0.
func (d *Daemon) PeakMemory() int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	_, after, _ := strings.Cut(string(b), "VmHWM:")
	var kib int64
	fmt.Sscan(after, &kib) // 0 if there is none
	return kib << 10
}

// Wait waits until the daemon has ended by itself and returns its status, -1
// when a signal ended it.
func (d *Daemon) Wait() int {
	select {
	case <-d.ended:
	case <-time.After(Patience):
		d.t.Errorf("mailseal milter has not ended after %v", Patience)
		d.cmd.Process.Kill()
		<-d.ended
	}
	status := d.cmd.ProcessState.ExitCode()
	d.cmd = nil
	io.WriteString(d.leash, "ended\n")
	d.leash.Close()
	d.watch.Wait()
	return status
}

// Stop ends the daemon as the system does. It is an error if that is not how it
// ends.
func (d *Daemon) Stop() {
	d.t.Helper()
	d.Signal(syscall.SIGTERM)
	if status := d.Wait(); status != 0 {
		d.t.Errorf("mailseal milter ended with status %d after SIGTERM", status)
	}
}
