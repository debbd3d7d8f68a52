//go:build linux

package guide_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	commandTimeout = 2 * time.Minute
	againTimeout   = time.Minute // a moment is usual
	againPause     = 50 * time.Millisecond
)

// A runner follows a guide on a machine.
type runner struct {
	standIns map[string]standIn
	source   string    // the folder that the guide's commands are given in
	printed  string    // by the last commands
	service  *exec.Cmd // as systemd has started it, nil while it does not run
}

// A standIn does what a block's commands would, where they cannot run.
type standIn struct {
	why string
	do  func(r *runner, b block) (printed string, err error)
}

// follow does what the blocks say, one after another.
func (r *runner) follow(blocks []block) error {
	start := time.Now()
	for _, b := range blocks {
		fmt.Printf("--- %.1f s, line %d, %s\n%s", time.Since(start).Seconds(), b.line, b.info, b.text)
		if err := r.step(b); err != nil {
			return fmt.Errorf("line %d, block %q: %w", b.line, b.info, err)
		}
	}
	return nil
}

func (r *runner) step(b block) (err error) {
	words := strings.Fields(b.info)
	switch b.kind() {
	case commands:
		r.printed, err = r.shell(b.text)
	case repeated:
		for deadline := time.Now().Add(againTimeout); ; time.Sleep(againPause) {
			if r.printed, err = r.shell(b.text); err == nil || time.Now().After(deadline) {
				break
			}
		}
	case replaced:
		in, ok := r.standIns[words[1]]
		if !ok {
			return fmt.Errorf("nothing stands in for %q", words[1])
		}
		r.printed, err = in.do(r, b)
	case output:
		return promised(b.text, r.printed)
	case file:
		return os.WriteFile(words[1], []byte(b.text), 0o644)
	case insertion:
		return insert(words[1], words[3], b.text)
	case shown:
		return nil
	default:
		return errors.New("no kind of block that the test knows")
	}
	if r.printed != "" {
		fmt.Printf(">>>\n%s", r.printed)
	}
	return err
}

// shell runs commands as a postmaster's shell would, but ends at the first that
// fails. What they print on either stream is what the postmaster sees.
func (r *runner) shell(script string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-e", "-c", script)
	cmd.Dir = r.source
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "USER=root", "LOGNAME=root", "TZ=UTC"}
	cmd.WaitDelay = time.Second // a daemon that it starts may keep the streams open
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out.Bytes())
	}
	return out.String(), err
}

// insert puts lines above the first line of a file that begins so.
func insert(name, above, lines string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var all strings.Builder
	done := false
	for line := range strings.Lines(string(b)) {
		if !done && strings.HasPrefix(line, above) {
			all.WriteString(lines)
			done = true
		}
		all.WriteString(line)
	}
	if !done {
		return fmt.Errorf("%s has no line that begins with %q", filepath.Base(name), above)
	}
	return os.WriteFile(name, []byte(all.String()), 0o644)
}
