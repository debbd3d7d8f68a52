package message

import (
	"errors"
	"io"
	"sync"
)

// bufferSize is what readers here read at once: large enough that the cost
// of a call does not count.
const bufferSize = 64 << 10

type buffer [bufferSize]byte

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// A source reads r in large pieces.
type source struct {
	r    io.Reader
	buf  *buffer // nil before the first fill and after the last
	rest []byte  // of buf, not yet used
	err  error   // what r ended with; comes after rest
}

// fill reads more behind rest. It returns false where there is no more, or no
// room.
func (s *source) fill() bool {
	if s.buf == nil && s.err == nil {
		s.buf = buffers.Get().(*buffer)
	}
	if s.err == nil && len(s.rest) < len(s.buf) {
		held := copy(s.buf[:], s.rest)
		n := 0
		for tries := 0; n == 0 && s.err == nil; tries++ {
			n, s.err = s.r.Read(s.buf[held:])
			if tries == 100 {
				s.err = io.ErrNoProgress
			}
		}
		s.rest = s.buf[:held+n]
		if n > 0 {
			return true
		}
	}
	if s.err != nil && len(s.rest) == 0 {
		s.release()
	}
	return false
}

// release gives the buffer back, where nothing of it is needed any more.
func (s *source) release() {
	if s.buf != nil {
		buffers.Put(s.buf)
		s.buf, s.rest = nil, nil
	}
}

// ended reports whether there is nothing to come behind rest.
func (s *source) ended() bool { return s.err != nil }

// failed reports whether r ended otherwise than at its end.
func (s *source) failed() bool { return s.err != nil && !errors.Is(s.err, io.EOF) }
