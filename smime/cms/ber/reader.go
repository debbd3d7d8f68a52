package ber

import (
	"fmt"
	"io"
	"math"
)

// Buffers start small because most signatures are; long input earns a longer one, fourfold each time.
const (
	smallBuffer = 4 << 10
	largeBuffer = 64 << 10
	long        = 16 << 10 // octets that are better read to where they belong than copied there
)

// Reader walks over BER elements. Between two calls it stands either before the contents of the element that Next
// returned, or after them. Errors other than io.EOF stay.
type Reader struct {
	src    io.Reader
	srcErr error
	buf    []byte
	r, w   int   // buf[r:w] is read from src and not consumed
	off    int64 // of buf[r] in src
	sip    bool  // to read no more than a header

	limits   Limits
	elements int
	frames   []frame // the elements that were entered

	head    Header
	octets  [maxHeader]byte // of head, as received
	pending bool            // head's contents lie ahead
	err     error
}

// frame is an entered element. The root frame lies below all and has no end.
type frame struct {
	end        int64 // no child may pass this; of an indefinite element, the end of its closest definite ancestor
	indefinite bool
}

// NewReader returns a Reader at the start of r.
func NewReader(r io.Reader, l Limits) *Reader {
	return &Reader{src: r, limits: l.orDefault(), frames: append(make([]frame, 0, 16), frame{end: math.MaxInt64})}
}

// Offset is the number of octets consumed.
func (r *Reader) Offset() int64 { return r.off }

// Depth is the number of elements entered and not left.
func (r *Reader) Depth() int { return len(r.frames) - 1 }

// Next skips what is left of the current element and returns the header of the next one in the same parent, io.EOF at the
// parent's end.
func (r *Reader) Next() (Header, error) {
	if err := r.Skip(); err != nil {
		return Header{}, err
	}
	if r.elements++; r.elements > r.limits.Elements {
		return Header{}, r.fail(ErrLimit, fmt.Sprintf("more than %d elements", r.limits.Elements))
	}
	return r.next()
}

// next reads one header; the caller has dealt with the element before.
func (r *Reader) next() (Header, error) {
	if r.err != nil {
		return Header{}, r.err
	}
	f := &r.frames[len(r.frames)-1]
	room := f.end - r.off
	if room == 0 && !f.indefinite {
		return Header{}, io.EOF
	}
	b := r.peek(maxHeader)
	if len(b) == 0 && len(r.frames) == 1 && r.srcErr == io.EOF {
		return Header{}, io.EOF
	}
	cut := int64(len(b)) > room
	if cut {
		b = b[:room]
	}
	h, err := parseHeader(b)
	switch {
	case err == errShort && cut:
		return h, r.Malformed("header passes the end of its parent")
	case err == errShort:
		return h, r.truncated()
	case err != nil:
		return h, r.Malformed(err.Error())
	case h.Length > room-int64(h.Size):
		return h, r.Malformed("element passes the end of its parent")
	}
	if end, err := h.endOfContents(); err != nil {
		return h, r.Malformed(err.Error())
	} else if end {
		if !f.indefinite {
			return h, r.Malformed("end-of-contents in an element of definite length")
		}
		r.consume(h.Size)
		*f = frame{end: r.off} // asked again, the element is still at its end
		return h, io.EOF
	}
	h.Offset = r.off
	copy(r.octets[:], b[:h.Size])
	r.consume(h.Size)
	r.head, r.pending = h, true
	return h, nil
}

// Enter goes into the current element, which must be constructed.
func (r *Reader) Enter() error {
	switch {
	case r.err != nil:
		return r.err
	case !r.pending:
		return r.Malformed("there is no element to enter")
	case !r.head.Constructed:
		return r.Malformed("primitive where a constructed element belongs")
	case len(r.frames) > r.limits.Depth:
		return r.fail(ErrLimit, fmt.Sprintf("more than %d levels", r.limits.Depth))
	}
	f := frame{end: r.frames[len(r.frames)-1].end, indefinite: r.head.Length == Indefinite}
	if !f.indefinite {
		f.end = r.off + r.head.Length
	}
	r.frames = append(r.frames, f)
	r.pending = false
	return nil
}

// Leave goes out of the element entered last, which must have no further children.
func (r *Reader) Leave() error {
	if len(r.frames) == 1 {
		return r.Malformed("there is no element to leave")
	}
	switch _, err := r.Next(); err {
	case io.EOF:
		r.frames = r.frames[:len(r.frames)-1]
		return nil
	case nil:
		return r.Malformed("unexpected element")
	default:
		return err
	}
}

// Skip passes over the contents of the current element, if they still lie ahead.
func (r *Reader) Skip() error {
	if r.err != nil || !r.pending {
		return r.err
	}
	return r.walk(func([]byte) error { return nil }, r.discard)
}

// Raw returns the current element as received, header included; more than max octets are ErrLimit.
func (r *Reader) Raw(max int64) ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	if !r.pending {
		return nil, r.Malformed("there is no element to read")
	}
	var out []byte
	tooLarge := func() error { return r.fail(ErrLimit, fmt.Sprintf("element of more than %d octets", max)) }
	if r.head.Length != Indefinite {
		if r.head.Length > max-int64(r.head.Size) {
			return nil, tooLarge()
		}
		out = make([]byte, 0, int64(r.head.Size)+r.head.Length)
	}
	octets := func(b []byte) error {
		if int64(len(out)+len(b)) > max {
			return tooLarge()
		}
		out = append(out, b...)
		return nil
	}
	contents := func(n int64) error {
		if n > max-int64(len(out)) {
			return tooLarge()
		}
		for n > 0 {
			b, err := r.some(n)
			if err != nil {
				return err
			}
			out = append(out, b...)
			r.consume(len(b))
			n -= int64(len(b))
		}
		return nil
	}
	if err := r.walk(octets, contents); err != nil {
		return nil, err
	}
	return out, nil
}

// DER returns the current element in distinguished encoding.
func (r *Reader) DER(max int64) ([]byte, error) {
	at := r.head.Offset
	raw, err := r.Raw(max)
	if err != nil {
		return nil, err
	}
	der, err := DER(raw, r.limits)
	if e, ok := err.(*Error); ok {
		return nil, r.keep(&Error{e.Kind, e.Offset + at, e.Reason})
	}
	return der, err
}

// walk passes over the current element: its header octets, and below it those of every element of indefinite length, go to
// octets; contents of definite length are consumed, unread, by contents.
func (r *Reader) walk(octets func([]byte) error, contents func(int64) error) error {
	base := len(r.frames)
	for {
		if r.pending {
			if err := octets(r.octets[:r.head.Size]); err != nil {
				return err
			}
			if r.head.Length == Indefinite {
				if err := r.Enter(); err != nil {
					return err
				}
			} else {
				r.pending = false
				if err := contents(r.head.Length); err != nil {
					return err
				}
			}
		}
		if len(r.frames) == base {
			return nil
		}
		r.elements++
		if r.elements > r.limits.Elements {
			return r.fail(ErrLimit, fmt.Sprintf("more than %d elements", r.limits.Elements))
		}
		switch _, err := r.next(); err {
		case nil:
		case io.EOF:
			if err := octets([]byte{0, 0}); err != nil {
				return err
			}
			r.frames = r.frames[:len(r.frames)-1]
		default:
			return err
		}
	}
}

// End checks that nothing is left: every element was left and the source is at its end.
func (r *Reader) End() error {
	if err := r.Skip(); err != nil {
		return err
	}
	if len(r.frames) > 1 {
		return r.Malformed("elements are still open")
	}
	switch {
	case len(r.peek(1)) > 0:
		return r.Malformed("octets after the end")
	case r.srcErr != io.EOF:
		return r.keep(r.srcErr)
	}
	return nil
}

func (r *Reader) keep(err error) error {
	r.err = err
	return err
}

func (r *Reader) fail(kind error, reason string) error {
	return r.keep(&Error{kind, r.off, reason})
}

// Malformed makes an error about the element at hand, for callers who expected something else, and stops the Reader.
func (r *Reader) Malformed(reason string) error { return r.fail(ErrMalformed, reason) }

// truncated is the error where octets are missing: the source's own, if it broke.
func (r *Reader) truncated() error {
	if r.srcErr != io.EOF {
		return r.keep(r.srcErr)
	}
	return r.Malformed("input ends within an element")
}
