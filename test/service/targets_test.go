package service_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"mailseal/internal/mtarig"
	"mailseal/test/rig"
)

// A smithy is a CA with two servers to make certificates for: a real Postfix, and
// one whose folder and files are somebody else's.
type smithy struct {
	*bureau
	postfix *mtarig.Postfix
}

func newSmithy(t *testing.T) *smithy {
	t.Helper()
	s := &smithy{bureau: newBureau(t)}
	for _, dir := range []string{"certs", "foreign", "keeper"} {
		ok(t, os.Mkdir(s.path(dir), 0o755))
	}
	ok(t, os.Chmod(s.path("keeper"), 0o700))
	ok(t, os.Chown(s.path("foreign"), s.uid, s.gid))
	s.postfix = rig.Postfix.Start(t, mtarig.Config{Parent: s.dir, TLS: mtarig.TLS{Chain: s.path("certs/host.pem")}}).(*mtarig.Postfix)
	conf, err := os.ReadFile(s.path("etc/ca.toml"))
	ok(t, err)
	s.put("etc/ca.toml", string(conf)+fmt.Sprintf(`[certmgr]
state = %[1]q
[[target]]
name = "postfix"
server = "postfix"
hosts = ["mta.example.test"]
dir = %[2]q
key = "p256"
reload = %[3]q
probe = "smtp://%[4]s"
[[target]]
name = "foreign"
server = "files"
hosts = ["mta.example.test"]
dir = %[5]q
owner = "nobody"
key = "p256"
reload = "none"
probe = "off"
files = { key = "host.key", certificate = "host.crt" }
`, s.path("keeper"), s.path("certs"), s.postfix.ReloadCommand(), s.postfix.Addr(), s.path("foreign")))
	return s
}

// once runs certmgr -once with the rights of the unit.
func (s *smithy) once(caps []string) (string, error) {
	s.t.Helper()
	return runAsUnit(s.t, caps, s.product+" certmgr -once -config "+s.path("etc/ca.toml"), s.dir,
		s.path("CA"), s.path("certs"), s.path("foreign"), s.path("keeper"), s.postfix.QueueDir())
}

// TestTargetsAsUnit: with the rights that the unit leaves it, certmgr makes, hands
// over and proves certificates; without one of its capabilities it cannot.
func TestTargetsAsUnit(t *testing.T) {
	tool(t, "setpriv")
	s := newSmithy(t)
	unit := capabilities(t, "mailseal-certmgr.service")
	for _, c := range []string{"chown", "dac_override"} {
		if out, err := s.once(without(unit, c)); err == nil {
			t.Errorf("without %s: %s", c, out)
		}
	}
	out, err := s.once(unit)
	if err != nil || !strings.Contains(out, "verify=OK") {
		t.Fatalf("%v\n%s", err, out)
	}
	owner(t, s.path("certs/host.pem"), 0, 0)
	owner(t, s.path("foreign/host.key"), s.uid, 0)
	if info, err := os.Stat(s.path("foreign/host.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	// Another user's file whose mode is wrong.
	ok(t, os.Chmod(s.path("foreign/host.key"), 0o644))
	ok(t, os.Chmod(s.path("foreign"), 0o777))
	if out, err := s.once(without(unit, "fowner")); err == nil {
		t.Errorf("without fowner: %s", out)
	}
	if out, err := s.once(unit); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestIssueInstall: who asks for a certificate has it served at once, whether
// certmgr runs or not, and certmgr has nothing to add.
func TestIssueInstall(t *testing.T) {
	s := newSmithy(t)
	served := func() string {
		t.Helper()
		out := s.must("issue", "-install=postfix", "-yes")
		m := regexp.MustCompile(`(?s)^serial +([0-9A-F]+)\n.*\ninstalled +` + s.path("certs/host.pem") + `\nproof +smtp://\S+ verify=OK `).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("%s", out)
		}
		if got := strings.TrimSpace(strings.TrimPrefix(s.openssl("x509", "-in", "certs/host.pem", "-noout", "-serial"), "serial=")); got != m[1] {
			t.Errorf("%s is there, want %s", got, m[1])
		}
		return m[1]
	}
	served()
	s.startCertmgr()
	s.certmgr.says("installed target=foreign")
	last := ""
	for range 3 {
		last = served()
	}
	ok(t, s.certmgr.cmd.Process.Signal(syscall.SIGHUP)) // it looks at everything
	until(t, "certmgr looks at the last one", func() bool {
		return regexp.MustCompile(`probe target=postfix .*verify=OK .*serial=` + strings.TrimLeft(last, "0")).MatchString(s.certmgr.said())
	})
	if list := s.must("list"); strings.Count(list, "\n") != 1+4+1 { // header, those of postfix, that of foreign
		t.Errorf("%s", list)
	}
	if status := s.certmgr.end(); status != 0 || regexp.MustCompile(`(issued|installed) target=postfix|rolled back`).MatchString(s.certmgr.said()) {
		t.Errorf("status %d\n%s", status, s.certmgr.said())
	}
}

func (s *smithy) read(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(s.path(name))
	ok(s.t, err)
	return string(b)
}

// TestSystemCallsTargets: the unit's filter allows all that certmgr asks of the
// kernel for servers, and that a reload command does.
func TestSystemCallsTargets(t *testing.T) {
	strace, analyze := tool(t, "strace"), tool(t, "systemd-analyze")
	if os.Getenv("MAILSEAL_TEST_RACE") != "" {
		t.Skip("the race detector has system calls of its own")
	}
	s := newSmithy(t)
	trace, pidfile := s.path("trace"), s.path("pid")
	p := start(t, exec.Command(strace, "-f", "-c", "-U", "name", "-o", trace, "/bin/sh", "-c", `echo $$ >"$0"; exec "$@"`, pidfile,
		s.product, "certmgr", "-config", s.path("etc/ca.toml")))
	p.says("verify=OK")
	ok(t, os.Remove(s.path("certs/host.pem")))
	until(t, "the file is back", func() bool { _, err := os.Stat(s.path("certs/host.pem")); return err == nil })
	pid := 0
	_, err := fmt.Sscan(s.read("pid"), &pid)
	ok(t, err)
	ok(t, syscall.Kill(pid, syscall.SIGTERM))
	if status := p.status(); status != 0 {
		t.Errorf("status %d", status)
	}
	allowed := filter(t, analyze, "mailseal-certmgr.service")
	for _, call := range calls(t, trace) {
		if !allowed[call] {
			t.Errorf("certmgr calls %s, which the unit does not allow", call)
		}
	}
}
