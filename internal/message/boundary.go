package message

import (
	"crypto/rand"
	"encoding/base32"
	"io"
)

// Boundary returns a new multipart boundary (RFC 2046 section 5.1.1). It has
// "=_" in it, which neither base64 nor quoted-printable can contain, and is
// to be quoted. A nil random is crypto/rand, which also stands in for one
// that has run dry.
func Boundary(random io.Reader) string {
	var b [20]byte
	if random == nil {
		random = rand.Reader
	}
	if _, err := io.ReadFull(random, b[:]); err != nil {
		_, _ = rand.Read(b[:]) // never fails
	}
	return "=_" + base32.StdEncoding.EncodeToString(b[:])
}

// maxBoundary is more than RFC 2046 allows (70) and some send.
const maxBoundary = 200

// boundaryProblem: RFC 2046 section 5.1.1, but any printable character.
func boundaryProblem(b string) string {
	switch {
	case b == "":
		return "a multipart without a boundary"
	case len(b) > maxBoundary:
		return "a boundary that is too long"
	case b[len(b)-1] == ' ':
		return "a boundary that ends with a blank"
	}
	for i := 0; i < len(b); i++ {
		if b[i] < ' ' || b[i] >= 0x7f {
			return "a boundary with characters that must not be in it"
		}
	}
	return ""
}

// boundaries are those of the open multiparts. However many there are, a line
// costs one look.
type boundaries struct {
	levels map[string]int
	// How many begin with a character and how many have a length: most lines
	// are told from a delimiter by these.
	first  [256]int
	length [maxBoundary + 1]int
}

func (o *boundaries) add(b string, level int) {
	if o.levels == nil {
		o.levels = make(map[string]int)
	}
	o.levels[b] = level
	o.first[b[0]]++
	o.length[len(b)]++
}

func (o *boundaries) remove(b string) {
	delete(o.levels, b)
	o.first[b[0]]--
	o.length[len(b)]--
}

func (o *boundaries) level(line []byte) (int, bool) {
	if len(line) > maxBoundary || o.length[len(line)] == 0 {
		return 0, false
	}
	level, ok := o.levels[string(line)]
	return level, ok
}

// confusable reports whether a delimiter of b could be read as one of an open
// multipart.
func (o *boundaries) confusable(b string) bool {
	_, same := o.levels[b]
	_, longer := o.levels[b+"--"]
	shorter := false
	if n := len(b) - len("--"); n > 0 && b[n:] == "--" {
		_, shorter = o.levels[b[:n]]
	}
	return same || longer || shorter
}
