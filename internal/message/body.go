package message

import (
	"errors"
	"io"
	"sort"
)

// Bytes returns a Body of b, which must not change any more.
func Bytes(b []byte) Body { return bytesBody(b) }

type bytesBody []byte

func (b bytesBody) Size() int64  { return int64(len(b)) }
func (b bytesBody) Close() error { return nil }

func (b bytesBody) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errOffset
	}
	if off >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

var errOffset = errors.New("read at a negative offset")

// Section returns n bytes of b from off on, cut off where b ends. It does not
// own b: closing it does nothing.
func Section(b Body, off, n int64) Body {
	off = min(max(off, 0), b.Size())
	n = min(max(n, 0), b.Size()-off)
	if s, ok := b.(section); ok {
		return section{s.b, s.off + off, n}
	}
	return section{b, off, n}
}

type section struct {
	b      Body
	off, n int64
}

func (s section) Size() int64  { return s.n }
func (s section) Close() error { return nil }

func (s section) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errOffset
	}
	if off >= s.n {
		return 0, io.EOF
	}
	if rest := s.n - off; int64(len(p)) > rest {
		n, err := s.b.ReadAt(p[:rest], s.off+off)
		if err == nil {
			err = io.EOF
		}
		return n, err
	}
	return s.b.ReadAt(p, s.off+off)
}

// Concat returns one Body of several, in order. It owns them: closing it
// closes them all.
func Concat(parts ...Body) Body {
	c := &concat{parts: parts, start: make([]int64, len(parts)+1)}
	for i, b := range parts {
		c.start[i+1] = c.start[i] + b.Size()
	}
	return c
}

type concat struct {
	parts []Body
	start []int64 // start[i] is where part i begins; the last is the size
}

func (c *concat) Size() int64 { return c.start[len(c.parts)] }

func (c *concat) Close() error {
	var errs []error
	for _, b := range c.parts {
		errs = append(errs, b.Close())
	}
	return errors.Join(errs...)
}

func (c *concat) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errOffset
	}
	done := 0
	// The part that holds off: never an empty one.
	i := sort.Search(len(c.parts), func(i int) bool { return c.start[i+1] > off })
	for ; i < len(c.parts) && done < len(p); i++ {
		b := c.parts[i]
		n := min(int64(len(p)-done), c.start[i+1]-off)
		m, err := b.ReadAt(p[done:done+int(n)], off-c.start[i])
		done += m
		off += int64(m)
		if int64(m) < n {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return done, err
		}
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// NewReader returns a reader of the whole of b from its beginning. It does
// not close b.
func NewReader(b Body) *Reader {
	return &Reader{io.NewSectionReader(b, 0, b.Size())}
}

// A Reader reads a Body in order.
type Reader struct{ *io.SectionReader }

// WriteTo writes the rest of the Body.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	buf := buffers.Get().(*buffer)
	defer buffers.Put(buf)
	// Without w's own ReadFrom, which may read in small pieces.
	return io.CopyBuffer(struct{ io.Writer }{w}, r.SectionReader, buf[:])
}
