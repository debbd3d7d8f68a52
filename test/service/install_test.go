package service_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mailseal/test/daemon"
)

// install is `make install` into a folder of its own, of the product that is
// built already.
func install(t *testing.T, args ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	cmd := exec.Command(tool(t, "make"), append([]string{"-C", source(t, ""), "-s", "-o", "build", "install", "BINARY=" + daemon.Binary(t), "DESTDIR=" + dir}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make install: %v\n%s", err, out)
	}
	return dir
}

// TestInstall: everything is where a package has it, readable to all, and the
// service files name the program where it is.
func TestInstall(t *testing.T) {
	for name, tt := range map[string]struct {
		args  []string
		files []string // path and mode
		names map[string]string
	}{
		"Debian": {
			[]string{"SYSTEM=Linux", "PREFIX=/usr"},
			[]string{
				"usr/bin/mailseal 755", "usr/share/man/man8/mailseal.8 644", "usr/share/man/man5/mailseal.toml.5 644",
				"usr/lib/systemd/system/mailseal-milter.service 644", "usr/lib/systemd/system/mailseal-milter.socket 644",
				"usr/lib/systemd/system/mailseal-milter-before.socket 644", "usr/lib/systemd/system/mailseal-certmgr.socket 644",
				"usr/lib/systemd/system/mailseal-certmgr.service 644", "usr/lib/systemd/system/mailseal-web.service 644",
				"usr/lib/sysusers.d/mailseal.conf 644", "usr/lib/tmpfiles.d/mailseal.conf 644",
				"usr/share/doc/mailseal/README.md 644",
			},
			map[string]string{
				"usr/lib/systemd/system/mailseal-milter.service":  "\nExecStart=/usr/bin/mailseal milter ",
				"usr/lib/systemd/system/mailseal-certmgr.service": "\nExecStart=/usr/bin/mailseal certmgr ",
				"usr/lib/systemd/system/mailseal-web.service":     "\nExecStart=/usr/bin/mailseal web ",
			},
		},
		"Linux by hand": {
			[]string{"SYSTEM=Linux"},
			[]string{"usr/local/bin/mailseal 755", "usr/local/lib/systemd/system/mailseal-milter.service 644"},
			map[string]string{"usr/local/lib/systemd/system/mailseal-milter.service": "\nExecStart=/usr/local/bin/mailseal milter "},
		},
		"FreeBSD": {
			[]string{"SYSTEM=FreeBSD"},
			[]string{
				"usr/local/bin/mailseal 755", "usr/local/etc/rc.d/mailseal_milter 755", "usr/local/etc/rc.d/mailseal_certmgr 755", "usr/local/etc/rc.d/mailseal_web 755", "usr/local/etc/mailseal/mailseal.toml.sample 644",
				"usr/local/share/man/man8/mailseal.8 644", "usr/local/share/doc/mailseal/LICENSE 644",
			},
			map[string]string{"usr/local/etc/rc.d/mailseal_milter": "\nmilter=/usr/local/bin/mailseal\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := install(t, tt.args...)
			examples := "usr/local/share/examples/mailseal"
			if name != "FreeBSD" {
				examples = filepath.Dir(filepath.Dir(strings.Fields(tt.files[0])[0])) + "/share/doc/mailseal/examples"
				for _, name := range []string{"milter.socket.d/chroot", "milter-before.socket.d/chroot", "milter.service.d/fetch",
					"certmgr.service.d/ca-only", "certmgr.service.d/probe", "certmgr.service.d/reload"} {
					tt.files = append(tt.files, examples+"/systemd/mailseal-"+name+".conf 644")
				}
			}
			tt.files = append(tt.files, examples+"/mailseal.toml 644")
			for _, f := range tt.files {
				path, mode, _ := strings.Cut(f, " ")
				info, err := os.Stat(filepath.Join(dir, path))
				if err != nil {
					t.Error(err)
				} else if got := info.Mode().Perm().String(); got != map[string]string{"755": "-rwxr-xr-x", "644": "-rw-r--r--"}[mode] {
					t.Errorf("%s: %s, want %s", path, got, mode)
				}
			}
			for path, want := range tt.names {
				b, err := os.ReadFile(filepath.Join(dir, path))
				if err != nil || !strings.Contains(string(b), want) {
					t.Errorf("%s, %v: no %q", path, err, want)
				}
			}
			// Nothing of the one system on the other, and no configuration.
			wrong := regexp.MustCompile(`/etc/mailseal/mailseal\.toml$|rc\.d/`)
			if name == "FreeBSD" {
				wrong = regexp.MustCompile(`/etc/mailseal/mailseal\.toml$|systemd`)
			}
			ok(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
				if wrong.MatchString(path) {
					t.Errorf("%s is installed", path)
				}
				return err
			}))
			if out, err := exec.Command(filepath.Join(dir, strings.Fields(tt.files[0])[0]), "version").Output(); err != nil || !strings.HasPrefix(string(out), "mailseal ") {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
}
