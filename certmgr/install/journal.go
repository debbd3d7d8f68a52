package install

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"mailseal/certmgr/hashdir"
	"mailseal/internal/durable"
	"mailseal/internal/folder"
)

// A Journal is the folder in which it stands what is being installed, what was,
// and what was replaced that was not ours:
//
//	install/NAME.journal   while NAME's files are changed
//	install/NAME.sums      SHA-256 of what was installed last, by path
//	install/lock           held (flock) meanwhile
//	replaced/TIME-NAME/    files that were somebody else's
//
// Several processes may have the same one.
type Journal struct{ dir string }

// NewJournal takes a folder, which is made when it is needed.
func NewJournal(dir string) *Journal { return &Journal{dir} }

// An entry is what stands in NAME.journal. Until it is ready, its new files may
// be incomplete and are removed by who finds them; from then on they belong in
// their places.
type entry struct {
	Ready   bool     `json:"ready"`
	Files   []moved  `json:"files"`
	Dir     string   `json:"dir,omitempty"`
	Bundles []string `json:"bundles,omitempty"`
	// Links are those of Dir that lead to a file elsewhere, by name.
	Links map[string]string `json:"links,omitempty"`
}

type moved struct {
	New  string `json:"new"` // "" when it is in its place
	Path string `json:"path"`
	Sum  string `json:"sum,omitempty"` // "" where the content is not ours
}

func (j *Journal) path(name, ending string) string {
	return filepath.Join(j.dir, "install", name+ending)
}

// locked does something while nobody else installs.
func (j *Journal) locked(do func() error) error {
	if err := os.MkdirAll(filepath.Join(j.dir, "install"), 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(j.dir, "install", "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	for err = syscall.EINTR; errors.Is(err, syscall.EINTR); {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	return do()
}

// repaired does something about one target, after what was cut short there has
// been put right. What another target is left with is no hindrance.
func (j *Journal) repaired(name string, do func() error) error {
	return j.locked(func() error {
		if err := j.repairOne(name); err != nil {
			return fmt.Errorf("%s: %w", j.path(name, ".journal"), err)
		}
		return do()
	})
}

// Repair ends what a process that was killed has begun: either all of it, or,
// where its files were not complete, none. It belongs before the server starts.
func (j *Journal) Repair() error {
	if _, err := os.Lstat(filepath.Join(j.dir, "install")); errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was ever begun
	}
	return j.locked(j.repair)
}

func (j *Journal) repair() error {
	names, err := filepath.Glob(j.path("*", ".journal"))
	if err != nil {
		return err
	}
	var failed error
	for _, path := range names {
		name := strings.TrimSuffix(filepath.Base(path), ".journal")
		if err := j.repairOne(name); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", path, err))
		}
	}
	return failed
}

func (j *Journal) repairOne(name string) error {
	b, err := os.ReadFile(j.path(name, ".journal"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var e entry
	if err := json.Unmarshal(b, &e); err != nil {
		return fmt.Errorf("%w; look at it, then remove it", err)
	}
	if !e.Ready {
		return j.abandon(name, e)
	}
	// A folder may be gone since, and so is what was in it.
	e.Files = slices.DeleteFunc(e.Files, func(m moved) bool { return !exists(filepath.Dir(m.Path)) })
	for i, m := range e.Files {
		if !exists(m.New) {
			e.Files[i].New = ""
		}
	}
	if !exists(e.Dir) {
		e.Dir = ""
	}
	return j.complete(name, e)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// begin writes what is about to be done, or that it is ready.
func (j *Journal) begin(name string, e entry) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return durable.WriteFile(j.path(name, ".journal"), b, 0o600)
}

// abandon removes new files that are in nobody's place yet.
func (j *Journal) abandon(name string, e entry) error {
	for _, m := range e.Files {
		err := within(m.New, func(f *folder.Folder, name string) error { return f.Remove(name) })
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return durable.Remove(j.path(name, ".journal"))
}

// complete renames new files to their places.
func (j *Journal) complete(name string, e entry) error {
	for _, m := range e.Files {
		if m.New == "" {
			continue
		}
		err := within(m.Path, func(f *folder.Folder, name string) error { return f.Rename(filepath.Base(m.New), name) })
		if err != nil {
			return err
		}
	}
	for _, m := range e.Files {
		if err := within(m.Path, func(f *folder.Folder, _ string) error { return f.Sync() }); err != nil {
			return err
		}
	}
	if e.Dir != "" {
		if err := point(e.Dir, e.Links); err != nil {
			return err
		}
		links, err := hashdir.Inspect(e.Dir, hashdir.Options{Bundles: e.Bundles})
		if err != nil {
			return err
		}
		if err := hashdir.Apply(e.Dir, links); err != nil {
			return err
		}
	}
	sums, err := j.sums(name)
	if err != nil {
		return err
	}
	before := maps.Clone(sums)
	for _, m := range e.Files {
		if sums[m.Path] = m.Sum; m.Sum == "" {
			delete(sums, m.Path)
		}
	}
	if !maps.Equal(sums, before) {
		b, err := json.Marshal(sums)
		if err != nil {
			return err
		}
		if err := durable.WriteFile(j.path(name, ".sums"), b, 0o600); err != nil {
			return err
		}
	}
	return durable.Remove(j.path(name, ".journal"))
}

// within does something in a file's folder.
func within(path string, do func(f *folder.Folder, name string) error) error {
	f, err := folder.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer f.Close()
	return do(f, filepath.Base(path))
}

// point makes the links of a folder that have a name of their own, and removes
// those that lead nowhere.
func point(dir string, links map[string]string) error {
	f, err := folder.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	changed := false
	for _, name := range slices.Sorted(maps.Keys(links)) {
		to := links[name]
		if !inspectLink(filepath.Join(dir, name)).differs(to) {
			continue
		}
		changed = true
		if to == "" {
			if err := f.Remove(name); err != nil {
				return err
			}
			continue
		}
		tmp := "." + name + ".mailseal"
		if err := errors.Join(f.Remove(tmp), f.Symlink(to, tmp)); err != nil {
			return err
		}
		if err := f.Rename(tmp, name); err != nil {
			return errors.Join(err, f.Remove(tmp))
		}
	}
	if !changed {
		return nil
	}
	return f.Sync()
}

// sums are those of what was installed last.
func (j *Journal) sums(name string) (map[string]string, error) {
	b, err := os.ReadFile(j.path(name, ".sums"))
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, err
	}
	sums := map[string]string{}
	if err := json.Unmarshal(b, &sums); err != nil {
		return nil, fmt.Errorf("%s: %w; remove it: then every file counts as somebody else's", j.path(name, ".sums"), err)
	}
	return sums, nil
}
