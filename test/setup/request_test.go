package setup_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailseal/internal/mtarig"
	"mailseal/test/daemon"
	"mailseal/test/rig"
)

// run runs a command that has to succeed.
func run(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, status := daemon.Run(t, nil, args...)
	if status != 0 {
		t.Fatalf("mailseal %s: status %d\n%s%s", strings.Join(args, " "), status, stdout, stderr)
	}
	return stdout + stderr
}

func slow(t *testing.T) {
	t.Helper()
	if os.Getenv("MAILSEAL_SLOW") == "" {
		t.Skip("slow: make check runs it")
	}
}

// TestRequest: the CA is on krb5, and dhcp has a certificate of it whose key never
// leaves dhcp.
func TestRequest(t *testing.T) {
	slow(t)
	for _, kind := range []rig.Kind{rig.Sendmail, rig.Postfix} {
		t.Run(string(kind), func(t *testing.T) {
			p := newPair(t, rig.Sendmail, kind)
			args := []string{"-prefix", p.krb5.root, "-conf", p.krb5.conf(), "-dir", p.krb5.certs(), "-ca", p.ca, "-yes"}
			p.krb5.setup(t, 0, args...)

			before := p.dhcp.files(t)
			at := append(p.dhcp.place(), "-prefix", p.dhcp.root, "-conf", p.dhcp.conf(), "-dir", p.dhcp.certs(), "-yes")
			csr := filepath.Join(p.dhcp.root, "dhcp.csr")
			if err := os.MkdirAll(p.dhcp.root, 0o755); err != nil {
				t.Fatal(err)
			}
			out := p.dhcp.setup(t, 0, append(at, "-request", csr)...)
			if then := "mailseal setup " + p.dhcp.word() + " -prefix " + p.dhcp.root + " -conf " + p.dhcp.conf(); !strings.Contains(out, then) {
				t.Errorf("how it goes on, with %q, is not told:\n%s", then, out)
			}
			key := filepath.Join(p.dhcp.root, "etc/mailseal/incoming", p.dhcp.word(), "host.key")
			content, err := os.ReadFile(key)
			if err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(key); err != nil || info.Mode() != 0o600 {
				t.Errorf("the key's file: %v, %v", info.Mode(), err)
			}
			if strings.Contains(out, "PRIVATE KEY") || strings.Contains(out, string(content[40:80])) {
				t.Errorf("the key is printed:\n%s", out)
			}
			base := filepath.Join(p.krb5.root, "dhcp")
			run(t, "ca", "issue", "-dir", p.ca, "-passphrase-file", p.pass, "-csr", csr, "-profile", "host", "-out", base, "-yes")
			out = p.dhcp.setup(t, 0, append(at, "-certificate", base+".crt", "-ca-certificate", filepath.Join(p.ca, "cacert.pem"))...)
			if !strings.Contains(out, " verify=OK ") {
				t.Errorf("what is served is not told:\n%s", out)
			}
			p.expect(t, "after setup", known[p.krb5.kind], known[kind])
			if out := p.dhcp.setup(t, 0, at...); !strings.Contains(out, "nothing to do") {
				t.Errorf("a second setup has something to do:\n%s", out)
			}
			run(t, "setup", "undo", "-prefix", p.dhcp.root, "-yes")
			if after := p.dhcp.files(t); len(after) != len(before) {
				t.Errorf("%d files before, %d after undo", len(before), len(after))
			}
			if _, err := os.Stat(key); !os.IsNotExist(err) {
				t.Errorf("the key is still there: %v", err)
			}
		})
	}
}

// TestTestMail: a mail through the server shows how it is seen elsewhere.
func TestTestMail(t *testing.T) {
	slow(t)
	for _, kind := range []rig.Kind{rig.Sendmail, rig.Postfix} {
		t.Run(string(kind), func(t *testing.T) {
			sink := rig.NewSink(t, mtarig.SinkConfig{})
			dhcp := boot(t, rig.Sendmail, dhcpName, sink.Addr())
			krb5 := boot(t, kind, krb5Name, dhcp.Addr())
			args := append(krb5.place(), "-prefix", krb5.root, "-conf", krb5.conf(), "-dir", krb5.certs(), "-yes",
				"-test-mail", "pokemon@"+dhcpName, "-log", filepath.Join(krb5.Dir(), "maillog"))
			// Nobody has set up dhcp.
			if out := krb5.setup(t, 0, args...); !strings.Contains(out, ": verify=FAIL\n") {
				t.Errorf("dhcp has a throw-away certificate, and that is not told:\n%s", out)
			}
			t.Log("again: nothing to do, and a mail")
			if out := krb5.setup(t, 0, args...); !strings.Contains(out, "nothing to do") || !strings.Contains(out, ": verify=FAIL\n") {
				t.Errorf("a second mail:\n%s", out)
			}
		})
	}
}

// TestPublicCAs: a server that trusts the public CAs goes on to, and knows the
// private one besides; undo takes away what was linked for that.
func TestPublicCAs(t *testing.T) {
	slow(t)
	const system = "/etc/ssl/certs/ca-certificates.crt"
	if _, err := os.Stat(system); err != nil {
		t.Skip("ca-certificates is not installed")
	}
	for _, kind := range []rig.Kind{rig.Sendmail, rig.Postfix} {
		t.Run(string(kind), func(t *testing.T) {
			m := boot(t, kind, krb5Name, rig.NewSink(t, mtarig.SinkConfig{}).Addr())
			// As the article does it at its end, for a bought certificate.
			anchor := filepath.Join(m.certs(), "cacert.pem")
			if err := errors.Join(os.Remove(anchor), os.Symlink(system, anchor)); err != nil {
				t.Fatal(err)
			}
			before := m.files(t)
			args := append(m.place(), "-prefix", m.root, "-conf", m.conf(), "-dir", m.certs(), "-yes")
			if out := m.setup(t, 0, args...); !strings.Contains(out, "+bundle = \"ca+system\"\n") || !strings.Contains(out, " verify=OK ") {
				t.Errorf("setup says\n%s", out)
			}
			if out := m.setup(t, 0, args...); !strings.Contains(out, "nothing to do") {
				t.Errorf("a second setup has something to do:\n%s", out)
			}
			run(t, "setup", "undo", "-prefix", m.root, "-yes")
			if diff := cmp.Diff(before, m.files(t)); diff != "" {
				t.Errorf("after undo (-before, +after):\n%s", diff)
			}
		})
	}
}

// TestAskClients: a sendmail that was told not to ask its clients for a certificate
// asks, when it is wanted.
func TestAskClients(t *testing.T) {
	slow(t)
	m := boot(t, rig.Sendmail, krb5Name, rig.NewSink(t, mtarig.SinkConfig{}).Addr(), "define(`confTLS_SRV_OPTIONS', `V')dnl")
	args := []string{"-prefix", m.root, "-conf", m.conf(), "-dir", m.certs(), "-yes"}
	m.setup(t, 0, args...)
	m.logs(t, 0, "verify=NOT,")
	mark := len(m.Log())
	if out := m.setup(t, 0, append(args, "-ask-client-certs")...); !strings.Contains(out, "\n-O TLSSrvOptions=V\n+#O TLSSrvOptions\n") {
		t.Errorf("setup shows\n%s", out)
	}
	m.logs(t, mark, "STARTTLS=server, relay=localhost [127.0.0.1], version=TLSv1.3, verify=OK,")
}
