package message

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Apply returns what an MTA would make of the mail and the edits. It changes
// nothing and shares the bodies, which stay with their owners. An edit that
// no MTA could carry out is an error: a name that is none, a line end that
// would begin another field, two bodies.
func (m *Message) Apply(edits []Edit) (*Message, error) {
	out := *m
	out.Envelope.Recipients = slices.Clone(m.Envelope.Recipients)
	fields := newFieldEdits(m.Header, m.Newline)
	body := false
	for _, e := range edits {
		var err error
		switch e := e.(type) {
		case AddField:
			err = fields.add(e.Field)
		case SetField:
			err = fields.set(e.Field)
		case DropField:
			err = fields.drop(e.Name, e.Occurrence)
		case ReplaceBody:
			if body || e.Body == nil {
				err = errors.New("replace the body: want one other body")
			}
			out.Body, body = e.Body, true
		case DropRcpt:
			out.Envelope.dropRecipient(e.Address)
		case AddRcpt:
			out.Envelope.addRecipient(e.Recipient)
		case ReturnHeaders:
			out.Envelope.returnHeaders()
		default:
			err = fmt.Errorf("unknown edit %T", e)
		}
		if err != nil {
			return nil, err
		}
	}
	out.Header = fields.header()
	return &out, nil
}

// dropRecipient removes every recipient of that address.
func (e *Envelope) dropRecipient(address string) {
	e.Recipients = slices.DeleteFunc(e.Recipients, func(r Recipient) bool { return r.Address == address })
}

// addRecipient adds one that is not there: an MTA delivers to it once.
func (e *Envelope) addRecipient(r Recipient) {
	if !slices.ContainsFunc(e.Recipients, func(o Recipient) bool { return o.Address == r.Address }) {
		e.Recipients = append(e.Recipients, r)
	}
}

// returnHeaders says what notices are to quote.
func (e *Envelope) returnHeaders() {
	args := slices.DeleteFunc(slices.Clone(e.SenderArgs), func(a string) bool {
		key, _, _ := strings.Cut(a, "=")
		return strings.EqualFold(key, "RET")
	})
	e.SenderArgs = append(args, "RET=HDRS")
}

// fieldEdits is a header under edits. Every received field keeps its place,
// so that occurrences mean the same whatever went before.
type fieldEdits struct {
	newline  string
	received []Field
	gone     []bool
	places   map[string][]int // lower-case name -> indices in received
	top      []Field          // added; the last is the topmost
	end      []Field          // set where none was
}

func newFieldEdits(h Header, newline string) *fieldEdits {
	f := &fieldEdits{
		newline:  newline,
		received: slices.Clone(h),
		gone:     make([]bool, len(h)),
		places:   make(map[string][]int),
	}
	for i, field := range h {
		name := strings.ToLower(field.Name())
		f.places[name] = append(f.places[name], i)
	}
	return f
}

func (f *fieldEdits) add(field Field) error {
	field, err := field.outgoing(f.newline)
	if err != nil {
		return fmt.Errorf("add header field: %w", err)
	}
	f.top = append(f.top, field)
	return nil
}

func (f *fieldEdits) set(field Field) error {
	field, err := field.outgoing(f.newline)
	if err != nil {
		return fmt.Errorf("set header field: %w", err)
	}
	places := f.places[strings.ToLower(field.Name())]
	if len(places) == 0 {
		f.end = slices.DeleteFunc(f.end, func(o Field) bool { return o.Is(field.Name()) })
		f.end = append(f.end, field)
		return nil
	}
	for _, i := range places {
		f.gone[i] = true
	}
	f.received[places[0]], f.gone[places[0]] = field, false
	return nil
}

func (f *fieldEdits) drop(name string, occurrence int) error {
	if !isFieldName(name) || occurrence < 1 {
		return fmt.Errorf("drop header field %q number %d: want a name and a number from 1 up", name, occurrence)
	}
	// An MTA ignores a field that is not there.
	if places := f.places[strings.ToLower(name)]; occurrence <= len(places) {
		f.gone[places[occurrence-1]] = true
	}
	return nil
}

func (f *fieldEdits) header() Header {
	h := make(Header, 0, len(f.top)+len(f.received)+len(f.end))
	for _, field := range slices.Backward(f.top) {
		h = append(h, field)
	}
	for i, field := range f.received {
		if !f.gone[i] {
			h = append(h, field)
		}
	}
	return append(h, f.end...)
}

// outgoing returns the field as an MTA would write it into a mail that ends
// its lines with newline.
func (f Field) outgoing(newline string) (Field, error) {
	if !isFieldName(f.Name()) {
		return f, fmt.Errorf("%q is no field name", f.Name())
	}
	f.end = endUsual
	value := f.Value()
	if !strings.ContainsAny(value, "\r\n\x00") {
		return f, nil
	}
	value = strings.ReplaceAll(value, "\r\n", "\n")
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '\r', 0:
			return f, fmt.Errorf("%s has the character %q in it", f.Name(), value[i])
		case '\n':
			if i+1 == len(value) || value[i+1] != ' ' && value[i+1] != '\t' {
				return f, fmt.Errorf("%s has a line end without a blank behind it, which would begin another field", f.Name())
			}
		}
	}
	if newline == "" {
		newline = "\r\n"
	}
	return Field{raw: f.raw[:f.colon+1] + strings.ReplaceAll(value, "\n", newline), colon: f.colon}, nil
}
