package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// bench has ours/, which nobody else can change, with a file secret in it and a
// folder below, and theirs/, which everybody can, with a file and a folder below.
func bench(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	do(t, os.Chmod(dir, 0o755)) // whatever the umask
	for _, name := range []string{"ours/below", "theirs/below"} {
		do(t, os.MkdirAll(filepath.Join(dir, name), 0o755))
		do(t, os.WriteFile(filepath.Join(dir, name, "f"), []byte(name), 0o644))
	}
	do(t, os.WriteFile(filepath.Join(dir, "ours/secret"), []byte("secret"), 0o600))
	do(t, os.WriteFile(filepath.Join(dir, "theirs/f"), []byte("theirs"), 0o644))
	do(t, os.Chmod(filepath.Join(dir, "theirs"), 0o777))
	return dir
}

func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Links and other names are followed where nobody else can have made them.
func TestRead(t *testing.T) {
	dir := bench(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, to := range map[string]string{
		"ours/l": "secret", "ours/up": "../ours/./secret", "ours/far": at("ours/secret"), "ours/gone": "nowhere", "ours/self": "self",
		"ours/dir": "below", "ours/there": "../theirs", "ours/byway": "../theirs/l",
		"theirs/l": "../ours/secret", "theirs/dir": "../ours", "theirs/below/l": "../../ours/secret",
	} {
		do(t, os.Symlink(to, at(name)))
	}
	do(t, os.Link(at("ours/secret"), at("theirs/hard")))
	do(t, os.Link(at("ours/secret"), at("ours/hard")))
	do(t, syscall.Mkfifo(at("ours/fifo"), 0o600))
	do(t, os.MkdirAll(at("sticky"), 0o700))
	do(t, os.Chmod(at("sticky"), 0o777|fs.ModeSticky))
	do(t, os.WriteFile(at("sticky/f"), []byte("sticky"), 0o600))
	do(t, os.Symlink("f", at("sticky/l")))
	do(t, os.Link(at("ours/secret"), at("sticky/hard")))
	do(t, os.WriteFile(at("ours/large"), make([]byte, 101), 0o600))
	for _, tt := range []struct {
		name, want string
		err        error
	}{
		{"ours/secret", "secret", nil},
		{"ours/l", "secret", nil},
		{"ours/up", "secret", nil},
		{"ours/far", "secret", nil},
		{"ours/hard", "secret", nil},
		{"ours/dir/f", "ours/below", nil},
		{"ours/there/f", "theirs", nil},
		{"theirs/f", "theirs", nil},
		{"theirs/below/f", "theirs/below", nil},
		{"sticky/f", "sticky", nil},
		{"sticky/l", "sticky", nil},
		{"ours/gone", "", fs.ErrNotExist},
		{"ours/self", "", syscall.ELOOP},
		{"ours/f/g", "", fs.ErrNotExist},
		{"ours/secret/g", "", syscall.ENOTDIR},
		{"ours/fifo", "", ErrNoFile},
		{"ours/below", "", ErrNoFile},
		{"ours/byway", "", ErrLed},
		{"theirs/l", "", ErrLed},
		{"theirs/dir/secret", "", ErrLed},
		{"theirs/below/l", "", ErrLed},
		{"theirs/hard", "", ErrLed},
		{"sticky/hard", "", ErrLed},
	} {
		got, _, err := Read(at(tt.name), 100)
		if real, rerr := Real(at(tt.name)); errors.Is(tt.err, ErrLed) != errors.Is(rerr, ErrLed) && filepath.Base(tt.name) != "hard" {
			t.Errorf("%s: is %q, %v", tt.name, real, rerr)
		} else if want, err := filepath.EvalSymlinks(at(tt.name)); rerr == nil && err == nil && real != want {
			t.Errorf("%s: is %q, want %q", tt.name, real, want)
		}
		if string(got) != tt.want || !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
			t.Errorf("%s: %q, %v; want %q, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
	if _, _, err := Read(at("ours/large"), 100); err == nil {
		t.Error("a large file was read")
	}
	if _, _, err := Read("/", 100); !errors.Is(err, ErrNoFile) {
		t.Errorf("/: %v", err)
	}
}

// However fast a file becomes a FIFO, it is not waited for.
func TestReadOfWhatBecomesAFIFO(t *testing.T) {
	dir := bench(t)
	at := func(name string) string { return filepath.Join(dir, "theirs", name) }
	do(t, syscall.Mkfifo(at("fifo"), 0o600))
	end := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			for _, from := range []string{"f", "fifo"} {
				_ = os.Link(at(from), at("new"))
				_ = os.Rename(at("new"), at("x"))
			}
			select {
			case <-end:
				return
			default:
			}
		}
	}()
	looks := make(chan struct{})
	go func() {
		defer close(looks)
		for range 2000 {
			_, _, _ = Read(at("x"), 100)
		}
	}()
	select {
	case <-looks:
	case <-time.After(2 * time.Minute):
		t.Error("a FIFO is waited for")
	}
	close(end)
	<-ended
}

func TestWrite(t *testing.T) {
	dir := bench(t)
	do(t, os.Symlink("../ours", filepath.Join(dir, "theirs/dir")))
	if f, err := Open(filepath.Join(dir, "theirs/dir")); !errors.Is(err, ErrLed) {
		t.Errorf("%v, %v", f, err)
	}
	if err := Make(filepath.Join(dir, "theirs/dir/new/newer"), 0o755); !errors.Is(err, ErrLed) {
		t.Errorf("folder made: %v", err)
	}
	made := filepath.Join(dir, "theirs/new/newer")
	do(t, Make(made, 0o750))
	do(t, Make(made, 0o750))
	f, err := Open(made)
	do(t, err)
	defer f.Close()
	// Another folder in its place changes nothing.
	do(t, os.Rename(made, made+".old"))
	do(t, os.Symlink(filepath.Join(dir, "ours"), made))
	file, err := f.Create(".new")
	do(t, err)
	_, err = file.WriteString("new")
	do(t, errors.Join(err, file.Close()))
	if _, err := f.Create(".new"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made again: %v", err)
	}
	do(t, f.Symlink("elsewhere", "to"))
	do(t, f.Rename(".new", "to"))
	do(t, f.Symlink("to", "link"))
	do(t, f.Remove("gone"))
	do(t, f.Sync())
	if to, err := f.Readlink("link"); to != "to" || err != nil {
		t.Errorf("link to %q, %v", to, err)
	}
	if content, _, err := Read(made+".old/to", 100); string(content) != "new" || err != nil {
		t.Errorf("%q, %v", content, err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "ours")); len(left) != 2 || err != nil {
		t.Errorf("in ours/: %v, %v", left, err)
	}
	if info := f.Info(); info.UID != os.Geteuid() || !info.Mode.IsDir() {
		t.Errorf("%+v", info)
	}
}

func TestGuarded(t *testing.T) {
	dir := bench(t)
	do(t, os.Mkdir(filepath.Join(dir, "sticky"), 0o700))
	do(t, os.Chmod(filepath.Join(dir, "sticky"), 0o777|fs.ModeSticky))
	do(t, os.Mkdir(filepath.Join(dir, "sticky/ours"), 0o700))
	for name, want := range map[string]error{"ours/below": nil, "sticky/ours": nil, "sticky": ErrLed, "theirs": ErrLed, "theirs/below": ErrLed} {
		f, err := Open(filepath.Join(dir, name))
		do(t, err)
		if err := f.Guarded(); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		f.Close()
	}
}
