// Package spool keeps a mail's bytes while it is in work: in memory as long as
// they are few, then in a file that has no name. Whatever ends the process
// leaves nothing behind, and a mail over the limit is an error, never a
// shorter mail.
package spool

import "errors"

// ErrTooLarge says that a File would have grown beyond Config.Limit.
var ErrTooLarge = errors.New("larger than the spool's limit")

// A Config says where a Store keeps what it holds. The zero Config is good.
type Config struct {
	// Dir is the folder of the unlinked files, "" for the system's.
	Dir string
	// Memory is how many bytes of each File stay in memory before any goes
	// to disk, 0 for 256 KiB.
	Memory int64
	// Limit is the greatest size of a File, 0 for none.
	Limit int64
}

// A Store makes Files. It may be used from several goroutines.
type Store struct{ config Config }

// New returns a Store.
func New(c Config) (*Store, error) { return &Store{config: c}, nil }

// Create returns an empty File, which the caller closes.
func (s *Store) Create() *File { return &File{store: s} }
