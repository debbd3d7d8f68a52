package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"mailseal/internal/durable"
	held "mailseal/internal/folder"
)

// Undone is what was put back, and what was not.
type Undone struct {
	Restored []string // files as they were
	Removed  []string // files that were not there before
	// Left are files that somebody else has changed since.
	Left []string
	// Kept are copies of what Force has overwritten.
	Kept []string
}

// Nothing reports whether all was as before already.
func (u Undone) Nothing() bool { return len(u.Restored)+len(u.Removed)+len(u.Left) == 0 }

// An Undoing says how a setup is taken back.
type Undoing struct {
	Name string
	// Force puts back what somebody else has changed since.
	Force bool
	// Ours are the sums of what package certmgr installed last, by path: its
	// renewals are no changes of somebody else.
	Ours map[string]string
	// Plan tells what would be done, and changes nothing.
	Plan bool
	// FilesOnly leaves the edits: what package certmgr has made is taken back.
	FilesOnly bool
}

// Undo puts back what the setup of a target has changed. The key, the certificate
// and what belongs to them are put back all or not at all. What is said in the
// journal stays until Forget, so that a second Undo goes on where the first was
// killed.
func (j *Journal) Undo(o Undoing) (Undone, error) {
	r, err := j.Record(o.Name)
	if err != nil {
		return Undone{}, err
	}
	var u Undone
	if o.FilesOnly {
		r.Edits = nil
	}
	edits, left := o.foreign(r.Edits)
	u.Left = append(u.Left, left...)
	files, left := o.foreign(r.Files)
	if len(left) > 0 { // a key without its certificate is of no use
		files = nil
	}
	u.Left = append(u.Left, left...)
	for _, c := range slices.Concat(edits, files) {
		if err := j.restore(o, r, c, &u); err != nil {
			return u, err
		}
	}
	if !o.Plan && len(left) == 0 && r.Dir.Path != "" {
		return u, r.Dir.restore()
	}
	return u, nil
}

// Forget removes what the journal has about a target.
func (j *Journal) Forget(name string) error {
	return errors.Join(durable.Remove(j.path(name, ".json")), os.RemoveAll(j.path(name, ".d")))
}

// foreign tells the changes that can be taken back from the files that somebody
// else has changed since.
func (o Undoing) foreign(all []change) (back []change, left []string) {
	for _, c := range all {
		_, content, err := readFile(c.Path)
		now := ""
		if err == nil {
			now = sum([]byte(content))
		}
		switch was := c.sum(); {
		case o.Force, now == was, now == c.After && now != "", o.Ours[c.Path] != "" && now == o.Ours[c.Path]:
			back = append(back, c)
		case now == "" && errors.Is(err, fs.ErrNotExist) && c.After == "" && o.Ours[c.Path] == "":
			back = append(back, c) // taken away, and not by us: what was comes back
		default:
			left = append(left, c.Path)
		}
	}
	return back, left
}

// sum is that of the file before, "" where there was none.
func (c change) sum() string {
	if c.Before == nil {
		return ""
	}
	return c.Before.Sum
}

func (j *Journal) restore(o Undoing, r Record, c change, u *Undone) error {
	if !o.Plan {
		if err := tidy(c.Path); err != nil {
			return err
		}
	}
	_, content, err := readFile(c.Path)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case err != nil && !missing:
		return err
	case missing && c.Before == nil, !missing && sum([]byte(content)) == c.sum():
		return nil
	}
	if now := sum([]byte(content)); o.Force && !missing && now != c.After && now != o.Ours[c.Path] {
		copied := spare(c.Path, content)
		u.Kept = append(u.Kept, copied)
		if !o.Plan {
			if err := durable.WriteFile(copied, []byte(content), 0o600); err != nil {
				return err
			}
		}
	}
	if c.Before == nil {
		u.Removed = append(u.Removed, c.Path)
		if o.Plan {
			return nil
		}
		return durable.Remove(c.Path)
	}
	u.Restored = append(u.Restored, c.Path)
	if o.Plan {
		return nil
	}
	before, err := os.ReadFile(filepath.Join(j.path(r.Name, ".d"), c.Before.File))
	if err != nil {
		return err
	}
	if sum(before) != c.Before.Sum {
		return fmt.Errorf("%s in the journal is not what was kept of %s; put that back by hand", c.Before.File, c.Path)
	}
	if c.Link != "" {
		return errors.Join(durable.Remove(c.Path), os.Symlink(c.Link, c.Path), durable.SyncDir(filepath.Dir(c.Path)))
	}
	return durable.WriteFileAs(c.Path, before, c.Mode, c.UID, c.GID)
}

// spare is the name of a copy of what a file holds, beside it: one that has nothing
// else.
func spare(path, content string) string {
	for n := 1; ; n++ {
		name := path + ".mailseal-undo"
		if n > 1 {
			name = fmt.Sprintf("%s.%d", name, n)
		}
		if _, there, err := readFile(name); err == nil && there == content || !exists(name) {
			return name
		}
	}
}

// restore makes the links what they were, and the folder's mode. The folder above
// may be the server's own user's, who could put a link in this one's place.
func (f folder) restore() error {
	if !exists(f.Path) {
		return nil
	}
	now, err := inspectFolder(f.Path, f.Names)
	if err != nil {
		return err
	}
	dir, err := held.Open(f.Path)
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, name := range slices.Sorted(maps.Keys(now.Links)) {
		if f.Links[name] != now.Links[name] {
			if err := dir.Remove(name); err != nil {
				return err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Links)) {
		if f.Links[name] != now.Links[name] {
			if err := dir.Symlink(f.Links[name], name); err != nil {
				return err
			}
		}
	}
	if !f.Was {
		if left, err := os.ReadDir(f.Path); err == nil && len(left) == 0 {
			return durable.Remove(f.Path)
		}
		return nil
	}
	if now.Mode != f.Mode || now.UID != f.UID {
		itself, err := dir.Itself()
		if err != nil {
			return err
		}
		if err := errors.Join(itself.Chown(f.UID, -1), itself.Chmod(f.Mode), itself.Close()); err != nil {
			return err
		}
	}
	return dir.Sync()
}

// Unchanged reports whether a file is as its sum says.
func Unchanged(path string, sums map[string]string) bool {
	_, content, err := readFile(path)
	return err == nil && sums[path] == sum([]byte(content))
}

// Revert takes back the edits of one run, where earlier ones stay: the server's
// settings as they were before it. Files that package certmgr has made stay, as
// they were there before.
func (j *Journal) Revert(job Job) (Undone, error) {
	r, err := j.Record(job.Name)
	if err != nil {
		return Undone{}, err
	}
	var u Undone
	for _, e := range slices.Backward(job.Edits) {
		_, now, err := readFile(e.Path)
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return u, err
		case err == nil && now == string(e.Before), err != nil && !e.Existed:
			continue
		case now != string(e.After):
			u.Left = append(u.Left, e.Path)
			continue
		}
		if !e.Existed {
			u.Removed = append(u.Removed, e.Path)
			err = durable.Remove(e.Path)
		} else {
			u.Restored = append(u.Restored, e.Path)
			err = replace(e.Path, e.Before, 0)
		}
		if err != nil {
			return u, err
		}
		of(r.Edits, e.Path).After = sum(e.Before)
	}
	r.Done = true
	return u, j.write(r)
}
