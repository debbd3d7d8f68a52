package ber

import (
	"bytes"
	"fmt"
	"math/bits"
	"slices"
)

// DER returns the one element that b holds in distinguished encoding (X.690 sections 10 and 11), b itself if it is that
// already: definite shortest lengths, strings in one piece, TRUE as 0xff, SET OF sorted. What depends on a type it cannot
// see (defaults, implicitly tagged strings in pieces) stays as it is.
func DER(b []byte, l Limits) ([]byte, error) {
	p := parser{src: b, limits: l.orDefault()}
	if err := p.parse(); err != nil {
		return nil, err
	}
	if p.distinguished {
		return b, nil
	}
	if err := p.measure(); err != nil {
		return nil, err
	}
	return p.emit(), nil
}

// node is an element; nodes stand in the order of the input, so that parents come before children.
type node struct {
	head       Header
	parent     int // index, or -1
	start, end int // contents in the source
	after      int // index of the first node that is not below this one
	string     int // the outermost node of the string in pieces that this node is part of, or -1

	size   int64 // of the contents in DER
	at     int   // of the header in the output
	unused byte  // of a BIT STRING in pieces: unused bits of its last piece
	pieced bool  // and that piece was seen
}

// open is an element whose children are being parsed; the root has node -1.
type open struct {
	node, last int // last: the child before, or -1
	end        int // of the room for children
	indefinite bool
}

type parser struct {
	src           []byte
	limits        Limits
	stack         []open
	nodes         []node
	distinguished bool
}

func malformedAt(at int, reason string) error { return &Error{ErrMalformed, int64(at), reason} }

// parse walks over src, collects the nodes and notes whether anything is not DER.
func (p *parser) parse() error {
	p.stack = append(make([]open, 0, 16), open{node: -1, end: len(p.src), last: -1})
	p.nodes = make([]node, 0, 32)
	p.distinguished = true
	for pos := 0; ; {
		top := &p.stack[len(p.stack)-1]
		var err error
		switch {
		case len(p.stack) == 1 && top.last >= 0:
			if pos < len(p.src) {
				return malformedAt(pos, "octets after the end")
			}
			return nil
		case len(p.stack) > 1 && !top.indefinite && pos == top.end:
			p.close(pos)
		default:
			if pos, err = p.element(top, pos); err != nil {
				return err
			}
		}
	}
}

// element reads the header at pos, below top, and returns where parsing goes on.
func (p *parser) element(top *open, pos int) (int, error) {
	h, err := parseHeader(p.src[pos:top.end])
	if err != nil {
		return 0, malformedAt(pos, err.Error())
	}
	h.Offset = int64(pos)
	start := pos + h.Size
	if h.Length > int64(top.end-start) {
		return 0, malformedAt(pos, "element passes the end of its parent")
	}
	if end, err := h.endOfContents(); err != nil {
		return 0, malformedAt(pos, err.Error())
	} else if end {
		if !top.indefinite {
			return 0, malformedAt(pos, "end-of-contents in an element of definite length")
		}
		p.close(pos)
		return start, nil
	}
	i := len(p.nodes)
	if i >= p.limits.Elements {
		return 0, &Error{ErrLimit, int64(pos), fmt.Sprintf("more than %d elements", p.limits.Elements)}
	}
	n := node{head: h, parent: top.node, start: start, end: start + int(max(h.Length, 0)), after: i + 1, string: -1}
	if err := p.inString(&n, i); err != nil {
		return 0, err
	}
	p.nodes = append(p.nodes, n)
	p.distinguished = p.distinguished && p.isDER(i, top.last)
	top.last = i
	if !h.Constructed {
		return n.end, nil
	}
	if len(p.stack) > p.limits.Depth {
		return 0, &Error{ErrLimit, int64(pos), fmt.Sprintf("more than %d levels", p.limits.Depth)}
	}
	o := open{node: i, last: -1, end: n.end}
	if h.Length == Indefinite {
		o.end, o.indefinite = top.end, true
	}
	p.stack = append(p.stack, o)
	return start, nil
}

// close goes out of the element entered last, whose contents end at pos.
func (p *parser) close(pos int) {
	n := &p.nodes[p.stack[len(p.stack)-1].node]
	n.end, n.after = pos, len(p.nodes)
	p.stack = p.stack[:len(p.stack)-1]
}

// inString finds out whether n is a string in pieces, or a piece of one. Pieces have the string's own tag, or are OCTET
// STRINGs (X.690 sections 8.6.4, 8.7.3 and 8.23.6).
func (p *parser) inString(n *node, i int) error {
	if n.parent >= 0 && p.nodes[n.parent].string >= 0 {
		n.string = p.nodes[n.parent].string
		whole := p.nodes[n.string].head.Tag
		if n.head.Tag != whole && (whole == BitString || n.head.Tag != OctetString) {
			return malformedAt(int(n.head.Offset), "a piece of a string is something else")
		}
		return nil
	}
	if n.head.Constructed && isString(n.head.Tag) {
		n.string = i
	}
	return nil
}

func isString(t Tag) bool {
	if t.Class != Universal {
		return false
	}
	switch t.Number {
	case 3, 4, 7, 12, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 30:
		return true
	}
	return false
}

// isDER says whether node i stands in DER behind its sibling last, children apart.
func (p *parser) isDER(i, last int) bool {
	n := &p.nodes[i]
	if n.string >= 0 || n.head.Length == Indefinite || n.head.Size != headerSize(n.head.Tag, n.head.Length) {
		return false
	}
	if n.head.Tag == Boolean && n.head.Length == 1 && p.src[n.start] != 0 && p.src[n.start] != 0xff {
		return false
	}
	if last >= 0 && n.parent >= 0 && p.nodes[n.parent].head.Tag == Set {
		// n's length is definite, but its octets are known only up to its own end.
		before := p.src[p.nodes[last].head.Offset:p.nodes[last].end]
		return bytes.Compare(before, p.src[n.head.Offset:n.end]) <= 0
	}
	return true
}

// measure computes what every node needs in DER, children first.
func (p *parser) measure() error {
	for i := len(p.nodes) - 1; i >= 0; i-- {
		n := &p.nodes[i]
		switch {
		case n.string >= 0:
			if err := p.measureString(i); err != nil {
				return err
			}
		case !n.head.Constructed:
			n.size = int64(n.end - n.start)
		}
		if n.parent >= 0 && (n.string < 0 || n.string == i) {
			p.nodes[n.parent].size += int64(headerSize(n.head.Tag, n.size)) + n.size
		}
	}
	return nil
}

// measureString adds up the pieces of a string in its outermost node.
func (p *parser) measureString(i int) error {
	n := &p.nodes[i]
	whole := &p.nodes[n.string]
	bit := whole.head.Tag == BitString
	switch {
	case i == n.string && bit:
		n.size++ // the octet that counts the unused bits
	case n.head.Constructed:
	case !bit:
		whole.size += int64(n.end - n.start)
	case n.end == n.start || p.src[n.start] > 7:
		return malformedAt(n.start, "BIT STRING without its count of unused bits")
	case p.src[n.start] > 0 && n.end == n.start+1:
		return malformedAt(n.start, "unused bits in an empty BIT STRING")
	case whole.pieced && p.src[n.start] > 0:
		return malformedAt(n.start, "unused bits before the last piece of a BIT STRING")
	default:
		if !whole.pieced { // the last piece comes first here
			whole.pieced, whole.unused = true, p.src[n.start]
		}
		whole.size += int64(n.end - n.start - 1)
	}
	return nil
}

// emit writes all nodes, then sorts the sets from the inside out.
func (p *parser) emit() []byte {
	out := make([]byte, 0, len(p.src))
	for i := range p.nodes {
		n := &p.nodes[i]
		n.at = len(out)
		whole := i == n.string
		if n.string < 0 || whole {
			out = AppendHeader(out, n.head.Tag, n.head.Constructed && !whole, n.size)
			if whole && n.head.Tag == BitString {
				out = append(out, n.unused)
			}
		}
		if n.head.Constructed {
			continue
		}
		b := p.src[n.start:n.end]
		switch {
		case n.string >= 0 && p.nodes[n.string].head.Tag == BitString:
			b = b[1:]
		case n.head.Tag == Boolean && len(b) == 1 && b[0] != 0:
			b = []byte{0xff}
		}
		out = append(out, b...)
	}
	for i := len(p.nodes) - 1; i >= 0; i-- {
		if n := &p.nodes[i]; n.head.Tag == Set && n.head.Constructed {
			p.sort(out, i)
		}
	}
	return out
}

// sort orders the children of set i by their encodings (X.690 section 11.6).
func (p *parser) sort(out []byte, i int) {
	set := &p.nodes[i]
	var children [][]byte
	for j := i + 1; j < set.after; j = p.nodes[j].after {
		c := &p.nodes[j]
		children = append(children, out[c.at:c.at+headerSize(c.head.Tag, c.size)+int(c.size)])
	}
	if slices.IsSortedFunc(children, bytes.Compare) {
		return
	}
	slices.SortFunc(children, bytes.Compare)
	start := set.at + headerSize(set.head.Tag, set.size)
	copy(out[start:start+int(set.size)], bytes.Join(children, nil))
}

// headerSize is the length of identifier and length octets in DER.
func headerSize(t Tag, length int64) int {
	n := 2
	if t.Number >= 0x1f {
		n += (bits.Len32(t.Number) + 6) / 7
	}
	if length >= 0x80 {
		n += (bits.Len64(uint64(length)) + 7) / 8
	}
	return n
}

// AppendHeader appends identifier and length octets in DER.
func AppendHeader(b []byte, t Tag, constructed bool, length int64) []byte {
	first := t.Class << 6
	if constructed {
		first |= 0x20
	}
	if t.Number < 0x1f {
		b = append(b, first|byte(t.Number))
	} else {
		b = append(b, first|0x1f)
		for n := (bits.Len32(t.Number)+6)/7 - 1; n > 0; n-- {
			b = append(b, byte(t.Number>>(7*n))|0x80)
		}
		b = append(b, byte(t.Number&0x7f))
	}
	if length < 0x80 {
		return append(b, byte(length))
	}
	n := (bits.Len64(uint64(length)) + 7) / 8
	b = append(b, 0x80|byte(n))
	for n--; n >= 0; n-- {
		b = append(b, byte(length>>(8*n)))
	}
	return b
}
