package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, content := range []string{"first", "", "third\n"} {
		if err := WriteFile(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		wantFile(t, path, content, 0o640)
	}
	wantNames(t, dir, "f")
}

func TestModeIsExactWhateverTheUmask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	path := filepath.Join(t.TempDir(), "f")
	if err := WriteFile(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "x", 0o644)
}

func TestCreateNeverReplaces(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := Create(path, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := Create(path, []byte("two"), 0o644)
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("second Create: %v, want fs.ErrExist", err)
	}
	wantFile(t, path, "one", 0o600)
	wantNames(t, dir, "f")
}

func TestAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := Append(path, []byte("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Append to a file that is not there: %v", err)
	}
	if err := WriteFile(path, []byte("a\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Append(path, []byte("b\n")); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "a\nb\n", 0o644)
}

// A write that fails leaves neither a part of it nor a temporary file.
func TestFailedWriteLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	sub := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(sub, "inside"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(sub, []byte("x"), 0o644); err == nil {
		t.Error("a folder was replaced by a file")
	}
	if err := WriteFile(filepath.Join(dir, "no/such"), nil, 0o644); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("WriteFile in a folder that is not there: %v", err)
	}
	wantNames(t, dir, "taken")
}

func TestAppendOnFullDiskTakesItsPartBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := WriteFile(path, []byte("kept\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// RLIMIT_FSIZE cuts a write short as a full disk does.
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Skip("no RLIMIT_FSIZE:", err)
	}
	small := old
	small.Cur = 8
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		t.Skip("RLIMIT_FSIZE cannot be set:", err)
	}
	err := Append(path, []byte("more than fits\n"))
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err == nil {
		t.Error("Append wrote beyond the limit")
	}
	wantFile(t, path, "kept\n", 0o644)
}

func TestRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Remove(path); err != nil {
			t.Error(err)
		}
	}
}

func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	left, err := writeTemp(filepath.Join(dir, "f"), []byte("x"), 0o600, -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writeTemp(filepath.Join(dir, "other"), nil, 0o600, -1, -1); err != nil {
		t.Fatal(err)
	}
	got, err := Leftovers(filepath.Join(dir, "f"))
	if err != nil || len(got) != 1 || got[0] != left {
		t.Errorf("Leftovers = %q, %v; want %q", got, err, left)
	}
}

func wantFile(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != content {
		t.Errorf("%s holds %q, want %q", path, b, content)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != mode {
		t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), mode)
	}
}

func wantNames(t *testing.T, dir, names string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != names {
		t.Errorf("%s holds %q, want %q", dir, got, names)
	}
}
