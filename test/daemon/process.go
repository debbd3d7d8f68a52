package daemon

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A process is a daemon of the product, and those that come after it.
type process struct {
	t       testing.TB
	command string // milter or certmgr

	cmd   *exec.Cmd     // nil when none runs
	ended chan struct{} // closed when it has
	watch *exec.Cmd
	leash io.WriteCloser

	log logbook
}

// prepare has what will be started end with the test.
func (p *process) prepare(t testing.TB, command string) {
	p.t, p.command = t, command
	p.log.grown = make(chan struct{})
	t.Cleanup(func() {
		if p.cmd != nil {
			p.Stop()
		}
		if bad := p.Lines(0, `: panic |DATA RACE`); len(bad) > 0 {
			t.Errorf("mailseal %s is in trouble: %s", command, bad)
		}
		if t.Failed() {
			t.Logf("log of mailseal:\n%s", p.Log())
		}
	})
}

// begin starts a process of these words, and takes what it logs.
func (p *process) begin(words []string) {
	p.t.Helper()
	cmd := exec.Command(words[0], words[1:]...)
	r, w, err := os.Pipe()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	w.Close() // its end is seen when the daemon has gone
	if err != nil {
		r.Close()
		p.t.Fatal(err)
	}
	ended := make(chan struct{})
	p.cmd, p.ended = cmd, ended
	go func() {
		p.log.take(r)
		r.Close()
		cmd.Wait() // its state is asked for
		close(ended)
	}()
	if err := p.hold(); err != nil {
		p.t.Fatal(err)
	}
}

// leash kills a daemon when the test process is gone, whatever the way.
const leash = `read word; [ "$word" = ended ] || kill -KILL "$1"`

func (p *process) hold() error {
	p.watch = exec.Command("/bin/sh", "-c", leash, "leash", strconv.Itoa(p.cmd.Process.Pid))
	p.watch.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // ^C is for us alone
	var err error
	if p.leash, err = p.watch.StdinPipe(); err != nil {
		return err
	}
	return p.watch.Start()
}

// Signal sends a signal.
func (p *process) Signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Errorf("send %v: %v", s, err)
	}
}

// Pid is the daemon's process.
func (p *process) Pid() int { return p.cmd.Process.Pid }

// Kill ends the daemon as a crash does and returns when it is gone. It may be
// called from any goroutine, but by one.
func (p *process) Kill() {
	p.cmd.Process.Kill()
	p.Wait()
}

// PeakMemory is the most that the daemon has had in memory, in bytes. Where
// there is no /proc it is 0.
func (p *process) PeakMemory() int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	_, after, _ := strings.Cut(string(b), "VmHWM:")
	var kib int64
	fmt.Sscan(after, &kib) // 0 if there is none
	return kib << 10
}

// Wait waits until the daemon has ended by itself and returns its status, -1
// when a signal ended it.
func (p *process) Wait() int {
	select {
	case <-p.ended:
	case <-time.After(Patience):
		p.t.Errorf("mailseal %s has not ended after %v", p.command, Patience)
		p.cmd.Process.Kill()
		<-p.ended
	}
	status := p.cmd.ProcessState.ExitCode()
	p.cmd = nil
	io.WriteString(p.leash, "ended\n")
	p.leash.Close()
	p.watch.Wait()
	return status
}

// Stop ends the daemon as the system does. It is an error if that is not how it
// ends.
func (p *process) Stop() {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	if status := p.Wait(); status != 0 {
		p.t.Errorf("mailseal %s ended with status %d after SIGTERM", p.command, status)
	}
}

// endedAtOnce is a reason to wait no longer.
func (p *process) endedAtOnce() {
	p.t.Helper()
	p.t.Fatalf("mailseal %s ended at once, status %d:\n%s", p.command, p.cmd.ProcessState.ExitCode(), p.Log())
}
