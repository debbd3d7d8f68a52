package entity

import (
	"bytes"
	"io"
)

// A quotedWriter writes quoted-printable (RFC 2045 section 6.7). CRLF in the
// content is a line end; a CR or LF alone is data and escaped, so that every
// content comes back byte for byte.
//
// Besides what must be escaped it escapes what does not survive every way a
// mail can take: "From " at the start of a line, blanks at its end, a line of
// a single dot, and what could be taken for a delimiter of the multipart that
// the content stands in.
type quotedWriter struct {
	w    io.Writer
	out  []byte
	held []byte // read, but what follows may change how it is written
	line int    // columns written of this line
	err  error
}

const (
	lookahead   = 5  // bytes that a decision may need: "From "
	quotedLine  = 76 // with the "=" of a soft line break
	upperHex    = "0123456789ABCDEF"
	flushQuoted = 16 << 10
)

func newQuotedWriter(w io.Writer) *quotedWriter {
	return &quotedWriter{w: w, out: make([]byte, 0, flushQuoted+256)}
}

func (q *quotedWriter) Write(p []byte) (int, error) {
	// Only the seam is copied; the bulk is encoded where it is.
	n := len(p)
	if len(q.held) > 0 {
		seam := min(len(p), lookahead)
		q.held = append(q.held, p[:seam]...)
		used := q.encode(q.held, false)
		if used < len(q.held)-seam || seam < lookahead {
			q.held = q.held[:copy(q.held, q.held[used:])]
			return n, q.err // p is all in held
		}
		p = p[seam-(len(q.held)-used):]
		q.held = q.held[:0]
	}
	used := q.encode(p, false)
	q.held = append(q.held, p[used:]...)
	return n, q.err
}

// Close writes what was held back. It does not close the writer below.
func (q *quotedWriter) Close() error {
	q.encode(q.held, true)
	q.held = nil
	q.flush()
	return q.err
}

func (q *quotedWriter) flush() {
	if q.err == nil && len(q.out) > 0 {
		_, q.err = q.w.Write(q.out)
	}
	q.out = q.out[:0]
}

// encode writes p up to the last bytes that it cannot decide on, all of it at
// the end of the content, and returns how many bytes it took.
func (q *quotedWriter) encode(p []byte, final bool) int {
	i := 0
	for i < len(p) && (final || i+lookahead <= len(p)) && q.err == nil {
		if len(q.out) >= flushQuoted {
			q.flush()
		}
		if p[i] == '\r' && i+1 < len(p) && p[i+1] == '\n' {
			q.out = append(q.out, '\r', '\n')
			q.line = 0
			i += 2
			continue
		}
		if n := run(p[i:], quotedLine-1-q.line); n > 0 && q.line > 0 {
			q.out = append(q.out, p[i:i+n]...)
			q.line += n
			i += n
			continue
		}
		escape := escaped(p[i:], q.line == 0)
		width := 1
		if escape {
			width = 3
		}
		if q.line+width > quotedLine-1 {
			q.out = append(q.out, '=', '\r', '\n')
			q.line = 0
			continue // the byte now begins a line
		}
		if escape {
			q.out = append(q.out, '=', upperHex[p[i]>>4], upperHex[p[i]&15])
		} else {
			q.out = append(q.out, p[i])
		}
		q.line += width
		i++
	}
	return i
}

// run counts the bytes, at most most, that stand for themselves wherever they
// stand but at the start of a line.
func run(p []byte, most int) int {
	n := 0
	for most = min(most, len(p)-lookahead); n < most; n++ {
		if c := p[n]; c > '~' || c < ' ' || c == '=' || c == ' ' && p[n+1] == '\r' {
			break
		}
	}
	return n
}

// escaped decides on p[0]; p ends only where the content does, or has enough
// bytes to decide on.
func escaped(p []byte, lineStart bool) bool {
	switch c := p[0]; {
	case c == ' ' || c == '\t':
		return endOfLine(p[1:])
	case c < ' ' || c > '~' || c == '=':
		return true
	case !lineStart:
		return false
	case c == 'F':
		return bytes.HasPrefix(p, fromLine)
	case c == '.':
		return endOfLine(p[1:])
	case c == '-':
		// "-- " alone begins a signature in the other sense and stays readable.
		return len(p) > 1 && p[1] == '-' && !(len(p) > 2 && p[2] == ' ' && endOfLine(p[3:]))
	}
	return false
}

func endOfLine(p []byte) bool { return len(p) == 0 || len(p) > 1 && p[0] == '\r' && p[1] == '\n' }
