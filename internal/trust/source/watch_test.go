package source

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"mailseal/internal/trust"
)

// run opens a watcher and follows until the test ends.
func (f folder) run(c Config) (*Watcher, *journal) {
	f.Helper()
	j := newJournal()
	w, err := Open(off(c))
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx, j.log())
	}()
	f.Cleanup(func() { cancel(); <-done })
	return w, j
}

// A step changes files; then a line with the words is in the log, and these are
// trusted.
type step struct {
	name string
	do   func(f folder)
	line []string
	want string
}

func (f folder) follow(w *Watcher, j *journal, steps []step) {
	f.Helper()
	for _, s := range steps {
		s.do(f)
		j.next(f.T, s.line...)
		if got := trusted(w, ""); got != s.want {
			f.Errorf("%s: %q are trusted; want %q", s.name, got, s.want)
		}
	}
}

var (
	reloaded = []string{"msg=reloaded", "what=trust"}
	kept     = []string{`msg="kept the old files"`, "what=trust"}
)

// changes are what happens to a folder, in the order of a long day.
var changes = []step{
	{"another file", func(f folder) { f.write("ca.d/two.pem", certs("two")) }, append(reloaded, "count=2"), "one two"},
	{"replaced by another", func(f folder) { f.replace("ca.d/two.pem", certs("three")) }, append(reloaded, "count=2"), "one three"},
	{"broken", func(f folder) { f.replace("ca.d/two.pem", certs("two")[:200]) }, append(kept, "two.pem: PEM block 1 is damaged"), "one three"},
	{"beside what is broken", func(f folder) { f.replace("ca.d/one.pem", certs("one", "two")) }, append(reloaded, "count=3"), "one two three"},
	{"mended", func(f folder) { f.replace("ca.d/two.pem", certs("two", "three")) }, append(reloaded, "count=4"), "one two three"},
	{"emptied", func(f folder) { f.write("ca.d/two.pem", "") }, append(kept, "two.pem"), "one two three"},
	{"removed", func(f folder) { f.must(os.Remove(f.in("ca.d/two.pem"))) }, append(reloaded, "count=2"), "one two"},
	{"one taken out of a file", func(f folder) { f.write("ca.d/one.pem", certs("one")) }, append(reloaded, "count=1"), "one"},
	{"the folder is gone", func(f folder) { f.must(os.Rename(f.in("ca.d"), f.in("away"))) }, append(kept, "ca.d: no such file"), "one"},
	{"another folder", func(f folder) { f.write("new/two.pem", certs("two")); f.must(os.Rename(f.in("new"), f.in("ca.d"))) }, append(reloaded, "count=1"), "two"},
	{"in that one", func(f folder) { f.write("ca.d/three.pem", certs("three")) }, append(reloaded, "count=2"), "two three"},
	{"the last is removed", func(f folder) {
		f.must(errors.Join(os.Remove(f.in("ca.d/two.pem")), os.Remove(f.in("ca.d/three.pem"))))
	}, append(reloaded, "count=0"), ""},
}

func TestFolder(t *testing.T) {
	f := newFolder(t)
	f.write("ca.d/one.pem", certs("one"))
	w, j := f.run(Config{Mail: []string{f.in("ca.d")}, Poll: time.Hour})
	f.follow(w, j, changes)
}

// Over NFS nobody tells of changes. Polls find the same.
func TestPolls(t *testing.T) {
	f := newFolder(t)
	f.write("ca.d/one.pem", certs("one"))
	j := newJournal()
	w, err := Open(off(Config{Mail: []string{f.in("ca.d")}}))
	f.must(err)
	w.log = j.log()
	for _, s := range changes {
		s.do(f)
		w.look(false)
		j.next(t, s.line...)
		if got := trusted(w, ""); got != s.want {
			t.Errorf("%s: %q are trusted; want %q", s.name, got, s.want)
		}
		for range 2 {
			w.look(false)
		}
		if s := j.String(); s != "" {
			t.Errorf("told again: %s", s)
		}
	}
}

// The poll's own turn, without any notice: what it watches is not where the change is.
func TestPollTurns(t *testing.T) {
	f := newFolder(t)
	f.write("elsewhere/deep/ca.pem", certs("one"))
	f.must(os.Symlink("deep/ca.pem", f.in("elsewhere/link.pem")))
	f.must(os.Mkdir(f.in("ca.d"), 0o700))
	f.must(os.Symlink(f.in("elsewhere/link.pem"), f.in("ca.d/ca.pem")))
	w, j := f.run(Config{Mail: []string{f.in("ca.d")}, Poll: 10 * time.Millisecond})
	f.follow(w, j, []step{
		{"far away", func(f folder) { f.replace("elsewhere/deep/ca.pem", certs("two")) }, reloaded, "two"},
	})
}

// Kubernetes mounts files as links to ..data/FILE, and ..data is a link that is
// swapped. Other people have one link, to a folder or to a file.
func TestSwappedLinks(t *testing.T) {
	for _, tt := range []struct {
		name, from string
		link       map[string]string
	}{
		{"kubernetes, the folder", "ca.d", map[string]string{"ca.d/..data": "..v1", "ca.d/ca.pem": "..data/ca.pem"}},
		{"kubernetes, the file", "ca.d/ca.pem", map[string]string{"ca.d/..data": "..v1", "ca.d/ca.pem": "..data/ca.pem"}},
		{"a folder", "current", map[string]string{"current": "ca.d/..v1"}},
		{"a file", "current.pem", map[string]string{"current.pem": "ca.d/..v1/ca.pem"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFolder(t)
			f.write("ca.d/..v1/ca.pem", certs("one"))
			f.write("ca.d/..v2/ca.pem", certs("two"))
			for name, to := range tt.link {
				f.must(os.Symlink(to, f.in(name)))
			}
			swap := func(to string) func(f folder) {
				return func(f folder) {
					for name, from := range tt.link {
						if strings.Contains(from, "..v1") {
							f.must(os.Symlink(strings.ReplaceAll(from, "..v1", to), f.in("tmp")))
							f.must(os.Rename(f.in("tmp"), f.in(name)))
						}
					}
				}
			}
			w, j := f.run(Config{Mail: []string{f.in(tt.from)}, Poll: time.Hour})
			f.follow(w, j, []step{
				{"swapped", swap("..v2"), reloaded, "two"},
				{"where it leads now", func(f folder) { f.replace("ca.d/..v2/ca.pem", certs("three")) }, reloaded, "three"},
				{"swapped back", swap("..v1"), reloaded, "one"},
			})
		})
	}
}

// A single file may be replaced, be gone for a while, and come back.
func TestFile(t *testing.T) {
	f := newFolder(t)
	f.write("ca.pem", certs("one"))
	w, j := f.run(Config{Mail: []string{f.in("ca.pem")}, Poll: time.Hour})
	f.follow(w, j, []step{
		{"replaced", func(f folder) { f.replace("ca.pem", certs("two")) }, reloaded, "two"},
		{"gone", func(f folder) { f.must(os.Remove(f.in("ca.pem"))) }, append(kept, "no such file"), "two"},
		{"back", func(f folder) { f.write("ca.pem", certs("three")) }, reloaded, "three"},
	})
}

// All kinds of files are followed, also those that were not there at first.
func TestKinds(t *testing.T) {
	f := newFolder(t)
	leaf := string(authorities()["three"].leaf.Raw)
	for _, dir := range []string{"partner", "pinned"} {
		f.must(os.Mkdir(f.in(dir), 0o700))
	}
	f.write("bundle.pem", certs("one"))
	w, j := f.run(Config{
		Mail: []string{f.in("ca.d")}, System: true, SystemFiles: []string{f.in("none"), f.in("bundle.pem")}, CRLs: []string{f.in("crl.d")},
		Domains: map[string][]string{".example": {f.in("partner")}}, Pinned: []string{f.in("pinned")}, Optional: []Kind{Mail, CRLs}, Poll: time.Hour,
	})
	f.follow(w, j, []step{
		{"a folder that was not there", func(f folder) { f.write("new/two.pem", certs("two")); f.must(os.Rename(f.in("new"), f.in("ca.d"))) }, append(reloaded, "count=1"), "one two"},
		{"pinned", func(f folder) { f.write("pinned/leaf.der", leaf) }, []string{"msg=reloaded", "what=pinned", "count=1"}, "one two three"},
		{"pinned no more", func(f folder) { f.must(os.Remove(f.in("pinned/leaf.der"))) }, []string{"msg=reloaded", "what=pinned", "count=0"}, "one two"},
		{"the system's", func(f folder) { f.replace("bundle.pem", certs("three")) }, []string{"msg=reloaded", "what=system_trust", "count=1"}, "two three"},
		{"a domain's", func(f folder) { f.write("partner/one.pem", certs("one")) }, []string{"msg=reloaded", "what=domain_cas", "count=1"}, "two three"},
		{"CRLs", func(f folder) {
			f.write("new/a.crl", crl(f.T, "one", 1)+crl(f.T, "two", 1))
			f.must(os.Rename(f.in("new"), f.in("crl.d")))
		}, []string{"msg=reloaded", "what=crls", "count=2"}, "two three"},
	})
	if got := trusted(w, "partner.example"); got != "one two three" {
		t.Errorf("of the domain %q are trusted", got)
	}
}

// Who has begun a mail ends it with the same anchors, and CAs that change leave the
// CRLs alone.
func TestSnapshot(t *testing.T) {
	f := newFolder(t)
	f.write("ca.pem", certs("one"))
	f.write("crl.pem", crl(t, "one", 1))
	w, err := Open(off(Config{Mail: []string{f.in("ca.pem")}, CRLs: []string{f.in("crl.pem")}}))
	f.must(err)
	before, lists := w.Anchors(), w.lists
	f.replace("ca.pem", certs("two"))
	w.look(true)
	if got := trusted(before, "") + ", " + trusted(w, ""); got != "one, two" {
		t.Error(got)
	}
	if w.lists != lists {
		t.Error("the CRLs are read anew")
	}
	f.replace("crl.pem", crl(t, "one", 2))
	w.look(true)
	if w.lists == lists {
		t.Error("the CRLs are the old ones")
	}
}

var _ interface{ Anchors() *trust.Anchors } = (*Watcher)(nil)
