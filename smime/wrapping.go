package smime

import (
	"errors"
	"io"
	"slices"

	"mailseal/internal/message"
	"mailseal/internal/spool"
	"mailseal/smime/entity"
)

// A wrapping is what comes into the place of a mail's content: a signature
// or encryption round it.
type wrapping struct {
	fields  []message.Field // that describe the body
	body    message.Body
	apart   bool           // body does not read from what it is around
	outside []message.Edit // of header fields that are hidden inside
}

// edits puts the fields in the place of all that described the old body
// (RFC 8551 section 3.1: these go inside).
func (w *wrapping) edits(h message.Header) []message.Edit {
	es := relabel(h, w.fields)
	es = append(es, w.outside...)
	return append(es, message.SetField{Field: message.NewField("MIME-Version", " 1.0")}, message.ReplaceBody{Body: w.body})
}

// relabel replaces all fields of h that describe a body by others. One that is
// there more than once stays so, for whoever judges the mail to see.
func relabel(h message.Header, fields []message.Field) []message.Edit {
	var es []message.Edit
	count := func(name string) (n int) {
		for _, f := range fields {
			if f.Is(name) {
				n++
			}
		}
		return n
	}
	for f, drop := range h.Drops() {
		if entity.IsContent(f.Name()) && count(f.Name()) != 1 {
			es = append(es, drop)
		}
	}
	for _, f := range fields {
		if count(f.Name()) == 1 {
			es = append(es, message.SetField{Field: f})
		}
	}
	for _, f := range slices.Backward(fields) {
		if count(f.Name()) > 1 {
			es = append(es, message.AddField{Field: f}) // each on top of the one before
		}
	}
	return es
}

// newSource is what an entity is made from. The closer is of a body that was
// made for it.
func newSource(m *message.Message, s *spool.Store, root *message.Part) (entity.Source, io.Closer, error) {
	header := entity.Unrepeated(m.Header)
	if len(header) != len(m.Header) || m.Newline == "\n" {
		root = nil // it is the walk of other bytes
	}
	body, done, err := canonical(m, s)
	return entity.Source{Header: header, Body: body, Root: root, Spool: s}, done, err
}

// owned closes a body that others read from; it adds nothing.
type owned struct{ io.Closer }

func (owned) Size() int64                       { return 0 }
func (owned) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }

// A form is one that an entity may have, good if it has none of the faults.
type form struct {
	make   func(entity.Source) (*entity.Entity, error)
	faults entity.Fault
}

// first calls f with the entity in one form after the other until there is one
// that would arrive as it is. The error is the last form's.
func first(s entity.Source, forms []form, f func(r io.Reader, size int64) error) (message.Body, error) {
	var err error
	for _, form := range forms {
		var e *entity.Entity
		if e, err = form.make(s); err != nil {
			var unfit *entity.Error
			if errors.As(err, &unfit) {
				continue
			}
			return nil, err
		}
		c := &check{mask: form.faults}
		if err = c.through(e, f); err == nil {
			return e, nil
		}
		e.Close()
		if !errors.Is(err, errFaults) {
			return nil, err
		}
	}
	return nil, err
}

// A check stops the reading of what is to be wrapped at the first block that
// would not survive.
type check struct {
	scan entity.Scanner
	mask entity.Fault
}

var errFaults = errors.New("content needs to be encoded")

// through calls f with the entity's bytes, checked.
func (c *check) through(e message.Body, f func(r io.Reader, size int64) error) error {
	if c.mask == 0 {
		return f(newStream(e, nil), e.Size())
	}
	err := f(newStream(e, c.block), e.Size())
	if err == nil && c.scan.Finish()&c.mask != 0 {
		return errFaults
	}
	return err
}

func (c *check) block(p []byte) error {
	c.scan.Write(p)
	if c.scan.Faults()&c.mask != 0 {
		return errFaults
	}
	return nil
}
