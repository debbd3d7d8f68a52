package service_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary is FreeBSD's daemon(8) too, when it is called by its name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "daemon" {
		if err := daemon8(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "daemon:", err)
			os.Exit(3)
		}
		return
	}
	os.Exit(m.Run())
}

// supervisor is what the flags of daemon(8) say, as far as they are used here.
type supervisor struct {
	pidfile, childPidfile string // -P, -p
	restart               time.Duration
	argv                  []string
}

// Variables for the stub: where what would go to syslog goes, and what it holds
// on to so that all ends with the test.
const (
	logVar   = "STUB_LOG"
	leashVar = "STUB_LEASH"
	stageVar = "STUB_STAGE"
)

// daemon8 goes into the background and keeps a child running. Told to end it
// passes that on and ends at once, as daemon(8) does: it does not wait.
func daemon8(args []string) error {
	var s supervisor
	for ; len(args) > 0 && strings.HasPrefix(args[0], "-"); args = args[1:] {
		switch flag := args[0]; flag {
		case "-f", "-S":
			continue
		case "-P":
			s.pidfile = args[1]
		case "-p":
			s.childPidfile = args[1]
		case "-R":
			n, err := strconv.Atoi(args[1])
			if err != nil {
				return err
			}
			s.restart = time.Duration(n) * 10 * time.Millisecond // not seconds: it is a test
		case "-T", "-l", "-s":
		default:
			return fmt.Errorf("no flag %s", flag)
		}
		args = args[1:]
	}
	s.argv = args
	if os.Getenv(stageVar) == "" {
		return s.background()
	}
	return s.supervise()
}

// background starts the supervisor and returns when it has written its file.
func (s supervisor) background() error {
	for _, file := range []string{s.pidfile, s.childPidfile} {
		b, _ := os.ReadFile(file)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && syscall.Kill(pid, 0) == nil {
			return fmt.Errorf("process already running, pid: %d", pid)
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), stageVar+"=2")
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	w.Close()
	if _, err := r.Read(make([]byte, 1)); err != nil {
		return errors.New("the supervisor did not start")
	}
	return nil
}

func (s supervisor) supervise() error {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	gone := make(chan struct{}) // the test
	go func() {
		f, err := os.Open(os.Getenv(leashVar))
		if err == nil {
			f.Read(make([]byte, 1))
		}
		close(gone)
	}()
	if err := os.WriteFile(s.pidfile, fmt.Appendln(nil, os.Getpid()), 0o600); err != nil {
		return err
	}
	defer os.Remove(s.pidfile)
	defer os.Remove(s.childPidfile)
	ready := os.NewFile(3, "ready")
	for {
		child, ended, err := s.spawn()
		if err != nil {
			return err
		}
		if ready != nil {
			ready.Write([]byte("x"))
			ready.Close()
			ready = nil
		}
		select {
		case <-term:
			return child.Signal(syscall.SIGTERM)
		case <-gone:
			return child.Kill()
		case <-ended:
		}
		select {
		case <-term:
			return nil
		case <-gone:
			return nil
		case <-time.After(s.restart):
		}
	}
}

// spawn starts the child. What it says goes through a pipe that ends with us,
// as with daemon(8).
func (s supervisor) spawn() (*os.Process, <-chan struct{}, error) {
	log, err := os.OpenFile(os.Getenv(logVar), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(s.argv[0], s.argv[1:]...)
	out, err := cmd.StderrPipe()
	if err != nil {
		return nil, nil, err
	}
	cmd.Stdout = cmd.Stderr
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(s.childPidfile, fmt.Appendln(nil, cmd.Process.Pid), 0o600); err != nil {
		return nil, nil, err
	}
	leash := exec.Command("/bin/sh", "-c", `read word <"$1"; grep -q "$3" "/proc/$2/cmdline" && kill -KILL "$2"`,
		"leash", os.Getenv(leashVar), strconv.Itoa(cmd.Process.Pid), s.argv[0])
	leash.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := leash.Start(); err != nil {
		return nil, nil, err
	}
	ended := make(chan struct{})
	go func() {
		log.ReadFrom(out)
		log.Close()
		cmd.Wait()
		close(ended)
	}()
	return cmd.Process, ended, nil
}
