// Package command runs the few other programs that the watcher needs: a server's
// reload, postmap, postconf. It is the one place of the product that does.
//
//	out, err := command.Shell(ctx, 30*time.Second, "kill -HUP `head -1 /var/run/sendmail.pid`")
//
// A program gets nothing from the one that calls it: no input, no environment but
// a fixed PATH, LC_ALL=C and HOME=/, and the folder /. It is a process group of its
// own, which is killed as a whole when it takes too long, with what it has started
// in turn. A daemon that it leaves behind on purpose, as `service x restart` does,
// is waited for no longer than the program itself.
package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Path is where programs are looked for.
const Path = "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"

const (
	// maxOutput is what is kept of each of a program's two outputs.
	maxOutput = 64 << 10
	// lingering is how long the outputs are read after the program's end, when
	// somebody else still has them open.
	lingering = time.Second
)

// The errors that somebody may want to tell apart.
var (
	ErrTimeLimit = errors.New("took too long and was killed")
	ErrNotFound  = errors.New("not found")
)

// Output is what a program has said.
type Output struct {
	Stdout, Stderr []byte
	// Dropped is how many octets of both were beyond what is kept.
	Dropped int64
	// Status is the exit status, -1 where a signal has ended it or it never ran.
	Status int
	Took   time.Duration
}

// Limits bound a program. Run and Shell have those that do for most.
type Limits struct {
	Time time.Duration
	// Max is what is kept of each output, 0 for 64 KiB.
	Max int
}

// Run runs a program, which is looked for in Path unless its name is absolute.
// A status other than 0 is an error too: it says the program, the status and the
// last of what it has written to stderr, in one line.
func Run(ctx context.Context, limit time.Duration, name string, args ...string) (Output, error) {
	return Limits{Time: limit}.Run(ctx, name, args...)
}

// Shell gives a line to /bin/sh.
func Shell(ctx context.Context, limit time.Duration, line string) (Output, error) {
	return Limits{Time: limit}.Shell(ctx, line)
}

// Run is as the function of that name.
func (l Limits) Run(ctx context.Context, name string, args ...string) (Output, error) {
	path, err := find(name)
	if err != nil {
		return Output{Status: -1}, err
	}
	return l.run(ctx, strings.Join(append([]string{name}, args...), " "), path, args...)
}

// Shell is as the function of that name.
func (l Limits) Shell(ctx context.Context, line string) (Output, error) {
	return l.run(ctx, line, "/bin/sh", "-c", line)
}

func (l Limits) run(ctx context.Context, what, path string, args ...string) (Output, error) {
	limited, cancel := context.WithTimeoutCause(ctx, l.Time, fmt.Errorf("%w, after %v", ErrTimeLimit, l.Time))
	defer cancel()
	limit := l.Max
	if limit == 0 {
		limit = maxOutput
	}
	stdout, stderr := &bounded{max: limit}, &bounded{max: limit}
	cmd := exec.CommandContext(limited, path, args...)
	cmd.Dir, cmd.Env = "/", []string{"PATH=" + Path, "LC_ALL=C", "HOME=/"}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = lingering
	begun := time.Now()
	err := cmd.Run()
	out := Output{Status: -1, Took: time.Since(begun), Dropped: stdout.dropped + stderr.dropped}
	out.Stdout, out.Stderr = stdout.kept, stderr.kept
	if cmd.ProcessState != nil {
		out.Status = cmd.ProcessState.ExitCode()
	}
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay) && out.Status == 0: // somebody has the outputs still
		return out, nil
	case limited.Err() != nil && out.Status < 0:
		err = context.Cause(limited)
	case out.Status > 0:
		err = fmt.Errorf("status %d", out.Status)
	}
	if said := stderr.last(); said != "" {
		return out, fmt.Errorf("%s: %w: %s", oneLine(what), err, said)
	}
	return out, fmt.Errorf("%s: %w", oneLine(what), err)
}

// find looks for a program in Path, whatever the caller's own is.
func find(name string) (string, error) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			return "", fmt.Errorf("%s: %w: say where, from / on", name, ErrNotFound)
		}
		if !executable(name) {
			return "", fmt.Errorf("%s: %w, or not executable", name, ErrNotFound)
		}
		return name, nil
	}
	for _, dir := range filepath.SplitList(Path) {
		if path := filepath.Join(dir, name); executable(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w in %s", name, ErrNotFound, Path)
}

func executable(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular() && fi.Mode().Perm()&0o111 != fs.FileMode(0)
}
