package setup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	held "mailseal/internal/folder"

	"mailseal/test/rig"
)

// A second undo by force loses no copy of the first.
func TestUndoKeepsEveryCopy(t *testing.T) {
	h := newHost(t)
	h.write("main.cf.mailseal-undo", "somebody's\n")
	for _, text := range []string{"one\n", "two\n", "one\n"} {
		h.check(h.j.Begin(h.job()))
		h.check(Write(h.job().Edits))
		h.write("main.cf", text)
		h.undo(Undoing{Force: true})
	}
	for name, want := range map[string]string{"": "somebody's\n", ".2": "one\n", ".3": "two\n"} {
		if b, err := os.ReadFile(h.path("main.cf.mailseal-undo" + name)); string(b) != want {
			t.Errorf("%s: %q, %v; want %q", name, b, err, want)
		}
	}
	if _, err := os.Lstat(h.path("main.cf.mailseal-undo.4")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a fourth copy: %v", err)
	}
}

// Who owns the folder above may put a link in a folder's place: what it leads to
// keeps its mode, its owner and its links.
func TestUndoIsLedNowhere(t *testing.T) {
	h := newHost(t)
	h.check(os.Chmod(h.dir, 0o777))
	h.check(h.j.Begin(Job{Name: "postfix", Server: "postfix", Dir: h.path("certs")}))
	h.check(os.Rename(h.path("certs"), h.path("away")))
	elsewhere := t.TempDir()
	h.check(os.Chmod(elsewhere, 0o711))
	h.check(os.Symlink(elsewhere, h.path("certs")))
	_, err := h.j.Undo(Undoing{Name: "postfix"})
	if !errors.Is(err, held.ErrLed) {
		t.Errorf("%v, want %v", err, held.ErrLed)
	}
	fi, err := os.Stat(elsewhere)
	h.check(err)
	left, err := os.ReadDir(elsewhere)
	h.check(err)
	if fi.Mode().Perm() != 0o711 || len(left) > 0 {
		t.Errorf("%v, %v", fi.Mode(), left)
	}
}

// A server that never ends its greeting is not listened to for long.
func TestGreetingOfTalker(t *testing.T) {
	addr, said := rig.Talker(t)
	if greeting, err := Greeting(t.Context(), addr); err == nil {
		t.Errorf("%.100q", greeting)
	}
	if n := <-said; n >= rig.TalkerEnd {
		t.Error("all of it was listened to")
	}
}

// Nor is a link followed to a file that shall be edited, or put back.
func TestEditIsLedNowhere(t *testing.T) {
	h := newHost(t)
	h.check(h.j.Begin(h.job()))
	h.check(Write(h.job().Edits))
	ours := h.install()
	h.check(os.Chmod(h.dir, 0o777))
	elsewhere := filepath.Join(t.TempDir(), "main.cf")
	h.check(os.WriteFile(elsewhere, []byte("others\n"), 0o600))
	h.check(os.Rename(h.path("main.cf"), h.path("away.cf")))
	h.check(os.Symlink(elsewhere, h.path("main.cf")))
	if e, err := NewEdit(h.path("main.cf"), func(s string) string { return s + "x = y\n" }); !errors.Is(err, held.ErrLed) {
		t.Errorf("%s, %v", e.Path, err)
	}
	h.check(os.Remove(h.path("main.cf")))
	h.check(os.Rename(h.path("away.cf"), h.path("main.cf")))
	h.check(os.Rename(h.path("certs"), h.path("away")))
	h.check(os.Symlink(filepath.Dir(elsewhere), h.path("certs")))
	for _, force := range []bool{false, true} {
		if _, err := h.j.Undo(Undoing{Name: "postfix", Ours: ours, Force: force}); force && !errors.Is(err, held.ErrLed) {
			t.Errorf("%v", err)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(elsewhere)); len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestWriteOut(t *testing.T) {
	h := newHost(t)
	h.check(os.Symlink(h.path("main.cf"), h.path("link")))
	h.check(WriteOut(h.path("link"), []byte("ours\n"))) // for nobody else made it
	h.check(os.Chmod(h.dir, 0o777))
	if err := WriteOut(h.path("link"), []byte("led\n")); !errors.Is(err, held.ErrLed) {
		t.Errorf("%v, want %v", err, held.ErrLed)
	}
	h.check(WriteOut(h.path("new"), []byte("new\n")))
	h.check(WriteOut("/dev/null", []byte("nowhere\n")))
	if b, err := os.ReadFile(h.path("main.cf")); string(b) != "ours\n" {
		t.Errorf("%q, %v", b, err)
	}
}
