package content

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"math"
)

// Long pieces are worked on where they lie, short ones are collected: each call into a cipher has a cost of its own, and a
// sender may cut his content into single octets.
const (
	chunkSize  = 64 << 10
	directSize = 16 << 10
	unit       = 16 // a multiple of every block size
)

// ErrTooLong is content that is longer than its cipher can make safe.
var ErrTooLong = errors.New("content is too long for its cipher")

// stream feeds what is written to it to a cipher, in whole units but for the end, and passes the result on to w.
type stream struct {
	w     io.Writer
	crypt func(dst, src []byte) // dst is src, or they do not overlap
	max   int64                 // octets that the cipher can take

	in, out []byte // collected, and made from what was not
	total   int64
	last    [unit]byte // octets that came out
	err     error
}

func (s *stream) Write(p []byte) (int, error) {
	n := len(p)
	if s.err == nil && int64(n) > s.max-s.total {
		s.err = ErrTooLong
	}
	s.total += int64(n)
	for len(p) > 0 && s.err == nil {
		room := chunkSize
		if len(p) >= directSize {
			if len(s.in) == 0 {
				m := min(len(p), chunkSize) / unit * unit
				s.direct(p[:m])
				p = p[m:]
				continue
			}
			room = (len(s.in) + unit - 1) / unit * unit // only so much that the rest need not be collected
		}
		m := min(room-len(s.in), len(p))
		s.in = append(s.in, p[:m]...)
		p = p[m:]
		if len(s.in) == room {
			s.flush()
		}
	}
	if s.err != nil {
		return 0, s.err
	}
	return n, nil
}

// direct works on whole units that are somebody else's.
func (s *stream) direct(p []byte) {
	if len(s.out) < len(p) {
		s.out = make([]byte, len(p))
	}
	s.crypt(s.out[:len(p)], p)
	s.pass(s.out[:len(p)])
}

// flush works on what was collected.
func (s *stream) flush() {
	if len(s.in) == 0 || s.err != nil {
		return
	}
	s.crypt(s.in, s.in)
	s.pass(s.in)
	s.in = s.in[:0]
}

func (s *stream) pass(b []byte) {
	if n := len(b) - unit; n >= 0 {
		copy(s.last[:], b[n:])
	} else {
		copy(s.last[:], s.last[len(b):])
		copy(s.last[-n:], b)
	}
	_, s.err = s.w.Write(b)
}

// An Encrypter is a writer of plaintext, which it does not alter.
type Encrypter struct {
	stream stream
	engine engine
	aad    []byte
}

// A Decrypter is a writer of ciphertext.
type Decrypter struct {
	stream stream
	engine engine
}

// engine is a cipher at work on one message.
type engine interface {
	// begin is told additional data that are known before the text.
	begin(aad []byte)
	encrypt(dst, src []byte)
	decrypt(dst, src []byte)
	// pad returns what is encrypted behind total octets of plaintext.
	pad(total int64) []byte
	// sum returns the tag over aad and total octets of ciphertext, nil if there is none. When decrypting, aad is not what begin was
	// told; an engine that needs it earlier reads the plaintext again.
	sum(aad []byte, total int64, plaintext io.ReaderAt) ([]byte, error)
	// unpad returns how many of total octets, of which last are the last, are plaintext: in the same time whatever they are.
	unpad(total int64, last [unit]byte) (size int64, ok bool)
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
	return &Encrypter{stream{w: w, crypt: e.encrypt, max: max}, e, aad}, nil
}

func (e *Encrypter) Write(p []byte) (int, error) { return e.stream.Write(p) }

// Finish writes what is left and returns the tag.
func (e *Encrypter) Finish() (tag []byte, err error) {
	s := &e.stream
	if _, err := s.Write(e.engine.pad(s.total)); err != nil {
		return nil, err
	}
	if s.flush(); s.err != nil {
		return nil, s.err
	}
	return e.engine.sum(e.aad, s.total, nil)
}

// Decrypter returns a writer that decrypts to w, as many octets as are written to it.
func (a Algorithm) Decrypter(w io.Writer, key []byte) (*Decrypter, error) {
	e, max, err := a.engine(key, false)
	if err != nil {
		return nil, err
	}
	return &Decrypter{stream{w: w, crypt: e.decrypt, max: max}, e}, nil
}

func (d *Decrypter) Write(p []byte) (int, error) { return d.stream.Write(p) }

// Finish writes what is left and says how much of what was written is plaintext, the rest is padding; and whether it is good:
// the padding of CBC is right, or tag is the right one with some of aads (of which an empty one is the same as none). What was
// written can be read in written. An error is one of the writer or of written: it does not depend on the key.
func (d *Decrypter) Finish(tag []byte, aads [][]byte, written io.ReaderAt) (size int64, ok bool, err error) {
	s := &d.stream
	if s.flush(); s.err != nil {
		return 0, false, s.err
	}
	size, ok = d.engine.unpad(s.total, s.last)
	if len(aads) == 0 {
		aads = [][]byte{nil}
	}
	good := 0
	for _, aad := range aads {
		want, err := d.engine.sum(aad, s.total, written)
		if err != nil {
			return 0, false, err
		}
		good |= subtle.ConstantTimeCompare(want, tag)
	}
	return size, ok && good == 1, nil
}

// engine makes what works on one message. Only its kind and the length of the key can be wrong.
func (a Algorithm) engine(key []byte, encrypting bool) (engine, int64, error) {
	if len(key) != a.cipher.KeySize() || len(key) == 0 {
		return nil, 0, fmt.Errorf("key of %d octets for %v", len(key), a.cipher)
	}
	switch a.cipher.mode() {
	case gcm:
		e, err := newGCM(a, key)
		return e, maxGCM, err
	case ccm:
		e, err := newCCM(a, key)
		return e, e.max(), err
	case chacha:
		e, err := newChaCha(a, key)
		return e, maxChaCha, err
	}
	e, err := newCBC(a, key, encrypting)
	return e, math.MaxInt64, err
}
