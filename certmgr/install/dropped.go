package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxDropped and maxDroppedFile bound what is read of a folder in which bought
// certificates are dropped.
const (
	maxDropped     = 200
	maxDroppedFile = 1 << 20
)

// Dropped is one file of the folder From.
type Dropped struct {
	Path  string
	Found Found
	// Pass is the first line of NAME.pass, the passphrase of NAME.p12 and the
	// like.
	Pass []byte
}

// inspectFrom reads a folder in which keys and certificates lie. One that is
// missing is a part of the state.
func inspectFrom(dir string) (Found, []Dropped, error) {
	folder := inspectFile(dir)
	if !folder.Exists || folder.Err != "" || !folder.Mode.IsDir() {
		return folder, nil, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		folder.Err = err.Error()
		return folder, nil, nil
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); !strings.HasPrefix(name, ".") && !strings.HasSuffix(name, ".pass") && !e.IsDir() {
			names = append(names, name)
		}
	}
	if len(names) > maxDropped {
		return folder, nil, fmt.Errorf("%s has %d files; move what is old away, so that there are %d at most", dir, len(names), maxDropped)
	}
	var all []Dropped
	for _, name := range names {
		d := Dropped{Path: filepath.Join(dir, name), Found: inspectFile(filepath.Join(dir, name))}
		if len(d.Found.Content) > maxDroppedFile {
			d.Found.Content, d.Found.Err = nil, fmt.Sprintf("more than %d octets", maxDroppedFile)
		}
		pass, err := os.ReadFile(strings.TrimSuffix(d.Path, filepath.Ext(name)) + ".pass")
		if err != nil && !errors.Is(err, fs.ErrNotExist) && d.Found.Err == "" {
			d.Found.Err = err.Error()
		}
		d.Pass, _, _ = bytes.Cut(pass, []byte("\n"))
		d.Pass = bytes.TrimSuffix(d.Pass, []byte("\r"))
		all = append(all, d)
	}
	return folder, all, nil
}

// anybody reports whether others than the owner may do something with a file.
func anybody(m fs.FileMode, may fs.FileMode) bool { return m.Perm()&may != 0 }

// archive is what a CA's web page gives, and nobody unpacks for us.
func archive(path string) bool {
	return slices.Contains([]string{".zip", ".gz", ".tgz", ".7z"}, strings.ToLower(filepath.Ext(path)))
}
