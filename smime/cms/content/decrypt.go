package content

import (
	"crypto/subtle"
	"io"
)

// A Decrypter is a reader of what ciphertext becomes, octet for octet. It is worth nothing before Finish.
type Decrypter struct {
	r      io.Reader
	engine engine
	max    int64 // octets that the cipher can take

	total int64
	last  [unit]byte // octets that were decrypted
	buf   []byte     // of ciphertext
	rest  []byte     // decrypted for who asks for less than a unit
	err   error
}

// Decrypter returns a reader that decrypts r. Where r is at its end it may be given more later, if what it gave was whole units
// of 16 octets.
func (a Algorithm) Decrypter(r io.Reader, key []byte) (*Decrypter, error) {
	e, max, err := a.engine(key, false)
	if err != nil {
		return nil, err
	}
	return &Decrypter{r: r, engine: e, max: max}, nil
}

func (d *Decrypter) Read(p []byte) (n int, err error) {
	switch {
	case d.err != nil:
		return 0, d.err
	case len(d.rest) == 0 && len(p) >= unit:
		return d.read(p[:min(len(p), readSize)/unit*unit])
	case len(d.rest) == 0:
		short := make([]byte, 4<<10)
		if n, err = d.read(short); n == 0 {
			return 0, err
		}
		d.rest = short[:n]
	}
	n = copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// readSize is how much is decrypted at once: so little that it stays in a processor's cache from one step to the next, and what
// goes to the reader's memory, which may be far away, goes there only once.
const readSize = 32 << 10

// read fills p, of whole units, unless r ends.
func (d *Decrypter) read(p []byte) (int, error) {
	if len(d.buf) < len(p) {
		d.buf = make([]byte, len(p))
	}
	b := d.buf[:len(p)]
	n, err := io.ReadFull(d.r, b)
	switch {
	case err != nil && err != io.EOF && err != io.ErrUnexpectedEOF:
		d.err = err
	case int64(n) > d.max-d.total:
		d.err = ErrTooLong
	}
	if d.err != nil {
		return 0, d.err
	}
	if n == 0 {
		return 0, io.EOF
	}
	p = p[:n]
	d.total += int64(n)
	d.engine.decrypt(p, b[:n])
	if n >= unit {
		copy(d.last[:], p[n-unit:])
	} else {
		copy(d.last[:], d.last[n:])
		copy(d.last[unit-n:], p)
	}
	return n, nil
}

// Finish says how much of what was read is plaintext, the rest is padding; and whether it is good: the padding of CBC is right,
// or tag is the right one with some of aads (of which an empty one is the same as none). All that was read must be in written. An
// error is one of written: it does not depend on the key.
func (d *Decrypter) Finish(tag []byte, aads [][]byte, written io.ReaderAt) (size int64, ok bool, err error) {
	if d.err != nil {
		return 0, false, d.err
	}
	size, ok = d.engine.unpad(d.total, d.last)
	if len(aads) == 0 {
		aads = [][]byte{nil}
	}
	good := 0
	for _, aad := range aads {
		want, err := d.engine.sum(aad, d.total, written)
		if err != nil {
			return 0, false, err
		}
		good |= subtle.ConstantTimeCompare(want, tag)
	}
	return size, ok && good == 1, nil
}
