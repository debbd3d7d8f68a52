package setup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"mailseal/internal/durable"
)

// A Job is what one run changes.
type Job struct {
	// Name is the target's.
	Name string
	// Server, Config, Reload and Address are for who undoes it: the server, the
	// configuration that the target stands in, the command that has the server
	// read its files again, where it then answers ("": nobody asks).
	Server, Config, Reload, Address string
	Edits                           []Edit
	// Files are those that package certmgr makes, Dir their folder, and Links the
	// names of links that it makes there besides those by hash.
	Files []string
	Dir   string
	Links []string
}

// A Journal remembers what setups have changed, in a folder of its own:
//
//	NAME.json     what was changed for a target
//	NAME.d/N-FILE the files as they were before the first setup
//	lock          held (flock) meanwhile
type Journal struct {
	dir string
	now func() time.Time
}

// NewJournal takes a folder, which is made when it is needed. It holds keys.
func NewJournal(dir string) *Journal { return &Journal{dir: dir, now: time.Now} }

// A Record is what stands in the journal about a target.
type Record struct {
	Name    string    `json:"name"`
	Server  string    `json:"server"`
	Config  string    `json:"config"`
	Reload  string    `json:"reload"`
	Address string    `json:"address,omitempty"`
	Time    time.Time `json:"time"`
	// Done: it came to its end. Otherwise the server may not know of it.
	Done  bool     `json:"done"`
	Edits []change `json:"edits"`
	Files []change `json:"files"`
	Dir   folder   `json:"dir"`
}

// A change is a file as it was before the first setup.
type change struct {
	Path   string      `json:"path"`
	Before *kept       `json:"before,omitempty"` // nil: there was none
	Mode   fs.FileMode `json:"mode,omitempty"`
	UID    int         `json:"uid,omitempty"`
	GID    int         `json:"gid,omitempty"`
	Link   string      `json:"link,omitempty"` // what it led to, where it was a link
	// After is the sum of what the last setup made of it.
	After string `json:"after,omitempty"`
}

// kept is a copy in the journal.
type kept struct {
	File string `json:"file"`
	Sum  string `json:"sum"`
}

// A folder is one with hash links, as it was.
type folder struct {
	Path  string            `json:"path,omitempty"`
	Was   bool              `json:"was,omitempty"`
	Mode  fs.FileMode       `json:"mode,omitempty"`
	UID   int               `json:"uid,omitempty"`
	Links map[string]string `json:"links,omitempty"`
	Names []string          `json:"names,omitempty"` // of links besides those by hash
}

func (j *Journal) path(name, ending string) string { return filepath.Join(j.dir, name+ending) }

// Lock keeps other setups out until the function that it returns is called.
func (j *Journal) Lock() (unlock func(), err error) {
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(j.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("%w: another setup is at work; wait for its end", ErrRefused)
	}
	return func() { lock.Close() }, nil
}

// Names are those of the targets that were set up.
func (j *Journal) Names() ([]string, error) {
	paths, err := filepath.Glob(j.path("*", ".json"))
	var names []string
	for _, p := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(p), ".json"))
	}
	return names, err
}

// Record is what stands in the journal about a target. The error is
// fs.ErrNotExist where there is nothing.
func (j *Journal) Record(name string) (Record, error) {
	b, err := os.ReadFile(j.path(name, ".json"))
	if err != nil {
		return Record{}, err
	}
	var r Record
	if err := json.Unmarshal(b, &r); err != nil {
		return Record{}, fmt.Errorf("%s: %w; look at it, then remove it: what it was about is then yours", j.path(name, ".json"), err)
	}
	return r, nil
}

func (j *Journal) write(r Record) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return durable.WriteFile(j.path(r.Name, ".json"), append(b, '\n'), 0o600)
}

// Begin keeps what is about to be changed, and says so, before the first change.
// What an earlier setup of the target has kept is older and stays.
func (j *Journal) Begin(job Job) error {
	r, err := j.Record(job.Name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r.Name, r.Server, r.Config, r.Reload, r.Address = job.Name, job.Server, job.Config, job.Reload, job.Address
	r.Time, r.Done = j.now().UTC(), false
	if err := os.MkdirAll(j.path(job.Name, ".d"), 0o700); err != nil {
		return err
	}
	for _, e := range job.Edits {
		if r.Edits, err = j.keep(r, r.Edits, e.Path); err != nil {
			return err
		}
		of(r.Edits, e.Path).After = sum(e.After)
	}
	for _, f := range job.Files {
		if r.Files, err = j.keep(r, r.Files, f); err != nil {
			return err
		}
	}
	if r.Dir.Path == "" && job.Dir != "" {
		if r.Dir, err = inspectFolder(job.Dir, job.Links); err != nil {
			return err
		}
	}
	return errors.Join(durable.SyncDir(j.path(job.Name, ".d")), j.write(r))
}

// Done says that a setup has come to its end.
func (j *Journal) Done(name string) error {
	r, err := j.Record(name)
	if err != nil || r.Done {
		return err
	}
	r.Done = true
	return j.write(r)
}

func of(all []change, path string) *change {
	i := slices.IndexFunc(all, func(c change) bool { return c.Path == path })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// keep copies a file into the journal, if it is not there yet.
func (j *Journal) keep(r Record, all []change, path string) ([]change, error) {
	if of(all, path) != nil {
		return all, nil
	}
	c := change{Path: path}
	_, content, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return append(all, c), nil
	}
	if err != nil {
		return nil, err
	}
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		return nil, err
	}
	c.Mode, c.UID, c.GID = fs.FileMode(stat.Mode).Perm(), int(stat.Uid), int(stat.Gid)
	if to, err := os.Readlink(path); err == nil {
		c.Link = to
	}
	c.Before = &kept{File: fmt.Sprintf("%d-%s", len(r.Edits)+len(r.Files), filepath.Base(path)), Sum: sum([]byte(content))}
	if err := durable.WriteFile(filepath.Join(j.path(r.Name, ".d"), c.Before.File), []byte(content), 0o600); err != nil {
		return nil, err
	}
	return append(all, c), nil
}

func sum(content []byte) string {
	s := sha256.Sum256(content)
	return hex.EncodeToString(s[:])
}

// hashLink reports whether a name is one of the links by which OpenSSL finds
// certificates and CRLs, as 2c52b46b.0 or 2c52b46b.r0.
func hashLink(name string) bool {
	hash, number, ok := strings.Cut(name, ".")
	number = strings.TrimPrefix(number, "r")
	return ok && len(hash) == 8 && number != "" && strings.Trim(hash, "0123456789abcdef") == "" && strings.Trim(number, "0123456789") == ""
}

// inspectFolder reads a folder's links.
func inspectFolder(path string, names []string) (folder, error) {
	f := folder{Path: path, Links: map[string]string{}, Names: names}
	var stat syscall.Stat_t
	err := syscall.Stat(path, &stat)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return folder{}, fmt.Errorf("stat %s: %w", path, err)
	}
	f.Was, f.Mode, f.UID = true, fs.FileMode(stat.Mode).Perm(), int(stat.Uid)
	entries, err := os.ReadDir(path)
	if err != nil {
		return folder{}, err
	}
	for _, e := range entries {
		if e.Type() != fs.ModeSymlink || !hashLink(e.Name()) && !slices.Contains(names, e.Name()) {
			continue
		}
		if f.Links[e.Name()], err = os.Readlink(filepath.Join(path, e.Name())); err != nil {
			return folder{}, err
		}
	}
	return f, nil
}
