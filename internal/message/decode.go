package message

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// A DecodeError says where a transfer encoding cannot be undone.
type DecodeError struct {
	Encoding string
	Offset   int64 // in the encoded content
	Reason   string
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("%s at byte %d: %s", e.Encoding, e.Offset, e.Reason)
}

// Decode returns the content with base64 or quoted-printable undone; any other
// encoding is left as it is. A *DecodeError comes behind the bytes that could
// be decoded.
//
// Base64 is read as peers do (RFC 2045 section 6.8): line ends and blanks may
// stand anywhere, padding may lack, and the data ends with it or before a line
// that begins with no base64 character, as a list's footer does. Any other
// character is an error: what is guessed here would be guessed differently
// elsewhere. Quoted-printable (section 6.7) knows no errors: an equals sign
// that encodes nothing stays.
func (p *Part) Decode(b Body) io.Reader {
	r := NewReader(p.Content(b))
	switch p.Encoding {
	case "base64":
		return &base64Reader{source: source{r: r}}
	case "quoted-printable":
		return &quotedReader{source: source{r: r}}
	}
	return r
}

// base64Reader decodes with a table for each place in a group of four, which
// takes less time than encoding/base64, most of all where there are lines.
type base64Reader struct {
	source
	read   int64  // bytes used
	group  uint32 // of count characters, not yet complete
	count  int
	seen   bool // there has been a base64 character
	line   bool // and none since the last line end
	out    [3]byte
	held   []byte // of out, not yet given out
	finish error
}

func (d *base64Reader) Read(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		if len(d.held) > 0 {
			n := copy(p[done:], d.held)
			d.held = d.held[n:]
			done += n
			continue
		}
		if d.finish != nil {
			d.release() // padding ends the content before the source does
			break
		}
		if len(d.rest) == 0 && !d.fill() {
			d.end()
			continue
		}
		if d.count == 0 {
			from, to := decodeGroups(p[done:], d.rest)
			if from > 0 {
				d.seen = d.seen || to > 0
				d.line = d.seen && d.rest[from-1] == '\n'
				d.use(from)
				done += to
				continue
			}
		}
		d.step()
	}
	if done == 0 && len(p) > 0 {
		return 0, d.finish
	}
	return done, nil
}

func (d *base64Reader) use(n int) {
	d.rest = d.rest[n:]
	d.read += int64(n)
}

// step takes one character.
func (d *base64Reader) step() {
	c := d.rest[0]
	switch v := base64Table[3][c]; {
	case v != notBase64:
		d.seen, d.line = true, false
		d.group = d.group<<6 | v
		if d.count++; d.count == 4 {
			d.flush()
		}
	case c == '\n':
		d.line = d.seen
	case c == ' ' || c == '\t' || c == '\r':
	case c == '=' && d.count != 1 && d.seen:
		d.flush()
		d.finish = io.EOF
	case d.line && d.count == 0:
		d.finish = io.EOF
	default:
		d.finish = &DecodeError{"base64", d.read, fmt.Sprintf("the character %q is not of it", c)}
	}
	d.use(1)
}

// end finishes where the content does.
func (d *base64Reader) end() {
	switch {
	case d.failed():
		d.finish = d.err
	case d.count == 1:
		d.finish = &DecodeError{"base64", d.read, "it ends within a byte"}
	default:
		d.flush()
		d.finish = io.EOF
	}
}

// flush holds the bytes of the group: count-1 of them.
func (d *base64Reader) flush() {
	v := d.group << (6 * (4 - d.count))
	d.out = [3]byte{byte(v >> 16), byte(v >> 8), byte(v)}
	d.held = d.out[:max(d.count-1, 0)]
	d.group, d.count = 0, 0
}

// base64Table[i] gives the bits that a character means in place i of four.
var base64Table = makeBase64Table()

const notBase64 = 1 << 31

func makeBase64Table() (t [4][256]uint32) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for place := range t {
		for c := range t[place] {
			t[place][c] = notBase64
		}
		for v, c := range []byte(alphabet) {
			t[place][c] = uint32(v) << (18 - 6*place)
		}
	}
	return t
}

// decodeGroups decodes whole groups and passes line ends between them, as long
// as there is room in dst and src has nothing else, and tells how much it read
// and wrote.
func decodeGroups(dst, src []byte) (from, to int) {
	t := &base64Table
	for {
		for len(src)-from >= 8 && len(dst)-to >= 8 {
			s := src[from : from+8 : from+8]
			a := t[0][s[0]] | t[1][s[1]] | t[2][s[2]] | t[3][s[3]]
			b := t[0][s[4]] | t[1][s[5]] | t[2][s[6]] | t[3][s[7]]
			if (a|b)&notBase64 != 0 {
				break
			}
			// Six bytes in one store, and two that the next one overwrites.
			binary.BigEndian.PutUint64(dst[to:to+8], uint64(a)<<40|uint64(b)<<16)
			from += 8
			to += 6
		}
		if len(src)-from < 4 || len(dst)-to < 4 {
			return from, to
		}
		s := src[from : from+4 : from+4]
		if a := t[0][s[0]] | t[1][s[1]] | t[2][s[2]] | t[3][s[3]]; a&notBase64 == 0 {
			binary.BigEndian.PutUint32(dst[to:to+4], a<<8)
			from += 4
			to += 3
			continue
		}
		switch {
		case s[0] == '\r' && s[1] == '\n':
			from += 2
		case s[0] == '\n':
			from++
		default:
			return from, to
		}
	}
}

// quotedReader decodes a line at a time.
type quotedReader struct {
	source
	line []byte // of the source's buffer: to be decoded
	end  []byte // its line end
}

func (d *quotedReader) Read(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		switch {
		case len(d.line) > 0:
			done += d.decode(p[done:])
		case len(d.end) > 0:
			n := copy(p[done:], d.end)
			d.end = d.end[n:]
			done += n
		case !d.next():
			if done == 0 {
				return 0, d.err
			}
			return done, nil
		}
	}
	return done, nil
}

// decode writes what fits of the line's next run or escape into p.
func (d *quotedReader) decode(p []byte) int {
	if d.line[0] == '=' {
		if len(d.line) >= 3 {
			if c, ok := hexByte(d.line[1], d.line[2]); ok {
				p[0], d.line = c, d.line[3:]
				return 1
			}
		}
		p[0], d.line = '=', d.line[1:]
		return 1
	}
	run := d.line[:min(len(d.line), len(p))]
	if i := bytes.IndexByte(run, '='); i >= 0 {
		run = run[:i]
	}
	n := copy(p, run)
	d.line = d.line[n:]
	return n
}

// next takes the next line. Blanks before its end were added on the way, and
// an equals sign there is a line end that is none.
func (d *quotedReader) next() bool {
	i := bytes.IndexByte(d.rest, '\n')
	for i < 0 && d.fill() {
		i = bytes.IndexByte(d.rest, '\n')
	}
	if len(d.rest) == 0 {
		return false
	}
	if i < 0 && !d.ended() {
		d.line = d.piece()
		d.rest = d.rest[len(d.line):]
		return true
	}
	line := d.rest
	if i >= 0 {
		line = d.rest[:i+1]
	}
	d.rest = d.rest[len(line):]
	text := bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	d.end = line[len(text):]
	d.line = bytes.TrimRight(text, " \t")
	if soft, ok := bytes.CutSuffix(d.line, []byte("=")); ok {
		d.line, d.end = soft, nil
	}
	return true
}

// piece returns as much of a line that is longer than the buffer as can be
// decoded without what follows.
func (d *quotedReader) piece() []byte {
	p := bytes.TrimRight(d.rest, " \t\r")
	if i := bytes.LastIndexByte(p, '='); i >= 0 && i >= len(p)-2 {
		p = p[:i]
	}
	if len(p) == 0 {
		return d.rest
	}
	return p
}
