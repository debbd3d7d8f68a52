package install

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailseal/certmgr/ca"
	"mailseal/internal/testpki"
)

// The public CAs follow the system's, whatever becomes of them.
func TestPublicFaults(t *testing.T) {
	p := testpki.New(t)
	one, two := p.Stranger().Root(), p.Below().CA().Chain()[0] // of different names
	hashes := []string{"links certs"}
	for _, tt := range []struct {
		what     string
		do       func(b *bench)
		sendmail []string // findings
		postfix  []string
		note     string
	}{
		{"nothing", func(*bench) {}, nil, nil, ""},
		{"a CA comes", func(b *bench) { b.system(one, two) }, hashes, []string{"outdated cacert.pem"}, ""},
		{"ours comes", func(b *bench) { b.system(one, p.Root()) }, nil, nil, ""},
		{"a CA goes, another comes", func(b *bench) { b.system(two) }, hashes, []string{"outdated cacert.pem"}, ""},
		{"all go", func(b *bench) { b.system() }, hashes, nil, "holds no certificate"},
		{"no system's", func(b *bench) { b.do(os.Remove(b.target.Bundle)) }, hashes, nil, "install them (ca-certificates, ca_root_nss)"},
		{"somebody's CA beside", func(b *bench) {
			b.write("cacert.pem", append(b.read("cacert.pem"), ca.EncodeCertificates(two)...), 0o644)
		}, hashes, []string{"outdated cacert.pem"}, ""},
		{"no link", func(b *bench) { _ = os.Remove(b.path(publicLink)) }, []string{"links public-cas.pem", "links certs"}, nil, ""},
		{"a link elsewhere", func(b *bench) {
			_ = os.Remove(b.path(publicLink))
			b.do(os.Symlink("/dev/null", b.path(publicLink)))
		}, []string{"links public-cas.pem", "links certs"}, nil, ""},
	} {
		for server, want := range map[string][]string{"sendmail": tt.sendmail, "postfix": tt.postfix} {
			t.Run(tt.what+" "+server, func(t *testing.T) {
				b := benchOf(t, p)
				bundle := testpki.Write(t, "bundle.crt", ca.EncodeCertificates(one))
				b.layout(server, Choices{Public: true, Bundle: bundle})
				b.right()
				b.verifies(b.pki.Host("peer.example.test", ca.P256))
				tt.do(b)
				plan, s := b.plan()
				var got []string
				for _, f := range plan.Findings {
					name := string(f.Fault) + " " + filepath.Base(f.Path)
					if !slices.Contains(got, name) {
						got = append(got, name)
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%v\n%s", plan.Findings, diff)
				}
				if notes := strings.Join(plan.Notes, "\n"); !strings.Contains(notes, tt.note) || plan.Issue {
					t.Errorf("notes %q, want %q", notes, tt.note)
				}
				if !plan.Done() {
					b.install(plan, s)
				}
				b.wantRight()
				b.verifies(b.pki.Host("peer.example.test", ca.P256))
			})
		}
	}
}

// system has other public CAs in the system's file.
func (b *bench) system(certs ...*x509.Certificate) {
	b.t.Helper()
	b.do(os.WriteFile(b.target.Bundle, ca.EncodeCertificates(certs...), 0o644))
}

// When the public CAs are not wanted any more, they go, and so do their links.
func TestPublicNoMore(t *testing.T) {
	for _, server := range []string{"sendmail", "postfix"} {
		b := newBench(t)
		bundle := testpki.Write(t, "bundle.crt", ca.EncodeCertificates(testpki.New(t).Stranger().Root()))
		b.layout(server, Choices{Public: true, Bundle: bundle})
		b.right()
		b.layout(server, Choices{})
		if server == "sendmail" {
			b.right()
			if links, err := filepath.Glob(b.path("????????.0")); err != nil || len(links) != 1 {
				t.Errorf("%v %v", links, err)
			}
			if _, err := os.Lstat(b.path(publicLink)); err == nil {
				t.Error("the link is left")
			}
		}
	}
	b := newBench(t)
	b.do(os.Mkdir(b.dir, 0o755))
	b.write(publicLink, []byte("mine"), 0o644)
	b.layout("sendmail", Choices{Public: true, Bundle: testpki.Write(t, "bundle.crt", nil)})
	p, s := b.plan()
	b.install(p, s)
	if p, _ := b.plan(); !p.Done() || !strings.Contains(fmt.Sprint(p.Notes), "move it away") || string(b.read(publicLink)) != "mine" {
		t.Errorf("%v", p.Notes)
	}
}
