package logfile

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A Follower reads a log that grows, as tail -F does: also when it is rotated,
// by renaming it or by copying it and cutting it down, and when it is away for a
// while.
type Follower struct {
	// Name is the log's.
	Name string
	// Start reads what is there already; otherwise only what comes.
	Start bool
	// Take gets each line, when it has its end.
	Take func(line []byte)
	// Idle is called when there is no more for now. It may be nil.
	Idle func()
	// Poll is how often the file is looked at without a hint of the system; 0 is
	// two seconds.
	Poll time.Duration

	file  *os.File
	head  []byte // its first bytes, by which it is known when it was cut down
	at    int64  // what was read
	line  []byte // a line without its end
	first bool   // no file has been opened yet
}

// headLength is how much of a file tells it from another: a time and some words.
const headLength = 128

// Run reads until ctx ends, which is no error.
func (f *Follower) Run(ctx context.Context) error {
	hints, stop := f.watch()
	defer stop()
	if f.Poll == 0 {
		f.Poll = 2 * time.Second
	}
	tick := time.NewTicker(f.Poll)
	defer tick.Stop()
	f.first = true
	defer func() {
		if f.file != nil {
			f.file.Close()
		}
	}()
	for {
		if err := f.look(); err != nil {
			return err
		}
		if f.Idle != nil {
			f.Idle()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-hints:
		case <-tick.C:
		}
	}
}

// watch asks the system for hints, of the folder: the file may come and go. They
// are hints; without them there is the poll.
func (f *Follower) watch() (<-chan struct{}, func()) {
	hints := make(chan struct{}, 1)
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return hints, func() {}
	}
	if w.Add(filepath.Dir(f.Name)) != nil {
		w.Close()
		return hints, func() {}
	}
	w.Add(f.Name) // kqueue tells of writes to files that it was told of
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case e, ok := <-w.Events:
				if !ok {
					return
				}
				if filepath.Base(e.Name) != filepath.Base(f.Name) {
					continue
				}
				if e.Has(fsnotify.Create) {
					w.Add(f.Name)
				}
				select {
				case hints <- struct{}{}:
				default:
				}
			case _, ok := <-w.Errors:
				if !ok {
					return
				}
			}
		}
	}()
	return hints, func() { w.Close(); <-done }
}

// look reads what there is, and changes to the new file after a rotation.
func (f *Follower) look() error {
	for {
		if f.file != nil {
			if err := f.read(); err != nil {
				return err
			}
		}
		now, err := os.Stat(f.Name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			f.first = false // what comes then is new
			return nil
		case err != nil:
			return err
		}
		if f.file != nil {
			was, err := f.file.Stat()
			if err != nil || os.SameFile(was, now) {
				return err
			}
			if err := f.read(); err != nil { // written between the last reading and the renaming
				return err
			}
			f.end()
			f.file.Close()
			f.file = nil
		}
		if again, err := f.open(); err != nil || !again {
			return err
		}
	}
}

// open opens the file. It is false when that is gone again.
func (f *Follower) open() (bool, error) {
	file, err := os.Open(f.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	f.file, f.at, f.head = file, 0, nil
	if f.first && !f.Start {
		if f.at, err = file.Seek(0, io.SeekEnd); err != nil {
			return false, err
		}
		if err := f.learn(); err != nil {
			return false, err
		}
	}
	f.first = false
	return true, nil
}

// learn keeps the first bytes of a file whose beginning is not read.
func (f *Follower) learn() error {
	head := make([]byte, min(f.at, headLength))
	n, err := f.file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	f.head = head[:n]
	return nil
}

// cutDown reports whether the file is shorter than what was read of it, or
// begins with something else.
func (f *Follower) cutDown() (bool, error) {
	info, err := f.file.Stat()
	if err != nil || info.Size() < f.at {
		return true, err
	}
	head := make([]byte, len(f.head))
	if _, err := f.file.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return !bytes.Equal(head, f.head), nil
}

// read gives what the file has more, from the beginning when it was cut down.
func (f *Follower) read() error {
	buf := make([]byte, 64<<10)
	for {
		n, err := f.file.ReadAt(buf, f.at)
		// Looked at after reading, for it may happen at any time.
		if cut, err := f.cutDown(); err != nil {
			return err
		} else if cut {
			f.end()
			f.at, f.head = 0, nil
			continue
		}
		if room := headLength - f.at; room > 0 {
			f.head = append(f.head, buf[:min(int64(n), room)]...)
		}
		f.at += int64(n)
		f.give(buf[:n])
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// give takes bytes apart into lines.
func (f *Follower) give(b []byte) {
	for {
		i := bytes.IndexByte(b, '\n')
		part := b
		if i >= 0 {
			part = b[:i]
		}
		if room := MaxLine - len(f.line); len(part) > room {
			part = part[:room]
		}
		f.line = append(f.line, part...)
		if i < 0 {
			return
		}
		f.end()
		b = b[i+1:]
	}
}

// end gives a line. One that a rotation has left without an end counts.
func (f *Follower) end() {
	if len(f.line) > 0 {
		f.Take(trim(f.line))
	}
	f.line = f.line[:0]
}
