package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// seen is what somebody sees of a path who looks at it in the plainest way.
func seen(path string) string {
	l, err := os.Readlink(path)
	fi, err2 := os.Stat(path)
	if err2 != nil {
		return fmt.Sprint("none", l, err == nil)
	}
	content := ""
	if fi.Mode().IsRegular() {
		b, err := os.ReadFile(path)
		content = fmt.Sprint(string(b), err)
	}
	return fmt.Sprint(l, err == nil, fi.Mode(), content)
}

// TestNoneIsMissed: whatever happens in a tree of folders, files and links, somebody
// who looks at paths and finds another state than before has been told, without a
// poll.
func TestNoneIsMissed(t *testing.T) {
	parts := []string{"a", "b", "a/a", "a/b", "b/a", "b/b", "a/a/a", "a/b/a", "b/a/b", "c", "c/a", "c/b"}
	interest := []string{"a/a", "a/b/a", "b/a/b", "b"}
	rapid.Check(t, func(r *rapid.T) {
		y := newYard(t)
		for _, dir := range []string{"a/b", "b/a", "c/a", "c/b"} {
			if rapid.Bool().Draw(r, dir) {
				y.mkdir(dir)
				y.write(dir+"/a", "0")
			}
		}
		w := New(Options{Poll: time.Hour, quiet: time.Millisecond, storm: 10 * time.Millisecond})
		defer w.Close()
		w.Set(y.targets(interest...))
		look := func() string {
			s := ""
			for _, name := range interest {
				s += name + ":" + seen(y.path(name)) + "\n"
			}
			return s
		}
		name := rapid.SampledFrom(parts)
		before := look()
		for i := range rapid.IntRange(1, 12).Draw(r, "steps") {
			did := ""
			for range rapid.IntRange(1, 3).Draw(r, "at once") {
				p, q := y.path(name.Draw(r, "name")), name.Draw(r, "other")
				// An error is no change.
				switch op := rapid.SampledFrom([]string{"mkdir", "write", "write", "remove", "rename", "link", "link", "chmod"}).Draw(r, "operation"); op {
				case "mkdir":
					did += fmt.Sprintln(op, p, os.Mkdir(p, 0o755))
				case "write":
					did += fmt.Sprintln(op, p, os.WriteFile(p, fmt.Append(nil, i), 0o600))
				case "remove":
					did += fmt.Sprintln(op, p, os.RemoveAll(p))
				case "rename":
					did += fmt.Sprintln(op, p, q, os.Rename(p, y.path(q)))
				case "link":
					to, err := filepath.Rel(filepath.Dir(p), y.path(q))
					did += fmt.Sprintln(op, p, to, err, os.Symlink(to, p))
				case "chmod":
					fi, err := os.Lstat(p)
					if err == nil && fi.Mode().Type() == 0 {
						err = os.Chmod(p, 0o600+(fi.Mode()^0o040)&0o040)
					}
					did += fmt.Sprintln(op, p, err)
				}
			}
			after := look()
			if told := y.settle(w); after != before && !told {
				r.Fatalf("nobody was told of\n%sfrom\n%sto\n%s", did, before, after)
			}
			before = after
		}
	})
}
