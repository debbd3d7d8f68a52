package ber

import "io"

// peek returns up to n octets that lie ahead, fewer only where the source ends or breaks.
func (r *Reader) peek(n int) []byte {
	for r.w-r.r < n && r.srcErr == nil {
		r.fill()
	}
	return r.buf[r.r:min(r.r+n, r.w)]
}

// fill reads from the source once, behind what is buffered.
func (r *Reader) fill() {
	to := r.buf
	switch {
	case r.buf == nil:
		to = make([]byte, smallBuffer)
	case r.w == len(r.buf) && r.w < largeBuffer:
		to = make([]byte, 4*r.w)
	}
	r.w = copy(to, r.buf[r.r:r.w])
	r.buf, r.r = to, 0
	room := r.buf[r.w:]
	if r.sip {
		room = room[:min(len(room), maxHeader)]
	}
	for range 100 {
		n, err := r.src.Read(room)
		r.w += n
		if n > 0 || err != nil {
			r.srcErr = err
			return
		}
	}
	r.srcErr = io.ErrNoProgress
}

func (r *Reader) consume(n int) {
	r.r += n
	r.off += int64(n)
}

// some returns between 1 and n octets that lie ahead without consuming them; n > 0.
func (r *Reader) some(n int64) ([]byte, error) {
	if len(r.peek(1)) == 0 {
		return nil, r.truncated()
	}
	return r.buf[r.r:min(r.w, r.r+int(min(n, largeBuffer)))], nil
}

// discard consumes n octets.
func (r *Reader) discard(n int64) error {
	for n > 0 {
		b, err := r.some(n)
		if err != nil {
			return err
		}
		r.consume(len(b))
		n -= int64(len(b))
	}
	return nil
}

// read fills p as far as one call to the source does; a long read with nothing buffered goes past the buffer.
func (r *Reader) read(p []byte) (int, error) {
	if r.r == r.w && len(p) >= min(len(r.buf), long) && r.srcErr == nil {
		n, err := r.src.Read(p)
		r.off += int64(n)
		r.srcErr = err
		if n > 0 {
			return n, nil
		}
	}
	b, err := r.some(int64(len(p)))
	if err != nil {
		return 0, err
	}
	n := copy(p, b)
	r.consume(n)
	return n, nil
}
