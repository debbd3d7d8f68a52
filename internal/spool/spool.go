// Package spool keeps a mail's bytes while it is in work: in memory as long as
// they are few, then in a file that has no name. Whatever ends the process
// leaves nothing behind, and a mail over the limit is an error, never a
// shorter mail.
package spool

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrTooLarge says that a File would have grown beyond Config.Limit.
var ErrTooLarge = errors.New("larger than the limit")

// A Config says where a Store keeps what it holds. The zero Config is good.
type Config struct {
	// Dir is the folder of the unlinked files, "" for the system's.
	Dir string
	// Memory is how many bytes of each File stay in memory before any goes
	// to disk, 0 for 256 KiB. It is rounded up to whole chunks of 32 KiB.
	Memory int64
	// Limit is the greatest size of a File, 0 for none.
	Limit int64
	// Usage is told what the Files hold, together with those of other Stores
	// that have the same; nil where nobody asks.
	Usage *Usage
}

// A Store makes Files. It may be used from several goroutines.
type Store struct {
	memory, limit int64
	usage         *Usage
	open          func() (*os.File, error) // a new file without a name
}

// New returns a Store. It refuses a folder in which it could not write, so
// that this shows at the start and not with the first large mail.
func New(c Config) (*Store, error) {
	if c.Memory < 0 || c.Limit < 0 {
		return nil, fmt.Errorf("spool of %d bytes in memory and %d at most: want sizes from 0 up", c.Memory, c.Limit)
	}
	if c.Memory == 0 {
		c.Memory = 256 << 10
	}
	if c.Dir == "" {
		c.Dir = os.TempDir()
	}
	if info, err := os.Stat(c.Dir); err != nil {
		return nil, fmt.Errorf("spool folder: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("spool folder %s: is no folder", c.Dir)
	}
	if err := unix.Faccessat(unix.AT_FDCWD, c.Dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return nil, fmt.Errorf("spool folder %s: cannot make files in it: %w", c.Dir, err)
	}
	if c.Usage == nil {
		c.Usage = new(Usage)
	}
	open := func() (*os.File, error) { return unlinked(c.Dir) }
	return &Store{memory: c.Memory, limit: c.Limit, usage: c.Usage, open: open}, nil
}

// Create returns an empty File, which the caller closes.
func (s *Store) Create() *File {
	s.usage.files.Add(1)
	return &File{store: s}
}

// unlinked opens a new file, mode 0600, that no longer has a name.
func unlinked(dir string) (*os.File, error) {
	f, err := nameless(dir)
	if errors.Is(err, errors.ErrUnsupported) {
		return unnamed(dir)
	}
	return f, err
}

// unnamed makes a file and removes its name.
func unnamed(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "mailseal-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// chunkSize is the unit in which Files hold memory: large enough to be cheap
// to write out, small enough that a short mail does not waste much.
const chunkSize = 32 << 10

type chunk [chunkSize]byte

var chunks = sync.Pool{New: func() any { return new(chunk) }}
