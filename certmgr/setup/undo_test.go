package setup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// A host is a folder with what a setup changes.
type host struct {
	t   *testing.T
	dir string
	j   *Journal
}

func newHost(t *testing.T) *host {
	h := &host{t, t.TempDir(), nil}
	h.j = NewJournal(filepath.Join(h.dir, "state"))
	h.write("main.cf", "a = b\n")
	h.write("certs/host.key", "old key")
	h.write("certs/host.cert", "old certificate")
	h.check(os.Chmod(h.path("certs/host.key"), 0o600))
	h.check(os.Symlink("host.cert", h.path("certs/2c52b46b.0")))
	h.check(os.Symlink("/usr/share/bundle.pem", h.path("certs/public.pem")))
	return h
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

func (h *host) check(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) write(name, text string) {
	h.t.Helper()
	h.check(os.MkdirAll(filepath.Dir(h.path(name)), 0o755))
	h.check(os.WriteFile(h.path(name), []byte(text), 0o644))
}

// files are all files but the journal's, with modes, and where links lead.
func (h *host) files() map[string]string {
	all := map[string]string{}
	h.check(filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == h.path("state") {
			return filepath.SkipDir
		}
		if to, err := os.Readlink(path); err == nil {
			all[path] = "-> " + to
			return nil
		}
		info, err := d.Info()
		h.check(err)
		all[path] = info.Mode().String()
		if !d.IsDir() {
			b, err := os.ReadFile(path)
			h.check(err)
			all[path] += " " + string(b)
		}
		return nil
	}))
	return all
}

// job is a setup of it, and install what package certmgr does in it.
func (h *host) job() Job {
	h.t.Helper()
	edit, err := NewEdit(h.path("main.cf"), func(s string) string { return s + "c = d\n" })
	h.check(err)
	fresh, err := NewEdit(h.path("etc/mailseal.toml"), func(string) string { return "new\n" })
	h.check(err)
	return Job{
		Name: "postfix", Server: "postfix", Edits: []Edit{fresh, edit}, Dir: h.path("certs"),
		Files: []string{h.path("certs/host.key"), h.path("certs/host.cert"), h.path("certs/crl.pem")}, Links: []string{"public-cas.pem"},
	}
}

func (h *host) install() (ours map[string]string) {
	ours = map[string]string{}
	for _, name := range []string{"host.key", "host.cert", "crl.pem"} {
		h.write("certs/"+name, "new "+name)
		ours[h.path("certs/"+name)] = sum([]byte("new " + name))
	}
	h.check(os.Remove(h.path("certs/2c52b46b.0")))
	h.check(os.Symlink("host.cert", h.path("certs/01234567.0")))
	h.check(os.Symlink("/usr/share/bundle.pem", h.path("certs/public-cas.pem")))
	return ours
}

func (h *host) undo(o Undoing) Undone {
	h.t.Helper()
	o.Name = "postfix"
	u, err := h.j.Undo(o)
	h.check(err)
	return u
}

func TestUndo(t *testing.T) {
	h := newHost(t)
	before := h.files()
	h.check(h.j.Begin(h.job()))
	h.check(Write(h.job().Edits))
	ours := h.install()
	h.check(h.j.Done("postfix"))

	after := h.files()
	if u := h.undo(Undoing{Ours: ours, Plan: true}); len(u.Restored) != 3 || len(u.Removed) != 2 {
		t.Errorf("the plan: %+v", u)
	}
	if now := h.files(); !reflect.DeepEqual(now, after) {
		t.Errorf("a plan has changed something: %v", now)
	}
	if u := h.undo(Undoing{Ours: ours}); len(u.Left) > 0 {
		t.Errorf("left: %v", u.Left)
	}
	h.check(os.Remove(h.path("etc"))) // the folder stays
	if now := h.files(); !reflect.DeepEqual(now, before) {
		t.Errorf("after undo:\n%v\nbefore:\n%v", now, before)
	}
	if u := h.undo(Undoing{Ours: ours}); !u.Nothing() {
		t.Errorf("once more: %+v", u)
	}
	h.check(h.j.Forget("postfix"))
	if _, err := h.j.Record("postfix"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("forgotten: %v", err)
	}
}

// TestUndoLeaves: what somebody else has changed since stays, and with the key's
// file all that belongs to it.
func TestUndoLeaves(t *testing.T) {
	h := newHost(t)
	h.check(h.j.Begin(h.job()))
	h.check(Write(h.job().Edits))
	ours := h.install()
	h.write("main.cf", "a = b\nc = d\nby hand\n")
	h.write("certs/host.cert", "by hand")
	u := h.undo(Undoing{Ours: ours})
	if want := []string{h.path("main.cf"), h.path("certs/host.cert")}; !reflect.DeepEqual(u.Left, want) {
		t.Errorf("left %v, want %v", u.Left, want)
	}
	if b, _ := os.ReadFile(h.path("certs/host.key")); string(b) != "new host.key" {
		t.Errorf("the key was put back without its certificate: %q", b)
	}
	u = h.undo(Undoing{Ours: ours, Force: true})
	if len(u.Left) > 0 || len(u.Kept) != 2 {
		t.Errorf("with Force: %+v", u)
	}
	if b, _ := os.ReadFile(h.path("main.cf")); string(b) != "a = b\n" {
		t.Errorf("with Force main.cf is %q", b)
	}
	if b, _ := os.ReadFile(h.path("main.cf.mailseal-undo")); !strings.Contains(string(b), "by hand") {
		t.Errorf("the copy is %q", b)
	}
}

// TestUndoRenewed: a renewal by certmgr is no change of somebody else.
func TestUndoRenewed(t *testing.T) {
	h := newHost(t)
	before := h.files()
	h.check(h.j.Begin(h.job()))
	ours := h.install()
	h.write("certs/host.cert", "renewed")
	ours[h.path("certs/host.cert")] = sum([]byte("renewed"))
	if u := h.undo(Undoing{Ours: ours}); len(u.Left) > 0 {
		t.Errorf("left: %v", u.Left)
	}
	if now := h.files(); !reflect.DeepEqual(now, before) {
		t.Errorf("after undo:\n%v\nbefore:\n%v", now, before)
	}
}

// TestAgain: what a second setup changes is taken back with the first one's, and
// Revert takes back its alone.
func TestAgain(t *testing.T) {
	h := newHost(t)
	before := h.files()
	h.check(h.j.Begin(h.job()))
	h.check(Write(h.job().Edits))
	h.check(h.j.Done("postfix"))
	first := h.files()

	edit, err := NewEdit(h.path("main.cf"), func(s string) string { return s + "e = f\n" })
	h.check(err)
	second := Job{Name: "postfix", Server: "postfix", Edits: []Edit{edit}}
	h.check(h.j.Begin(second))
	h.check(Write(second.Edits))
	if _, err := h.j.Revert(second); err != nil {
		t.Fatal(err)
	}
	if now := h.files(); !reflect.DeepEqual(now, first) {
		t.Errorf("after Revert:\n%v\nbefore:\n%v", now, first)
	}
	h.check(h.j.Begin(second))
	h.check(Write(second.Edits))
	if u := h.undo(Undoing{}); len(u.Left) > 0 {
		t.Errorf("left: %v", u.Left)
	}
	h.check(os.Remove(h.path("etc")))
	if now := h.files(); !reflect.DeepEqual(now, before) {
		t.Errorf("after undo:\n%v\nbefore:\n%v", now, before)
	}
}

// TestKilled: whatever part of the changes was made, undo takes it back, and the
// next run makes the rest.
func TestKilled(t *testing.T) {
	for made := range 3 {
		h := newHost(t)
		before := h.files()
		job := h.job()
		h.check(h.j.Begin(job))
		h.check(Write(job.Edits[:made]))
		if u := h.undo(Undoing{}); len(u.Left) > 0 {
			t.Errorf("%d of 2 written: left %v", made, u.Left)
		}
		if made > 0 {
			h.check(os.Remove(h.path("etc")))
		}
		if now := h.files(); !reflect.DeepEqual(now, before) {
			t.Errorf("%d of 2 written: after undo:\n%v\nbefore:\n%v", made, now, before)
		}
		h.check(Write(job.Edits[:made]))
		h.check(h.j.Begin(job))
		h.check(Write(job.Edits))
		h.check(h.j.Done("postfix"))
		if u := h.undo(Undoing{}); len(u.Left) > 0 {
			t.Errorf("%d of 2 written, then all: left %v", made, u.Left)
		}
	}
}

// TestWriteChanged: a file that has changed since it was looked at is not written.
func TestWriteChanged(t *testing.T) {
	h := newHost(t)
	job := h.job()
	h.write("main.cf", "by hand\n")
	if err := Write(job.Edits); !errors.Is(err, ErrChanged) {
		t.Errorf("%v, want ErrChanged", err)
	}
	if b, _ := os.ReadFile(h.path("main.cf")); string(b) != "by hand\n" {
		t.Errorf("main.cf is %q", b)
	}
}

// TestLock: two setups at once are one too many.
func TestLock(t *testing.T) {
	h := newHost(t)
	unlock, err := h.j.Lock()
	h.check(err)
	if _, err := h.j.Lock(); !errors.Is(err, ErrRefused) {
		t.Errorf("a second lock: %v", err)
	}
	unlock()
	unlock, err = h.j.Lock()
	h.check(err)
	unlock()
}

// TestFilesOnly: after a request alone the edits of that stay, and the files of the
// run after it go.
func TestFilesOnly(t *testing.T) {
	h := newHost(t)
	job := h.job()
	h.check(h.j.Begin(Job{Name: "postfix", Edits: job.Edits[:1]}))
	h.check(Write(job.Edits[:1]))
	h.check(h.j.Done("postfix"))
	before := h.files()
	job.Edits = job.Edits[1:]
	h.check(h.j.Begin(job))
	ours := h.install()
	h.check(Write(job.Edits))
	if u := h.undo(Undoing{Ours: ours, FilesOnly: true}); len(u.Left) > 0 {
		t.Errorf("left: %v", u.Left)
	}
	if _, err := h.j.Revert(job); err != nil {
		t.Fatal(err)
	}
	if now := h.files(); !reflect.DeepEqual(now, before) {
		t.Errorf("after:\n%v\nbefore:\n%v", now, before)
	}
}
