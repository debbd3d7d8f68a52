package install

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"mailseal/certmgr/hashdir"
)

// maxFile is several times a system's bundle of CAs.
const maxFile = 8 << 20

// A State is what is on the disk.
type State struct {
	Files map[Role]Found
	// Dir is the folder of hash links, and Links what they lack.
	Dir   Found
	Links hashdir.Plan
	// Open are folders on the way to the files that others may write to, for
	// which sendmail refuses every file below them.
	Open []string
}

// Found is one file or folder. The zero Found is missing.
type Found struct {
	Exists  bool
	Content []byte
	Mode    fs.FileMode
	UID     int
	GID     int
	// Err is why an existing one could not be read, "" when it could.
	Err string
}

// Inspect reads what a target is about. A file that cannot be read is a part of
// the state and no error.
func Inspect(t Target) (State, error) {
	s := State{Files: map[Role]Found{}}
	folders := map[string]bool{}
	for _, r := range t.roles() {
		path := t.Files[r].Path
		s.Files[r] = inspectFile(path)
		folders[filepath.Dir(path)] = true
	}
	if t.Dir != "" {
		s.Dir = inspectFile(t.Dir)
		if s.Dir.Exists && s.Dir.Mode.IsDir() {
			var err error
			if s.Links, err = hashdir.Inspect(t.Dir, t.links()); err != nil {
				return State{}, fmt.Errorf("inspect %s: %w", t.Name, err)
			}
		}
	}
	for dir := range folders {
		s.Open = append(s.Open, openFolders(dir)...)
	}
	s.Open = sortedUnique(s.Open)
	return s, nil
}

func inspectFile(path string) Found {
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Found{}
	}
	if err != nil {
		return Found{Exists: true, Err: err.Error()}
	}
	f := Found{Exists: true, Mode: fi.Mode()}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		f.UID, f.GID = int(st.Uid), int(st.Gid)
	}
	if fi.IsDir() {
		return f
	}
	if !fi.Mode().IsRegular() { // a FIFO would be waited for
		f.Err = "not a regular file"
		return f
	}
	file, err := os.Open(path)
	if err != nil {
		f.Err = err.Error()
		return f
	}
	defer file.Close()
	f.Content, err = io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(f.Content) > maxFile {
		f.Content, err = nil, fmt.Errorf("more than %d octets", maxFile)
	}
	if err != nil {
		f.Err = err.Error()
	}
	return f
}

// openFolders are those on the way to a folder, and itself, that group or
// others may write to. Sticky ones are told too: sendmail does not except them.
func openFolders(dir string) []string {
	var open []string
	for {
		if fi, err := os.Stat(dir); err == nil && fi.Mode().Perm()&0o022 != 0 {
			open = append(open, dir)
		}
		up := filepath.Dir(dir)
		if up == dir {
			return open
		}
		dir = up
	}
}

func sortedUnique(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
