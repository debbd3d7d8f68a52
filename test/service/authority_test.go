package service_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"mailseal/test/daemon"
)

// A bureau is a CA with its daemon, as root, and with the web, as nobody.
type bureau struct {
	*house
	certmgr, web *process
	address      string // of the web
	uid, gid     int    // of the web
}

// newBureau makes a CA and starts nothing.
func newBureau(t *testing.T) *bureau {
	t.Helper()
	b := &bureau{house: newHouse(t)}
	_, b.uid, b.gid = nobody(t)
	ok(t, os.Chmod(b.path("run"), 0o755))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	b.address = ln.Addr().String()
	ln.Close()
	b.put("etc/ca.toml", fmt.Sprintf(`authserv_id = "mx.example.test"
local_domains = ["example.test"]
[ca]
dir = "../CA"
passphrase_file = "ca.pass"
socket = "unix:%s"
web_user = "nobody"
web_hosts = ["mx.example.test"]
[web]
listen = %q
`, b.path("run/ca.sock"), b.address))
	b.put("etc/ca.pass", "geheim\n")
	ok(t, os.Chmod(b.path("etc/ca.pass"), 0o600))
	b.must("init", "-subject", "/C=JP/O=Test/CN=Test CA", "-key", "p256", "-url", "http://"+b.address)
	return b
}

// ca runs a command of `mailseal ca` that finds the CA by the configuration.
func (b *bureau) ca(as *syscall.Credential, args ...string) (stdout, stderr string, status int) {
	b.t.Helper()
	cmd := exec.Command(b.product, append([]string{"ca", args[0], "-config", b.path("etc/ca.toml")}, args[1:]...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		b.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func (b *bureau) must(args ...string) string {
	b.t.Helper()
	out, errs, status := b.ca(nil, args...)
	if status != 0 {
		b.t.Fatalf("ca %q: status %d, %s", args, status, errs)
	}
	return out
}

// issue issues a certificate for a host, and returns its serial.
func (b *bureau) issue(name string) string {
	b.t.Helper()
	out := b.must("issue", "-profile", "host", "-cn", "mx.example.test", "-key", "p256", "-out", b.path(name), "-yes")
	m := regexp.MustCompile(`serial +([0-9A-F]+)`).FindStringSubmatch(out)
	if m == nil {
		b.t.Fatalf("no serial in %q", out)
	}
	return m[1]
}

func (b *bureau) startCertmgr() {
	b.t.Helper()
	b.certmgr = start(b.t, exec.Command(b.product, "certmgr", "-config", b.path("etc/ca.toml")))
	b.certmgr.says("listening")
}

func (b *bureau) startWeb() {
	b.t.Helper()
	b.web = start(b.t, exec.Command(b.product, "web", "-config", b.path("etc/ca.toml"), "-u", "nobody"))
	b.web.says("serving")
}

// get fetches from the web.
func (b *bureau) get(path string) []byte {
	b.t.Helper()
	r, err := http.Get("http://" + b.address + path)
	ok(b.t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	ok(b.t, err)
	if r.StatusCode != 200 {
		b.t.Fatalf("%s: %s: %s", path, r.Status, body)
	}
	return body
}

// openssl runs the command in the house.
func (b *bureau) openssl(args ...string) string {
	b.t.Helper()
	cmd := exec.Command(tool(b.t, "openssl"), args...)
	cmd.Dir = b.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.t.Fatalf("openssl %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// status is what the responder says of a certificate, by the openssl command.
func (b *bureau) status(cert string) string {
	b.t.Helper()
	cmd := exec.Command(tool(b.t, "openssl"), "ocsp", "-issuer", "CA/cacert.pem", "-cert", cert, "-url", "http://"+b.address+"/ocsp", "-CAfile", "CA/cacert.pem")
	cmd.Dir = b.dir
	out, err := cmd.CombinedOutput()
	switch text := string(out); {
	case strings.Contains(text, "Responder Error: unauthorized"):
		return "unauthorized"
	case err != nil || !strings.Contains(text, "Response verify OK"):
		return "broken: " + text
	case strings.Contains(text, ": good\n"):
		return "good"
	case strings.Contains(text, ": revoked\n"):
		return "revoked"
	default:
		return text
	}
}

// becomes waits until the web has heard of what has happened to a certificate.
func (b *bureau) becomes(cert, want string) {
	b.t.Helper()
	got := ""
	until(b.t, cert+" is "+want, func() bool {
		got = b.status(cert)
		return got == want || strings.HasPrefix(got, "broken")
	})
	if got != want {
		b.t.Errorf("%s: %s, want %s", cert, got, want)
	}
}

// TestAuthority: a certificate that openssl ca has issued is revoked by the
// daemon, and everybody hears of it by CRL and OCSP.
func TestAuthority(t *testing.T) {
	b := newBureau(t)
	b.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "o.key", "-out", "o.csr", "-subj", "/CN=openssl.example.test")
	b.openssl("ca", "-config", "CA/openssl.cnf", "-batch", "-in", "o.csr", "-out", "o.crt", "-notext", "-passin", "file:etc/ca.pass")
	b.startCertmgr()
	b.startWeb()
	owner(t, b.path("run/ca.sock"), 0, b.gid)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.web.cmd.Process.Pid))
	ok(t, err)
	if want := fmt.Sprintf("\nUid:\t%[1]d\t%[1]d\t%[1]d\t%[1]d\n", b.uid); !strings.Contains(string(status), want) {
		t.Errorf("the web runs with\n%s", status)
	}

	mine := b.issue("mine")
	b.becomes("mine.crt", "good")
	b.becomes("o.crt", "good")
	serial := strings.TrimSpace(strings.TrimPrefix(b.openssl("x509", "-in", "o.crt", "-noout", "-serial"), "serial="))
	if out := b.must("revoke", "-serial", serial, "-reason", "superseded", "-yes"); !strings.Contains(out, "crl      02, 1 revoked") {
		t.Errorf("%s", out)
	}
	b.becomes("o.crt", "revoked")
	b.becomes("mine.crt", "good")

	b.put("fetched.crl", string(b.get("/ca.crl")))
	if out := b.openssl("crl", "-in", "fetched.crl", "-inform", "DER", "-CAfile", "CA/cacert.pem", "-noout", "-text"); !strings.Contains(out, "verify OK") || !strings.Contains(out, serial) || strings.Contains(out, mine) {
		t.Errorf("%s", out)
	}
	if block, _ := pem.Decode(b.get("/ca.crl.pem")); block == nil || !bytes.Equal(block.Bytes, b.get("/ca.crl")) {
		t.Error("the CRL in PEM is another one")
	}
	if cert, err := x509.ParseCertificate(b.get("/ca.cer")); err != nil || cert.Subject.CommonName != "Test CA" {
		t.Errorf("%v", err)
	}
	// It asks where the certificate says.
	if uri := strings.TrimSpace(b.openssl("x509", "-in", "mine.crt", "-noout", "-ocsp_uri")); uri != "http://"+b.address+"/ocsp" {
		t.Errorf("%q", uri)
	}
	// Of another CA's certificate nothing is said.
	b.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "x.key", "-out", "x.crt", "-subj", "/CN=stranger")
	if got := b.status("x.crt"); got != "unauthorized" {
		t.Errorf("a stranger's: %s", got)
	}
	for _, p := range []*process{b.web, b.certmgr} {
		if status := p.end(); status != 0 {
			t.Errorf("%s: status %d", p.cmd.Args, status)
		}
	}
}

// TestWhoAsks: the web's user may look and revoke, somebody else in its group
// nothing, and neither gets a private key.
func TestWhoAsks(t *testing.T) {
	b := newBureau(t)
	b.startCertmgr()
	serial := b.issue("mine")
	ok(t, os.Mkdir(b.path("out"), 0o777))
	ok(t, os.Chmod(b.path("out"), 0o777))
	web := &syscall.Credential{Uid: uint32(b.uid), Gid: uint32(b.gid)}
	stranger := &syscall.Credential{Uid: uint32(b.uid - 7), Gid: uint32(b.gid)}
	outsider := &syscall.Credential{Uid: uint32(b.uid - 7), Gid: uint32(b.gid - 7)}
	for _, tt := range []struct {
		as     *syscall.Credential
		args   string
		status int
		want   string // on standard error
	}{
		{web, "list", 0, ""},
		{web, "issue -profile user -email a@example.test -out out/a -yes", 77, "only root may have other profiles"},
		{web, "issue -profile host -cn mx.example.test -key p256 -out out/b -yes", 77, "no key that is made here"},
		{web, "revoke -serial " + serial + " -yes", 0, ""},
		{stranger, "list", 77, "not permitted"},
		{stranger, "revoke -serial " + serial + " -yes", 77, "not permitted"},
		{outsider, "list", 77, "permission denied"},
	} {
		args := strings.Fields(strings.ReplaceAll(tt.args, "out/", b.path("out")+"/"))
		if _, errs, status := b.ca(tt.as, args...); status != tt.status || !strings.Contains(errs, tt.want) {
			t.Errorf("user %d, %s: status %d, want %d: %s", tt.as.Uid, tt.args, status, tt.status, errs)
		}
	}
	if left, err := os.ReadDir(b.path("out")); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
	var told struct {
		Refused int `json:"refused"`
		Revoked int `json:"revoked"`
		Events  []struct {
			Event string `json:"event"`
			By    string `json:"by"`
		} `json:"events"`
	}
	ok(t, json.Unmarshal([]byte(b.must("audit", "-events", "-json")), &told))
	by := map[string]int{}
	for _, e := range told.Events {
		if e.Event == "refuse" || e.Event == "revoke" {
			by[e.Event+" "+e.By]++
		}
	}
	if by[fmt.Sprintf("refuse uid %d", b.uid)] != 2 || by[fmt.Sprintf("refuse uid %d", b.uid-7)] != 2 || by[fmt.Sprintf("revoke uid %d", b.uid)] != 1 {
		t.Errorf("%v", by)
	}
}

// TestCertmgrKilled: commands work in the folder while no daemon runs, the web serves
// what it has, and the next daemon takes the stale socket over.
func TestCertmgrKilled(t *testing.T) {
	b := newBureau(t)
	b.startCertmgr()
	b.startWeb()
	b.issue("mine")
	b.becomes("mine.crt", "good")
	ok(t, b.certmgr.cmd.Process.Signal(syscall.SIGKILL))
	b.certmgr.status()
	second := b.issue("second")
	if b.status("mine.crt") != "good" || b.status("second.crt") != "unauthorized" || len(b.get("/ca.crl")) == 0 {
		t.Error("the web does not serve what it has")
	}
	b.startCertmgr()
	b.becomes("second.crt", "good")
	b.must("revoke", "-serial", second, "-yes")
	b.becomes("second.crt", "revoked")
}

// TestAtOnce: the daemon and commands in its folder work at the same time, and
// nothing is lost.
func TestAtOnce(t *testing.T) {
	b := newBureau(t)
	b.startCertmgr()
	var all sync.WaitGroup
	const each = 3
	for i := range each {
		for _, where := range [][]string{{"-config", b.path("etc/ca.toml")}, {"-dir", b.path("CA"), "-passphrase-file", b.path("etc/ca.pass")}} {
			all.Go(func() {
				name := b.path(fmt.Sprintf("at-once-%d%s", i, where[0]))
				args := append([]string{"ca", "issue", "-profile", "host", "-cn", "mx.example.test", "-key", "p256", "-yes", "-out", name}, where...)
				if _, errs, status := daemon.Run(t, nil, args...); status != 0 {
					t.Errorf("%s: status %d: %s", where[0], status, errs)
				}
			})
		}
	}
	all.Wait()
	var told struct {
		Issued   int      `json:"issued"`
		Problems []string `json:"problems"`
	}
	ok(t, json.Unmarshal([]byte(b.must("audit", "-json")), &told))
	if told.Issued != 2*each || len(told.Problems) > 0 || strings.Count(b.must("list"), "valid") != 2*each {
		t.Errorf("%+v\n%s", told, b.must("list"))
	}
}

// TestExchangeable: a configuration that somebody else could exchange is none.
func TestExchangeable(t *testing.T) {
	b := newBureau(t)
	for what, change := range map[string]func() (undo func()){
		"a writable folder": func() func() {
			ok(t, os.Chmod(b.path("etc"), 0o777))
			return func() { ok(t, os.Chmod(b.path("etc"), 0o755)) }
		},
		"another's file": func() func() {
			ok(t, os.Chown(b.path("etc/ca.toml"), b.uid, -1))
			return func() { ok(t, os.Chown(b.path("etc/ca.toml"), 0, -1)) }
		},
		"a passphrase to read": func() func() {
			ok(t, os.Chmod(b.path("etc/ca.pass"), 0o644))
			return func() { ok(t, os.Chmod(b.path("etc/ca.pass"), 0o600)) }
		},
	} {
		undo := change()
		_, errs, status := daemon.Run(t, nil, "certmgr", "-once", "-config", b.path("etc/ca.toml"))
		if status != 77 && status != 78 || !strings.Contains(errs, "run: ch") {
			t.Errorf("%s: status %d: %s", what, status, errs)
		}
		undo()
	}
	if _, errs, status := daemon.Run(t, nil, "certmgr", "-once", "-config", b.path("etc/ca.toml")); status != 0 {
		t.Errorf("status %d: %s", status, errs)
	}
}
