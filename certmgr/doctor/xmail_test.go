package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fixtureTime is when the certificates of testdata are valid.
var fixtureTime = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

// mailRoot is a copy of testdata/MailRoot with the modes that it should have.
func mailRoot(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "MailRoot")
	if err := os.CopyFS(dir, os.DirFS("testdata/MailRoot")); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{".": 0o755, "server.key": 0o600, "server.cert": 0o644, "CERTS.PEM": 0o644} {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// before makes the files of a folder older than an instant.
func before(t *testing.T, at time.Time, dir string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.Chtimes(name, at.Add(-day), at.Add(-day)); err != nil {
			t.Fatal(err)
		}
	}
}

// edit changes SERVER.TAB.
func edit(old, new string) func(string) error {
	return func(root string) error {
		name := filepath.Join(root, "SERVER.TAB")
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(name, []byte(strings.Replace(string(content), old, new, 1)), 0o644)
	}
}

// mailRootCases are what can be wrong with a MailRoot.
var mailRootCases = []struct {
	name          string
	change        func(root string) error
	want, without []string
	worst         Severity
}{
	{"right", nil, []string{"ca.ok", "certificate.ours", "pair.ok", "ca-file.ok", "crl.unknown"}, nil, Note},
	{"TLS off", edit("\"EnableSMTP-TLS\"\t\"1\"", "\"EnableSMTP-TLS\"\t\"0\""), []string{"tls.off", "pair.ok"}, nil, Error},
	{"no anchors", func(root string) error {
		return os.WriteFile(filepath.Join(root, "SERVER.TAB"), []byte("\"SSLWantVerify\"\t\"1\"\r\n"), 0o644)
	}, []string{"xmail.no-anchors"}, nil, Error},
	{"no key", func(root string) error { return os.Remove(filepath.Join(root, "server.key")) }, []string{"pair.no-key", "certificate.ours"}, []string{"pair.ok"}, Error},
	{"truncated", func(root string) error { return os.Truncate(filepath.Join(root, "server.cert"), 100) }, []string{"certificate.broken"}, []string{"pair.ok", "certificate.ours"}, Error},
	{"no CAs", func(root string) error { return os.Remove(filepath.Join(root, "CERTS.PEM")) }, []string{"ca-file.missing"}, nil, Warning},
	{"no settings", func(root string) error { return os.Remove(filepath.Join(root, "SERVER.TAB")) }, []string{"settings.unread", "pair.ok"}, nil, Note},
	{"open key", func(root string) error { return os.Chmod(filepath.Join(root, "server.key"), 0o644) }, []string{"mode.key"}, nil, Error},
	{"another name", edit("mail.example.jp", "xmail.example.jp"), []string{"certificate.name"}, nil, Warning},
	{"a pipe", func(root string) error {
		name := filepath.Join(root, "server.key")
		if err := os.Remove(name); err != nil {
			return err
		}
		return syscall.Mkfifo(name, 0o600)
	}, []string{"key.broken"}, []string{"pair.ok"}, Error},
}

// TestXMail: a MailRoot with all in place, and what can be wrong with it.
func TestXMail(t *testing.T) {
	for _, tt := range mailRootCases {
		t.Run(tt.name, func(t *testing.T) {
			root := mailRoot(t)
			ca := filepath.Join(filepath.Dir(root), "CA")
			if err := os.MkdirAll(ca, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(root, "CERTS.PEM"), filepath.Join(ca, "cacert.pem")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("../CA/cacert.pem", filepath.Join(root, "CERTS.PEM")); err != nil {
				t.Fatal(err)
			}
			if tt.change != nil {
				if err := tt.change(root); err != nil {
					t.Fatal(err)
				}
			}
			before(t, fixtureTime, root)
			kind, _ := KindOf(root)
			f := Gather(t.Context(), Options{Now: fixtureTime, CADir: ca, Servers: []Instance{{Name: "xmail", Kind: XMail, Conf: root}}, Offline: true})
			all := Diagnose(f)
			if tt.name != "no settings" && kind != XMail {
				t.Errorf("a folder of %q", kind)
			}
			for _, id := range tt.want {
				if find(all, id) == nil {
					t.Errorf("no %s among %v", id, all)
				}
			}
			for _, id := range tt.without {
				if got := find(all, id); got != nil {
					t.Errorf("%+v", got)
				}
			}
			if got := Worst(all); got != tt.worst {
				t.Errorf("the worst is %v, want %v: %v", got, tt.worst, all)
			}
		})
	}
}
