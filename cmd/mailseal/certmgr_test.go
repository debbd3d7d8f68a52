package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/control"
	"mailseal/internal/config"
)

// TestGuarded: what others could exchange is refused, at every step of the way.
func TestGuarded(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir()) // where it is by way of a link, that has an owner too
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "a", "b", "file")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("a/b/file", link); err != nil {
		t.Fatal(err)
	}
	if err := guarded(file); err != nil {
		t.Skipf("the folder of temporary files is open itself: %v", err)
	}
	mode := func(path string, m os.FileMode) func() {
		return func() {
			if err := os.Chmod(filepath.Join(dir, path), m); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		what     string
		do, undo func()
		want     string // in the error; "" for none
	}{
		{"nothing", func() {}, func() {}, ""},
		{"file of the group", mode("a/b/file", 0o664), mode("a/b/file", 0o644), "chmod go-w " + file},
		{"file of all", mode("a/b/file", 0o646), mode("a/b/file", 0o644), "chmod go-w " + file},
		{"folder of the group", mode("a/b", 0o775), mode("a/b", 0o755), "chmod go-w " + filepath.Dir(file)},
		{"folder above it", mode("a", 0o757), mode("a", 0o755), "chmod go-w " + filepath.Join(dir, "a")},
		{"sticky folder", mode("a", 0o777|os.ModeSticky), mode("a", 0o755), ""},
		{"another's file", func() { chown(t, file, 65534) }, func() { chown(t, file, os.Geteuid()) }, "belongs to user 65534"},
		{"another's folder", func() { chown(t, filepath.Dir(file), 65534) }, func() { chown(t, filepath.Dir(file), os.Geteuid()) }, "belongs to user 65534"},
	} {
		if strings.HasPrefix(tt.what, "another") && os.Geteuid() != 0 {
			continue
		}
		tt.do()
		for _, path := range []string{file, link} {
			err := guarded(path)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %s: %v, want %q", tt.what, path, err, tt.want)
			}
		}
		tt.undo()
	}
	if err := guarded(filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}

func chown(t *testing.T, path string, uid int) {
	t.Helper()
	if err := os.Chown(path, uid, -1); err != nil {
		t.Fatal(err)
	}
}

// TestTrouble: what goes on going wrong is told once an hour.
func TestTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		log := slog.New(slog.NewTextHandler(&b, nil))
		var tr trouble
		told := func(what string, want int) {
			t.Helper()
			if got := strings.Count(b.String(), "\n"); got != want {
				t.Errorf("%s: %d lines, want %d:\n%s", what, got, want, &b)
			}
		}
		for range 90 {
			tr.complain(log, "cannot", errors.New("full"))
			tr.complain(log, "cannot either", nil)
			time.Sleep(time.Minute)
		}
		told("an hour and a half", 2)
		tr.complain(log, "cannot", errors.New("another"))
		told("something else", 3)
		tr.complain(log, "cannot", nil)
		told("the end", 4)
		tr.complain(log, "cannot", nil)
		told("long after", 4)
	})
}

// certmgrFiles are a configuration with a CA.
func certmgrFiles(t *testing.T) (conf string, c *ca.CA) {
	t.Helper()
	dir, err := os.MkdirTemp("", "certmgr") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c, err = ca.Init(filepath.Join(dir, "CA"), ca.InitOptions{Subject: ca.Subject{CommonName: "Test CA"}, Key: ca.P256, Unencrypted: true})
	if err != nil {
		t.Fatal(err)
	}
	conf = filepath.Join(dir, "m.toml")
	text := "authserv_id = \"mx.example.test\"\nlocal_domains = [\"example.test\"]\n[ca]\ndir = \"CA\"\nsocket = \"unix:run/s\"\nweb_user = \"\"\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return conf, c
}

// TestCertmgrOnce: it makes a list that is due, and none that is not.
func TestCertmgrOnce(t *testing.T) {
	conf, c := certmgrFiles(t)
	for range 2 {
		if _, errs, status := call("", "certmgr", "-once", "-config", conf); status != 0 {
			t.Fatalf("%d: %s", status, errs)
		}
		if l, err := c.CRL(); err != nil || l.Number.Int64() != 1 {
			t.Fatalf("%+v, %v", l, err)
		}
	}
}

// TestCertmgr: the daemon makes the list that is missing, answers commands, and
// ends with nothing left.
func TestCertmgr(t *testing.T) {
	conf, c := certmgrFiles(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var errs strings.Builder
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, Env{Args: []string{"certmgr", "-config", conf}, Stderr: &errs, Getenv: func(string) string { return "" }})
	}()
	socket := filepath.Join(filepath.Dir(conf), "run/s") // whose folder nobody has made
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if client, err := control.Connect(ctx, socket); err == nil {
			client.Close()
			if _, err := c.CRL(); err == nil {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not answer, or makes no list")
		}
	}
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("without a web user: %v, %v", info, err)
	}
	if out, _, status := call("", "ca", "crl", "-config", conf); status != 0 || !strings.HasPrefix(out, "crl      02, 0 revoked") {
		t.Errorf("%d, %q", status, out)
	}
	cancel()
	if status := <-ended; status != 0 || !strings.Contains(errs.String(), "stopped") {
		t.Errorf("status %d: %s", status, &errs)
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// TestCertmgrConfig: what it cannot do with is told with its place.
func TestCertmgrConfig(t *testing.T) {
	conf, _ := certmgrFiles(t)
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(filepath.Dir(conf), "CA/private/cakey.pem")
	for _, tt := range []struct {
		from, to string
		status   int
		want     string
	}{
		{`dir = "CA"`, `dir = ""`, exConfig, "m.toml:4:7: ca.dir: no folder of a CA"},
		{`dir = "CA"`, `dir = "absent"`, exConfig, "make a CA with mailseal ca init"},
		{`web_user = ""`, `web_user = "nosuchuser"`, exConfig, `ca.web_user: no user "nosuchuser"`},
		{`web_user = ""`, `passphrase_file = "absent"`, exConfig, "ca.passphrase_file: "},
		{`authserv_id`, `authserv_id`, exConfig, "lets others than its owner at it"},
	} {
		if tt.from == tt.to {
			if err := os.Chmod(key, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(conf, []byte(strings.Replace(string(text), tt.from, tt.to, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, errs, status := call("", "certmgr", "-config", conf); status != tt.status || !strings.Contains(errs, tt.want) {
			t.Errorf("%s: %d, want %d: %q", tt.to, status, tt.status, errs)
		}
	}
	// The web has no rights, and wants to know where to listen.
	want, status := "web.listen: nowhere to listen", exConfig
	if os.Geteuid() == 0 {
		want, status = "needs no rights of root's", exUsage
	}
	if _, errs, got := call("", "web", "-config", conf); got != status || !strings.Contains(errs, want) {
		t.Errorf("%d, %q", got, errs)
	}
}

// TestWebUserApart: the user of the web is not the one who may do everything.
func TestWebUserApart(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Skipf("this user has no name: %v", err)
	}
	conf, _ := certmgrFiles(t)
	c, err := config.Load(conf)
	if err != nil {
		t.Fatal(err)
	}
	c.CA.WebUser = me.Username // "root" no file can say
	if s, err := new(certmgrDaemon).state(c); err == nil || !strings.Contains(err.Error(), "want another user") {
		t.Errorf("web user %d: %v", s.Web, err)
	}
}

// TestOurs: of the folders above it nothing is wanted.
func TestOurs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	file := filepath.Join(dir, "file")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o777), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := ours(file); err != nil {
		t.Error(err)
	}
	if err := ours(dir); err == nil || !strings.Contains(err.Error(), "chmod go-w "+dir) {
		t.Errorf("%v", err)
	}
	if os.Geteuid() == 0 {
		chown(t, file, 65534)
		if err := ours(file); err == nil {
			t.Error("another's file is taken for ours")
		}
	}
}

// An installation that a crash cut short is ended by -repair, which asks for no
// CA and reloads nothing.
func TestCertmgrRepair(t *testing.T) {
	o := newOffice(t, "touch DIR/reloaded")
	if err := os.RemoveAll(o.path("CA")); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"state/install", "certs"} {
		if err := os.MkdirAll(o.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	journal := fmt.Sprintf(`{"ready":true,"files":[{"new":%q,"path":%q}]}`, o.path("certs/.mx.key.mailseal"), o.path("certs/mx.key"))
	for name, text := range map[string]string{"state/install/mx.journal": journal, "certs/.mx.key.mailseal": "new", "certs/mx.key": "old"} {
		if err := os.WriteFile(o.path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, errs, status := call("", "certmgr", "-repair", "-config", o.path("mailseal.toml")); out+errs != "" || status != exOK {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
	if b, err := os.ReadFile(o.path("certs/mx.key")); string(b) != "new" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := os.Stat(o.path("reloaded")); err == nil {
		t.Error("the server was told")
	}
	// What nobody can read is told, and nothing is lost.
	if err := os.WriteFile(o.path("state/install/mx.journal"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, status := call("", "certmgr", "-repair", "-config", o.path("mailseal.toml")); status != exTempFail || !strings.Contains(errs, "look at it, then remove it") {
		t.Errorf("status %d, %q", status, errs)
	}
	if _, errs, status := call("", "certmgr", "-repair", "-once"); status != exUsage {
		t.Errorf("status %d, %q", status, errs)
	}
}
