package content

import (
	"errors"
	"fmt"
	"io"
)

// Long pieces are worked on where they lie, short ones are collected: each call into a cipher has a cost of its own.
const (
	chunkSize  = 64 << 10
	directSize = 16 << 10
)

// ErrTooLong is content that is longer than its cipher can make safe.
var ErrTooLong = errors.New("content is too long for its cipher")

// An Encrypter is a writer of plaintext, which it does not alter.
type Encrypter struct {
	w      io.Writer
	engine engine
	aad    []byte
	max    int64 // octets that the cipher can take

	in, out []byte // collected, and made from what was not
	total   int64
	err     error
}

// Encrypter returns a writer that encrypts to w. The tag will also cover aad; CBC has neither.
func (a Algorithm) Encrypter(w io.Writer, key, aad []byte) (*Encrypter, error) {
	if !a.cipher.Writable() {
		return nil, fmt.Errorf("%w to write: %v", ErrUnsupported, a.cipher)
	}
	e, max, err := a.engine(key, true)
	if err != nil {
		return nil, err
	}
	e.begin(aad)
	return &Encrypter{w: w, engine: e, aad: aad, max: max}, nil
}

func (e *Encrypter) Write(p []byte) (int, error) {
	n := len(p)
	for e.count(n); len(p) > 0 && e.err == nil; {
		room := chunkSize
		if len(p) >= directSize {
			if len(e.in) == 0 {
				m := min(len(p), chunkSize) / unit * unit
				e.direct(p[:m])
				p = p[m:]
				continue
			}
			room = (len(e.in) + unit - 1) / unit * unit // only so much that the rest need not be collected
		}
		m := min(room-len(e.in), len(p))
		e.in = append(e.in, p[:m]...)
		p = p[m:]
		if len(e.in) == room {
			e.flush()
		}
	}
	if e.err != nil {
		return 0, e.err
	}
	return n, nil
}

// ReadFrom encrypts all of r, in whole chunks.
func (e *Encrypter) ReadFrom(r io.Reader) (total int64, err error) {
	for e.err == nil {
		if len(e.in) == cap(e.in) { // a short message needs no long buffer
			e.in = append(make([]byte, 0, min(chunkSize+fullTag, max(4<<10, 4*cap(e.in)))), e.in...)
		}
		n, err := r.Read(e.in[len(e.in):min(cap(e.in), chunkSize)])
		total += int64(n)
		if e.in = e.in[:len(e.in)+n]; !e.count(n) {
			break
		}
		if len(e.in) == chunkSize {
			e.flush()
		}
		if err == io.EOF {
			break
		} else if err != nil {
			return total, err
		}
	}
	return total, e.err
}

// count counts n more octets, if the cipher may take them.
func (e *Encrypter) count(n int) bool {
	if e.err == nil && int64(n) > e.max-e.total {
		e.err = ErrTooLong
	}
	e.total += int64(n)
	return e.err == nil
}

// direct works on whole units that are somebody else's.
func (e *Encrypter) direct(p []byte) {
	if e.out == nil {
		e.out = make([]byte, chunkSize+fullTag) // GCM has use for room behind
	}
	e.engine.encrypt(e.out[:len(p)], p)
	_, e.err = e.w.Write(e.out[:len(p)])
}

// flush works on what was collected.
func (e *Encrypter) flush() {
	if len(e.in) == 0 || e.err != nil {
		return
	}
	e.engine.encrypt(e.in, e.in)
	_, e.err = e.w.Write(e.in)
	e.in = e.in[:0]
}

// Finish writes what is left and returns the tag.
func (e *Encrypter) Finish() (tag []byte, err error) {
	total := e.total
	if _, err := e.Write(e.engine.pad(total)); err != nil {
		return nil, err
	}
	if e.flush(); e.err != nil {
		return nil, e.err
	}
	return e.engine.sum(e.aad, total, nil)
}
