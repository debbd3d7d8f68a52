package smime

import (
	"bytes"
	"fmt"
	"io"
	"runtime/debug"

	"mailseal/internal/message"
	"mailseal/smime/cms"
)

// Finding the parts of a large mail takes a while, in which its content could
// be hashed. So where the content probably is, is foretold from the mail's
// first and last lines, and hashed while the walk goes on. The walk decides:
// where it finds something else, all is done again, after it.

const (
	aheadFrom = 128 << 10 // smaller mails are walked sooner than said
	aheadLook = 64 << 10  // how much of the beginning and the end is looked at
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
	head, tail := buf[:aheadLook], buf[aheadLook:2*aheadLook]
	tailAt := b.Size() - aheadLook
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

// examineAhead examines a multipart/signed and hashes its content while walk
// goes on. ok is false where the walk does not say the same.
func examineAhead(h message.Header, b message.Body, o VerifyOptions, walk func() (*message.Part, error)) (f finding, ok bool, err error) {
	if o.Root != nil {
		return finding{}, false, nil
	}
	root, s, ok := foretell(h, b, o.Limits)
	if !ok || root.MediaType != "multipart/signed" {
		return finding{}, false, nil
	}
	buf := blockPool.Get().(*block)
	defer blockPool.Put(buf)
	tail := buf[:min(aheadLook, s.to-s.from)]
	if !readAt(b, tail, s.to-int64(len(tail))) {
		return finding{}, false, nil
	}
	at := bytes.LastIndex(tail, []byte("\r\n--"+root.Params["boundary"]+"\r\n"))
	if at < 0 {
		return finding{}, false, nil
	}
	content := span{s.from, s.to - int64(len(tail)-at)}
	// The same mail without the content: what is found in it is found in the
	// mail, further on.
	short := message.Concat(message.Section(b, 0, content.from), message.Section(b, content.to, b.Size()-content.to))
	if root, err = message.Walk(h, short, o.Limits); err != nil || len(root.Parts) != 2 {
		return finding{}, false, nil
	}
	f, err = examine(short, root, cms.ReadOptions{Limits: o.CMS, ParseCertificate: o.ParseCertificate})
	if err != nil || f.kind != SignedDetached || f.problem != nil {
		return finding{}, false, err
	}
	if err := digest(f.signed, message.Section(b, content.from, content.to-content.from)); err != nil {
		return finding{}, false, err
	}
	whole, err := walk()
	if err != nil || !shifted(root, whole, content) {
		return finding{}, false, err
	}
	f.content, f.part, f.hashed = whole.Parts[0], whole.Parts[1], true
	return f, true, nil
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

// async runs f in a goroutine and returns what waits for its results. A panic
// goes off where they are waited for.
func async[T any](f func() (T, error)) (wait func() (T, error)) {
	var v T
	var err error
	var panicked any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				panicked = fmt.Sprintf("%v\n%s", p, debug.Stack())
			}
		}()
		v, err = f()
	}()
	return func() (T, error) {
		<-done
		if panicked != nil {
			panic(panicked)
		}
		return v, err
	}
}
