package entity

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// A Fault is a set of reasons why bytes may not arrive as they were sent, or
// why a signature over them may not be made.
type Fault uint8

const (
	EightBit      Fault = 1 << iota // a byte above 127: a hop without 8BITMIME converts it
	NUL                             // a zero byte (RFC 2045 section 2.7)
	BareEnd                         // CR or LF alone: made CRLF, or a blank, or refused
	LongLine                        // more than maxLine bytes: cut by the next MTA
	FromLine                        // "From " at the start of a line: becomes ">From " in an mbox
	TrailingBlank                   // blanks before a line end: stripped by old gateways
)

// Hard faults make 7-bit data impossible (RFC 8551 section 3.1.3, RFC 2045
// section 2.7); the others only endanger a signature on odd ways.
const Hard = EightBit | NUL | BareEnd | LongLine

// maxLine bounds a line without its end. SMTP allows 998 (RFC 5321 section
// 4.5.3.1.6), but sendmail's smtp mailer cuts at 990, line end included.
const maxLine = 988

func (f Fault) String() string {
	var s []string
	for i, name := range []string{"8-bit bytes", "NUL bytes", "bare CR or LF", "lines above 988 bytes", `lines that begin with "From "`, "trailing blanks"} {
		if f&(1<<i) != 0 {
			s = append(s, name)
		}
	}
	return strings.Join(s, ", ")
}

// A Scanner finds the faults of the bytes written to it. It is made for speed:
// it runs over every signed mail, beside the digest.
type Scanner struct {
	faults Fault
	line   int     // bytes of the unfinished line
	head   [5]byte // its first ones
	last   [2]byte // its last two, last[1] the very last
}

var fromLine = []byte("From ")

// Write never fails. A line may be cut anywhere between two calls.
func (s *Scanner) Write(p []byte) (int, error) {
	n := len(p)
	if n == 0 {
		return 0, nil
	}
	if bytes.IndexByte(p, 0) >= 0 {
		s.faults |= NUL
	}
	if !ascii(p) {
		s.faults |= EightBit
	}
	crs := bytes.Count(p, []byte{'\r'})
	if s.line > 0 && s.last[1] == '\r' {
		crs++ // held back by the last call
	}
	if s.line > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			s.hold(p, crs)
			return n, nil
		}
		s.keep(p[:i])
		crs -= s.end()
		p = p[i+1:]
	}
	rest, ends, faults := lines(p)
	s.faults |= faults
	s.hold(rest, crs-ends)
	return n, nil
}

// lines checks the whole lines of p. It returns what is left, how many lines
// ended in CRLF, and the faults.
func lines(p []byte) (rest []byte, ends int, f Fault) {
	regular := true
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			return p, ends, f
		}
		end := i
		if i > 0 && p[i-1] == '\r' {
			ends++
			end--
		} else {
			f |= BareEnd
		}
		if end > maxLine {
			f |= LongLine
		}
		if end > 0 && (p[end-1] == ' ' || p[end-1] == '\t') {
			f |= TrailingBlank
		}
		if p[0] == 'F' && bytes.HasPrefix(p, fromLine) {
			f |= FromLine
		}
		p = p[i+1:]
		if regular && end <= maxLine {
			var n int
			if n, regular = sameLength(p, i+1); n > 0 {
				ends += n
				p = p[n*(i+1):]
			}
		}
	}
}

// sameLength counts the lines at the beginning of p that have that length, as
// most of base64 has, and no fault. Those need not be searched for their ends
// one by one; that there are no others between is seen by counting. ok is
// false where there were, and it is not worth trying again.
func sameLength(p []byte, length int) (n int, ok bool) {
	if length < 3 {
		return 0, true
	}
	for q := p; len(q) >= length && q[length-1] == '\n' && q[length-2] == '\r' && q[length-3] != ' ' && q[length-3] != '\t' && q[0] != 'F'; {
		q = q[length:]
		n++
	}
	if n < 4 {
		return 0, true
	}
	if bytes.Count(p[:n*length], []byte{'\n'}) != n {
		return 0, false
	}
	return n, true
}

// end finishes the unfinished line at an LF. It returns 1 if a CR was before.
func (s *Scanner) end() (crlf int) {
	body, last := s.line, s.last[1]
	if last == '\r' {
		crlf, body, last = 1, s.line-1, s.last[0]
	} else {
		s.faults |= BareEnd
	}
	if body > 0 && (last == ' ' || last == '\t') {
		s.faults |= TrailingBlank
	}
	s.long(body)
	s.line, s.last = 0, [2]byte{}
	return crlf
}

// keep adds bytes without a line end to the unfinished line.
func (s *Scanner) keep(p []byte) {
	if s.line < len(s.head) {
		copy(s.head[s.line:], p)
	}
	s.line += len(p)
	switch {
	case len(p) >= 2:
		s.last = [2]byte(p[len(p)-2:])
	case len(p) == 1:
		s.last = [2]byte{s.last[1], p[0]}
	}
}

// hold keeps the rest of a call; crs CRs have no LF so far, and only one may.
func (s *Scanner) hold(p []byte, crs int) {
	s.keep(p)
	if s.line > 0 && s.last[1] == '\r' {
		crs--
	}
	if crs > 0 {
		s.faults |= BareEnd
	}
}

func (s *Scanner) long(n int) {
	if n > maxLine {
		s.faults |= LongLine
	}
	if n >= len(fromLine) && bytes.Equal(s.head[:], fromLine) {
		s.faults |= FromLine
	}
}

// Faults returns what was found up to here, an unfinished line left out.
func (s *Scanner) Faults() Fault { return s.faults }

// Finish returns all faults. The last line needs no line end: the one before
// the next delimiter serves it.
func (s *Scanner) Finish() Fault {
	if s.line > 0 {
		if s.last[1] == '\r' {
			s.faults |= BareEnd
		}
		s.last = [2]byte{s.last[1], '\r'}
		s.line++
		s.end()
	}
	return s.faults
}

// ascii reports whether no byte has its high bit set, 64 bytes a step.
func ascii(p []byte) bool {
	const high = 0x8080808080808080
	for len(p) >= 64 {
		b := p[:64]
		x := binary.LittleEndian.Uint64(b) | binary.LittleEndian.Uint64(b[8:]) |
			binary.LittleEndian.Uint64(b[16:]) | binary.LittleEndian.Uint64(b[24:]) |
			binary.LittleEndian.Uint64(b[32:]) | binary.LittleEndian.Uint64(b[40:]) |
			binary.LittleEndian.Uint64(b[48:]) | binary.LittleEndian.Uint64(b[56:])
		if x&high != 0 {
			return false
		}
		p = p[64:]
	}
	for _, c := range p {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// A census counts what an encoding is chosen by.
type census struct {
	size    int64 // bytes
	escapes int64 // bytes that quoted-printable writes as three
	invalid bool  // not UTF-8
	partial []byte
}

func (c *census) Write(p []byte) (int, error) {
	c.size += int64(len(p))
	for _, b := range p {
		if b >= 0x7f || b == '=' || b < ' ' && b != '\t' && b != '\r' && b != '\n' {
			c.escapes++
		}
	}
	if !c.invalid {
		c.text(p)
	}
	return len(p), nil
}

// text checks UTF-8 with characters cut between calls.
func (c *census) text(p []byte) {
	if len(c.partial) > 0 {
		for len(p) > 0 && !utf8.FullRune(c.partial) {
			c.partial, p = append(c.partial, p[0]), p[1:]
		}
		if !utf8.FullRune(c.partial) {
			return
		}
		c.invalid = !utf8.Valid(c.partial)
		c.partial = c.partial[:0]
	}
	cut := len(p)
	for i := 1; i < utf8.UTFMax && i <= len(p); i++ {
		if tail := p[len(p)-i:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				cut = len(p) - i
			}
			break
		}
	}
	c.invalid = c.invalid || !utf8.Valid(p[:cut])
	c.partial = append(c.partial, p[cut:]...)
}

// utf8 reports whether all bytes together are UTF-8.
func (c *census) utf8() bool { return !c.invalid && len(c.partial) == 0 }

// quoted reports whether quoted-printable is no longer than base64 would be:
// two more bytes for each escape against a third and the line ends.
func (c *census) quoted() bool { return 2*c.escapes <= c.size*36/100 }
