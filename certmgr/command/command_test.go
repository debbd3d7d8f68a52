package command

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// long is a limit that no test reaches.
const long = 2 * time.Minute

func TestRun(t *testing.T) {
	out, err := Run(t.Context(), long, "echo", "two  words", "$HOME")
	if err != nil || string(out.Stdout) != "two  words $HOME\n" || out.Status != 0 || out.Took <= 0 {
		t.Errorf("%q %d %v, %v", out.Stdout, out.Status, out.Took, err)
	}
}

func TestShell(t *testing.T) {
	for _, tt := range []struct {
		line, stdout, err string
		status            int
	}{
		{"echo `echo 1 | head -1`", "1\n", "", 0},
		{"pwd; cat; env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= | sort", "/\nHOME=/\nLC_ALL=C\nPATH=" + Path + "\n", "", 0},
		{"echo out; exit 3", "out\n", "echo out; exit 3: status 3", 3},
		{"echo a >&2; echo b >&2; echo c >&2; printf '\\033[1md\\r\\n\\n' >&2; exit 1", "", ": status 1: b; c; [1md", 1},
		{"kill -9 $$", "", "kill -9 $$: signal: killed", -1},
		{"no-such-program", "", "no-such-program: status 127: ", 127},
	} {
		out, err := Shell(t.Context(), long, tt.line)
		if got := errorText(err); string(out.Stdout) != tt.stdout || out.Status != tt.status || (tt.err == "") != (err == nil) || !strings.Contains(got, tt.err) || strings.ContainsAny(got, "\n\r\x1b") {
			t.Errorf("%s: %q %d %v; want %q %d %q", tt.line, out.Stdout, out.Status, err, tt.stdout, tt.status, tt.err)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestNotFound(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // the caller's own is not asked
	if _, err := Run(t.Context(), long, "true"); err != nil {
		t.Error(err)
	}
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"no-such-program", "/no/such/program", "./true", plain, "/bin"} {
		out, err := Run(t.Context(), long, name)
		if !errors.Is(err, ErrNotFound) || !strings.HasPrefix(err.Error(), name) || out.Status != -1 {
			t.Errorf("%s: %v, status %d", name, err, out.Status)
		}
	}
}

// Everything that a program that hangs has started ends with it.
func TestTimeLimit(t *testing.T) {
	dir := t.TempDir()
	pids := filepath.Join(dir, "pids")
	// A child, a grandchild, and one that ignores what is no KILL.
	line := "trap '' TERM; sleep 1000 & echo $! >>" + pids + "; sh -c 'sleep 1000 & echo $! >>" + pids + "; trap \"\" TERM; sleep 1000; :' & echo $! >>" + pids +
		"; while [ \"$(wc -l <" + pids + ")\" -lt 3 ]; do :; done; echo started; wait"
	ctx, cancel := context.WithCancelCause(t.Context())
	errEnd := errors.New("the daemon ends")
	defer cancel(nil)
	for _, tt := range []struct {
		what string
		ctx  context.Context
		time time.Duration
		want error
	}{
		{"time limit", t.Context(), time.Second, ErrTimeLimit},
		{"context", ctx, long, errEnd},
	} {
		stop := time.AfterFunc(time.Second, func() { cancel(errEnd) })
		out, err := Shell(tt.ctx, tt.time, line)
		stop.Stop()
		if !errors.Is(err, tt.want) || out.Status != -1 || out.Took > long/2 {
			t.Errorf("%s: %v, status %d, took %v", tt.what, err, out.Status, out.Took)
		}
		if string(out.Stdout) == "started\n" { // else the machine was too busy to say
			wantGone(t, pids)
		}
		if err := os.Remove(pids); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

func wantGone(t *testing.T, pids string) {
	t.Helper()
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(long); running(pid); {
			if time.Now().After(end) {
				t.Errorf("%d still runs", pid)
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// running is false for what only waits to be reaped by a careless init.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

// A daemon that a command leaves is neither waited for nor killed.
func TestDaemonLeft(t *testing.T) {
	out, err := Shell(t.Context(), long, "sleep 1000 & echo $!")
	if err != nil || out.Took > long/2 {
		t.Fatalf("%v, took %v", err, out.Took)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out.Stdout)))
	if err != nil {
		t.Fatal(err)
	}
	if !running(pid) {
		t.Error("it was killed")
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

func TestBounded(t *testing.T) {
	out, err := Limits{Time: long, Max: 1000}.Shell(t.Context(), "yes | head -c 100000; yes | head -c 500 >&2; echo the end >&2; exit 1")
	if len(out.Stdout) != 1000 || len(out.Stderr) != 508 || out.Dropped != 99000 {
		t.Errorf("%d %d %d; want 1000 508 99000", len(out.Stdout), len(out.Stderr), out.Dropped)
	}
	if err == nil || !strings.HasSuffix(err.Error(), "; the end") {
		t.Errorf("%v", err)
	}
	out, err = Shell(t.Context(), long, "yes | head -c 200000 >&2; printf 'x%.0s' $(seq 500) >&2; echo why >&2; exit 1")
	if len(out.Stderr) != maxOutput || out.Dropped != 200000+504-maxOutput {
		t.Errorf("%d %d", len(out.Stderr), out.Dropped)
	}
	if err == nil || !strings.HasSuffix(err.Error(), "xxxwhy") || len(err.Error()) > 3*maxLine {
		t.Errorf("%v", err)
	}
}
