package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"mailseal/internal/durable"
	"mailseal/internal/folder"
)

// ErrUnsound: the files that were there before are no better than the new ones.
var ErrUnsound = errors.New("the files before were themselves wrong")

// ErrChanged: a file is no longer as it was when it was looked at.
var ErrChanged = errors.New("was changed meanwhile by somebody else")

// Installed is what can be taken back.
type Installed struct {
	journal *Journal
	target  Target
	before  State
	sums    map[string]string // before
	roles   []Role
	now     time.Time
	// Kept is the folder with copies of what was not ours, "" for none.
	Kept string
	// Map is why Postfix's table could not be made of the new files, nil when
	// it was, or when there is none. It still has the old ones.
	Map error
}

// Install puts contents into a target's files, and its hash links right. Where
// it returns an error nothing was changed, or Repair has the rest to do.
func (j *Journal) Install(t Target, c Contents, s State, now time.Time) (*Installed, error) {
	done := &Installed{journal: j, target: t, before: s, now: now}
	err := j.repaired(t.Name, func() error {
		if err := t.check(c, s, now); err != nil {
			return err
		}
		var err error
		if done.sums, err = j.sums(t.Name); err != nil {
			return err
		}
		if done.Kept, err = j.keep(t, c, s, done.sums, now); err != nil {
			return err
		}
		if err := t.makeDirs(c); err != nil {
			return err
		}
		return j.place(t, c, func(r Role) string { return fingerprint(c[r]) })
	})
	if err != nil {
		return nil, fmt.Errorf("install %s: %w", t.Name, err)
	}
	done.Map = j.remap(t)
	for _, r := range roles {
		if _, ok := c[r]; ok {
			done.roles = append(done.roles, r)
		}
	}
	return done, nil
}

// RollBack puts the files back that were there before. The error is ErrUnsound
// where a server could not have worked with them; then the new ones stay. What was
// missing before is not removed.
func (i *Installed) RollBack() error {
	key, cert := i.target.pair()
	paths := []string{i.target.Files[key].Path, i.target.Files[cert].Path}
	for _, f := range i.target.Plan(i.before, i.now).Findings {
		if slices.Contains(paths, f.Path) && slices.Contains([]Fault{Missing, Broken, Unpaired, Expired, NotYet, Revoked}, f.Fault) {
			return fmt.Errorf("roll %s back: %w: %s %s", i.target.Name, ErrUnsound, f.Path, f.Text)
		}
	}
	c, old := Contents{}, i.target
	old.Files = maps.Clone(old.Files)
	for _, r := range i.roles {
		if f := i.before.Files[r]; f.Exists && f.Err == "" {
			c[r] = f.Content
			// Whatever it was: nobody shall read it who could not before.
			to := old.Files[r]
			to.UID, to.GID, to.Mode = f.UID, f.GID, to.Mode&f.Mode.Perm()
			old.Files[r] = to
		}
	}
	err := i.journal.repaired(i.target.Name, func() error {
		if err := i.unchanged(c); err != nil {
			return err
		}
		return i.journal.place(old, c, func(r Role) string {
			if sum := fingerprint(c[r]); i.sums[i.target.Files[r].Path] == sum {
				return sum
			}
			return "" // somebody else's, as before
		})
	})
	if err != nil {
		return fmt.Errorf("roll %s back: %w", i.target.Name, err)
	}
	i.Map = i.journal.remap(i.target)
	return nil
}

// unchanged is an error where a file is not what was installed.
func (i *Installed) unchanged(c Contents) error {
	sums, err := i.journal.sums(i.target.Name)
	for r := range c {
		path := i.target.Files[r].Path
		if now := inspectFile(path); now.Exists && sums[path] != fingerprint(now.Content) {
			err = errors.Join(err, fmt.Errorf("%s %w", path, ErrChanged))
		}
	}
	return err
}

// remap makes a target's table again. What a crash prevents is found by the next
// Plan, as the table still has other certificates then.
func (j *Journal) remap(t Target) error {
	if t.Table == nil {
		return nil
	}
	return j.locked(func() error { return t.remap(context.Background()) })
}

// check judges the files as they would be, by the rules of Plan.
func (t Target) check(c Contents, s State, now time.Time) error {
	after := s
	after.Files = map[Role]Found{}
	written := map[string]bool{}
	for r, f := range t.Files {
		after.Files[r] = s.Files[r]
		if content, ok := c[r]; ok {
			after.Files[r] = Found{Exists: true, Content: content, Mode: f.Mode, UID: f.UID, GID: f.GID}
			written[f.Path] = true
		}
	}
	if key, cert := t.pair(); written[t.Files[key].Path] || written[t.Files[cert].Path] { // judged together
		written[t.Files[key].Path], written[t.Files[cert].Path] = true, true
	}
	for _, r := range []Role{CA, CRL} { // a new list is what the files shall have
		if lists := listsOf(c[r]); len(lists) > 0 {
			t.CRL = lists[0]
		}
	}
	for _, f := range t.Plan(after, now).Findings {
		if written[f.Path] && f.Fault != Owner && f.Fault != Mode {
			return fmt.Errorf("what was to be written to %s %s", f.Path, f.Text)
		}
	}
	return nil
}

// keep copies files that are replaced, and that are not ours.
func (j *Journal) keep(t Target, c Contents, s State, ours map[string]string, now time.Time) (string, error) {
	folder := filepath.Join(j.dir, "replaced", now.UTC().Format("20060102T150405.000Z")+"-"+t.Name)
	kept := ""
	for _, r := range roles {
		content, written := c[r]
		old := s.Files[r]
		path := t.Files[r].Path
		if written && old.Err != "" {
			return "", fmt.Errorf("%s cannot be read (%s), and so no copy kept of it; move it away", path, old.Err)
		}
		if now := inspectFile(path); written && (now.Exists != old.Exists || now.Err != "" || now.Mode.IsDir() || !bytes.Equal(now.Content, old.Content)) {
			return "", fmt.Errorf("%s %w", path, ErrChanged)
		}
		if !written || len(old.Content) == 0 || bytes.Equal(old.Content, content) || ours[path] == fingerprint(old.Content) {
			continue
		}
		if err := j.room(t.Name); err != nil {
			return "", err
		}
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return "", err
		}
		name := filepath.Base(path)
		if exists(filepath.Join(folder, name)) { // of the same name, in another folder
			name = string(r) + "-" + name
		}
		if err := durable.WriteFile(filepath.Join(folder, name), old.Content, 0o600); err != nil {
			return "", err
		}
		kept = folder
	}
	if kept == "" {
		return "", nil
	}
	return kept, errors.Join(durable.SyncDir(filepath.Dir(folder)), durable.SyncDir(j.dir))
}

// maxKept bounds the copies of what was a target's. Honest ones take some KiB each;
// who may write to its folder could fill the disk.
const maxKept = 256 << 20

// room is an error where a target has too many copies.
func (j *Journal) room(name string) error {
	folders, err := filepath.Glob(filepath.Join(j.dir, "replaced", "*Z-"+name))
	if err != nil {
		return err
	}
	var size int64
	for _, dir := range folders {
		files, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, f := range files {
			if info, err := f.Info(); err == nil {
				size += info.Size()
			}
		}
	}
	if size >= maxKept {
		return fmt.Errorf("the copies of what was replaced take %d MiB in %s: somebody changes the files again and again; find out who, and move the copies away", size>>20, filepath.Join(j.dir, "replaced"))
	}
	return nil
}

// owner is the user whose the key is.
func (t Target) owner() int {
	key, _ := t.pair()
	return t.Files[key].UID
}

// makeDirs makes folders that are missing, and closes the one of hash links to
// others than its owner.
func (t Target) makeDirs(c Contents) error {
	for _, dir := range t.folders() {
		if dir != filepath.Clean(t.Dir) && !c.in(t, dir) {
			continue
		}
		if err := folder.Make(dir, 0o755); err != nil {
			return err
		}
		if err := t.closeDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// closeDir takes the folder of hash links from others.
func (t Target) closeDir(path string) error {
	f, err := folder.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, owner := f.Info(), t.owner()
	if !t.isOpen(path, Found{Mode: info.Mode, UID: info.UID}) {
		return nil
	}
	dir, err := f.Itself()
	if err != nil {
		return err
	}
	defer dir.Close()
	if info.UID != 0 && info.UID != owner {
		if err := dir.Chown(owner, -1); err != nil {
			return err
		}
	}
	return dir.Chmod(info.Mode &^ (fs.ModeDir | 0o022))
}

// in reports whether one of a target's contents belongs into a folder.
func (c Contents) in(t Target, dir string) bool {
	for r := range c {
		if filepath.Dir(t.Files[r].Path) == dir {
			return true
		}
	}
	return false
}

// place writes all contents beside their places and then renames them. sum tells
// which are ours.
func (j *Journal) place(t Target, c Contents, sum func(Role) string) error {
	e := entry{Dir: t.Dir, Bundles: t.links().Bundles, Links: t.Links}
	for _, r := range t.roles() {
		if _, ok := c[r]; ok {
			path := t.Files[r].Path
			e.Files = append(e.Files, moved{New: filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".mailseal"), Path: path, Sum: sum(r)})
		}
	}
	if err := j.begin(t.Name, e); err != nil {
		return err
	}
	i := 0
	for _, r := range t.roles() {
		if content, ok := c[r]; ok {
			if err := write(e.Files[i].New, content, t.Files[r]); err != nil {
				return errors.Join(err, j.abandon(t.Name, e))
			}
			i++
		}
	}
	e.Ready = true
	if err := j.begin(t.Name, e); err != nil {
		return errors.Join(err, j.abandon(t.Name, e))
	}
	return j.complete(t.Name, e)
}

// write makes a file complete and durable, closed to others until it has its
// owner and mode.
func write(path string, content []byte, f File) error {
	dir, err := folder.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Remove(filepath.Base(path)); err != nil {
		return err
	}
	file, err := dir.Create(filepath.Base(path))
	if err != nil {
		return err
	}
	if _, err = file.Write(content); err == nil {
		err = file.Chown(f.UID, f.GID)
	}
	if err == nil {
		err = file.Chmod(f.Mode)
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}
