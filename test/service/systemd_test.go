package service_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailseal/test/daemon"
)

// units copies the unit files with the product where it is.
func units(t *testing.T, h *house) string {
	t.Helper()
	dir := h.path("units")
	for _, name := range []string{"mailseal-milter.service", "mailseal-milter.socket", "mailseal-milter.socket.d/chroot.conf",
		"mailseal-milter-before.socket", "mailseal-milter-before.socket.d/chroot.conf", "mailseal-milter.service.d/fetch.conf",
		"mailseal-certmgr.service", "mailseal-certmgr.service.d/ca-only.conf", "mailseal-certmgr.service.d/probe.conf",
		"mailseal-certmgr.service.d/reload.conf", "mailseal-certmgr.socket", "mailseal-web.service"} {
		b, err := os.ReadFile(source(t, "systemd/"+name))
		ok(t, err)
		h.put("units/"+name, strings.ReplaceAll(string(b), "/usr/local/bin/mailseal", h.product))
	}
	return dir
}

// TestVerify: systemd finds nothing to say about the units, with and without
// the drop-ins for a chrooted Postfix and for fetching.
func TestVerify(t *testing.T) {
	analyze := tool(t, "systemd-analyze")
	h := newHouse(t)
	dir := units(t, h)
	verify := func() string {
		out, err := exec.Command(analyze, "--man=no", "verify", filepath.Join(dir, "mailseal-milter.service"),
			filepath.Join(dir, "mailseal-milter.socket"), filepath.Join(dir, "mailseal-milter-before.socket"),
			filepath.Join(dir, "mailseal-certmgr.service"), filepath.Join(dir, "mailseal-certmgr.socket"), filepath.Join(dir, "mailseal-web.service")).CombinedOutput()
		if err != nil {
			t.Errorf("systemd-analyze verify: %v", err)
		}
		return string(out)
	}
	if out := verify(); out != "" {
		t.Errorf("with the drop-ins:\n%s", out)
	}
	// It does look at the drop-ins.
	for unit, section := range map[string]string{"mailseal-milter.socket": "Socket", "mailseal-milter-before.socket": "Socket", "mailseal-milter.service": "Service", "mailseal-certmgr.service": "Service"} {
		h.put("units/"+unit+".d/wrong.conf", "["+section+"]\nNonsense=1\n")
		if out := verify(); !strings.Contains(out, "Unknown key 'Nonsense'") {
			t.Errorf("a wrong drop-in of %s: %q", unit, out)
		}
		ok(t, os.RemoveAll(filepath.Join(dir, unit+".d")))
	}
	if out := verify(); out != "" {
		t.Errorf("without the drop-ins:\n%s", out)
	}
}

// TestExposure: what the services could do to their host if they were taken
// over. certmgr has to write files of several owners, and to reload servers;
// with a CA alone it has to do neither.
func TestExposure(t *testing.T) {
	analyze := tool(t, "systemd-analyze")
	for _, tt := range []struct {
		unit, dropIn string
		most         float64
	}{
		{"mailseal-milter.service", "", 1.9},
		{"mailseal-certmgr.service", "", 2.3},
		{"mailseal-certmgr.service", "mailseal-certmgr.service.d/ca-only.conf", 1},
		{"mailseal-web.service", "", 1.9},
	} {
		dir := t.TempDir()
		b, err := os.ReadFile(source(t, "systemd/"+tt.unit))
		ok(t, err)
		if tt.dropIn != "" { // which systemd-analyze does not look for, offline
			more, err := os.ReadFile(source(t, "systemd/"+tt.dropIn))
			ok(t, err)
			b = append(b, more...)
		}
		file := filepath.Join(dir, tt.unit)
		ok(t, os.WriteFile(file, b, 0o644))
		out, err := exec.Command(analyze, "--no-pager", "--threshold=30", "--offline=true", "security", file).CombinedOutput()
		m := regexp.MustCompile(`Overall exposure level for ` + tt.unit + `: ([0-9.]+)`).FindSubmatch(out)
		if err != nil || m == nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if level, err := strconv.ParseFloat(string(m[1]), 64); err != nil || level > tt.most {
			t.Errorf("%s %s: exposure %s, want %.1f at most\n%s", tt.unit, tt.dropIn, m[1], tt.most, out)
		}
	}
}

// TestFolders: the user and the folders are made as the service needs them.
func TestFolders(t *testing.T) {
	sysusers, tmpfiles := tool(t, "systemd-sysusers"), tool(t, "systemd-tmpfiles")
	nobody(t)
	root := t.TempDir()
	ok(t, os.Mkdir(filepath.Join(root, "etc"), 0o755))
	if out, err := exec.Command(sysusers, "--root="+root, source(t, "systemd/mailseal.sysusers")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	passwd, err := os.ReadFile(filepath.Join(root, "etc/passwd"))
	ok(t, err)
	m := regexp.MustCompile(`(?m)^mailseal:[^:]*:(\d+):(\d+):[^:]*:/var/lib/mailseal:(.*)$`).FindSubmatch(passwd)
	if m == nil || !strings.HasSuffix(string(m[3]), "/nologin") {
		t.Fatalf("passwd: %s", passwd)
	}
	if !regexp.MustCompile(`(?m)^mailseal-web:.*/nologin$`).Match(passwd) {
		t.Errorf("no mailseal-web in passwd: %s", passwd)
	}
	uid, _ := strconv.Atoi(string(m[1]))
	gid, _ := strconv.Atoi(string(m[2]))
	for range 2 { // again on every boot
		if out, err := exec.Command(tmpfiles, "--root="+root, "--create", source(t, "systemd/mailseal.tmpfiles")).CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	for path, want := range map[string]struct {
		mode     os.FileMode
		uid, gid int
	}{
		"run/mailseal":             {0o750, uid, gid},
		"var/lib/mailseal":         {0o700, uid, gid},
		"run/mailseal-certmgr":     {0o755, 0, 0},
		"var/lib/mailseal-certmgr": {0o700, 0, 0},
		"etc/mailseal":             {0o755, 0, 0},
		"etc/mailseal/identities":  {0o700, uid, gid},
	} {
		path = filepath.Join(root, path)
		info, err := os.Stat(path)
		ok(t, err)
		if info.Mode().Perm() != want.mode {
			t.Errorf("%s: mode %04o, want %04o", path, info.Mode().Perm(), want.mode)
		}
		owner(t, path, want.uid, want.gid)
	}
}

// setting returns the values of a setting in a unit, in order.
func setting(t *testing.T, unit, key string) (values []string) {
	t.Helper()
	b, err := os.ReadFile(source(t, "systemd/"+unit))
	ok(t, err)
	for _, line := range strings.Split(string(b), "\n") {
		if v, ok := strings.CutPrefix(line, key+"="); ok {
			values = append(values, v)
		}
	}
	return values
}

// A manager is systemd as far as the daemon meets it: it holds the sockets,
// hears the daemon, and gives it an environment and descriptors.
type manager struct {
	t      *testing.T
	house  *house
	socket string // of mailseal-milter.socket
	before string // of mailseal-milter-before.socket, "" where that is not enabled
	hears  *net.UnixConn
	notify string
}

func newManager(t *testing.T, h *house) *manager {
	t.Helper()
	m := &manager{t: t, house: h, socket: h.path("run/milter.sock"), notify: h.path("notify")}
	var err error
	m.hears, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.notify, Net: "unixgram"})
	ok(t, err)
	t.Cleanup(func() { m.hears.Close() })
	ok(t, os.Chmod(m.notify, 0o666))
	return m
}

// open makes a socket, as a socket unit does.
func (m *manager) open(path string, user *syscall.Credential) *os.File {
	m.t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	ok(m.t, err)
	ln.SetUnlinkOnClose(false)
	defer ln.Close()
	f, err := ln.File()
	ok(m.t, err)
	if user != nil {
		ok(m.t, os.Chown(path, int(user.Uid), int(user.Gid)))
	}
	return f
}

// start runs a command as ExecStart= would be, with the sockets.
func (m *manager) start(user *syscall.Credential, argv ...string) *process {
	m.t.Helper()
	files, names := []*os.File{m.open(m.socket, user)}, []string{"mailseal-milter.socket"}
	if m.before != "" {
		files = append(files, m.open(m.before, user))
		names = append(names, setting(m.t, "mailseal-milter-before.socket", "FileDescriptorName")...)
	}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	// The shell becomes the daemon, so that the number is right.
	cmd := exec.Command("/bin/sh", append([]string{"-c", `export LISTEN_PID=$$ WATCHDOG_PID=$$; exec "$@"`, "sh"}, argv...)...)
	cmd.ExtraFiles = files
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES=" + strings.Join(names, ":"),
		"NOTIFY_SOCKET=" + m.notify, "WATCHDOG_USEC=3000000"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	return start(m.t, cmd)
}

// hear returns the next message but signs of life.
func (m *manager) hear() string {
	m.t.Helper()
	for {
		if text := m.next(); text != "WATCHDOG=1" {
			return text
		}
	}
}

func (m *manager) next() string {
	m.t.Helper()
	ok(m.t, m.hears.SetReadDeadline(time.Now().Add(daemon.Patience)))
	b := make([]byte, 1000)
	n, err := m.hears.Read(b)
	ok(m.t, err)
	return string(b[:n])
}

// TestManaged: as systemd runs it, unprivileged and with its sockets, the daemon
// says when it is ready, that it lives, and when it stops; it signs at the one
// socket, and at the one before other milters it does not.
func TestManaged(t *testing.T) {
	_, uid, gid := nobody(t)
	h := newHouse(t)
	h.configure(fmt.Sprintf("earlier_milters = true\nbefore_socket = \"unix:%s\"", h.path("run/before.sock")))
	h.give(uid, gid)
	m := newManager(t, h)
	m.before = h.path("run/before.sock")
	p := m.start(&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, h.product, "milter", "-config", h.config())
	if got := m.hear(); got != "READY=1\nSTATUS=listening" {
		t.Errorf("got %q", got)
	}
	for range 3 {
		if got := m.next(); got != "WATCHDOG=1" {
			t.Errorf("got %q", got)
		}
	}
	if !signs(t, "unix", m.socket) {
		t.Error("no mail is signed")
	}
	if signs(t, "unix", m.before) {
		t.Error("mail is signed before other milters")
	}
	ok(t, p.cmd.Process.Signal(syscall.SIGHUP))
	if got := m.hear(); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("got %q", got)
	}
	if got := m.hear(); got != "READY=1" {
		t.Errorf("got %q", got)
	}
	if status := p.end(); status != 0 {
		t.Errorf("status %d", status)
	}
	if got := m.hear(); got != "STOPPING=1\nWATCHDOG=1" {
		t.Errorf("got %q", got)
	}
	for _, socket := range []string{m.socket, m.before} {
		if _, err := os.Stat(socket); err != nil {
			t.Errorf("systemd's socket: %v", err)
		}
	}
}
