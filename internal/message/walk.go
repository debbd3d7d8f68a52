package message

import "strconv"

// Walk finds the parts of the mail with that header and body. It reads the
// body once, from the beginning up to the last delimiter that could matter, and
// one that cannot have parts not at all. What passes a bound is a *LimitError.
func Walk(h Header, b Body, l Limits) (*Part, error) {
	root := &Part{Header: h, End: b.Size()}
	if !root.describe("text/plain") {
		return root, nil
	}
	w := &walker{limits: l.withDefaults(), scanner: newScanner(b)}
	defer w.scanner.free()
	var err error
	if root.isMultipart() {
		w.push(root, "", true)
	} else {
		w.push(root, "1", true) // the content of a mail without parts is its part 1
		err = w.child(0)
	}
	if err == nil {
		err = w.run()
	}
	if err != nil {
		return nil, err
	}
	return root, nil
}

// A walker goes through a body with the entities that are open at that place.
type walker struct {
	scanner *scanner
	limits  Limits
	stack   []level
	open    boundaries
	parts   int
	header  []byte // of one part; reused
	bytes   int64  // of all part headers, and
	fields  int    // fields in them
}

// A level is an entity on the way down to where the walker is.
type level struct {
	part     *Part
	boundary string // while it is open; "" for what is no multipart
	number   string // the children's section numbers begin with it
}

// run takes one delimiter after the other.
func (w *walker) run() error {
	for len(w.open.levels) > 0 {
		d, ok, err := w.scanner.delimiter(&w.open)
		if err != nil || !ok {
			return err
		}
		w.closeAbove(d)
		if d.closing {
			v := &w.stack[d.level]
			v.part.Closed = true
			w.open.remove(v.boundary)
			v.boundary = ""
		} else if err := w.child(d.level); err != nil {
			return err
		}
	}
	return nil
}

// closeAbove ends everything inside the multipart of the delimiter.
func (w *walker) closeAbove(d delimiter) {
	inner := w.stack[d.level+1:]
	for _, v := range inner {
		// The line end before a delimiter is the delimiter's even where it is
		// the part's empty line, but not where it ends the delimiter before.
		end := max(d.start, inner[0].part.Offset)
		v.part.Offset = min(v.part.Offset, end)
		v.part.BodyOffset = min(v.part.BodyOffset, end)
		v.part.End = end
		if v.boundary != "" {
			w.open.remove(v.boundary)
		}
	}
	clear(inner)
	w.stack = w.stack[:d.level+1]
}

// child reads the header of a new part of the entity at that level and, where
// that is a mail, of the mail's entity, and so on.
func (w *walker) child(at int) error {
	for {
		parent := w.stack[at]
		if w.parts++; w.parts > w.limits.Parts {
			return &LimitError{BoundParts, int64(w.limits.Parts)}
		}
		if at+1 > w.limits.Depth {
			return &LimitError{BoundDepth, int64(w.limits.Depth)}
		}
		p := &Part{Offset: w.scanner.offset(), End: w.scanner.size}
		if err := w.readHeader(p); err != nil {
			return err
		}
		parent.part.Parts = append(parent.part.Parts, p)
		fallback := "text/plain"
		if parent.part.MediaType == "multipart/digest" {
			fallback = "message/rfc822" // RFC 2046 section 5.1.5
		}
		nested := p.describe(fallback)
		p.Section = parent.section(p)
		w.push(p, p.Section, nested)
		if !nested || p.isMultipart() {
			return nil
		}
		at++
	}
}

// section numbers the newest child: a mail that is a multipart has its
// container's number, the content of one that is not is its part 1.
func (v level) section(child *Part) string {
	if !v.part.isMultipart() && child.isMultipart() {
		return v.number
	}
	n := strconv.Itoa(len(v.part.Parts))
	if v.number == "" {
		return n
	}
	return v.number + "." + n
}

// push makes p the innermost entity.
func (w *walker) push(p *Part, number string, nested bool) {
	v := level{part: p, number: number}
	if nested && p.isMultipart() {
		b := p.Params["boundary"]
		if w.open.confusable(b) {
			p.complain("a boundary that is also one of a multipart around it")
		} else {
			v.boundary = b
			w.open.add(b, len(w.stack))
		}
	}
	w.stack = append(w.stack, v)
}

// readHeader reads p's header, up to its empty line or a delimiter.
func (w *walker) readHeader(p *Part) error {
	raw, err := w.scanner.header(w.header[:0], &w.open, w.limits.Header)
	if err != nil {
		return err
	}
	w.header = raw
	p.BodyOffset = w.scanner.offset()
	if p.Header, _, err = parseHeader(string(raw), w.limits); err != nil {
		return err
	}
	w.bytes += int64(len(raw))
	w.fields += len(p.Header)
	switch {
	case w.bytes > 4*w.limits.Header:
		return &LimitError{BoundHeader, 4 * w.limits.Header}
	case w.fields > 4*w.limits.Fields:
		return &LimitError{BoundFields, 4 * int64(w.limits.Fields)}
	}
	return nil
}
