package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// A File is written from one goroutine, from the beginning to the end, and
// read from any number of them, also while it grows.
type File struct {
	store *Store

	mu     sync.RWMutex // guards all below
	size   int64
	disk   *os.File // nil until memory is full
	onDisk int64    // bytes [0, onDisk) are there
	held   []*chunk // bytes [onDisk, size); all but the last are full
	failed error    // the first failed write; there is none after it
	lent   bool     // ReadFrom is filling the last chunk
	closed bool
}

var (
	_ io.Writer     = (*File)(nil)
	_ io.ReaderFrom = (*File)(nil)
	_ io.ReaderAt   = (*File)(nil)
	_ io.Closer     = (*File)(nil)
)

// Write appends p. Where that would pass the limit it appends nothing and
// returns ErrTooLarge. After an error the File takes no more, so that what was
// not written cannot leave a gap.
func (f *File) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.writable(); err != nil {
		return 0, err
	}
	if limit := f.store.limit; limit > 0 && int64(len(p)) > limit-f.size {
		return 0, f.tooLarge()
	}
	done := 0
	for done < len(p) {
		room, err := f.room()
		if err != nil {
			return done, err
		}
		if f.disk != nil && len(room) == chunkSize && len(p)-done >= chunkSize {
			// Nothing is held that would have to go first.
			if err := f.toDisk(p[done:]); err != nil {
				return done, err
			}
			f.size += int64(len(p) - done)
			return len(p), nil
		}
		n := copy(room, p[done:])
		done += n
		f.size += int64(n)
	}
	return done, nil
}

// ReadFrom appends all of r, as Write does, without a buffer in between.
func (f *File) ReadFrom(r io.Reader) (int64, error) {
	var done int64
	for {
		room, err := f.reserve()
		if err != nil {
			return done, err
		}
		// Readers of the File look at no byte beyond its size, so that r may
		// take its time without the lock.
		n, err := r.Read(room)
		if n < 0 || n > len(room) {
			n, err = 0, errors.New("read more than was asked for")
		}
		if e := f.extend(n); e != nil {
			return done, e
		}
		done += int64(n)
		if err == io.EOF {
			return done, nil
		}
		if err != nil {
			return done, err
		}
	}
}

// reserve is room under the lock.
func (f *File) reserve() ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.writable(); err != nil {
		return nil, err
	}
	f.lent = true
	return f.room()
}

// extend takes n bytes of what reserve returned into the File.
func (f *File) extend(n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lent = false
	if err := f.writable(); err != nil {
		return err
	}
	if limit := f.store.limit; limit > 0 && int64(n) > limit-f.size {
		return f.tooLarge()
	}
	f.size += int64(n)
	return nil
}

func (f *File) writable() error {
	if f.closed {
		return fmt.Errorf("write to spool: %w", os.ErrClosed)
	}
	return f.failed
}

func (f *File) tooLarge() error {
	f.failed = fmt.Errorf("%w of %d bytes", ErrTooLarge, f.store.limit)
	return f.failed
}

// room returns the free end of the last chunk, never empty. It makes room on
// disk when memory is full.
func (f *File) room() ([]byte, error) {
	used := f.size - f.onDisk
	if full := int64(len(f.held)) * chunkSize; used == full {
		if used > 0 && (f.disk != nil || used >= f.store.memory) {
			if err := f.spill(); err != nil {
				return nil, err
			}
			used = 0
		}
		f.held = append(f.held, chunks.Get().(*chunk))
		f.store.usage.memory.Add(chunkSize)
	}
	return f.held[len(f.held)-1][used%chunkSize:], nil
}

// spill writes all that is held, which are full chunks, to disk.
func (f *File) spill() error {
	if f.disk == nil {
		disk, err := f.store.open()
		if err != nil {
			f.failed = fmt.Errorf("open spool file: %w", err)
			return f.failed
		}
		f.disk = disk
	}
	for len(f.held) > 0 {
		if err := f.toDisk(f.held[0][:]); err != nil {
			return err
		}
		chunks.Put(f.held[0])
		f.store.usage.memory.Add(-chunkSize)
		f.held = f.held[1:]
	}
	f.held = nil
	return nil
}

// toDisk appends p to the disk file.
func (f *File) toDisk(p []byte) error {
	if _, err := f.disk.WriteAt(p, f.onDisk); err != nil {
		f.failed = fmt.Errorf("write spool file: %w", err)
		return f.failed
	}
	f.onDisk += int64(len(p))
	f.store.usage.disk.Add(int64(len(p)))
	return nil
}

// ReadAt reads what has been written so far.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	switch {
	case f.closed:
		return 0, fmt.Errorf("read from spool: %w", os.ErrClosed)
	case off < 0:
		return 0, fmt.Errorf("read from spool at offset %d", off)
	case off >= f.size:
		return 0, io.EOF
	}
	want := int(min(int64(len(p)), f.size-off))
	done := 0
	if off < f.onDisk {
		n, err := f.disk.ReadAt(p[:min(int64(want), f.onDisk-off)], off)
		done = n
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // someone shortened the file
		}
		if err != nil {
			return done, fmt.Errorf("read spool file: %w", err)
		}
	}
	for done < want {
		at := off + int64(done) - f.onDisk
		done += copy(p[done:want], f.held[at/chunkSize][at%chunkSize:])
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// Size is the number of bytes written so far.
func (f *File) Size() int64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.size
}

// Close frees memory and disk. A second Close does nothing.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	f.store.usage.files.Add(-1)
	f.store.usage.memory.Add(-int64(len(f.held)) * chunkSize)
	f.store.usage.disk.Add(-f.onDisk)
	if !f.lent { // what a writer still fills must not become another File's
		for _, c := range f.held {
			chunks.Put(c)
		}
	}
	f.held = nil
	if f.disk == nil {
		return nil
	}
	return f.disk.Close()
}
