package setup

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	held "mailseal/internal/folder"
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
