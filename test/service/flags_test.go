package service_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func (h *house) milter(flags ...string) *exec.Cmd {
	return exec.Command(h.product, append([]string{"milter", "-x", h.config()}, flags...)...)
}

// TestBecome: started as root, the daemon is the user of -u with every thread
// and for good, owns its socket, and reads keys as that user. The file with its
// number is root's.
func TestBecome(t *testing.T) {
	u, uid, gid := nobody(t)
	h := newHouse(t)
	h.give(uid, gid)
	pidfile := h.path("pid") // in a folder of root's
	p := start(t, h.milter("-f", "-u", "nobody", "-P", pidfile))
	p.says("listening")

	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.cmd.Process.Pid))
	if err != nil || len(tasks) < 2 {
		t.Fatalf("threads %q, %v", tasks, err)
	}
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if errors.Is(err, os.ErrNotExist) {
			continue // the thread has ended
		}
		ok(t, err)
		for _, want := range []string{
			fmt.Sprintf("\nUid:\t%[1]d\t%[1]d\t%[1]d\t%[1]d\n", uid), fmt.Sprintf("\nGid:\t%[1]d\t%[1]d\t%[1]d\t%[1]d\n", gid),
			"\nGroups:\t" + u.Gid + " \n", "\nCapEff:\t0000000000000000\n", "\nCapPrm:\t0000000000000000\n",
		} {
			if !strings.Contains(string(b), want) {
				t.Errorf("%s: no %q in\n%s", task, want, b)
			}
		}
	}
	owner(t, h.socket(), uid, gid)
	owner(t, pidfile, 0, os.Getegid())
	if b, err := os.ReadFile(pidfile); err != nil || string(b) != fmt.Sprintln(p.cmd.Process.Pid) {
		t.Errorf("-P: %q, %v", b, err)
	}
	if !signs(t, "unix", h.socket()) {
		t.Error("no mail is signed")
	}

	// What root could have read, nobody cannot read again.
	ok(t, os.Chown(h.path("etc/identities/alice.pem"), 0, 0))
	ok(t, p.cmd.Process.Signal(syscall.SIGHUP))
	p.says("kept the old configuration")
	if status := p.end(); status != 0 {
		t.Errorf("status %d", status)
	}
	// It could not remove the file from root's folder, and left it empty.
	if b, err := os.ReadFile(pidfile); err != nil || len(b) > 0 {
		t.Errorf("-P at the end: %q, %v", b, err)
	}
	// Keys that only root can read do not let it start either.
	again := start(t, h.milter("-u", "nobody", "-P", pidfile))
	if status := again.status(); status != 78 || !strings.Contains(again.said(), "alice.pem: permission denied") {
		t.Errorf("status %d", status)
	}
}

func owner(t *testing.T, path string, uid, gid int) {
	t.Helper()
	info, err := os.Stat(path)
	ok(t, err)
	if s := info.Sys().(*syscall.Stat_t); int(s.Uid) != uid || int(s.Gid) != gid {
		t.Errorf("%s belongs to %d:%d, want %d:%d", path, s.Uid, s.Gid, uid, gid)
	}
}

// TestBecomeGroup: with a group in -u it is that group's.
func TestBecomeGroup(t *testing.T) {
	_, uid, _ := nobody(t)
	h := newHouse(t)
	const mail = 8 // of every Debian and FreeBSD has another number; it is given as one
	h.give(uid, mail)
	p := start(t, h.milter("-u", "nobody:8"))
	p.says("listening")
	owner(t, h.socket(), uid, mail)
	if status := p.end(); status != 0 {
		t.Errorf("status %d", status)
	}
}

// TestExitStatus: every way in which the daemon does not start has its status,
// by which service managers tell what passes from what does not.
func TestExitStatus(t *testing.T) {
	h := newHouse(t)
	first := start(t, h.milter("-P", h.path("run/pid")))
	first.says("listening")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	broken := h.path("etc/broken.toml")
	h.put("etc/broken.toml", "authserv_id = 1\n")

	for name, tt := range map[string]struct {
		cmd    *exec.Cmd
		status int
		want   string
	}{
		"usage": {h.milter("-d", "example.test"), 64, "mailseal milter: no flag -d: "},
		"user":  {h.milter("-u", "no_such_user"), 67, `no user "no_such_user"`},
		"socket in use": {h.milter(), 69,
			"mailseal.toml:5:10: milter.socket: make socket " + h.socket() + ": another process answers on it; stop that first"},
		"port in use": {h.milter("-p", fmt.Sprintf("inet:%d@127.0.0.1", port)), 69, "address already in use"},
		"second daemon": {h.milter("-P", h.path("run/pid"), "-p", "unix:"+h.path("run/other.sock")), 69,
			fmt.Sprintf("run/pid: another daemon holds it, process %d; stop that first", first.cmd.Process.Pid)},
		"no socket from systemd": {exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" milter -x "$1" 3<"$1"`, h.product, h.config()), 71, "socket 3 of systemd"},
		"pid file":               {h.milter("-P", h.path("absent/pid")), 73, "no such file or directory"},
		"configuration":          {exec.Command(h.product, "milter", "-x", broken), 78, broken + ":1:15: authserv_id: "},
		"no configuration":       {exec.Command(h.product, "milter", "-x", h.path("absent")), 78, "write it, or name another file"},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, tt.cmd)
			if status := p.status(); status != tt.status || !strings.Contains(p.said(), tt.want) {
				t.Errorf("status %d, want %d with %q", status, tt.status, tt.want)
			}
		})
	}
	if !signs(t, "unix", h.socket()) {
		t.Error("the first daemon is no longer there")
	}
	if status := first.end(); status != 0 {
		t.Errorf("status %d after SIGTERM", status)
	}
	if _, err := os.Lstat(h.path("run/pid")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("-P is left: %v", err)
	}
}

// TestOnlyRootBecomes: who is not root cannot become somebody: 77.
func TestOnlyRootBecomes(t *testing.T) {
	_, uid, gid := nobody(t)
	h := newHouse(t)
	cmd := h.milter("-u", "daemon")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	p := start(t, cmd)
	if status := p.status(); status != 77 || !strings.Contains(p.said(), "-u daemon: only root can become somebody") {
		t.Errorf("status %d", status)
	}
}

// TestKilled: after a crash the file with the number is stale, and nobody's in
// the way.
func TestKilled(t *testing.T) {
	h := newHouse(t)
	pidfile := h.path("run/pid")
	p := start(t, h.milter("-P", pidfile))
	p.says("listening")
	ok(t, p.cmd.Process.Kill())
	<-p.ended
	if b, err := os.ReadFile(pidfile); err != nil || len(b) == 0 {
		t.Fatalf("%q, %v", b, err)
	}
	p = start(t, h.milter("-P", pidfile))
	p.says("listening")
	if b, err := os.ReadFile(pidfile); err != nil || string(b) != fmt.Sprintln(p.cmd.Process.Pid) {
		t.Errorf("%q, %v", b, err)
	}
	if status := p.end(); status != 0 {
		t.Errorf("status %d", status)
	}
}

// TestReaderGone: a daemon whose standard error nobody reads any more finishes
// its mails: daemon(8) goes before us, and journald may be restarted.
func TestReaderGone(t *testing.T) {
	h := newHouse(t)
	r, w, err := os.Pipe()
	ok(t, err)
	cmd := exec.Command("sh", "-c", `exec "$@" 2>&3`, "sh", h.product, "milter", "-x", h.config())
	cmd.ExtraFiles = []*os.File{w}
	p := start(t, cmd)
	w.Close()
	until(t, "the daemon listens", func() bool {
		conn, err := net.Dial("unix", h.socket())
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	m := dial(t, "unix", h.socket())
	m.begin("hello\r\n")
	r.Close()
	ok(t, cmd.Process.Signal(syscall.SIGTERM))
	if !m.finish() {
		t.Error("the mail in work was not signed")
	}
	if status := p.status(); status != 0 {
		t.Errorf("status %d", status)
	}
}
