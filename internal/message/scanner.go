package message

import (
	"bytes"
	"fmt"
	"io"
)

// A scanner goes through a body once, in large pieces, and finds delimiter
// lines (RFC 2046 section 5.1.1).
type scanner struct {
	b    Body
	size int64 // of b
	buf  *buffer
	base int64 // offset in b of the buffer's first byte
	pos  int   // in buf: the next byte
	end  int   // of what is in buf
}

// maxDelimiter is the length to which a line can be a delimiter: RFC 5322
// section 2.1.1 has no longer lines.
const maxDelimiter = 1000

// lookBehind is how much of what was passed stays in the buffer: a line end.
const lookBehind = 2

// A delimiter is a line that was found.
type delimiter struct {
	level   int   // what its boundary stands for
	start   int64 // of the line end before it
	closing bool
}

func newScanner(b Body) *scanner {
	return &scanner{b: b, size: b.Size(), buf: buffers.Get().(*buffer)}
}

func (s *scanner) free() {
	buffers.Put(s.buf)
	s.buf = nil
}

// offset is the place in the body.
func (s *scanner) offset() int64 { return s.base + int64(s.pos) }

// ahead returns what is in the buffer from here on: n bytes at least, or all
// up to the body's end.
func (s *scanner) ahead(n int) ([]byte, error) {
	if s.end-s.pos >= n || s.base+int64(s.end) == s.size {
		return s.buf[s.pos:s.end], nil
	}
	passed := max(s.pos-lookBehind, 0)
	copy(s.buf[:], s.buf[passed:s.end])
	s.base += int64(passed)
	s.pos -= passed
	s.end -= passed
	room := s.buf[s.end:min(int64(len(s.buf)), s.size-s.base)]
	read, err := s.b.ReadAt(room, s.base+int64(s.end))
	s.end += read
	if read < len(room) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read body: %w", err)
	}
	return s.buf[s.pos:s.end], nil
}

// lineEnd returns the length of the line end before place i of the buffer, or
// -1 where no line begins.
func (s *scanner) lineEnd(i int) int {
	switch {
	case i == 0:
		return 0 // of the body, for behind it something is kept
	case s.buf[i-1] != '\n':
		return -1
	case i > 1 && s.buf[i-2] == '\r':
		return 2
	}
	return 1
}

// delimiter goes behind the next delimiter line of one of the boundaries. It
// returns false where there is none.
func (s *scanner) delimiter(open *boundaries) (delimiter, bool, error) {
	for {
		if ok, err := s.dashes(); err != nil || !ok {
			return delimiter{}, false, err
		}
		d, n, err := s.match(open)
		if err != nil {
			return delimiter{}, false, err
		}
		if n > 0 {
			s.pos += n
			return d, true, nil
		}
		s.pos += len("--")
	}
}

// dashes goes to the next line that begins with "--". Most of a body is passed
// without a look at its lines.
func (s *scanner) dashes() (bool, error) {
	for {
		p, err := s.ahead(len("--"))
		if err != nil {
			return false, err
		}
		if len(p) < len("--") {
			s.pos = s.end
			return false, nil
		}
		i := bytes.Index(p, []byte("--"))
		if i < 0 {
			s.pos = s.end - 1 // the first of two, perhaps
			continue
		}
		if s.lineEnd(s.pos+i) >= 0 {
			s.pos += i
			return true, nil
		}
		i += len("--")
		if j := bytes.IndexByte(p[i:], '\n'); j >= 0 {
			s.pos += i + j + 1
		} else {
			s.pos = s.end
		}
	}
}

// match returns the delimiter at the beginning of the line here, and the length
// of its line, 0 where there is none.
func (s *scanner) match(open *boundaries) (d delimiter, n int, err error) {
	p, err := s.ahead(maxDelimiter)
	if err != nil || !bytes.HasPrefix(p, []byte("--")) || len(p) > 2 && open.first[p[2]] == 0 {
		return d, 0, err
	}
	n = bytes.IndexByte(p[:min(len(p), maxDelimiter)], '\n') + 1
	if n == 0 {
		if len(p) >= maxDelimiter {
			return d, 0, nil
		}
		n = len(p) // the body ends here
	}
	line := p[len("--"):n]
	for len(line) > 0 && isBlankOrEnd(line[len(line)-1]) {
		line = line[:len(line)-1]
	}
	var ok bool
	if d.level, ok = open.level(line); !ok {
		if line, d.closing = bytes.CutSuffix(line, []byte("--")); !d.closing {
			return d, 0, nil
		}
		if d.level, ok = open.level(line); !ok {
			return d, 0, nil
		}
	}
	d.start = s.offset() - int64(max(s.lineEnd(s.pos), 0))
	return d, n, nil
}

func isBlankOrEnd(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// header appends the header that begins here to dst, without the empty line
// behind it, and goes behind that line, or to the delimiter line that stands in
// its place.
func (s *scanner) header(dst []byte, open *boundaries, limit int64) ([]byte, error) {
	for {
		p, err := s.ahead(maxDelimiter)
		if err != nil || len(p) == 0 {
			return dst, err
		}
		n := bytes.IndexByte(p, '\n') + 1
		if s.lineEnd(s.pos) >= 0 {
			if isEmptyLine(p[:n]) {
				s.pos += n
				return dst, nil
			}
			if _, length, err := s.match(open); err != nil || length > 0 {
				return dst, err
			}
		}
		if n == 0 {
			n = len(p) // of a long line, or the last
		}
		if int64(len(dst)+n) > limit {
			return dst, &LimitError{BoundHeader, limit}
		}
		dst = append(dst, p[:n]...)
		s.pos += n
	}
}
