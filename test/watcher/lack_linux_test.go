package watcher_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"mailseal/test/daemon"
)

// confined runs a test once more, in a mount namespace of its own, where it may
// mount what it likes: servers, certmgr and the test see it, nobody else does, and
// it goes with them. It reports whether this is that run.
func confined(t *testing.T) bool {
	t.Helper()
	const variable = "WATCHER_TEST_CONFINED"
	if os.Getenv(variable) == t.Name() {
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("only root has mount namespaces")
	}
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=20m")
	cmd.Env = append(os.Environ(), variable+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v", err)
	}
	if strings.Contains(string(out), "--- SKIP: "+t.Name()) {
		t.Skip(string(out))
	}
	t.Logf("\n%s", out)
	return false
}

// small mounts a file system with room for so little that it is soon full.
func small(t *testing.T, dir string) {
	t.Helper()
	ok(t, os.MkdirAll(dir, 0o755))
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=256k,mode=755"); err != nil {
		t.Skipf("no file system can be mounted: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

// fill takes all the room of a file system and returns how to give it back.
func fill(t *testing.T, dir string) func() {
	t.Helper()
	path := filepath.Join(dir, "somebody-elses")
	f, err := os.Create(path)
	ok(t, err)
	for err == nil {
		_, err = f.Write(make([]byte, 512))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	ok(t, f.Close())
	return func() { ok(t, os.Remove(path)) }
}

// readOnly mounts a file system again so that nobody can write to it, and returns
// how to undo that.
func readOnly(t *testing.T, dir string) func() {
	t.Helper()
	ok(t, unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	return func() { ok(t, unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT, "")) }
}

// Where nothing can be written, the old, working files are served, the log says
// why, and all comes right when there is room.
func TestNoRoom(t *testing.T) {
	slow(t)
	if !confined(t) {
		return
	}
	w := newWorld(t, nil, sendmail, postfix)
	for _, s := range w.servers {
		small(t, s.dir)
	}
	small(t, w.path("state"))
	ok(t, os.Chmod(w.path("state"), 0o700))
	w.start()
	all := func(take func(*testing.T, string) func()) func() func() {
		return func() func() {
			var undo []func()
			for _, s := range w.servers {
				undo = append(undo, take(t, s.dir))
			}
			return func() {
				for _, u := range slices.Backward(undo) {
					u()
				}
			}
		}
	}
	w.lacking(t, "no room for certificates", "no space left on device", all(fill))
	w.lacking(t, "certificates cannot be written", "read-only file system", all(readOnly))
	w.lacking(t, "no room for state", "no space left on device", func() func() { return fill(t, w.path("state")) })
	w.lacking(t, "state cannot be written", "read-only file system", func() func() { return readOnly(t, w.path("state")) })
}

// The CA is on another host, or behind another process: while that is away,
// nothing changes.
func TestNoAuthority(t *testing.T) {
	slow(t)
	w := newWorld(t, nil, sendmail)
	dir := w.path("other")
	ok(t, os.Mkdir(dir, 0o755))
	other := daemon.NewCertmgr(t, dir, fmt.Sprintf("[ca]\ndir = %q\nsocket = %q\nweb_user = \"\"\n", w.path("CA"), "unix:"+w.path("certmgr.sock")))
	other.Start()
	w.remote = true
	w.certmgr.Configure(w.config())
	w.start()
	w.lacking(t, "no CA", "level=(warn|error).*certmgr.sock", func() func() {
		other.Stop()
		return other.Start
	})
}
