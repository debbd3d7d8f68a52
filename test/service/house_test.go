// Package service_test runs the product as service managers do: systemd with
// the unit files, FreeBSD's rc.d with its script, and start scripts with flags.
package service_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/internal/testpki"
	"mailseal/test/daemon"
	"mailseal/test/rig"
)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A house is a configuration, what it names and the product, all of which an
// unprivileged user can get at: service managers do not run it as root.
type house struct {
	t       *testing.T
	dir     string
	product string
}

func newHouse(t *testing.T) *house {
	t.Helper()
	dir, err := os.MkdirTemp("", "mailseal-service-") // t.TempDir is the tester's alone
	ok(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	ok(t, os.Chmod(dir, 0o755))
	h := &house{t: t, dir: dir, product: filepath.Join(dir, "bin", "mailseal")}
	b, err := os.ReadFile(daemon.Binary(t))
	ok(t, err)
	h.put("bin/mailseal", string(b))
	ok(t, os.Chmod(h.product, 0o755))
	p := testpki.New(t)
	h.put("etc/ca.pem", string(testpki.CertPEM(p.Root())))
	h.put("etc/identities/alice.pem", string(testpki.PEM(t, p.User("alice@example.test", ca.P256))))
	ok(t, os.Chmod(h.path("etc/identities/alice.pem"), 0o600))
	h.configure("")
	for _, name := range []string{"state", "run"} {
		ok(t, os.Mkdir(h.path(name), 0o700))
	}
	return h
}

func (h *house) path(name string) string { return filepath.Join(h.dir, name) }

func (h *house) put(name, text string) {
	h.t.Helper()
	path := h.path(name)
	ok(h.t, os.MkdirAll(filepath.Dir(path), 0o755))
	ok(h.t, os.WriteFile(path, []byte(text), 0o644))
}

// configure writes the configuration, with lines of the section milter.
func (h *house) configure(milter string) {
	h.t.Helper()
	h.put("etc/mailseal.toml", fmt.Sprintf(`authserv_id = "mx.example.test"
local_domains = ["example.test"]
state = %q
[milter]
socket = "unix:%s"
%s
[smime]
identities = "identities"
trust = ["ca.pem"]
`, h.path("state"), h.socket(), milter))
}

func (h *house) config() string { return h.path("etc/mailseal.toml") }
func (h *house) socket() string { return h.path("run/milter.sock") }

// nobody is who runs the daemon where that takes root.
func nobody(t *testing.T) (u *user.User, uid, gid int) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("has to be root to become somebody else")
	}
	u, err := user.Lookup("nobody")
	ok(t, err)
	uid, err = strconv.Atoi(u.Uid)
	ok(t, err)
	gid, err = strconv.Atoi(u.Gid)
	ok(t, err)
	return u, uid, gid
}

// give makes somebody the owner of what the daemon reads and writes.
func (h *house) give(uid, gid int) {
	h.t.Helper()
	for _, name := range []string{"etc/identities", "etc/identities/alice.pem", "state", "run"} {
		ok(h.t, os.Chown(h.path(name), uid, gid))
	}
}

// A process is one that ends with the test, if not before.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	ended chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
}

// Write takes what the process says.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// leash kills a process and its children when the test process is gone, whatever
// the way.
const leash = `read word; [ "$word" = ended ] || kill -KILL -- "-$1"`

func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // strace leaves what it has started when it is killed
	ok(t, cmd.Start())
	watch := exec.Command("/bin/sh", "-c", leash, "leash", strconv.Itoa(cmd.Process.Pid))
	watch.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	word, err := watch.StdinPipe()
	ok(t, err)
	ok(t, watch.Start())
	go func() {
		cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		select {
		case <-p.ended:
		default:
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-p.ended
		}
		io.WriteString(word, "ended\n")
		word.Close()
		watch.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", cmd.Args, p.said())
		}
	})
	return p
}

// until waits until something holds, and fails the test when it never does.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(daemon.Patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not after %v: %s", daemon.Patience, what)
		}
	}
}

// says waits until the process has said something.
func (p *process) says(words string) {
	p.t.Helper()
	until(p.t, fmt.Sprintf("%s says %q", p.cmd.Args, words), func() bool {
		select {
		case <-p.ended:
			if !strings.Contains(p.said(), words) {
				p.t.Fatalf("ended without %q", words)
			}
		default:
		}
		return strings.Contains(p.said(), words)
	})
}

// end sends SIGTERM and returns the status.
func (p *process) end() int {
	p.t.Helper()
	ok(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	return p.status()
}

func (p *process) status() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(daemon.Patience):
		p.t.Fatalf("%s has not ended after %v", p.cmd.Args, daemon.Patience)
	}
	return p.cmd.ProcessState.ExitCode()
}

// An mta is a connection to the milter, as an MTA makes it.
type mta struct {
	t    *testing.T
	conn net.Conn
}

func dial(t *testing.T, network, address string) *mta {
	t.Helper()
	conn, err := net.Dial(network, address)
	ok(t, err)
	t.Cleanup(func() { conn.Close() })
	ok(t, conn.SetDeadline(time.Now().Add(daemon.Patience)))
	return &mta{t, conn}
}

func (m *mta) send(code byte, data string) {
	m.t.Helper()
	packet := binary.BigEndian.AppendUint32(nil, uint32(len(data)+1))
	_, err := m.conn.Write(append(append(packet, code), data...))
	ok(m.t, err)
}

func (m *mta) receive() (code byte, data []byte) {
	m.t.Helper()
	var head [5]byte
	_, err := io.ReadFull(m.conn, head[:])
	ok(m.t, err)
	data = make([]byte, binary.BigEndian.Uint32(head[:])-1)
	_, err = io.ReadFull(m.conn, data)
	ok(m.t, err)
	return head[4], data
}

// begin gives a mail but for its end.
func (m *mta) begin(body string) {
	m.t.Helper()
	m.send('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff") // all that Postfix offers
	m.receive()
	m.send('C', "localhost\x004\x04\x01127.0.0.1\x00")
	m.send('H', "localhost\x00")
	m.send('M', "<alice@example.test>\x00")
	m.receive()
	m.send('R', "<bob@partner.test>\x00")
	m.receive()
	m.send('L', "From\x00 alice@example.test\x00")
	m.send('N', "")
	for rest := body; rest != ""; {
		n := min(len(rest), 65535)
		m.send('B', rest[:n])
		rest = rest[n:]
	}
}

// finish ends the mail and reports whether it came back signed and accepted.
func (m *mta) finish() bool {
	m.t.Helper()
	m.send('E', "")
	signed := false
	for {
		code, data := m.receive()
		switch code {
		case 'm':
			signed = signed || bytes.Contains(data, []byte("multipart/signed"))
		case 'a', 'c', 'd', 'r', 't', 'y':
			m.conn.Write([]byte("\x00\x00\x00\x01Q")) // one that stops may be gone by now
			return signed && code == 'a'
		}
	}
}

// signs reports whether the milter signs a mail.
func signs(t *testing.T, network, address string) bool {
	t.Helper()
	m := dial(t, network, address)
	m.begin("hello\r\n")
	return m.finish()
}

// tool finds a program, or skips the test; where all is wanted, it fails.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("MAILSEAL_CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("missing tool: %s; test/tools.sh test installs it", name)
	}
	return path
}

// source is a path of the repository.
func source(t *testing.T, name string) string { return filepath.Join(rig.Root(t), name) }
