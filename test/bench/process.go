package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// patience is how long anything may take that takes a moment.
const patience = time.Minute

// A process is a milter that runs.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string        // file
	gone chan struct{} // closed when it has ended
	seen int64         // of the log, in bytes
}

// startProcess starts a milter in a folder and waits until it answers.
func startProcess(name string, cmd *exec.Cmd, dir, network, socket string) (*process, error) {
	p := &process{name: name, cmd: cmd, log: filepath.Join(dir, "log"), gone: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ^C is for us alone
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.cmd.Wait() // how it ended is in its log
		close(p.gone)
	}()
	for deadline := time.Now().Add(patience); ; {
		c, err := net.Dial(network, socket)
		if err == nil {
			return p, c.Close()
		}
		select {
		case <-p.gone:
			return nil, fmt.Errorf("%s ended at once: %s", name, p.tail())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.stop()
			return nil, fmt.Errorf("%s does not listen: %w: %s", name, err, p.tail())
		}
	}
}

// stop ends it by force: there is nothing left to do, and OpenDKIM looks only
// every five seconds whether it has been told to end.
func (p *process) stop() {
	p.cmd.Process.Kill()
	<-p.gone
}

// tail is the end of its log, for errors.
func (p *process) tail() string {
	b, _ := os.ReadFile(p.log)
	return string(bytes.TrimSpace(b[max(0, len(b)-2000):]))
}

// skip forgets what has been logged so far.
func (p *process) skip() error {
	info, err := os.Stat(p.log)
	if err == nil {
		p.seen = info.Size()
	}
	return err
}

// await waits until n lines with the word have been logged since skip. More
// are as wrong as fewer.
func (p *process) await(n int, word string) error {
	return awaitLines(p.log, p.seen, n, word)
}

func awaitLines(file string, from int64, n int, word string) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		got, err := countLines(file, from, word)
		switch {
		case err != nil:
			return err
		case got == n:
			return nil
		case got > n || time.Now().After(deadline):
			return fmt.Errorf("%s: %d lines with %q, want %d", filepath.Base(file), got, word, n)
		}
	}
}

func countLines(file string, from int64, word string) (int, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	b := make([]byte, max(0, info.Size()-from))
	if _, err := f.ReadAt(b, from); err != nil && len(b) > 0 {
		return 0, err
	}
	n := 0
	for line := range bytes.Lines(b) {
		if bytes.Contains(line, []byte(word)) && bytes.HasSuffix(line, []byte("\n")) {
			n++
		}
	}
	return n, nil
}
