//go:build linux

// Package doctor_test makes live servers ill in the ways that postmasters know, and
// looks whether `mailseal doctor` finds it, and whether what it says mends it.
package doctor_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/internal/mtarig"
	"mailseal/internal/testpki"
	"mailseal/test/daemon"
	"mailseal/test/rig"
)

// A said is one line of the doctor.
type said struct {
	ID, Severity, Subject, Text, Cure string
	Commands                          []string
}

// A patient is a server with its files in a folder of its own.
type patient struct {
	*testing.T
	mta    instance
	conf   string // folder of its settings
	prefix string // where its programs are, "" where its settings say
	dir    string // of its keys and certificates
	toml   string // configuration with a CA, "" for none
}

// An instance is a private server.
type instance interface {
	Dir() string
	Start() error
	Close() error
	Log() string
}

func (p *patient) file(name string) string { return filepath.Join(p.dir, name) }

func (p *patient) write(name string, content []byte, mode os.FileMode) {
	p.Helper()
	if err := os.WriteFile(p.file(name), content, mode); err != nil {
		p.Fatal(err)
	}
	if err := os.Chmod(p.file(name), mode); err != nil {
		p.Fatal(err)
	}
}

// ask asks the doctor.
func (p *patient) ask() map[string]said {
	p.Helper()
	args := []string{"doctor", "-json", "-lang", "en", "-conf", p.conf}
	if p.toml != "" {
		args = append(args, "-config", p.toml)
	}
	if p.prefix != "" {
		args = append(args, "-prefix", p.prefix)
	}
	out, stderr, status := daemon.Run(p, nil, args...)
	var all []said
	if err := json.Unmarshal([]byte(out), &all); err != nil || stderr != "" {
		p.Fatalf("%v: %s%s", err, out, stderr)
	}
	found := map[string]said{}
	worst := 0
	for _, s := range all {
		if _, ok := found[s.ID]; !ok {
			found[s.ID] = s
		}
		worst = max(worst, map[string]int{"warning": 1, "error": 2}[s.Severity])
	}
	if status != worst {
		p.Errorf("exit status %d, and the worst is %d", status, worst)
	}
	return found
}

// has wants the doctor to say some things, and some not.
func (p *patient) has(want []string, without ...string) map[string]said {
	p.Helper()
	found := p.ask()
	for _, id := range want {
		if _, ok := found[id]; !ok {
			p.Errorf("no %s among %v", id, found)
		}
	}
	for _, id := range without {
		if s, ok := found[id]; ok {
			p.Errorf("%s: %s", id, s.Text)
		}
	}
	return found
}

// mend does what the doctor says of a fault, word by word, and waits until neither
// that nor some others are said any more.
func (p *patient) mend(id string, others ...string) {
	p.Helper()
	s, ok := p.ask()[id]
	if !ok || len(s.Commands) == 0 {
		p.Fatalf("%s: no commands: %+v", id, s)
	}
	for _, line := range s.Commands {
		cmd := exec.Command("/bin/sh", "-c", line)
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(daemon.Binary(p))+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil {
			p.Fatalf("%s: %q: %v: %s", id, line, err, out)
		}
	}
	p.until(append(others, id)...)
}

// until waits until some things are not said any more, nor that nobody answers.
func (p *patient) until(ids ...string) {
	p.Helper()
	var left []string
	for end := time.Now().Add(daemon.Patience); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		found := p.ask()
		left = left[:0]
		for _, id := range append(ids, "live.silent") {
			if s, ok := found[id]; ok {
				left = append(left, id+": "+s.Text)
			}
		}
		if len(left) == 0 {
			return
		}
	}
	p.Fatalf("still said: %s", strings.Join(left, "\n"))
}

// bed is a folder for a patient.
func bed(t *testing.T) *patient {
	t.Helper()
	dir, err := os.MkdirTemp("", "doctor-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return &patient{T: t, dir: dir}
}

// settings name files in the folder.
func (p *patient) settings(extra ...string) mtarig.Config {
	return mtarig.Config{
		Tools: rig.Tools(p), Hostname: "mx.example.test", Extra: extra,
		TLS: mtarig.TLS{Certificate: p.file("host.cert"), Key: p.file("host.key"), CA: p.file("cacert.pem")},
	}
}

// rigged is an MTA with such settings.
func rigged(t *testing.T, kind rig.Kind, extra ...string) *patient {
	t.Helper()
	p := bed(t)
	p.mta = kind.Prepare(t, p.settings(extra...))
	p.conf = p.mta.Dir()
	if kind != rig.Sendmail {
		p.conf = filepath.Join(p.conf, "etc")
	}
	return p
}

func (p *patient) start() {
	p.Helper()
	if err := p.mta.Start(); err != nil {
		p.Fatal(err)
	}
}

// authority is a private CA with a configuration that names it.
func (p *patient) authority() *testpki.PKI {
	p.Helper()
	c := testpki.New(p)
	p.toml = p.file("mailseal.toml")
	p.write("mailseal.toml", fmt.Appendf(nil, "authserv_id = \"mx.example.test\"\nlocal_domains = [\"example.test\"]\nstate = %q\n[ca]\ndir = %q\nsocket = %q\n",
		p.file("state"), c.CA().Dir(), "unix:"+p.file("certmgr.sock")), 0o644)
	return c
}

// install has the CA issue a pair.
func (p *patient) install(c *testpki.PKI) {
	id := c.Host("mx.example.test", ca.RSA2048)
	p.write("host.key", testpki.KeyPEM(p, id.Key), 0o600)
	p.write("host.cert", testpki.CertPEM(append(id.Chain[:0:0], id.Certificate)...), 0o644)
	p.write("cacert.pem", testpki.CertPEM(c.Root()), 0o644)
}

// TestSendmail is a sendmail as FreeBSD sets it up, on its way to verify=OK.
func TestSendmail(t *testing.T) {
	p := rigged(t, rig.Sendmail)
	rig.ThrowAway(p, p.dir, "mx.example.test")
	p.start()
	found := p.has([]string{"certificate.boot", "certificate.alone", "pair.ok", "ca-file.ok", "sendmail.no-client-certificate", "ca.none"},
		"certificate.self", "certificate.no-san", "tls.off", "mode.key", "mode.owner", "mode.folder", "live.no-tls", "live.silent", "live.other", "reload.older")
	if s := found["certificate.boot"]; s.Severity != "warning" || !strings.Contains(s.Text, p.file("host.cert")) {
		t.Errorf("%+v", s)
	}

	// A key that a group may read: sendmail goes on without TLS.
	if err := os.Chmod(p.file("host.key"), 0o640); err != nil {
		t.Fatal(err)
	}
	p.reload()
	p.has([]string{"mode.key", "live.no-tls"})
	p.mend("mode.key", "live.no-tls")

	// The CA's files are in place, and nobody has told sendmail.
	c := p.authority()
	p.install(c)
	p.has([]string{"ca.ok", "certificate.ours", "pair.ok", "ca-file.ok", "live.other", "live.fail", "reload.older", "ca.silent"}, "certificate.boot", "live.ok")
	p.mend("live.other", "live.fail", "reload.older")
	p.has([]string{"live.ok"}, "live.fail")

	// A key of another certificate; a folder that a group may write to.
	p.write("host.key", testpki.KeyPEM(t, c.Host("other.example.test", ca.RSA2048).Key), 0o600)
	if err := os.Chmod(p.dir, 0o775); err != nil {
		t.Fatal(err)
	}
	p.has([]string{"pair.mismatch", "mode.folder", "reload.older"}, "pair.ok")
	p.reload()
	p.has([]string{"pair.mismatch", "live.no-tls"})
	p.install(c)
	p.mend("mode.folder", "live.no-tls", "pair.mismatch")
	p.has([]string{"live.ok"})

	// From here on certmgr keeps the files: what is wrong it mends by itself.
	p.keep("sendmail")
	if err := os.Remove(p.file("host.cert")); err != nil {
		t.Fatal(err)
	}
	p.has([]string{"certificate.missing"}, "certificate.ours", "pair.ok")
	p.mend("certificate.missing")
	p.has([]string{"certificate.ours", "pair.ok", "live.ok", "ca-file.ok"}, "live.other")
}

// keep makes the server a target of certmgr.
func (p *patient) keep(server string) {
	p.Helper()
	f, err := os.OpenFile(p.toml, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		p.Fatal(err)
	}
	defer f.Close()
	_, addr, _ := strings.Cut(p.mta.(rig.MTA).Addr(), ":")
	if _, err := fmt.Fprintf(f, "[certmgr]\nstate = %q\n[[target]]\nserver = %q\nhosts = [\"mx.example.test\"]\ndir = %q\nprobe = \"smtp://127.0.0.1:%s\"\nreload = \"kill -HUP `head -1 %s/sendmail.pid`\"\nkey = \"p256\"\n",
		p.file("kept"), server, p.dir, addr, p.mta.Dir()); err != nil {
		p.Fatal(err)
	}
}

// reload waits until sendmail has started itself again.
func (p *patient) reload() {
	p.Helper()
	pid := filepath.Join(p.mta.Dir(), "sendmail.pid")
	before, err := os.Stat(pid)
	if err != nil {
		p.Fatal(err)
	}
	if out, err := exec.Command("/bin/sh", "-c", "kill -HUP `head -1 "+pid+"`").CombinedOutput(); err != nil {
		p.Fatalf("%v: %s", err, out)
	}
	for end := time.Now().Add(daemon.Patience); ; time.Sleep(50 * time.Millisecond) {
		after, err := os.Stat(pid)
		if err == nil && after.Size() > 0 && after.ModTime().After(before.ModTime()) {
			break
		}
		if time.Now().After(end) {
			p.Fatal("sendmail does not come back")
		}
	}
	p.until()
}

// TestPostfix is a Postfix whose TLS is off, with an expired certificate.
func TestPostfix(t *testing.T) {
	p := rigged(t, rig.Postfix, "smtpd_tls_security_level = none", "smtpd_tls_certfile = typo")
	c := p.authority()
	past := testpki.NewAt(t, time.Now().Add(-500*24*time.Hour))
	p.install(past)
	p.start()
	found := p.has([]string{"ca.ok", "tls.off", "tls.client-off", "certificate.other", "ca-file.other", "certificate.expired", "pair.ok", "postfix.unused", "postfix.silent", "crl.unknown"},
		"live.no-tls", "live.silent", "settings.unread")
	if s := found["tls.off"]; s.Severity != "error" || !strings.Contains(s.Text, "smtpd_tls_security_level = none") {
		t.Errorf("%+v", s)
	}
	p.mend("tls.off", "live.no-tls")
	p.has([]string{"live.fail", "certificate.expired"}, "tls.off", "live.no-tls")
	p.install(c)
	p.mend("live.other", "live.fail")
	p.has([]string{"live.ok", "certificate.ours", "ca-file.ok"}, "certificate.expired", "certificate.other")
	p.mend("tls.client-off")
	p.mend("postfix.no-client-certificate")
}
