package bought

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"mailseal/internal/folder"
)

const (
	// maxFiles and maxFile bound what is read of a folder.
	maxFiles = 200
	maxFile  = 1 << 20
)

// A Folder is one into which bought certificates are dropped, as it was read. The
// zero Folder is missing.
type Folder struct {
	Path   string
	Exists bool
	Mode   fs.FileMode
	// Owner is a user who is neither root nor who runs this, 0 for none.
	Owner int
	// Err is why an existing one could not be read, "" when it could.
	Err   string
	Files []File
}

// A File is one in a Folder.
type File struct {
	Path    string
	Mode    fs.FileMode
	Content []byte
	// Err is why it could not be read, "" when it could.
	Err string
	// Pass is the first line of NAME.pass, the passphrase of NAME.p12 and the
	// like.
	Pass []byte
}

// Read reads a folder. What cannot be read is a part of it; an error is only that
// there is too much.
func Read(dir string) (Folder, error) {
	f := Folder{Path: dir}
	fi, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if f.Exists = true; err != nil {
		f.Err = err.Error()
		return f, nil
	}
	if f.Mode = fi.Mode(); f.Mode.Perm()&0o002 != 0 {
		// Who drops a certificate has it served, and its CA believed.
		f.Err = "anybody may write to it; chmod o-w " + dir
		return f, nil
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		f.Owner = int(st.Uid)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		f.Err = err.Error()
		return f, nil
	}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".pass") || e.IsDir() {
			continue
		}
		if len(f.Files) == maxFiles {
			return f, fmt.Errorf("%s has more than %d files; move what is old away", dir, maxFiles)
		}
		f.Files = append(f.Files, readFile(filepath.Join(dir, name)))
	}
	return f, nil
}

func readFile(path string) File {
	f := File{Path: path}
	var err error
	if f.Mode, f.Content, err = read(path); err == nil {
		var pass []byte
		if _, pass, err = read(strings.TrimSuffix(path, filepath.Ext(path)) + ".pass"); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		f.Pass, _, _ = bytes.Cut(pass, []byte("\n"))
		f.Pass = bytes.TrimSuffix(f.Pass, []byte("\r"))
	}
	if err != nil {
		f.Content, f.Err = nil, err.Error()
	}
	return f
}

func read(path string) (fs.FileMode, []byte, error) {
	content, info, err := folder.Read(path, maxFile)
	return info.Mode, content, err
}
