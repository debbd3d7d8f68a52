package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A pidfile holds the number of the process that wrote it, and a lock for as
// long as that runs. The lock, which no crash leaves behind, says whether the
// number is good; a file without it is stale, whatever process has the number
// by now.
type pidfile struct {
	*os.File
	path string
}

// pidfileTries bounds how often the file may be exchanged under our hands.
const pidfileTries = 10

// claimPidfile makes the file. Where one is there it is never written to: it
// could be a link to something else. It goes if nobody holds it.
func claimPidfile(path string) (*pidfile, error) {
	for range pidfileTries {
		if err := dropStale(path); err != nil {
			return nil, err
		}
		p, err := newPidfile(path)
		if !errors.Is(err, fs.ErrExist) {
			return p, err
		}
	}
	return nil, failf(exUnavailable, "-P %s: others make and remove it all the time; see who does", path)
}

// dropStale removes a file that nobody holds.
func dropStale(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EMLINK): // Linux, FreeBSD
		return failf(exCantCreate, "-P %s: is a symbolic link; remove it", path)
	case err != nil:
		return fail(exCantCreate, fmt.Errorf("-P: %w", err))
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return fail(exCantCreate, fmt.Errorf("-P: %w", err))
	} else if !info.Mode().IsRegular() {
		return failf(exCantCreate, "-P %s: is no file; remove it, or name another", path)
	}
	if err := lock(f); err != nil {
		return heldBy(f, path)
	}
	// Under the lock: whoever comes later finds either this file, held, or the
	// next one.
	if same(f, path) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fail(exCantCreate, fmt.Errorf("-P: %w", err))
		}
	}
	return nil
}

// newPidfile makes the file and holds it. fs.ErrExist: somebody else made one.
func newPidfile(path string) (*pidfile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil, fs.ErrExist
	}
	if err != nil {
		return nil, fail(exCantCreate, fmt.Errorf("-P: %w", err))
	}
	if err := lock(f); err != nil || !same(f, path) {
		f.Close() // one who took it for stale was faster
		return nil, fs.ErrExist
	}
	if _, err := f.WriteString(strconv.Itoa(os.Getpid()) + "\n"); err != nil {
		os.Remove(path)
		f.Close()
		return nil, fail(exCantCreate, fmt.Errorf("-P: %w", err))
	}
	return &pidfile{f, path}, nil
}

// release removes the file. In a folder that is root's alone it can no longer
// be removed by who the daemon has become; then it is left empty.
func (p *pidfile) release() error {
	defer p.Close()
	if !same(p.File, p.path) {
		return nil // somebody else's by now
	}
	if os.Remove(p.path) == nil {
		return nil
	}
	if err := p.Truncate(0); err != nil {
		return fail(exCantCreate, fmt.Errorf("-P: %w", err))
	}
	return nil
}

func lock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// same reports whether f is what path names.
func same(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(mine, there)
}

// heldBy says who holds the file.
func heldBy(f *os.File, path string) error {
	b, _ := io.ReadAll(io.LimitReader(f, 20))
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || n <= 0 {
		return failf(exUnavailable, "-P %s: another daemon holds it; stop that first", path)
	}
	return failf(exUnavailable, "-P %s: another daemon holds it, process %d; stop that first", path, n)
}
