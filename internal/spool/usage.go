package spool

import "sync/atomic"

// A Usage is what the Files of the Stores that share it hold at present. The
// zero Usage is ready.
type Usage struct {
	files, memory, disk atomic.Int64
}

// Files is how many are not closed yet.
func (u *Usage) Files() int64 { return u.files.Load() }

// Memory is the bytes of memory that they hold, in whole chunks.
func (u *Usage) Memory() int64 { return u.memory.Load() }

// Disk is the bytes that they have on disk.
func (u *Usage) Disk() int64 { return u.disk.Load() }
