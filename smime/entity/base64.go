package entity

import (
	"encoding/base64"
	"io"
	"slices"
)

const (
	base64Line  = 57               // bytes that make a line of 76 (RFC 2045 section 6.8)
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

// lines writes whole lines, at most a block of them.
func (b *Base64Writer) lines(p []byte) error {
	n := (len(p) + base64Line - 1) / base64Line
	b.out = slices.Grow(b.out[:0], n*(76+len(crlf))) // little for a signature
	for len(p) > 0 {
		line := p[:min(base64Line, len(p))]
		b.out = base64.StdEncoding.AppendEncode(b.out, line)
		b.out = append(b.out, crlf...)
		p = p[len(line):]
	}
	_, err := b.w.Write(b.out)
	return err
}

// Close writes the last line. It does not close the writer below.
func (b *Base64Writer) Close() error {
	if len(b.in) == 0 {
		return nil
	}
	err := b.lines(b.in)
	b.in = b.in[:0]
	return err
}
