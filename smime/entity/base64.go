package entity

import (
	"encoding/base64"
	"encoding/binary"
	"io"
	"slices"
)

const (
	base64Line  = 57               // bytes that make a line of 76 (RFC 2045 section 6.8)
	base64Out   = 76 + len(crlf)   // bytes of such a line
	base64Block = 256 * base64Line // encoded at once
	crlf        = "\r\n"
)

// A Base64Writer writes base64 in lines of 76 that end in CRLF.
type Base64Writer struct {
	w   io.Writer
	in  []byte // less than a line
	out []byte
}

// NewBase64Writer returns a writer to w.
func NewBase64Writer(w io.Writer) *Base64Writer {
	return &Base64Writer{w: w, in: make([]byte, 0, base64Line)}
}

func (b *Base64Writer) Write(p []byte) (int, error) {
	n := len(p)
	if len(b.in) > 0 {
		seam := min(base64Line-len(b.in), len(p))
		b.in, p = append(b.in, p[:seam]...), p[seam:]
		if len(b.in) < base64Line {
			return n, nil
		}
		if err := b.lines(b.in); err != nil {
			return 0, err
		}
		b.in = b.in[:0]
	}
	for len(p) >= base64Line {
		block := min(len(p)-len(p)%base64Line, base64Block)
		if err := b.lines(p[:block]); err != nil {
			return 0, err
		}
		p = p[block:]
	}
	b.in = append(b.in, p...)
	return n, nil
}

// lines writes lines, at most a block of them, all but the last whole.
func (b *Base64Writer) lines(p []byte) error {
	n := (len(p) + base64Line - 1) / base64Line
	b.out = slices.Grow(b.out[:0], n*base64Out) // little for a signature
	for ; len(p) >= base64Line; p = p[base64Line:] {
		at := len(b.out)
		b.out = b.out[:at+base64Out]
		encodeLine((*[base64Out]byte)(b.out[at:]), (*[base64Line]byte)(p))
	}
	if len(p) > 0 {
		b.out = append(base64.StdEncoding.AppendEncode(b.out, p), crlf...)
	}
	_, err := b.w.Write(b.out)
	return err
}

// encodeLine takes six bytes at a time, as four pairs of characters: less than
// half the time of encoding/base64, which takes three.
func encodeLine(dst *[base64Out]byte, src *[base64Line]byte) {
	i, j := 0, 0
	for ; i+8 <= len(src); i, j = i+6, j+8 {
		v := binary.BigEndian.Uint64(src[i : i+8])
		binary.LittleEndian.PutUint64(dst[j:j+8], uint64(base64Pairs[v>>52])|uint64(base64Pairs[v>>40&0xfff])<<16|
			uint64(base64Pairs[v>>28&0xfff])<<32|uint64(base64Pairs[v>>16&0xfff])<<48)
	}
	last := uint32(src[i])<<16 | uint32(src[i+1])<<8 | uint32(src[i+2])
	binary.LittleEndian.PutUint32(dst[j:j+4], uint32(base64Pairs[last>>12])|uint32(base64Pairs[last&0xfff])<<16)
	copy(dst[j+4:], crlf)
}

// base64Pairs are two characters for each 12 bits, the first one in the low byte.
var base64Pairs = func() (pairs [1 << 12]uint16) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" // RFC 4648 section 4
	for i := range pairs {
		pairs[i] = uint16(alphabet[i>>6]) | uint16(alphabet[i&63])<<8
	}
	return pairs
}()

// Close writes the last line. It does not close the writer below.
func (b *Base64Writer) Close() error {
	if len(b.in) == 0 {
		return nil
	}
	err := b.lines(b.in)
	b.in = b.in[:0]
	return err
}
