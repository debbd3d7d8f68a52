package milter

import (
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParseSocket(t *testing.T) {
	long := "/" + strings.Repeat("x", 200)
	tests := []struct{ spec, network, address, err string }{
		{"unix:/run/m.sock", "unix", "/run/m.sock", ""},
		{"local:/run/m.sock", "unix", "/run/m.sock", ""},
		{"UNIX:/run//x/../m.sock", "unix", "/run/m.sock", ""},
		{"inet:8891@127.0.0.1", "tcp4", "127.0.0.1:8891", ""},
		{"inet:8891@localhost", "tcp4", "localhost:8891", ""},
		{"inet:08891@0.0.0.0", "tcp4", "0.0.0.0:8891", ""},
		{"inet6:8891@::1", "tcp6", "[::1]:8891", ""},
		{"inet6:8891@[::1]", "tcp6", "[::1]:8891", ""},
		{"inet6:8891@localhost", "tcp6", "localhost:8891", ""},

		{"", "", "", "no kind"},
		{"/run/m.sock", "", "", "no kind"},
		{"fifo:/run/m", "", "", "unknown kind"},
		{"unix:", "", "", "no path"},
		{"unix:m.sock", "", "", "not absolute"},
		{"unix:/run/", "", "", "is a folder"},
		{"unix:" + long, "", "", "may have 103"},
		{"inet:8891", "", "", "write 8891@127.0.0.1"},
		{"inet:127.0.0.1:8891", "", "", "here it is port@host"},
		{"inet:8891@", "", "", "no host behind @"},
		{"inet:@localhost", "", "", "want a number"},
		{"inet:smtp@localhost", "", "", "want a number"},
		{"inet:65536@localhost", "", "", "want a number"},
		{"inet:-1@localhost", "", "", "want a number"},
		{"inet:8891@::1", "", "", "inet6 is IPv6"},
		{"inet6:8891@127.0.0.1", "", "", "inet6 is IPv6"},
		{"inet:8891@a@b", "", "", "host"},
		{"inet:8891@a:b", "", "", "host"},
	}
	for _, tt := range tests {
		network, address, err := ParseSocket(tt.spec)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: %v; want an error with %q", tt.spec, err, tt.err)
			}
			continue
		}
		if err != nil || network != tt.network || address != tt.address {
			t.Errorf("%q: %s %s, %v; want %s %s", tt.spec, network, address, err, tt.network, tt.address)
		}
	}
}

func listenAt(t *testing.T, path string, o SocketOptions) net.Listener {
	t.Helper()
	ln, err := Listen("unix:"+path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// reachable checks that somebody answers, and that it is ln.
func reachable(t *testing.T, ln net.Listener, path string) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		c, err := net.Dial("unix", path)
		if err == nil {
			c.Close()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestSocketRights(t *testing.T) {
	for _, tt := range []struct{ mode, want fs.FileMode }{
		{0, 0o660}, {0o666, 0o666}, {0o600, 0o600}, {0o770, 0o770},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "m.sock")
		gid := strconv.Itoa(os.Getgid())
		ln := listenAt(t, path, SocketOptions{Mode: tt.mode, Group: gid})
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != tt.want|fs.ModeSocket {
			t.Errorf("mode %v; want %v", info.Mode(), tt.want)
		}
		if got := info.Sys().(*syscall.Stat_t).Gid; strconv.Itoa(int(got)) != gid {
			t.Errorf("group %d; want %s", got, gid)
		}
		if ln.Addr().String() != path || ln.Addr().Network() != "unix" {
			t.Errorf("address %v", ln.Addr())
		}
		reachable(t, ln, path)
		ln.Close()
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// Another group than that of the process shows that the group is set at all.
func TestSocketGroup(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may give a file to any group")
	}
	path := filepath.Join(t.TempDir(), "m.sock")
	listenAt(t, path, SocketOptions{Group: "12345"})
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Sys().(*syscall.Stat_t).Gid; got != 12345 {
		t.Errorf("group %d", got)
	}
}

func TestSocketRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("mail"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	deep := filepath.Join(t.TempDir(), strings.Repeat("x", 200))
	deep = strings.TrimRight(deep[:maxPath-2], "/")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	used := filepath.Join(dir, "used")
	ln := listenAt(t, used, SocketOptions{})
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	for _, tt := range []struct {
		path, group, err string
	}{
		{file, "", "no socket"},
		{link, "", "no socket"},
		{dir, "", "no socket"},
		{used, "", "another process answers"},
		{filepath.Join(dir, "none", "m.sock"), "", "no such file"},
		{filepath.Join(dir, "m.sock"), "no-such-group", "no-such-group"},
		{filepath.Join(deep, "m"), "", "too long"},
	} {
		if ln, err := Listen("unix:"+tt.path, SocketOptions{Group: tt.group}); err == nil {
			ln.Close()
			t.Errorf("%s: no error", tt.path)
		} else if !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %v; want %q", tt.path, err, tt.err)
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "mail" {
		t.Errorf("the file is %q, %v", b, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	reachableAgain, err := net.Dial("unix", used)
	if err != nil {
		t.Fatal(err)
	}
	reachableAgain.Close()
}

// A socket that a crash has left is taken over.
func TestStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.sock")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Fatal(err)
	}
	reachable(t, listenAt(t, path, SocketOptions{}), path)
}

// What a connection ends with is told without the place that the socket was
// made at.
func TestErrorsAreBare(t *testing.T) {
	ts := serve(t, accepting())
	path := filepath.Join(t.TempDir(), "m.sock")
	ln := listenAt(t, path, SocketOptions{})
	served := make(chan error, 1)
	go func() { served <- ts.Serve(ln) }()
	for n := 0; !strings.Contains(ts.log.String(), "broken pipe"); n++ {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		m := newMTA(t, c)
		m.send(cmdOptNeg, strings.Repeat("\xff", 12))
		m.Close() // mostly before the answer
		if n == 10_000 {
			t.Fatal("all answers were in time")
		}
	}
	ts.logged("answer not sent: write: broken pipe")
	if log := ts.log.String(); strings.Contains(log, "/.m") {
		t.Errorf("log: %s", log)
	}
	ts.stop()
	<-served
}

// The socket of somebody else stays, whatever its name is.
func TestSocketOfSuccessor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.sock")
	first := listenAt(t, path, SocketOptions{})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second := listenAt(t, path, SocketOptions{})
	first.Close()
	first.Close()
	reachable(t, second, path)
	second.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("after the last Close: %v", err)
	}
}

// A socket that somebody removes comes back, with its rights, and so does one
// whose folder is away for a while.
func TestSocketRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "m.sock")
	log := newLockedBuffer()
	ln := listenAt(t, path, SocketOptions{Mode: 0o600, Log: slog.New(slog.NewTextHandler(log, nil))})
	ln.(*unixListener).every = time.Millisecond
	accepted := make(chan error)
	go func() {
		for {
			c, err := ln.Accept()
			if err == nil {
				c.Close()
			}
			accepted <- err
			if err != nil {
				return
			}
		}
	}()
	answers := func() {
		t.Helper()
		until := time.Now().Add(testWait)
		for {
			c, err := net.Dial("unix", path)
			if err == nil {
				c.Close()
				break
			}
			if time.Now().After(until) {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		if err := <-accepted; err != nil {
			t.Fatal(err)
		}
	}
	answers()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	answers()
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("made again as %v, %v", info, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(testWait)
	for !strings.Contains(log.String(), "cannot be made") {
		if time.Now().After(until) {
			t.Fatalf("log: %s", log)
		}
		time.Sleep(time.Millisecond)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	answers()
	if n := strings.Count(log.String(), "has been made again"); n != 2 {
		t.Errorf("%d sockets made:\n%s", n, log)
	}
	ln.Close()
	if err := <-accepted; err == nil {
		t.Error("accepts after Close")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestListenTCPInUse(t *testing.T) {
	ln, err := Listen("inet:0@127.0.0.1", SocketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	spec := "inet:" + strconv.Itoa(ln.Addr().(*net.TCPAddr).Port) + "@127.0.0.1"
	if ln, err := Listen(spec, SocketOptions{}); err == nil {
		ln.Close()
		t.Error("no error")
	} else if !strings.Contains(err.Error(), spec) {
		t.Errorf("%v does not name the socket", err)
	}
}
