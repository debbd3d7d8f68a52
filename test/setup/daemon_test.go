package setup_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailseal/internal/mtarig"
	"mailseal/test/daemon"
	"mailseal/test/rig"
)

// TestDaemon: a daemon that runs already is asked for the certificate, and when it
// has read the configuration it keeps what setup has made.
func TestDaemon(t *testing.T) {
	slow(t)
	m := boot(t, rig.Sendmail, krb5Name, rig.NewSink(t, mtarig.SinkConfig{}).Addr())
	before := m.files(t)
	if err := os.MkdirAll(m.root, 0o755); err != nil {
		t.Fatal(err)
	}
	ca := func(name string) string {
		dir := filepath.Join(m.root, name)
		run(t, "ca", "init", "-dir", dir, "-subject", "/O=Test/CN="+name, "-no-passphrase", "-yes")
		return dir
	}
	socket := filepath.Join(m.root, "certmgr.sock")
	text := func(dir string) string {
		return fmt.Sprintf("authserv_id = %q\nlocal_domains = [\"home.jf3vqb.net\"]\n[ca]\ndir = %q\nsocket = \"unix:%s\"\nweb_user = \"\"\n[certmgr]\nstate = %q\n",
			krb5Name, dir, socket, filepath.Join(m.root, "state"))
	}
	d := daemon.NewCertmgr(t, m.root, text(ca("one")))
	d.Start()

	args := []string{"-conf", m.conf(), "-dir", m.certs(), "-yes"}
	other := filepath.Join(m.root, "other.toml")
	if err := os.WriteFile(other, []byte(text(ca("two"))), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := m.setup(t, 78, append(args, "-config", other)...); !strings.Contains(out, "has another CA, CN=one,O=Test, than ") {
		t.Errorf("another CA at the socket:\n%s", out)
	}
	if out := m.setup(t, 0, append(args, "-config", d.File())...); strings.Contains(out, "a new private CA") || !strings.Contains(out, " verify=OK ") {
		t.Errorf("setup beside a daemon:\n%s", out)
	}
	mark := d.Mark()
	d.Signal(syscall.SIGHUP)
	if _, err := d.WaitLog(mark, `: reloaded `); err != nil {
		t.Fatal(err)
	}
	cert := filepath.Join(m.certs(), "host.cert")
	made, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		now, err := os.ReadFile(cert)
		if err == nil && string(now) == string(made) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("certmgr does not mend what setup has made: %v\n%s", err, d.Log())
		}
	}
	stdout, stderr, status := daemon.Run(t, nil, "setup", "undo", "-config", d.File(), "-yes")
	if status != 75 || !strings.Contains(stderr, "would mend at once what is taken back; stop it first") {
		t.Errorf("undo beside a daemon: status %d\n%s%s", status, stdout, stderr)
	}
	d.Stop()
	run(t, "setup", "undo", "-config", d.File(), "-yes")
	after := m.files(t)
	if len(after) != len(before) || after[cert] != before[cert] {
		t.Errorf("after undo %d files, %d before", len(after), len(before))
	}
}
