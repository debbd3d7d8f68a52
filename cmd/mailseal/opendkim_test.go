package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestNotOurs: OpenDKIM's flags without a counterpart say what to do instead,
// and none of them is one of ours.
func TestNotOurs(t *testing.T) {
	ours := flagNames(milterCommand())
	for name, text := range notOurs {
		out, errs, status := call("", "milter", "-"+name)
		if want := "mailseal milter: no flag -" + name + ": " + text; status != exUsage || out != "" || !strings.HasPrefix(errs, want) {
			t.Errorf("status %d, %q; want %q", status, errs, want)
		}
		for _, other := range ours {
			if name == other {
				t.Errorf("-%s is a flag", name)
			}
		}
	}
	for _, name := range []string{"b", "d", "k", "s", "A", "t", "W"} {
		if notOurs[name] == "" {
			t.Errorf("nothing is said of -%s", name)
		}
	}
}

// TestPidfile: one process at a time, stale files give way, and nothing that is
// there is written to.
func TestPidfile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	other := path + ".other"
	put(t, path, "1\n") // a process that runs, and does not hold the file
	if err := os.Link(path, other); err != nil {
		t.Fatal(err)
	}
	p, err := claimPidfile(path)
	if err != nil {
		t.Fatal(err)
	}
	self := strconv.Itoa(os.Getpid())
	if b, err := os.ReadFile(path); err != nil || string(b) != self+"\n" {
		t.Errorf("%q, %v", b, err)
	}
	if b, err := os.ReadFile(other); err != nil || string(b) != "1\n" {
		t.Errorf("a file that was there was written to: %q, %v", b, err)
	}
	_, err = claimPidfile(path)
	if want := "-P " + path + ": another daemon holds it, process " + self + "; stop that first"; err == nil || err.Error() != want || statusOf(err) != exUnavailable {
		t.Errorf("a second daemon: %v, want %s", err, want)
	}
	if err := p.release(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is left: %v", err)
	}
}

// TestPidfileOfAnother: a file that somebody else has put in the place of ours
// stays.
func TestPidfileOfAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	p, err := claimPidfile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	put(t, path, "1\n")
	if err := p.release(); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "1\n" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestPidfileRefused: what is there and is no file of ours is left alone.
func TestPidfileRefused(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	dangling := filepath.Join(dir, "dangling")
	if err := os.Symlink(filepath.Join(dir, "absent"), dangling); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, dangling, dir} {
		if p, err := claimPidfile(path); err == nil || statusOf(err) != exCantCreate {
			t.Errorf("%s: %v, %v", path, p, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s is gone: %v", path, err)
		}
	}
}

// TestPidfileRace: of many that start at once exactly one gets the file, also
// where a stale one is in the way.
func TestPidfileRace(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "pid")
		put(t, path, "99999999\n")
		const many = 8
		got := make(chan *pidfile, many)
		for range many {
			go func() {
				p, err := claimPidfile(path)
				if err != nil && statusOf(err) != exUnavailable {
					t.Errorf("%v", err)
				}
				got <- p
			}()
		}
		var holders []*pidfile
		for range many {
			if p := <-got; p != nil {
				holders = append(holders, p)
			}
		}
		if len(holders) != 1 {
			t.Fatalf("%d daemons hold %s", len(holders), path)
		}
		holders[0].release()
	}
}

// TestAccount: who -u names.
func TestAccount(t *testing.T) {
	for spec, status := range map[string]int{
		"no_such_user": exNoUser, "nobody:no_such_group": exNoUser, ":": exNoUser, "root": exUsage, "0": exUsage,
	} {
		if _, err := findAccount(spec); err == nil || statusOf(err) != status {
			t.Errorf("%q: %v, want status %d", spec, err, status)
		}
	}
	if a, err := findAccount(""); err != nil || a.become() != nil {
		t.Errorf("no -u: %+v, %v", a, err)
	}
	a, err := findAccount("nobody")
	if os.Geteuid() != 0 {
		if err == nil || statusOf(err) != exNoPerm {
			t.Errorf("without being root: %v", err)
		}
		return
	}
	if err != nil || a.name != "nobody" || a.uid == 0 || a.gid == 0 || len(a.groups) == 0 {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestFlagsGoFirst: the command line goes before the configuration, and what is
// wrong with it is said as such.
func TestFlagsGoFirst(t *testing.T) {
	c, err := loadConfig(house(t))
	if err != nil {
		t.Fatal(err)
	}
	none := &milterFlags{}
	before := *c
	none.over(c)
	if c.Milter.Socket != before.Milter.Socket || c.Log != before.Log {
		t.Errorf("no flags change %+v", c)
	}
	f := &milterFlags{socket: "inet:8891@127.0.0.1", syslog: true, verbose: true}
	f.over(c)
	if c.Milter.Socket != f.socket || !c.Log.Syslog || c.Log.Level >= 0 {
		t.Errorf("%+v %+v", c.Milter, c.Log)
	}
	for key, want := range map[string]string{"milter.socket": "-p inet:8891@127.0.0.1: x", "log.target": "-l: x"} {
		if got := f.at(c, key, errors.New("x")).Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := none.at(c, key, errors.New("x")).Error(); !strings.Contains(got, ".toml:") {
			t.Errorf("without flags: %q", got)
		}
	}
}

// statusOf is the exit status that an error gives.
func statusOf(err error) int {
	var e *exit
	if errors.As(err, &e) {
		return e.status
	}
	return exSoftware
}
