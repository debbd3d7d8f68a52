// Package logfile reads logs as they lie on a disk: rotated, compressed, and
// still growing. What it gives are lines, bounded in length, with memory that
// does not depend on how large a file is or claims to be.
package logfile

import (
	"bytes"
	"errors"
	"io"
)

// MaxLine bounds a line. The rest of a longer one is dropped: syslog daemons cut
// at 8 KiB.
const MaxLine = 64 << 10

// Lines gives a stream line by line.
type Lines struct {
	r    io.Reader
	buf  []byte // what was read and not given yet is buf[from:to]
	from int
	to   int
	skip bool // within the rest of a line that was too long
	err  error
}

// NewLines begins a stream.
func NewLines(r io.Reader) *Lines { return &Lines{r: r, buf: make([]byte, 4*MaxLine)} }

// Next returns a line without its end. It is good until the next call. What
// stands at the end of the stream without an end of line is a line, too. The
// error is io.EOF, or why reading failed.
func (l *Lines) Next() ([]byte, error) {
	for scanned := l.from; ; {
		if i := bytes.IndexByte(l.buf[scanned:l.to], '\n'); i >= 0 {
			line := l.buf[l.from : scanned+i]
			l.from = scanned + i + 1
			if l.skip {
				l.skip = false
				scanned = l.from
				continue
			}
			return trim(line), nil
		}
		if l.to-l.from > MaxLine && !l.skip {
			line := l.buf[l.from : l.from+MaxLine]
			l.skip, l.from = true, l.to
			return line, nil
		}
		if l.skip {
			l.from = l.to
		}
		if l.err != nil {
			line := l.buf[l.from:l.to]
			l.from = l.to
			if len(line) > 0 && !l.skip {
				return trim(line), nil
			}
			return nil, l.err
		}
		scanned = l.fill()
	}
}

// fill reads on, and returns from where on nobody has looked for a line's end.
func (l *Lines) fill() int {
	if l.from > 0 {
		copy(l.buf, l.buf[l.from:l.to])
		l.to -= l.from
		l.from = 0
	}
	at := l.to
	for range 100 {
		n, err := l.r.Read(l.buf[l.to:])
		l.to += n
		if err != nil {
			l.err = err
		}
		if n > 0 || err != nil {
			return at
		}
	}
	l.err = io.ErrNoProgress
	return at
}

func trim(line []byte) []byte {
	if len(line) > 0 && line[len(line)-1] == '\r' {
		line = line[:len(line)-1]
	}
	if len(line) > MaxLine {
		line = line[:MaxLine]
	}
	return line
}

// Each calls take with every line.
func Each(r io.Reader, take func(line []byte) error) error {
	for l := NewLines(r); ; {
		line, err := l.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := take(line); err != nil {
			return err
		}
	}
}
