//go:build linux

package doctor_test

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/mtarig"
	"mailseal/internal/testpki"
	"mailseal/test/rig"
)

// program puts a script below the prefix that runs a program of the unpacked tree
// at the place that it was built for, or the one that is installed.
func (p *patient) program(name, setup string) {
	p.Helper()
	p.prefix = p.file("prefix")
	tree := os.Getenv("MAILSEAL_MTA")
	if tree == "" {
		tree = filepath.Join(rig.Root(p), "build", "mta")
	}
	if _, err := os.Stat(filepath.Join(tree, name)); err == nil {
		setup += fmt.Sprintf("mount -t overlay overlay -o ro,lowerdir='%s/usr:/usr' /usr || exit\n", tree)
	}
	script := fmt.Sprintf("#!/bin/sh\nexec unshare --mount --propagation private -- /bin/sh -c \"%s exec %s \\\"\\$@\\\"\" in-place \"$@\"\n", setup, name)
	path := filepath.Join(p.prefix, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		p.Fatal(err)
	}
}

// admit starts a server when its files are there, and has it ended with the test.
func (p *patient) admit(i instance, err error) {
	p.Helper()
	rig.Missing(p, err)
	if err != nil {
		p.Fatal(err)
	}
	p.mta, p.conf = i, i.Dir()
	p.Cleanup(func() {
		if p.Failed() {
			p.Logf("log:\n%s", i.Log())
		}
		if err := i.Close(); err != nil {
			p.Error(err)
		}
	})
}

// TestDovecot has a new certificate on the disk that it has not read.
func TestDovecot(t *testing.T) {
	p := bed(t)
	d, err := mtarig.NewDovecot(p.settings("ssl_min_protocol = TLSv1.1", "disable_plaintext_auth = no"))
	p.admit(d, err)
	p.program("/usr/bin/doveconf", "")
	c := p.authority()
	p.install(c)
	p.start()
	p.has([]string{"certificate.ours", "pair.ok", "ca-file.ok", "dovecot.old-version", "dovecot.plaintext", "live.ok"},
		"settings.unread", "live.other", "live.fail", "live.no-tls", "tls.off", "mode.key")

	// In the place of doveadm is the instance's own, which finds its parts.
	if err := os.Symlink(strings.TrimSuffix(d.ReloadCommand(), " reload"), filepath.Join(p.prefix, "usr/bin/doveadm")); err != nil {
		t.Fatal(err)
	}
	id := c.Host("imap.example.test", ca.RSA2048)
	p.write("host.key", testpki.KeyPEM(t, id.Key), 0o644)
	p.write("host.cert", testpki.CertPEM(id.Certificate), 0o644)
	p.has([]string{"live.other", "mode.key"})
	p.mend("live.other")
	p.mend("mode.key")
}

// TestExim has its TLS switched off, and a key that all can read.
func TestExim(t *testing.T) {
	p := bed(t)
	e, err := mtarig.NewExim(p.settings())
	p.admit(e, err)
	p.conf = filepath.Join(e.Dir(), "exim.conf")
	p.program("/usr/sbin/exim4", fmt.Sprintf("mount --bind '%[1]s/passwd' /etc/passwd && mount --bind '%[1]s/group' /etc/group || exit\n", e.Dir()))
	p.install(p.authority())
	u, err := user.Lookup(mtarig.EximUser)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(p.file("host.key"), 0, gid); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(p.file("host.key"), 0o640); err != nil {
		t.Fatal(err)
	}
	p.start()
	p.has([]string{"certificate.ours", "pair.ok", "ca-file.ok", "live.ok"}, "mode.key", "tls.off", "settings.unread", "live.other", "certificate.name", "exim.self-made")
	if err := os.Chmod(p.file("host.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(p.conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.conf, []byte(strings.Replace(string(text), "tls_advertise_hosts = *", "tls_advertise_hosts =", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	p.has([]string{"tls.off", "mode.key"})
}
