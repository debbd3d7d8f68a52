package ber

import (
	"bytes"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// DER returns the one element that b holds in distinguished encoding (X.690 sections 10 and 11), b itself if it is that
// already: definite shortest lengths, strings in one piece, TRUE as 0xff, SET OF sorted. What depends on a type it cannot
// see (defaults, implicitly tagged strings in pieces) stays as it is.
func DER(b []byte, l Limits) ([]byte, error) {
	if distinguished(b, l.orDefault()) {
		return b, nil
	}
	if len(b) > math.MaxInt32/2 {
		return nil, &Error{ErrLimit, 0, "element of more than a gigabyte"}
	}
	p := parser{src: b, limits: l.orDefault()}
	if err := p.parse(); err != nil {
		return nil, err
	}
	if err := p.measure(); err != nil {
		return nil, err
	}
	return p.emit(), nil
}

// distinguished says whether b is one element in DER within the limits. It allocates next to nothing: nearly all input is.
func distinguished(b []byte, l Limits) bool {
	type level struct {
		end    int
		set    bool
		before []byte // the sibling before
	}
	stack := append(make([]level, 0, 16), level{end: len(b)})
	for pos, elements := 0, 0; ; elements++ {
		for len(stack) > 1 && pos == stack[len(stack)-1].end {
			stack = stack[:len(stack)-1]
		}
		if len(stack) == 1 && elements > 0 {
			return pos == len(b)
		}
		top := &stack[len(stack)-1]
		h, err := parseHeader(b[pos:top.end])
		if err != nil || elements == l.Elements || h.Tag == (Tag{}) || h.Length == Indefinite ||
			h.Size != headerSize(h.Tag, h.Length) || h.Length > int64(top.end-pos-h.Size) {
			return false
		}
		start, end := pos+h.Size, pos+h.Size+int(h.Length)
		if h.Tag == Boolean && h.Length == 1 && b[start] != 0 && b[start] != 0xff {
			return false
		}
		if top.set && bytes.Compare(top.before, b[pos:end]) > 0 {
			return false
		}
		top.before = b[pos:end]
		pos = end
		if h.Constructed {
			if isString(h.Tag) || len(stack) > l.Depth {
				return false
			}
			stack = append(stack, level{end: end, set: h.Tag == Set})
			pos = start
		}
	}
}

// node is an element; nodes stand in the order of the input, so that parents come before children. They are small because
// there may be many for few octets.
type node struct {
	tag         Tag
	constructed bool
	unused      byte  // of a BIT STRING in pieces: unused bits of its last piece
	pieced      bool  // and that piece was seen
	parent      int32 // index, or -1
	after       int32 // index of the first node that is not below this one
	string      int32 // the outermost node of the string in pieces that this node is part of, or -1
	at          int32 // of the header in the source, then in the output
	start, end  int32 // contents in the source
	size        int32 // of the contents in DER
}

// inDER is the length of n in DER, header included.
func (n *node) inDER() int32 { return int32(headerSize(n.tag, int64(n.size))) + n.size }

// open is an element whose children are being parsed; the root has node -1.
type open struct {
	node       int
	end        int // of the room for children
	indefinite bool
	some       bool // it has children
}

type parser struct {
	src    []byte
	limits Limits
	stack  []open
	nodes  []node
}

func malformedAt(at int, reason string) error { return &Error{ErrMalformed, int64(at), reason} }

// parse walks over src and collects the nodes.
func (p *parser) parse() error {
	p.stack = append(make([]open, 0, 16), open{node: -1, end: len(p.src)})
	p.nodes = make([]node, 0, 32)
	for pos := 0; ; {
		top := &p.stack[len(p.stack)-1]
		var err error
		switch {
		case len(p.stack) == 1 && top.some:
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
	if last, err := h.endOfContents(); err != nil {
		return 0, malformedAt(pos, err.Error())
	} else if last {
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
	end := start + int(max(h.Length, 0))
	n := node{
		tag: h.Tag, constructed: h.Constructed, parent: int32(top.node), after: int32(i + 1), string: -1,
		at: int32(pos), start: int32(start), end: int32(end),
	}
	if err := p.inString(&n, i); err != nil {
		return 0, err
	}
	p.nodes = append(p.nodes, n)
	top.some = true
	if !h.Constructed {
		return end, nil
	}
	if len(p.stack) > p.limits.Depth {
		return 0, &Error{ErrLimit, int64(pos), fmt.Sprintf("more than %d levels", p.limits.Depth)}
	}
	o := open{node: i, end: end}
	if h.Length == Indefinite {
		o.end, o.indefinite = top.end, true
	}
	p.stack = append(p.stack, o)
	return start, nil
}

// close goes out of the element entered last, whose contents end at pos.
func (p *parser) close(pos int) {
	n := &p.nodes[p.stack[len(p.stack)-1].node]
	n.end, n.after = int32(pos), int32(len(p.nodes))
	p.stack = p.stack[:len(p.stack)-1]
}

// inString finds out whether n is a string in pieces, or a piece of one. Pieces have the string's own tag, or are OCTET
// STRINGs (X.690 sections 8.6.4, 8.7.3 and 8.23.6).
func (p *parser) inString(n *node, i int) error {
	if n.parent >= 0 && p.nodes[n.parent].string >= 0 {
		n.string = p.nodes[n.parent].string
		whole := p.nodes[n.string].tag
		if n.tag != whole && (whole == BitString || n.tag != OctetString) {
			return malformedAt(int(n.at), "a piece of a string is something else")
		}
		return nil
	}
	if n.constructed && isString(n.tag) {
		n.string = int32(i)
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

// measure computes what every node needs in DER, children first.
func (p *parser) measure() error {
	for i := len(p.nodes) - 1; i >= 0; i-- {
		n := &p.nodes[i]
		switch {
		case n.string >= 0:
			if err := p.measureString(i); err != nil {
				return err
			}
		case !n.constructed:
			n.size = n.end - n.start
		}
		if n.parent >= 0 && (n.string < 0 || n.string == int32(i)) {
			p.nodes[n.parent].size += n.inDER()
		}
	}
	return nil
}

// measureString adds up the pieces of a string in its outermost node.
func (p *parser) measureString(i int) error {
	n := &p.nodes[i]
	whole := &p.nodes[n.string]
	bit := whole.tag == BitString
	switch {
	case int32(i) == n.string && bit:
		n.size++ // the octet that counts the unused bits
	case n.constructed:
	case !bit:
		whole.size += n.end - n.start
	case n.end == n.start || p.src[n.start] > 7:
		return malformedAt(int(n.start), "BIT STRING without its count of unused bits")
	case p.src[n.start] > 0 && n.end == n.start+1:
		return malformedAt(int(n.start), "unused bits in an empty BIT STRING")
	case whole.pieced && p.src[n.start] > 0:
		return malformedAt(int(n.start), "unused bits before the last piece of a BIT STRING")
	default:
		if !whole.pieced { // the last piece comes first here
			whole.pieced, whole.unused = true, p.src[n.start]
		}
		whole.size += n.end - n.start - 1
	}
	return nil
}

// emit writes all nodes, then sorts the sets from the inside out.
func (p *parser) emit() []byte {
	out := make([]byte, 0, len(p.src))
	for i := range p.nodes {
		n := &p.nodes[i]
		n.at = int32(len(out))
		whole := int32(i) == n.string
		if n.string < 0 || whole {
			out = AppendHeader(out, n.tag, n.constructed && !whole, int64(n.size))
			if whole && n.tag == BitString {
				out = append(out, n.unused)
			}
		}
		if n.constructed {
			continue
		}
		b := p.src[n.start:n.end]
		switch {
		case n.string >= 0 && p.nodes[n.string].tag == BitString:
			b = b[1:]
		case n.tag == Boolean && len(b) == 1 && b[0] != 0:
			b = []byte{0xff}
		}
		out = append(out, b...)
	}
	for i := len(p.nodes) - 1; i >= 0; i-- {
		if n := &p.nodes[i]; n.tag == Set && n.constructed {
			p.sort(out, i)
		}
	}
	return out
}

// sort orders the children of set i by their encodings (X.690 section 11.6).
func (p *parser) sort(out []byte, i int) {
	set := &p.nodes[i]
	var children [][]byte
	for j := int32(i) + 1; j < set.after; j = p.nodes[j].after {
		c := &p.nodes[j]
		children = append(children, out[c.at:c.at+c.inDER()])
	}
	if slices.IsSortedFunc(children, bytes.Compare) {
		return
	}
	slices.SortFunc(children, bytes.Compare)
	end := set.at + set.inDER()
	copy(out[end-set.size:end], bytes.Join(children, nil))
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
