package ber

import "io"

// Content returns the contents of the current element, an OCTET STRING or one tagged in its place: primitive, or in
// pieces, which may be in pieces themselves (X.690 section 8.7). It must be read to its end before the Reader goes on.
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
}

func (c *content) Read(p []byte) (int, error) {
	r := c.r
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	for c.left == 0 {
		if len(r.frames) == c.base {
			return 0, io.EOF
		}
		if err := c.piece(); err != nil {
			return 0, err
		}
	}
	n, err := r.read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// piece goes to the next piece, or out of a string whose pieces are read. Pieces are not counted as elements: there is
// nothing to keep of them, and their work is linear.
func (c *content) piece() error {
	r := c.r
	h, err := r.next()
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
	c.left = h.Length
	return nil
}
