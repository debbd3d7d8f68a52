package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mailseal/certmgr/bought"
	"mailseal/certmgr/hashdir"
	"mailseal/internal/folder"
)

// maxFile is several times a system's bundle of CAs.
const maxFile = 8 << 20

// A State is what is on the disk.
type State struct {
	Files map[Role]Found
	// Folders are those that have to be there: of the files, and of hash links.
	Folders map[string]Found
	// Links are what the hash links of Dir lack, and Pointers the links that are
	// made by name.
	Links    hashdir.Plan
	Pointers map[string]Pointer
	// Table is what the target's is.
	Table *TableState
	// Bundle is the system's file of public CAs, where it matters.
	Bundle Found
	// From is the folder in which certificates are dropped.
	From bought.Folder
	// Open are folders on the way to the files that others may write to, for
	// which sendmail refuses every file below them.
	Open []Open
}

// An Open folder is one that group or others may write to.
type Open struct {
	Path string
	// Sticky: but not rename or remove what is others', as in /var/tmp.
	Sticky bool
}

// A Pointer is what bears the name of a link.
type Pointer struct {
	Exists bool
	Link   bool
	To     string
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
	s := State{Files: map[Role]Found{}, Folders: map[string]Found{}, Pointers: map[string]Pointer{}}
	for _, r := range t.roles() {
		s.Files[r] = inspectFile(t.Files[r].Path)
	}
	for _, dir := range t.folders() {
		s.Folders[dir] = inspectFile(dir)
		s.Open = append(s.Open, openFolders(dir)...)
	}
	slices.SortFunc(s.Open, func(a, b Open) int { return strings.Compare(a.Path, b.Path) })
	s.Open = slices.Compact(s.Open)
	if dir := s.Folders[filepath.Clean(t.Dir)]; t.Dir != "" && dir.Exists && dir.Mode.IsDir() {
		var err error
		if s.Links, err = hashdir.Inspect(t.Dir, t.links()); err != nil {
			return State{}, fmt.Errorf("inspect %s: %w", t.Name, err)
		}
	}
	for name := range t.Links {
		s.Pointers[name] = inspectLink(filepath.Join(t.Dir, name))
	}
	if t.Table != nil {
		s.Table = t.Table.inspect()
	}
	if t.public() {
		s.Bundle = inspectFile(t.Bundle)
	}
	if t.Issuer == FromFiles {
		var err error
		if s.From, err = bought.Read(t.From); err != nil {
			return State{}, fmt.Errorf("inspect %s: %w", t.Name, err)
		}
	}
	return s, nil
}

func inspectLink(path string) Pointer {
	f, err := folder.Open(filepath.Dir(path))
	if err != nil {
		return Pointer{}
	}
	defer f.Close()
	info, err := f.Lstat(filepath.Base(path))
	if err != nil {
		return Pointer{}
	}
	to, err := f.Readlink(filepath.Base(path))
	return Pointer{Exists: true, Link: err == nil && info.Mode&fs.ModeSymlink != 0, To: to}
}

// inspectFile reads a file, or looks at a folder. Who else may write to its folder
// must not have us give his server, or everybody, what only root may read.
func inspectFile(path string) Found {
	content, info, err := folder.Read(path, maxFile)
	f := Found{Exists: true, Content: content, Mode: info.Mode, UID: info.UID, GID: info.GID}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Found{}
	case err != nil && !info.Mode.IsDir():
		f.Err = reason(err)
	}
	return f
}

// ReadFile is what Inspect would find in a file; nil where there is nothing, or it
// cannot be read.
func ReadFile(path string) []byte { return inspectFile(path).Content }

// reason is an error without the path, which is told anyway.
func reason(err error) string {
	if e := (*fs.PathError)(nil); errors.As(err, &e) && !errors.Is(err, folder.ErrLed) {
		err = e.Err
	}
	return err.Error()
}

// openFolders are those on the way to a folder, and itself, that group or
// others may write to. Sticky ones are told too: sendmail does not except them.
func openFolders(dir string) []Open {
	var open []Open
	for {
		if fi, err := os.Stat(dir); err == nil && fi.Mode().Perm()&0o022 != 0 {
			open = append(open, Open{dir, fi.Mode()&fs.ModeSticky != 0})
		}
		up := filepath.Dir(dir)
		if up == dir {
			return open
		}
		dir = up
	}
}
