package service_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"mailseal/test/daemon"
)

// fetches reports whether a CA's certificate is served on a Unix socket.
func fetches(t *testing.T, socket string) bool {
	t.Helper()
	client := http.Client{Timeout: daemon.Patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	r, err := client.Get("http://ca.example.test/ca.cer")
	ok(t, err)
	defer r.Body.Close()
	return r.StatusCode == 200
}

// wants compares what systemd hears next, signs of life passed over.
func (m *manager) wants(want string) {
	m.t.Helper()
	if got := m.hear(); !strings.HasPrefix(got, want) {
		m.t.Errorf("systemd hears %q, want %q", got, want)
	}
}

// TestManagedCA: as systemd runs them, with sockets that it holds, certmgr and
// the web say when they are ready, that they live, and when they stop.
func TestManagedCA(t *testing.T) {
	b := newBureau(t)
	m := newManager(t, b.house)
	m.socket = b.path("run/ca.sock")
	certmgr := m.start(nil, b.product, "certmgr", "-config", b.path("etc/ca.toml"))
	ok(t, os.Chown(m.socket, 0, b.gid)) // SocketGroup=, SocketMode=
	ok(t, os.Chmod(m.socket, 0o660))
	m.wants("READY=1\nSTATUS=listening")
	for range 2 {
		if got := m.next(); got != "WATCHDOG=1" {
			t.Errorf("got %q", got)
		}
	}
	b.issue("mine")
	ok(t, certmgr.cmd.Process.Signal(syscall.SIGHUP))
	m.wants("RELOADING=1\nMONOTONIC_USEC=")
	m.wants("READY=1")
	certmgr.says("reloaded")
	// A wrong one changes nothing.
	ok(t, os.Rename(b.path("etc/ca.toml"), b.path("etc/kept.toml")))
	ok(t, certmgr.cmd.Process.Signal(syscall.SIGHUP))
	m.wants("RELOADING=1")
	m.wants("READY=1")
	ok(t, os.Rename(b.path("etc/kept.toml"), b.path("etc/ca.toml")))
	certmgr.says("kept the old configuration")
	if !strings.Contains(b.must("list"), "mx.example.test") {
		t.Error("the old configuration was not kept")
	}

	w := newManager(t, newHouse(t))
	w.socket = b.path("run/web.sock")
	web := w.start(&syscall.Credential{Uid: uint32(b.uid), Gid: uint32(b.gid)}, b.product, "web", "-config", b.path("etc/ca.toml"))
	w.wants("READY=1\nSTATUS=listening")
	if got := w.next(); got != "WATCHDOG=1" {
		t.Errorf("got %q", got)
	}
	web.says("serving")
	if !fetches(t, w.socket) {
		t.Error("no certificate is served")
	}
	for p, m := range map[*process]*manager{certmgr: m, web: w} {
		if status := p.end(); status != 0 {
			t.Errorf("%s: status %d", p.cmd.Args, status)
		}
		m.wants("STOPPING=1\nWATCHDOG=1")
		if _, err := os.Stat(m.socket); err != nil {
			t.Errorf("systemd's socket: %v", err)
		}
	}
}

// TestSystemCallsCA: the units' filters allow all that certmgr and the web ask
// of the kernel.
func TestSystemCallsCA(t *testing.T) {
	strace, analyze := tool(t, "strace"), tool(t, "systemd-analyze")
	if os.Getenv("MAILSEAL_TEST_RACE") != "" {
		t.Skip("the race detector has system calls of its own")
	}
	b := newBureau(t)
	traced := func(unit string, as *syscall.Credential, args ...string) (p *process, pid func() int, end func()) {
		trace, pidfile := b.path("state/"+unit+".trace"), b.path("state/"+unit+".pid")
		argv := append([]string{"-f", "-c", "-U", "name", "-o", trace, "/bin/sh", "-c", `echo $$ >"$0"; exec "$@"`, pidfile, b.product}, args...)
		cmd := exec.Command(strace, argv...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		p = start(t, cmd)
		p.says("listening")
		text, err := os.ReadFile(pidfile)
		ok(t, err)
		n, err := strconv.Atoi(strings.TrimSpace(string(text)))
		ok(t, err)
		return p, func() int { return n }, func() {
			ok(t, syscall.Kill(n, syscall.SIGTERM))
			if status := p.status(); status != 0 {
				t.Errorf("%s: status %d", unit, status)
			}
			allowed := filter(t, analyze, "mailseal-"+unit+".service")
			for _, call := range calls(t, trace) {
				if !allowed[call] {
					t.Errorf("%s calls %s, which the unit does not allow", unit, call)
				}
			}
		}
	}
	ok(t, os.Chmod(b.path("state"), 0o777))
	p, pid, endCertmgr := traced("certmgr", nil, "certmgr", "-config", b.path("etc/ca.toml"))
	w, _, endWeb := traced("web", &syscall.Credential{Uid: uint32(b.uid), Gid: uint32(b.gid)}, "web", "-config", b.path("etc/ca.toml"))
	w.says("serving")
	serial := b.issue("mine")
	b.becomes("mine.crt", "good")
	b.must("revoke", "-serial", serial, "-yes")
	b.becomes("mine.crt", "revoked")
	ok(t, syscall.Kill(pid(), syscall.SIGHUP))
	p.says("reloaded")
	endWeb()
	endCertmgr()
}

// TestRcCA: FreeBSD's scripts of certmgr and the web start, reload and stop
// them; with a wrong configuration certmgr's starts nothing, with an installation
// that cannot be put right it does.
func TestRcCA(t *testing.T) {
	f := newFreeBSD(t, "dash")
	b := newBureau(t)
	_, _, gid := nobody(t)
	for _, tt := range []struct{ script, flags, socket string }{
		{"certmgr", "", b.path("run/ca.sock")},
		{"web", "-u nobody", ""},
	} {
		name := "mailseal_" + tt.script
		text, err := os.ReadFile(source(t, "rc.d/"+name))
		ok(t, err)
		f.put("rc.d/"+name, strings.NewReplacer(
			". /etc/rc.subr", ". "+source(t, "test/service/testdata/freebsd/rc.subr"),
			"/usr/local/bin/mailseal", f.product, "/usr/sbin/daemon", f.path("bin/daemon"),
		).Replace(string(text)))
		conf, err := os.ReadFile(f.path("etc/rc.conf"))
		ok(t, err)
		f.put("etc/rc.conf", string(conf)+fmt.Sprintf("%[1]s_enable=YES\n%[1]s_config=%[2]s\n%[1]s_flags=%[3]q\n%[1]s_rundir=%[4]s\n",
			name, b.path("etc/ca.toml"), tt.flags, f.path("run-"+tt.script)))
		f.script = f.path("rc.d/" + name)
		if tt.script == "certmgr" {
			ok(t, os.Rename(b.path("etc/ca.toml"), b.path("etc/kept.toml")))
			b.put("etc/ca.toml", "[ca]\ndri = 1\n")
			if _, errs, status := f.service("start"); status == 0 || !strings.Contains(errs, "ca.toml:2:1: ") || !strings.Contains(errs, "ca.toml is wrong, see above; nothing is started") {
				t.Errorf("a wrong configuration: status %d, %s", status, errs)
			}
			ok(t, os.Rename(b.path("etc/kept.toml"), b.path("etc/ca.toml")))
			// What cannot be put right keeps no server from its start.
			conf, err := os.ReadFile(b.path("etc/ca.toml"))
			ok(t, err)
			b.put("etc/ca.toml", string(conf)+fmt.Sprintf("[certmgr]\nstate = %q\n[[target]]\nname = \"mx\"\nserver = \"files\"\nhosts = [\"mx.example.test\"]\ndir = %q\nkey = \"p256\"\nprobe = \"off\"\n"+
				"reload = \"none\"\nfiles = { key = \"mx.key\", certificate = \"mx.crt\" }\n", b.path("keeper"), b.path("certs")))
			b.put("keeper/install/mx.journal", "{")
			if out, errs, status := f.service("start"); status != 0 || !strings.Contains(errs, "an installation that was cut short is not put right, see above") || out != "Starting "+name+".\n" {
				t.Errorf("status %d, %q, %q", status, out, errs)
			}
			f.logs("listening")
			if _, errs, status := f.service("stop"); status != 0 {
				t.Errorf("stop: status %d, %s", status, errs)
			}
			ok(t, os.Remove(b.path("keeper/install/mx.journal")))
		}
		f.wants("start", "Starting "+name+".\n", "", 0)
		if tt.socket != "" {
			until(t, name+" listens", func() bool { _, err := os.Stat(tt.socket); return err == nil })
			owner(t, tt.socket, 0, gid)
			f.wants("reload", "", "", 0)
			f.logs("reloaded")
		} else {
			f.logs("serving")
			if len(b.get("/ca.cer")) == 0 {
				t.Error("no certificate is served")
			}
		}
		f.wants("status", name+" is running as pid #.\n", "", 0)
	}
	for _, name := range []string{"mailseal_web", "mailseal_certmgr"} {
		f.script = f.path("rc.d/" + name)
		if out, errs, status := f.service("stop"); status != 0 || errs != "" {
			t.Errorf("stop: status %d, %q, %q", status, out, errs)
		}
	}
	if left := f.processes(); len(left) > 0 {
		t.Errorf("%v run", left)
	}
}
