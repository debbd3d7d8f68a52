package message

import (
	"bytes"
	"io"
)

// CRLF reads r with each bare LF turned into CRLF (RFC 8551 section 3.1.1).
// A bare CR stays.
func CRLF(r io.Reader) io.Reader { return &crlfReader{source: source{r: r}} }

type crlfReader struct {
	source
	last byte // given out
}

func (c *crlfReader) Read(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		if len(c.rest) == 0 {
			if done > 0 && !c.ended() {
				break // do not wait for more with something in hand
			}
			if !c.fill() {
				break
			}
		}
		if c.rest[0] == '\n' {
			if c.last != '\r' {
				p[done], c.last = '\r', '\r'
			} else {
				p[done], c.last, c.rest = '\n', '\n', c.rest[1:]
			}
			done++
			continue
		}
		line := c.rest[:min(len(c.rest), len(p)-done)]
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i]
		}
		done += copy(p[done:], line)
		c.last, c.rest = line[len(line)-1], c.rest[len(line):]
	}
	if done == 0 && len(p) > 0 {
		return 0, c.err
	}
	return done, nil
}
