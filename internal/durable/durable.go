// Package durable writes files so that they survive a crash: after a function
// returned nil the new content is on the disk, and at every instant before a
// reader (and whoever comes after a power cut) sees either the old file or the
// new one, never a part.
//
// What a replacement does, as system calls:
//
//	openat(DIR/.NAME.RANDOM.tmp, O_CREAT|O_EXCL, 0600)
//	write, fchmod, fsync, close                fchown before fchmod in WriteFileAs
//	rename(DIR/.NAME.RANDOM.tmp, DIR/NAME)     linkat and unlinkat in Create
//	openat(DIR), fsync, close
//
// It locks nothing: two writers of one file are the callers' affair.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// WriteFile puts a file in the place of whatever file bears the name. The mode
// is exact, whatever the umask.
func WriteFile(path string, content []byte, mode fs.FileMode) error {
	return WriteFileAs(path, content, mode, -1, -1)
}

// WriteFileAs is WriteFile for a file that belongs to a user and a group; -1
// is who writes.
func WriteFileAs(path string, content []byte, mode fs.FileMode, uid, gid int) error {
	tmp, err := writeTemp(path, content, mode, uid, gid)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Create makes a new file and never replaces one: the error is fs.ErrExist
// where the name is taken.
func Create(path string, content []byte, mode fs.FileMode) error {
	tmp, err := writeTemp(path, content, mode, -1, -1)
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	// Unlike rename, link fails where the name exists.
	err = os.Link(tmp, path)
	os.Remove(tmp)
	if err != nil {
		return fmt.Errorf("create %s: %w", path, errors.Unwrap(err))
	}
	return SyncDir(filepath.Dir(path))
}

// Append adds to the end of an existing file, in one write. A crash of the
// machine in it may leave a part of the addition, and that at the end only.
func Append(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	if _, err = f.Write(content); err == nil {
		err = f.Sync()
	}
	if err != nil {
		// A full disk takes a part of the write: what went in comes out.
		err = errors.Join(err, f.Truncate(info.Size()))
	}
	return errors.Join(err, f.Close())
}

// Remove removes a file; one that is not there is no error.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes the names in a folder durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil // a file system that does not sync folders
	}
	return errors.Join(err, d.Close())
}

// Leftovers lists what writers of path that were killed have left. Only who
// keeps all other writers out may remove it.
func Leftovers(path string) ([]string, error) {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return nil, err
	}
	var left []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "."+base+".") && strings.HasSuffix(e.Name(), ".tmp") {
			left = append(left, filepath.Join(dir, e.Name()))
		}
	}
	return left, nil
}

// writeTemp leaves the content, synced, in a file beside path.
func writeTemp(path string, content []byte, mode fs.FileMode, uid, gid int) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp") // 0600
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(content); err == nil && (uid != -1 || gid != -1) {
		err = f.Chown(uid, gid)
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	return f.Name(), errors.Join(err, f.Close())
}
