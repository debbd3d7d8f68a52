package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// guarded refuses a file or folder that others than root and ourselves could
// exchange: it, and every folder on its way, belongs to one of the two and is
// writable by nobody else. In a folder with the sticky bit, as /tmp, nobody can
// exchange what is ours. Where links are on the way, so are both ends.
func guarded(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if err := guardedWay(path); err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil || real == path {
		return err
	}
	return guardedWay(real)
}

// guardedAsFar is guarded for what need not be there yet.
func guardedAsFar(path string) error {
	for at := path; ; at = filepath.Dir(at) {
		if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			return guarded(at)
		}
	}
}

// ours refuses a file or folder that is not root's and not ours, or that others
// can write to. The folders above it may be somebody else's, as /etc/mail is on
// Debian: who owns them can take it away, and cannot put one of root's there.
func ours(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return guardedOne(path, info, false)
}

// guardedWay looks at a path and all above it.
func guardedWay(path string) error {
	for at := path; ; at = filepath.Dir(at) {
		info, err := os.Lstat(at)
		if err != nil {
			return err
		}
		if err := guardedOne(at, info, at != path); err != nil {
			return err
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

func guardedOne(path string, info fs.FileInfo, folder bool) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: its owner is not known", path)
	}
	if stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, who could exchange it; run: chown root %s", path, stat.Uid, path)
	}
	mode := info.Mode()
	switch {
	case mode&fs.ModeSymlink != 0: // has no rights of its own
	case mode.Perm()&0o022 == 0:
	case folder && mode&fs.ModeSticky != 0:
	default:
		return fmt.Errorf("%s can be written to by others than its owner; run: chmod go-w %s", path, path)
	}
	return nil
}
