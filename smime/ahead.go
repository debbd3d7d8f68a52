package smime

import (
	"bytes"
	"io"

	"mailseal/internal/message"
	"mailseal/smime/cms"
)

// To find the parts of a mail, all of it must be read, and to hash its content
// all of that. A large mail is read once for both: where its content probably
// is, is foretold from its first and last lines, and hashed as the walk comes
// by. The walk decides: where it finds something else, all is done again.

const (
	aheadFrom = 128 << 10 // smaller mails are read twice sooner than foretold
	aheadHead = 4 << 10   // how much of the beginning is looked at
	aheadTail = 32 << 10  // and of the end: a signature with its certificates is there
)

// A span is where a multipart's parts are: from behind the first delimiter
// line up to the line end before the closing delimiter.
type span struct{ from, to int64 }

// foretell returns the root's fields and where its parts should be. ok is
// false where there is nothing to gain, or the lines are not as expected.
func foretell(h message.Header, b message.Body, l message.Limits) (root *message.Part, s span, ok bool) {
	if b.Size() < aheadFrom {
		return nil, s, false
	}
	root, err := message.Walk(h, message.Bytes(nil), l) // reads the fields alone
	if err != nil || root.Params["boundary"] == "" || len(h.All("Content-Type")) != 1 {
		return nil, s, false
	}
	delimiter := "--" + root.Params["boundary"]
	buf := blockPool.Get().(*block)
	defer blockPool.Put(buf)
	head, tail := buf[:aheadHead], buf[aheadHead:aheadHead+aheadTail]
	tailAt := b.Size() - aheadTail
	if !readAt(b, head, 0) || !readAt(b, tail, tailAt) {
		return nil, s, false
	}
	open := delimiter + "\r\n"
	from := 0
	if !bytes.HasPrefix(head, []byte(open)) {
		if from = bytes.Index(head, []byte("\r\n"+open)); from < 0 {
			return nil, s, false
		}
		from += len("\r\n")
	}
	to := bytes.LastIndex(tail, []byte("\r\n"+delimiter+"--\r\n"))
	if to < 0 {
		return nil, s, false
	}
	return root, span{int64(from + len(open)), tailAt + int64(to)}, true
}

func readAt(b message.Body, p []byte, off int64) bool {
	n, err := b.ReadAt(p, off)
	return n == len(p) && (err == nil || err == io.EOF)
}

// unwalked is a root whose parts are one: enough to outline an entity by that
// needs no change.
func unwalked(root *message.Part, b message.Body, s span) *message.Part {
	root.End, root.Closed = b.Size(), true
	root.Parts = []*message.Part{{MediaType: "text/plain", Offset: s.from, BodyOffset: s.from, End: s.to}}
	return root
}

// A passage is a walk that hashes a span on its way. It is read once, by
// WriteTo as io.Copy calls it; root is there after that, unless it failed.
type passage struct {
	io.Reader // for who does not: there is no root then
	header    message.Header
	body      message.Body
	limits    message.Limits
	before    message.Body // what is hashed before the span
	span      span
	check     func([]byte) error // may be nil; its error ends all
	root      *message.Part
	walkErr   error
}

func (p *passage) size() int64 { return p.before.Size() + p.span.to - p.span.from }

func (p *passage) WriteTo(w io.Writer) (int64, error) {
	out := newOutlet(w, p.size())
	before := stream{body: p.before, check: p.check}
	err := before.put(out)
	if err == nil {
		t := &tap{Body: p.body, next: p.span.from, to: p.span.to, put: func(b []byte) error { return out.checked(b, p.check) }}
		p.root, p.walkErr = message.Walk(p.header, t, p.limits)
		if err = t.err; err == nil && p.walkErr == nil {
			err = t.skipTo(p.span.to)
		}
		if err == nil {
			err = p.walkErr
		}
	}
	return out.written, out.close(err)
}

// A tap is a body that puts what is read of a span, in order and once.
type tap struct {
	message.Body
	next, to int64 // of the span, not yet put
	put      func([]byte) error
	err      error // of put, or of reading what was skipped
}

func (t *tap) ReadAt(p []byte, off int64) (int, error) {
	n, err := t.Body.ReadAt(p, off)
	if end := off + int64(n); t.next < t.to && end > t.next {
		if t.skipTo(min(off, t.to)) == nil && t.next < t.to {
			from, to := t.next, min(end, t.to)
			t.next = to
			t.err = t.put(p[from-off : to-off])
		}
	}
	if t.err != nil {
		return 0, t.err
	}
	return n, err
}

// skipTo puts what the walk passed over without a look.
func (t *tap) skipTo(off int64) error {
	if t.err == nil && t.next < off {
		b := blockPool.Get().(*block)
		defer blockPool.Put(b)
		for t.err == nil && t.next < off {
			p := b[:min(blockSize, off-t.next)]
			n, err := t.Body.ReadAt(p, t.next)
			if t.next += int64(n); n < len(p) {
				t.err = err
			} else {
				t.err = t.put(p)
			}
		}
	}
	return t.err
}

// examineAhead examines a multipart/signed and hashes its content on the walk.
// No root and no error: that has to be done after a walk.
func examineAhead(h message.Header, b message.Body, o VerifyOptions) (f finding, root *message.Part, err error) {
	short, s, ok := foretell(h, b, o.Limits)
	if !ok || short.MediaType != "multipart/signed" {
		return finding{}, nil, nil
	}
	buf := blockPool.Get().(*block)
	defer blockPool.Put(buf)
	tail := buf[:min(aheadTail, s.to-s.from)]
	if !readAt(b, tail, s.to-int64(len(tail))) {
		return finding{}, nil, nil
	}
	at := bytes.LastIndex(tail, []byte("\r\n--"+short.Params["boundary"]+"\r\n"))
	if at < 0 {
		return finding{}, nil, nil
	}
	s.to -= int64(len(tail) - at)
	// The same mail without the content: what is found in it is found in the
	// mail, further on.
	rest := message.Concat(message.Section(b, 0, s.from), message.Section(b, s.to, b.Size()-s.to))
	if short, err = message.Walk(h, rest, o.Limits); err != nil || len(short.Parts) != 2 {
		return finding{}, nil, nil
	}
	f, err = examine(rest, short, cms.ReadOptions{Limits: o.CMS, ParseCertificate: o.ParseCertificate})
	if err != nil || f.kind != SignedDetached || f.problem != nil {
		return finding{}, nil, err
	}
	p := &passage{
		Reader: message.NewReader(message.Section(b, s.from, s.to-s.from)),
		header: h, body: b, limits: o.Limits, before: message.Bytes(nil), span: s,
	}
	if err := f.signed.DigestContent(p); err != nil {
		return finding{}, nil, err
	}
	if p.root == nil || !shifted(short, p.root, s) {
		return finding{}, nil, nil
	}
	f.content, f.part, f.hashed = p.root.Parts[0], p.root.Parts[1], true
	return f, p.root, nil
}

// shifted reports whether whole is the walk of a mail whose first part is the
// content and short the walk of the same mail without it.
func shifted(short, whole *message.Part, content span) bool {
	if len(whole.Parts) != 2 || whole.Parts[0].Offset != content.from || whole.Parts[0].End != content.to {
		return false
	}
	was, is, by := short.Parts[1], whole.Parts[1], content.to-content.from
	return was.Offset+by == is.Offset && was.BodyOffset+by == is.BodyOffset && was.End+by == is.End
}
