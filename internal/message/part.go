package message

import "strings"

// A Part is a MIME entity (RFC 2045 section 2.4): the mail itself, which is
// the root, or a body part.
type Part struct {
	Header Header
	// MediaType is the type and subtype in lower case: what RFC 2045 section
	// 5.2 has for a part that says nothing, "" where it says something that
	// is none.
	MediaType string
	Params    map[string]string
	// Encoding is Content-Transfer-Encoding in lower case, "" for none.
	Encoding          string
	Disposition       string // lower case
	DispositionParams map[string]string
	// The entity's header begins at Offset in the message's Body and its
	// content is [BodyOffset, End). The root has 0 for both.
	Offset, BodyOffset, End int64
	// Section is the part's number (RFC 3501 section 6.4.5), "" for the root.
	// A multipart that is the whole of a message/rfc822 has its number.
	Section string
	// Parts are the children of a multipart, or the one of a message/rfc822.
	Parts []*Part
	// Closed tells that a multipart's closing delimiter was there.
	Closed bool
	// Malformed is why the part's MIME fields cannot be trusted, or "". A
	// multipart without one certain boundary has no Parts.
	Malformed string
}

// Raw returns the whole entity, header and all: the bytes that a signature
// over it covers. The line end before the next delimiter is not in it
// (RFC 1847 section 2.1, RFC 2046 section 5.1.1).
func (p *Part) Raw(b Body) Body { return Section(b, p.Offset, p.End-p.Offset) }

// Content returns the part's content as it stands in the mail.
func (p *Part) Content(b Body) Body { return Section(b, p.BodyOffset, p.End-p.BodyOffset) }

func (p *Part) isMultipart() bool { return strings.HasPrefix(p.MediaType, "multipart/") }

func (p *Part) complain(problem string) {
	if p.Malformed == "" {
		p.Malformed = problem
	}
}

// describe reads the part's MIME fields and reports whether the content can
// be taken apart. The media type is fallback where there is none.
func (p *Part) describe(fallback string) (nested bool) {
	for i, f := range p.Header {
		if f.Name() == "" && !(i == 0 && isEnvelopeLine(f.Raw())) {
			p.complain("a line in the header that is no field")
		}
	}
	certain := p.readType(fallback)
	p.readEncoding()
	if f, ok := p.field("Content-Disposition"); ok {
		var problem string
		if p.Disposition, p.DispositionParams, problem = parseTyped(f.Text()); problem != "" {
			p.complain("Content-Disposition with " + problem)
		}
	}
	switch {
	case !certain:
		return false
	case p.isMultipart():
		if problem := boundaryProblem(p.Params["boundary"]); problem != "" {
			p.complain(problem)
			return false
		}
		if !p.identity() {
			// RFC 2045 section 6.4 forbids it and peers pass over it.
			p.complain("a multipart with a transfer encoding")
		}
		return true
	case p.MediaType == "message/rfc822" || p.MediaType == "message/global":
		return p.identity()
	}
	return false
}

// isEnvelopeLine reports whether a header's first line is what a mailbox puts
// before a mail.
func isEnvelopeLine(line string) bool {
	return strings.HasPrefix(line, "From ") || strings.HasPrefix(line, ">From ")
}

// field returns the one field of that name.
func (p *Part) field(name string) (f Field, ok bool) {
	fields := p.Header.All(name)
	if len(fields) == 0 {
		return Field{}, false
	}
	f = fields[0]
	if len(fields) > 1 {
		p.complain(name + " more than once")
	} else if len(f.Name()) != f.colon {
		p.complain(name + " with a blank before the colon") // which some overlook
	}
	return f, true
}

// readType reports whether the media type is certain.
func (p *Part) readType(fallback string) bool {
	f, ok := p.field("Content-Type")
	if !ok {
		p.MediaType = fallback
		return true
	}
	mediaType, params, problem := parseTyped(f.Text())
	if mediaType != "" && !strings.Contains(mediaType, "/") {
		mediaType, params, problem = "", nil, "no subtype"
	}
	if problem != "" {
		p.complain("Content-Type with " + problem)
	}
	p.MediaType, p.Params = mediaType, params
	return mediaType != "" && len(p.Header.All("Content-Type")) == 1
}

// readEncoding: RFC 2045 section 6.1.
func (p *Part) readEncoding() {
	f, ok := p.field("Content-Transfer-Encoding")
	if !ok {
		return
	}
	c := cursor{s: f.Text()}
	c.blanks()
	p.Encoding = strings.ToLower(c.word(";("))
	c.blanks()
	if !c.done() || !isToken(p.Encoding) {
		p.complain("Content-Transfer-Encoding with more than a word")
	}
}

// identity reports whether the content stands in the mail as it is.
func (p *Part) identity() bool {
	switch p.Encoding {
	case "", "7bit", "8bit", "binary":
		return true
	}
	return false
}
