package spool

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// nameless opens a file that never had a name: a process that is killed between
// making a file and removing its name would leave an empty one behind
// (open(2), O_TMPFILE). Not every file system has such files, as NFS; it says so
// in one of three ways.
func nameless(dir string) (*os.File, error) {
	for {
		fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_EXCL|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), dir+"/(no name)"), nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EISDIR), errors.Is(err, unix.EINVAL):
			return nil, errors.ErrUnsupported
		}
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
}
