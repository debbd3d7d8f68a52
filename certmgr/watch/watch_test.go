package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is for machines that are busy.
const patience = 2 * time.Minute

// A yard is a folder in which a test changes files.
type yard struct {
	t   *testing.T
	dir string
}

func newYard(t *testing.T) yard {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return yard{t, dir}
}

func (y yard) path(name string) string { return filepath.Join(y.dir, name) }

func (y yard) do(err error) {
	y.t.Helper()
	if err != nil {
		y.t.Fatal(err)
	}
}

func (y yard) write(name, content string) {
	y.t.Helper()
	y.do(os.WriteFile(y.path(name), []byte(content), 0o600))
}
func (y yard) mkdir(name string)      { y.t.Helper(); y.do(os.MkdirAll(y.path(name), 0o755)) }
func (y yard) link(to, name string)   { y.t.Helper(); y.do(os.Symlink(to, y.path(name))) }
func (y yard) rename(from, to string) { y.t.Helper(); y.do(os.Rename(y.path(from), y.path(to))) }
func (y yard) remove(name string)     { y.t.Helper(); y.do(os.RemoveAll(y.path(name))) }

// relink swaps a link as Kubernetes does: by a rename.
func (y yard) relink(to, name string) {
	y.t.Helper()
	y.link(to, name+"_tmp")
	y.rename(name+"_tmp", name)
}

// watching watches paths of the yard as target "host", with nothing but events.
func (y yard) watching(o Options, paths ...string) *Watcher {
	y.t.Helper()
	if o.Poll == 0 {
		o.Poll = time.Hour
	}
	w := New(o)
	y.t.Cleanup(w.Close)
	w.Set(y.targets(paths...))
	return w
}

// targets are the host's, and the marker's beside it.
func (y yard) targets(paths ...string) map[string][]string {
	var absolute []string
	for _, p := range paths {
		absolute = append(absolute, y.path(p))
	}
	return map[string][]string{"host": absolute, "marker": {y.path("marker")}}
}

// want waits for a signal.
func want(t *testing.T, w *Watcher, name, of string) {
	t.Helper()
	select {
	case got := <-w.Changed():
		if got != name {
			t.Fatalf("%s: %q has changed; want %q", of, got, name)
		}
	case <-time.After(patience):
		t.Fatalf("%s: nobody was told", of)
	}
}

// fast is for tests of what is noticed, not of when.
var fast = Options{quiet: 5 * time.Millisecond, storm: 50 * time.Millisecond}

// TestNoticed: what happens to files and the folders that they are in, each step a
// change of its own that is told of. Every case ends with a change of what is there
// by then: that the watches have followed.
func TestNoticed(t *testing.T) {
	type step struct {
		name string
		do   func(y yard)
	}
	write := func(name, content string) step {
		return step{"write " + name, func(y yard) { y.write(name, content) }}
	}
	for _, c := range []struct {
		name  string
		watch []string
		setup func(y yard)
		steps []step
	}{
		{"a file", []string{"certs/host.key"}, func(y yard) { y.mkdir("certs"); y.write("certs/host.key", "1") }, []step{
			write("certs/host.key", "2"),
			{"truncate", func(y yard) { y.do(os.Truncate(y.path("certs/host.key"), 0)) }},
			{"mode", func(y yard) { y.do(os.Chmod(y.path("certs/host.key"), 0o644)) }},
			{"remove", func(y yard) { y.remove("certs/host.key") }},
			write("certs/host.key", "3"),
			{"rename over it", func(y yard) { y.write("certs/.new", "4"); y.rename("certs/.new", "certs/host.key") }},
			{"replace by a link", func(y yard) { y.write("certs/real", "5"); y.remove("certs/host.key"); y.link("real", "certs/host.key") }},
			write("certs/real", "6"),
		}},
		{"a folder of links", []string{"certs"}, func(y yard) { y.mkdir("certs"); y.write("certs/ca.pem", "1") }, []step{
			{"link", func(y yard) { y.link("ca.pem", "certs/12345678.0") }},
			{"relink", func(y yard) { y.relink("other.pem", "certs/12345678.0") }},
			{"unlink", func(y yard) { y.remove("certs/12345678.0") }},
			write("certs/ca.pem", "2"),
			write("certs/new.pem", "3"),
			{"mode of the folder", func(y yard) { y.do(os.Chmod(y.path("certs"), 0o775)) }},
			write("certs/new.pem", "4"),
		}},
		{"a folder that goes and comes", []string{"a/certs", "a/certs/host.key"}, func(y yard) { y.mkdir("a/certs"); y.write("a/certs/host.key", "1") }, []step{
			{"remove", func(y yard) { y.remove("a/certs") }},
			{"make", func(y yard) { y.mkdir("a/certs") }},
			write("a/certs/host.key", "2"),
			{"rename away", func(y yard) { y.rename("a/certs", "a/old") }},
			{"rename back", func(y yard) { y.rename("a/old", "a/certs") }},
			write("a/certs/host.key", "3"),
			{"another in its place", func(y yard) {
				y.mkdir("a/b")
				y.write("a/b/host.key", "4")
				y.rename("a/certs", "a/old")
				y.rename("a/b", "a/certs")
			}},
			write("a/certs/host.key", "5"),
			{"remove from above", func(y yard) { y.remove("a") }},
			{"make with content", func(y yard) { y.mkdir("a/certs"); y.write("a/certs/host.key", "6") }},
			write("a/certs/host.key", "7"),
		}},
		{"a file in a folder that is replaced", []string{"a/certs/host.key"}, func(y yard) { y.mkdir("a/certs"); y.write("a/certs/host.key", "1") }, []step{
			{"rename away", func(y yard) { y.rename("a/certs", "a/old") }},
			{"another in its place", func(y yard) { y.mkdir("a/b"); y.write("a/b/host.key", "2"); y.rename("a/b", "a/certs") }},
			write("a/certs/host.key", "3"),
		}},
		{"nothing yet", []string{"a/b/c/host.key"}, func(y yard) {}, []step{
			{"all of it", func(y yard) { y.mkdir("a/b"); y.mkdir("a/b/c"); y.write("a/b/c/host.key", "1") }},
			write("a/b/c/host.key", "2"),
		}},
		{"kubernetes", []string{"tls.crt", "tls.key"}, func(y yard) {
			y.mkdir("..v1")
			y.write("..v1/tls.crt", "1")
			y.write("..v1/tls.key", "1")
			y.link("..v1", "..data")
			y.link("..data/tls.crt", "tls.crt")
			y.link("..data/tls.key", "tls.key")
		}, []step{
			{"swap", func(y yard) {
				y.mkdir("..v2")
				y.write("..v2/tls.crt", "2")
				y.write("..v2/tls.key", "2")
				y.relink("..v2", "..data")
				y.remove("..v1")
			}},
			write("..v2/tls.key", "3"),
		}},
		{"kubernetes, and the old version stays", []string{"tls.crt"}, func(y yard) {
			y.mkdir("..v1")
			y.mkdir("..v2")
			y.write("..v1/tls.crt", "1")
			y.write("..v2/tls.crt", "2")
			y.link("..v1", "..data")
			y.link("..data/tls.crt", "tls.crt")
		}, []step{
			{"swap", func(y yard) { y.relink("..v2", "..data") }},
			{"swap back", func(y yard) { y.relink("..v1", "..data") }},
			write("..v1/tls.crt", "3"),
		}},
		{"a folder on the way is a link", []string{"etc/mail/certs/host.key"}, func(y yard) {
			y.mkdir("srv/1/certs")
			y.mkdir("srv/2/certs")
			y.mkdir("etc")
			y.write("srv/1/certs/host.key", "1")
			y.link("../srv/1", "etc/mail")
		}, []step{
			{"to where there is no file", func(y yard) { y.relink("../srv/2", "etc/mail") }},
			write("srv/2/certs/host.key", "2"),
			{"back", func(y yard) { y.relink("../srv/1", "etc/mail") }},
		}},
		{"certbot", []string{"live/mx/fullchain.pem"}, func(y yard) {
			y.mkdir("live/mx")
			y.mkdir("archive/mx")
			y.write("archive/mx/fullchain1.pem", "1")
			y.link("../../archive/mx/fullchain1.pem", "live/mx/fullchain.pem")
		}, []step{
			{"renew", func(y yard) {
				y.write("archive/mx/fullchain2.pem", "2")
				y.relink("../../archive/mx/fullchain2.pem", "live/mx/fullchain.pem")
			}},
			write("archive/mx/fullchain2.pem", "3"),
			{"archive goes", func(y yard) { y.remove("archive") }},
			{"archive comes", func(y yard) { y.mkdir("archive/mx"); y.write("archive/mx/fullchain2.pem", "4") }},
		}},
		{"the whole folder is a link", []string{"certs", "certs/host.key"}, func(y yard) {
			y.mkdir("v1")
			y.write("v1/host.key", "1")
			y.link(y.path("v1"), "certs")
		}, []step{
			{"swap", func(y yard) { y.mkdir("v2"); y.write("v2/host.key", "2"); y.relink(y.path("v2"), "certs") }},
			write("v2/host.key", "3"),
			{"to nowhere", func(y yard) { y.relink("v3", "certs") }},
			{"which comes", func(y yard) { y.mkdir("v3"); y.write("v3/host.key", "4") }},
		}},
		{"a link to itself", []string{"loop", "loop/x"}, func(y yard) { y.link("loop", "loop") }, []step{
			{"becomes a folder", func(y yard) { y.remove("loop"); y.mkdir("loop"); y.write("loop/x", "1") }},
			write("loop/x", "2"),
		}},
		{"a file where a folder should be", []string{"a/x"}, func(y yard) { y.write("a", "") }, []step{
			{"becomes a folder", func(y yard) { y.remove("a"); y.mkdir("a"); y.write("a/x", "1") }},
			write("a/x", "2"),
		}},
		{"large", []string{"bundle.pem"}, func(y yard) { y.write("bundle.pem", strings.Repeat("a", maxHashed+1)) }, []step{
			write("bundle.pem", strings.Repeat("b", maxHashed+1)),
			write("bundle.pem", "b"),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t)
			c.setup(y)
			w := y.watching(fast, c.watch...)
			for i, s := range c.steps {
				s.do(y)
				want(t, w, "host", fmt.Sprintf("step %d, %s", i, s.name))
				y.settle(w)
			}
		})
	}
}

// settle waits until all that a step has done was looked at, and reports whether
// anybody was told of it: what is done to another target after it, and at once, is
// looked at after it, and once.
func (y yard) settle(w *Watcher) (told bool) {
	y.t.Helper()
	y.write("marker.new", time.Now().String())
	y.rename("marker.new", "marker")
	for {
		select {
		case name := <-w.Changed():
			if name == "marker" {
				return told
			}
			told = true
		case <-time.After(patience):
			y.t.Fatal("nobody was told of the marker")
		}
	}
}
