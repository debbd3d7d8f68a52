package ber

import "io"

// Content returns the contents of the current element, an OCTET STRING or one tagged in its place: primitive, or in
// pieces, which may be in pieces themselves (X.690 section 8.7). It must be read to its end before the Reader goes on. It is an
// io.WriterTo too, which shows long pieces where they lie instead of copying them.
func (r *Reader) Content() io.Reader {
	c := &content{r: r, base: len(r.frames)}
	switch {
	case r.err != nil:
	case !r.pending:
		r.Malformed("there is no element to read")
	case r.head.Constructed:
		r.Enter()
	default:
		r.pending = false
		c.left = r.head.Length
	}
	return c
}

// content is a string being read.
type content struct {
	r    *Reader
	base int   // depth of the parent
	left int64 // octets of the piece at hand
	read bool  // and not shown
	big  bool  // the piece at hand is
}

var _ io.WriterTo = (*content)(nil)

// Read fills p unless the string ends.
func (c *content) Read(p []byte) (n int, err error) {
	c.read = true
	for n < len(p) {
		if err := c.advance(); err == io.EOF && n > 0 {
			break
		} else if err != nil {
			return n, err
		}
		m, err := c.r.read(p[n:min(len(p), n+int(min(c.left, largeBuffer)))])
		n += m
		c.left -= int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// WriteTo passes long pieces on as they lie in the buffer and collects short ones.
func (c *content) WriteTo(w io.Writer) (total int64, err error) {
	const worth, enough = 2 << 10, 16 << 10
	var short []byte
	write := func(b []byte) error {
		if len(b) == 0 {
			return nil
		}
		n, err := w.Write(b)
		total += int64(n)
		return err
	}
	for {
		if err := c.advance(); err == io.EOF {
			return total, write(short)
		} else if err != nil {
			return total, err
		}
		b, err := c.r.some(c.left)
		if err != nil {
			return total, err
		}
		if len(b) < worth && len(short)+len(b) <= enough {
			short = append(short, b...)
		} else {
			if err := write(short); err != nil {
				return total, err
			}
			short = short[:0]
			if err := write(b); err != nil {
				return total, err
			}
		}
		c.r.consume(len(b))
		c.left -= int64(len(b))
	}
}

// advance goes to the next octet of the string, over the headers before it; io.EOF if there is none.
func (c *content) advance() error {
	if c.r.err != nil {
		return c.r.err
	}
	for c.left == 0 {
		if len(c.r.frames) == c.base {
			return io.EOF
		}
		if err := c.piece(); err != nil {
			return err
		}
	}
	return nil
}

// piece goes to the next piece, or out of a string whose pieces are read. Pieces are not counted as elements: there is
// nothing to keep of them, and their work is linear.
func (c *content) piece() error {
	r := c.r
	r.sip = c.read && c.big // what would come with the header would be copied
	h, err := r.next()
	r.sip = false
	switch {
	case err == io.EOF:
		r.frames = r.frames[:len(r.frames)-1]
		return nil
	case err != nil:
		return err
	case h.Tag != OctetString:
		return r.Malformed("a piece of an OCTET STRING is something else")
	case h.Constructed:
		return r.Enter()
	}
	r.pending = false
	c.left, c.big = h.Length, h.Length >= long
	return nil
}
