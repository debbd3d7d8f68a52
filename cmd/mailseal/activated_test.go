package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// openAs opens a socket as systemd does, for another process.
func openAs(t *testing.T, path string) *os.File {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ln.SetUnlinkOnClose(false)
	f, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// passing starts the product itself with sockets by these names, as systemd
// does: the first is descriptor 3, and the process is named.
func passing(t *testing.T, config string, names []string, files ...*os.File) (*exec.Cmd, *logbook) {
	t.Helper()
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec mailseal milter -config "$0"`, config)
	cmd.Env = append(os.Environ(), fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	cmd.ExtraFiles = files
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() }) // has ended long before
	return cmd, newLogbook(t, stderr)
}

// sendSignal sends one to a process.
func sendSignal(t *testing.T, cmd *exec.Cmd, s syscall.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// ended waits for the end of a process and of its log.
func ended(t *testing.T, cmd *exec.Cmd, log *logbook) {
	t.Helper()
	for range log.lines { // to the end, before Wait closes the pipe
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

// TestProcess runs the product itself: sockets that systemd opened, each by its
// name for what it is for, and the others its own; signals, and an orderly end
// with status 0 that leaves systemd's sockets.
func TestProcess(t *testing.T) {
	for name, names := range map[string][]string{
		"milter.socket":        {"mailseal-milter.socket"},
		"before_socket":        {"before"},
		"both":                 {"mailseal-milter.socket", "before"},
		"both turned":          {"before", "unknown"},
		"two by the same name": {"x", "x", "before"},
	} {
		t.Run(name, func(t *testing.T) {
			config := house(t)
			dir := filepath.Dir(config)
			rewrite(t, config, "[milter]", "[milter]\nearlier_milters = true\nbefore_socket = \"unix:before.sock\"")
			sockets := map[string]bool{} // signs
			var files []*os.File
			for i, n := range names {
				path := filepath.Join(dir, fmt.Sprintf("passed%d.sock", i))
				files = append(files, openAs(t, path))
				sockets[path] = n != beforeName
			}
			own := map[string]bool{
				filepath.Join(dir, "milter.sock"): slices.Equal(names, []string{beforeName}),
				filepath.Join(dir, "before.sock"): !slices.Contains(names, beforeName),
			}
			cmd, log := passing(t, config, names, files...)
			log.await("listening") // all sockets are there by then
			for path, opened := range own {
				if _, err := os.Stat(path); opened != (err == nil) {
					t.Errorf("%s: %v; its own: %t", path, err, opened)
				} else if opened {
					sockets[path] = filepath.Base(path) == "milter.sock"
				}
			}
			for path, signs := range sockets {
				if a, ct := mail(t, path); a != 'a' || strings.Contains(ct, "multipart/signed") != signs {
					t.Errorf("%s: answer %c, Content-Type %q; signs: %t", path, a, ct, signs)
				}
			}
			for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1} {
				sendSignal(t, cmd, s)
				log.await("reloaded")
			}
			sendSignal(t, cmd, syscall.SIGTERM)
			log.await("stopped messages=")
			ended(t, cmd, log)
			for i := range names {
				if _, err := os.Stat(filepath.Join(dir, fmt.Sprintf("passed%d.sock", i))); err != nil {
					t.Errorf("systemd's socket is gone: %v", err)
				}
			}
			for path := range own {
				if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("its own socket is left: %s, %v", path, err)
				}
			}
		})
	}
}

// TestBeforeUnwanted: a socket that was meant to stand before other milters is
// not taken for one that stands behind them.
func TestBeforeUnwanted(t *testing.T) {
	config := house(t)
	cmd, log := passing(t, config, []string{"x", beforeName}, openAs(t, filepath.Join(filepath.Dir(config), "x.sock")),
		openAs(t, filepath.Join(filepath.Dir(config), "before.sock")))
	log.await("set milter.before_socket, or disable that unit")
	for range log.lines {
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != exConfig {
		t.Errorf("%v, want status %d", err, exConfig)
	}
}

func TestActivated(t *testing.T) {
	env := func(pid, fds, names string) func(string) string {
		return func(key string) string {
			return map[string]string{"LISTEN_PID": pid, "LISTEN_FDS": fds, "LISTEN_FDNAMES": names}[key]
		}
	}
	self := fmt.Sprint(os.Getpid())
	for _, e := range []func(string) string{env("", "", ""), env("1", "1", "x"), env("x", "1", ""), env(self, "", "x"), env(self, "0", "")} {
		if lns, err := activated(e); len(lns) != 0 || err != nil {
			t.Errorf("%d sockets, %v", len(lns), err)
		}
	}
	for _, e := range [][2]string{{"x", ""}, {"-1", ""}, {"65", ""}, {"2", "one"}, {"1", "one:two"}, {"0", "one"}} {
		if _, err := activated(env(self, e[0], e[1])); err == nil {
			t.Errorf("LISTEN_FDS=%s LISTEN_FDNAMES=%s is taken", e[0], e[1])
		}
	}
}
