package install

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailseal/certmgr/ca"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
)

// Every fault has its finding, and is mended; nothing more is written than need be.
func TestFaults(t *testing.T) {
	const pair = "key certificate"
	one, other := testpki.New(t), testpki.New(t)
	for _, tt := range []struct {
		what  string
		do    func(*bench)
		want  []string // findings
		write string
		issue bool
	}{
		{"nothing", func(*bench) {}, nil, "", false},
		{"no folder", func(b *bench) { b.do(os.RemoveAll(b.dir)) },
			[]string{"missing host.key", "missing host.cert", "missing cacert.pem", "missing crl.pem", "missing dh.param", "missing certs"}, "ca crl dh key certificate", true},
		{"key deleted", func(b *bench) { b.do(os.Remove(b.path("host.key"))) }, []string{"missing host.key"}, pair, true},
		{"certificate deleted", func(b *bench) { b.do(os.Remove(b.path("host.cert"))) }, []string{"missing host.cert"}, pair, true},
		{"key truncated", func(b *bench) { b.do(os.Truncate(b.path("host.key"), 40)) }, []string{"broken host.key"}, pair, true},
		{"certificate truncated", func(b *bench) { b.do(os.Truncate(b.path("host.cert"), 300)) }, []string{"broken host.cert"}, pair, true},
		{"certificate empty", func(b *bench) { b.do(os.Truncate(b.path("host.cert"), 0)) }, []string{"broken host.cert"}, pair, true},
		{"key is a folder", func(b *bench) {
			b.do(os.Rename(b.path("host.key"), b.path("cacert.key")))
			b.do(os.Symlink("gone", b.path("host.key")))
		}, []string{"missing host.key"}, pair, true},
		{"key in the certificate's file too", func(b *bench) {
			b.write("host.cert", append(b.read("host.cert"), b.read("host.key")...), 0o644)
		}, []string{"key-other host.cert"}, "certificate", false},
		{"key in the certificate's file, for nobody else to read", func(b *bench) {
			b.write("host.cert", append(b.read("host.cert"), b.read("host.key")...), 0o644)
			b.do(os.Chmod(b.path("host.cert"), 0o600))
		}, []string{"key-other host.cert", "mode host.cert"}, "certificate", false},
		{"key replaced", func(b *bench) {
			id := b.pki.Host(hosts[0], ca.P256)
			key, err := ca.EncodeKey(id.Key, nil)
			b.do(err)
			b.write("host.key", key, 0o600)
		}, []string{"unpaired host.cert"}, pair, true},
		{"key encrypted", func(b *bench) {
			key, err := ca.EncodeKey(b.pki.Host(hosts[0], ca.P256).Key, []byte("secret"))
			b.do(err)
			b.write("host.key", key, 0o600)
		}, []string{"broken host.key"}, pair, true},
		{"another name", func(b *bench) { b.host(b.pki.Host(hosts[0], ca.P256)) }, []string{"names host.cert"}, pair, true},
		{"another CA of the same name", func(b *bench) {
			b.host(other.Issue(ca.Request{Profile: ca.Host, Hosts: hosts, Key: ca.P256}))
		}, []string{"issuer host.cert"}, pair, true},
		{"only for mail", func(b *bench) { b.host(b.pki.User("a@example.jp", ca.P256)) },
			[]string{"names host.cert", "names host.cert", "purpose host.cert", "purpose host.cert"}, pair, true},
		{"a good one by hand", func(b *bench) {
			b.host(b.pki.Issue(ca.Request{Profile: ca.Host, Hosts: hosts, Key: ca.P256}))
		}, nil, "", false},
		{"revoked", func(b *bench) {
			certs, err := pki.ParseCertificates(b.read("host.cert"))
			b.do(err)
			_, err = b.pki.CA().Revoke(ca.Revocation{Serial: fmt.Sprintf("%X", certs[0].SerialNumber), Reason: ca.Superseded})
			b.do(err)
			b.target.CRL, err = testpki.Source{PKI: b.pki}.CRL(b.t.Context())
			b.do(err)
		}, []string{"revoked host.cert", "outdated crl.pem"}, "crl key certificate", true},
		{"certificate in the key's file", func(b *bench) {
			b.write("host.key", append(b.read("host.key"), b.read("host.cert")...), 0o600)
		}, []string{"key-other host.key"}, "key", false},
		{"key readable by all", func(b *bench) { b.do(os.Chmod(b.path("host.key"), 0o644)) }, []string{"mode host.key"}, "key", false},
		{"key readable by its group", func(b *bench) { b.do(os.Chmod(b.path("host.key"), 0o640)) }, []string{"mode host.key"}, "key", false},
		{"certificate writable by all", func(b *bench) { b.do(os.Chmod(b.path("host.cert"), 0o666)) }, []string{"mode host.cert"}, "certificate", false},
		{"key of somebody else", func(b *bench) {
			if os.Getuid() != 0 {
				b.t.Skip("needs root")
			}
			b.do(os.Chown(b.path("host.key"), 12345, -1))
		}, []string{"owner host.key"}, "key", false},
		{"folder writable by its group", func(b *bench) { b.do(os.Chmod(b.dir, 0o775)) }, []string{"mode certs"}, "", false},
		{"CA deleted", func(b *bench) { b.do(os.Remove(b.path("cacert.pem"))) }, []string{"missing cacert.pem", "links certs"}, "ca", false},
		{"CA of somebody else", func(b *bench) { b.write("cacert.pem", ca.EncodeCertificates(other.Root()), 0o644) },
			[]string{"not-ca cacert.pem"}, "ca", false},
		{"CA beside others", func(b *bench) {
			b.write("cacert.pem", ca.EncodeCertificates(other.Root(), b.pki.Root()), 0o644)
		}, nil, "", false},
		{"CA truncated", func(b *bench) { b.do(os.Truncate(b.path("cacert.pem"), 200)) }, []string{"broken cacert.pem", "links certs"}, "ca", false},
		{"link removed", func(b *bench) { b.do(os.Remove(b.link())) }, []string{"links certs"}, "", false},
		{"stale link", func(b *bench) { b.do(os.Symlink("cacert.pem", b.path("2c52b46b.0"))) }, []string{"links certs"}, "", false},
		{"list is another file", func(b *bench) { b.write("crl.pem", b.read("cacert.pem"), 0o644) }, []string{"broken crl.pem", "links certs"}, "crl", false},
		{"list renewed", func(b *bench) {
			var err error
			b.target.CRL, err = testpki.Source{PKI: b.pki}.CRL(b.t.Context())
			b.do(err)
		}, []string{"outdated crl.pem"}, "crl", false},
		{"dh deleted", func(b *bench) { b.do(os.Remove(b.path("dh.param"))) }, []string{"missing dh.param"}, "dh", false},
		{"dh truncated", func(b *bench) { b.do(os.Truncate(b.path("dh.param"), 100)) }, []string{"broken dh.param"}, "dh", false},
		{"dh of another size", func(b *bench) { b.target.Group = 1 }, []string{"changed dh.param"}, "dh", false},
	} {
		t.Run(tt.what, func(t *testing.T) {
			b := benchOf(t, one)
			b.right()
			tt.do(b)
			p, s := b.plan()
			var got []string
			for _, f := range p.Findings {
				got = append(got, string(f.Fault)+" "+filepath.Base(f.Path))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("findings: %v\n%s", p.Findings, diff)
			}
			if got := strings.Trim(fmt.Sprint(p.Write), "[]"); got != tt.write || p.Issue != tt.issue || p.Done() != (len(tt.want) == 0) {
				t.Errorf("writes %q, issues %v, steps %q", got, p.Issue, p.Steps)
			}
			if folder := strings.Contains(strings.Join(p.Steps, "\n"), "make the folder"); folder != p.MakeDir {
				t.Errorf("MakeDir is %v, and the steps are %q", p.MakeDir, p.Steps)
			}
			if !p.Done() {
				b.install(p, s)
			}
			b.wantRight()
		})
	}
}
