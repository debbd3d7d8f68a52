package install

import (
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/dh"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
)

// Each server has its files where its own documentation has them.
func TestLayouts(t *testing.T) {
	bundle := testpki.Write(t, "bundle.crt", nil)
	for _, tt := range []struct {
		server, dir, goos string
		choices           Choices
		files             string
		hashes            string
		links             string
		reload            string
	}{
		{"sendmail", "", "freebsd", Choices{},
			"ca:/etc/mail/certs/cacert.pem:0644 certificate:/etc/mail/certs/host.cert:0644 crl:/etc/mail/certs/crl.pem:0644 dh:/etc/mail/certs/dh.param:0644 key:/etc/mail/certs/host.key:0600",
			"/etc/mail/certs", "public-cas.pem:", "test ! -s /var/run/sendmail.pid || kill -HUP `head -n 1 /var/run/sendmail.pid | grep -x ' *[1-9][0-9]*'`"},
		{"sendmail", "/c", "linux", Choices{DH: "off", Public: true, Bundle: bundle},
			"ca:/c/cacert.pem:0644 certificate:/c/host.cert:0644 crl:/c/crl.pem:0644 key:/c/host.key:0600",
			"/c", "public-cas.pem:" + bundle, "for f in /var/run/sendmail/mta/sendmail.pid /var/run/sendmail.pid; do if test -s $f; then kill -HUP `head -n 1 $f | grep -x ' *[1-9][0-9]*'`; exit; fi; done"},
		{"postfix", "", "freebsd", Choices{}, "ca:/usr/local/etc/postfix/certs/cacert.pem:0644 pair:/usr/local/etc/postfix/certs/host.pem:0600", "", "", "if postfix status 2>/dev/null; then postfix reload; fi"},
		{"postfix", "", "linux", Choices{Public: true, DH: "ffdhe3072", SNI: "hash:/etc/postfix/sni"},
			"ca:/etc/postfix/certs/cacert.pem:0644+public dh:/etc/postfix/certs/dh.param:0644 pair:/etc/postfix/certs/host.pem:0600", "", "", "if postfix status 2>/dev/null; then postfix reload; fi"},
		{"dovecot", "", "linux", Choices{}, "ca:/etc/dovecot/private/ca.pem:0644+list certificate:/etc/dovecot/private/dovecot.pem:0644 dh:/etc/dovecot/private/dh.pem:0644 key:/etc/dovecot/private/dovecot.key:0600",
			"", "", "test ! -e /var/run/dovecot/master.pid || doveadm reload"},
		{"exim", "", "linux", Choices{Group: "8"}, "ca:/etc/exim4/cacert.pem:0644 certificate:/etc/exim4/exim.crt:0644 crl:/etc/exim4/crl.pem:0644 dh:/etc/exim4/dh.param:0644 key:/etc/exim4/exim.key:0640", "", "", ""},
		{"exim", "/e", "linux", Choices{Owner: "0", Files: map[string]string{"pair": "exim.pem"}}, "ca:/e/cacert.pem:0644 crl:/e/crl.pem:0644 dh:/e/dh.param:0644 pair:/e/exim.pem:0600", "", "", ""},
		{"xmail", "", "freebsd", Choices{}, "ca:/var/MailRoot/CERTS.PEM:0644 certificate:/var/MailRoot/server.cert:0644+append key:/var/MailRoot/server.key:0600",
			"/var/MailRoot/CERTS", "cacert.pem:../CERTS.PEM", ""},
		{"files", "/f", "linux", Choices{Public: true, Files: map[string]string{"key": "a.key", "certificate": "/g/a.crt", "ca": "ca.crt", "dh": "dh"}},
			"ca:/f/ca.crt:0644+public certificate:/g/a.crt:0644 dh:/f/dh:0644 key:/f/a.key:0600", "", "", ""},
		{"files", "", "freebsd", Choices{Files: map[string]string{"pair": "/f/pair"}, Group: "8"}, "pair:/f/pair:0640", "", "", ""},
	} {
		t.Run(strings.TrimSpace(tt.server+" "+tt.goos+" "+tt.dir), func(t *testing.T) {
			tt.choices.GOOS = tt.goos
			l, err := LayoutOf(tt.server, tt.dir, tt.choices)
			if err != nil {
				t.Fatal(err)
			}
			var files, links []string
			for r, f := range l.Files {
				s := fmt.Sprintf("%s:%s:%04o", r, f.Path, f.Mode)
				for _, o := range []struct {
					is   bool
					name string
				}{{f.Public, "+public"}, {f.List, "+list"}, {f.Append, "+append"}} {
					if o.is {
						s += o.name
					}
				}
				files = append(files, s)
			}
			for name, to := range l.Links {
				links = append(links, name+":"+to)
			}
			slices.Sort(files)
			if got := strings.Join(files, " "); got != tt.files {
				t.Errorf("files\n%s; want\n%s", got, tt.files)
			}
			if got := strings.Join(links, " "); got != tt.links || l.Dir != tt.hashes || l.Reload != tt.reload {
				t.Errorf("folder %q, links %q, reload %q", l.Dir, got, l.Reload)
			}
			if (len(l.Probes) == 0) != (tt.server == "files") {
				t.Errorf("probes %v", l.Probes)
			}
			if l.Reload != "" {
				if out, err := exec.Command("sh", "-n", "-c", l.Reload).CombinedOutput(); err != nil {
					t.Errorf("reload: %v %s", err, out)
				}
			}
		})
	}
}

func TestLayoutRefuses(t *testing.T) {
	for _, tt := range []struct {
		server, dir string
		choices     Choices
		want        string
	}{
		{"qmail", "", Choices{}, `server "qmail" is not known; want dovecot, exim, files, postfix, sendmail, xmail`},
		{"sendmail", "certs", Choices{}, "from / on"},
		{"sendmail", "", Choices{Group: "8"}, "leave it out"},
		{"sendmail", "", Choices{Owner: "no-such-user"}, `there is no user "no-such-user"`},
		{"exim", "", Choices{Group: "-1"}, `there is no group "-1"`},
		{"sendmail", "", Choices{DH: "ffdhe1024"}, "ffdhe1024"},
		{"sendmail", "", Choices{DH: "generate:1024"}, "2048 to 8192"},
		{"xmail", "", Choices{DH: "ffdhe2048"}, "no file of parameters"},
		{"files", "/f", Choices{}, "want key and certificate"},
		{"files", "/f", Choices{Files: map[string]string{"key": "a"}}, "want key and certificate"},
		{"files", "", Choices{Files: map[string]string{"pair": "a"}}, "from / on"},
		{"files", "/f", Choices{Files: map[string]string{"pair": "a", "key": "b"}}, "one or the other"},
		{"files", "/f", Choices{Files: map[string]string{"chain": "a"}}, `"chain" is not known`},
		{"files", "/f", Choices{Files: map[string]string{"key": "a", "certificate": "/f/a"}}, "key and certificate are both /f/a"},
		{"postfix", "", Choices{SNI: "pcre:/etc/postfix/sni"}, "pcre"},
		{"postfix", "", Choices{SNI: "sni"}, "from / on"},
		{"postfix", "", Choices{SNI: "/etc/sni; rm x"}, "without blanks"},
	} {
		if _, err := LayoutOf(tt.server, tt.dir, tt.choices); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q %+v: %v; want %q", tt.server, tt.dir, tt.choices, err, tt.want)
		}
	}
}

// Exim's key is for Exim's group, which has several names, or is to be said.
func TestEximsGroup(t *testing.T) {
	l, err := LayoutOf("exim", "/e", Choices{})
	for _, name := range []string{"Debian-exim", "exim", "mailnull"} {
		if g, lookupErr := user.LookupGroup(name); lookupErr == nil {
			if f := l.Files[Key]; err != nil || fmt.Sprint(f.GID) != g.Gid || f.Mode != 0o640 {
				t.Errorf("%v, %v", f, err)
			}
			return
		}
	}
	if err == nil || !strings.Contains(err.Error(), "say group") {
		t.Errorf("%v", err)
	}
}

// Every server's files come to be from nothing, and stay.
func TestEveryServer(t *testing.T) {
	p := testpki.New(t).Below()
	public := testpki.New(t).Stranger().Root()
	for name := range servers {
		for _, bundle := range []string{"", testpki.Write(t, "bundle.crt", ca.EncodeCertificates(public))} {
			c := Choices{Group: fmt.Sprint(os.Getegid()), Public: bundle != "", Bundle: bundle}
			switch name {
			case "sendmail":
				c.Group = ""
			case "files":
				c.Files = map[string]string{"pair": "a/pair", "ca": "b/ca", "crl": "c/crl", "dh": "d/dh"}
			}
			b := benchOf(t, p)
			b.layout(name, c)
			b.right()
			for r, f := range b.target.Files {
				if f.Mode&0o007 != 0 && (r == Key || r == PairFile) {
					t.Errorf("%s: the key's mode is %04o", name, f.Mode)
				}
				if r == CA && f.Public {
					b.wantCAs(r, append(p.CA().Chain(), public)...)
				} else if r == CA {
					b.wantCAs(r, p.CA().Chain()...)
				}
			}
			b.verifies(b.pki.Host("peer.example.test", ca.P256))
		}
	}
}

func (b *bench) wantCAs(r Role, want ...*x509.Certificate) {
	b.t.Helper()
	got, err := pki.ParseCertificates(b.contentsOf()[r])
	b.do(err)
	if !slices.EqualFunc(got, want, (*x509.Certificate).Equal) {
		b.t.Errorf("%s: %d CAs, want %d", b.target.Files[r].Path, len(got), len(want))
	}
}

// verifies has openssl verify a peer's certificate with the target's CAs: those
// of the file, and those of the folder.
func (b *bench) verifies(id pki.Identity) {
	b.t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		b.t.Skip("openssl is not installed")
	}
	path := testpki.Write(b.t, "peer.pem", ca.EncodeCertificates(id.Certificate))
	args := [][]string{{"-no-CApath", "-CAfile", b.target.Files[CA].Path}}
	if b.target.Dir != "" {
		args = append(args, []string{"-no-CAfile", "-CApath", b.target.Dir})
	}
	for _, a := range args {
		if out, err := exec.Command("openssl", slices.Concat([]string{"verify"}, a, []string{path})...).CombinedOutput(); err != nil {
			b.t.Errorf("%s %v: %s", b.target.Name, a, out)
		}
	}
}

// XMail's MailRoot as it is found: somebody's certificates are in server.cert
// behind the server's, SERVER.TAB stays as it is, and old hash links go.
func TestMailRoot(t *testing.T) {
	b := newBench(t)
	b.layout("xmail", Choices{})
	stranger := b.pki.Stranger()
	old, middle := stranger.Host(hosts[0], ca.P256), stranger.Below().CA().Chain()[0]
	b.do(os.MkdirAll(b.path("CERTS"), 0o755))
	b.pairIn("server.key", "server.cert", old, middle, stranger.Root())
	b.write("CERTS.PEM", ca.EncodeCertificates(stranger.Root()), 0o644)
	b.write("SERVER.TAB", []byte("\"SSLUseCertsFile\"\t\"1\"\n"), 0o600)
	b.do(os.Symlink("gone.pem", b.path("CERTS/2c52b46b.0")))
	done := b.right()
	if kept, err := os.ReadDir(done.Kept); err != nil || len(kept) != 3 {
		t.Errorf("%d files are kept, %v; want server.key, server.cert, CERTS.PEM", len(kept), err)
	}
	leaf := b.firstIn("server.cert")
	b.wantIn("server.cert", leaf, middle, stranger.Root())
	b.target.Hosts = append(slices.Clone(hosts), "pop.example.jp") // a new one comes before them
	b.right()
	if again := b.firstIn("server.cert"); again.Equal(leaf) {
		t.Error("not renewed")
	} else {
		b.wantIn("server.cert", again, middle, stranger.Root())
	}
	if string(b.read("SERVER.TAB")) != "\"SSLUseCertsFile\"\t\"1\"\n" {
		t.Error("SERVER.TAB was changed")
	}
	if _, err := os.Lstat(b.path("CERTS/2c52b46b.0")); err == nil {
		t.Error("a dangling link is left")
	}
	b.verifies(b.pki.Host("peer.example.test", ca.P256))
}

func (b *bench) certsIn(name string) []*x509.Certificate {
	b.t.Helper()
	certs, err := pki.ParseCertificates(b.read(name))
	b.do(err)
	return certs
}

func (b *bench) firstIn(name string) *x509.Certificate { return b.certsIn(name)[0] }

func (b *bench) wantIn(name string, want ...*x509.Certificate) {
	b.t.Helper()
	if got := b.certsIn(name); !slices.EqualFunc(got, want, (*x509.Certificate).Equal) {
		b.t.Errorf("%s: %d certificates; want %d, the server's first", name, len(got), len(want))
	}
}

// A prime of its own comes when it is found; until then a group serves, or what
// is there and is as long.
func TestOwnPrime(t *testing.T) {
	own := dh.FFDHE3072.Parameters() // stands for one that nobody else has
	b := newBench(t)
	b.layout("sendmail", Choices{DH: "generate:2056"})
	if b.target.Group != dh.FFDHE3072 || b.target.OwnPrime != 2056 {
		t.Errorf("%v serves for %d bits", b.target.Group, b.target.OwnPrime)
	}
	b.layout("sendmail", Choices{DH: "generate:2048"})
	b.right()
	if p, _ := b.plan(); p.Generate != 2048 || !p.Done() || !p.Right() {
		t.Errorf("generate %d, %v", p.Generate, p.Steps)
	}
	theirs := dh.FFDHE4096.Parameters().PEM()
	b.write("dh.param", theirs, 0o644)
	b.wantRight()
	b.do(os.Remove(b.path("dh.param")))
	b.right()
	if string(b.read("dh.param")) != string(dh.FFDHE2048.Parameters().PEM()) {
		t.Error("no ffdhe2048 meanwhile")
	}
	b.write("dh.param", theirs, 0o644)
	b.target.Own = own
	if p, _ := b.plan(); p.Generate != 0 || !slices.Equal(p.Write, []Role{DH}) {
		t.Errorf("generate %d, writes %v", p.Generate, p.Write)
	}
	b.right()
	if string(b.read("dh.param")) != string(own.PEM()) {
		t.Error("it is not its own")
	}
	b.layout("sendmail", Choices{DH: "off"})
	b.write("dh.param", nil, 0o644)
	b.wantRight()
}

// Folders on the way that others may write to are told, and hinder nothing.
func TestOpenFolders(t *testing.T) {
	b := newBench(t)
	up := filepath.Dir(b.dir)
	for _, tt := range []struct {
		mode os.FileMode
		want string
	}{{0o755, ""}, {0o777 | os.ModeSticky, "sticky"}, {0o775, "chmod go-w " + up}} {
		b.do(os.Chmod(up, tt.mode))
		p, s := b.planAll()
		notes := slices.DeleteFunc(slices.Clone(p.Notes), func(n string) bool { return !strings.HasPrefix(n, up+" ") })
		if got := strings.Join(notes, "\n"); !strings.Contains(got, tt.want) || (tt.want == "") != (got == "") {
			t.Errorf("%v: %q, want %q", tt.mode, got, tt.want)
		}
		if !p.Done() {
			b.install(p, s)
		}
		b.wantRight()
	}
}
