package smime

import (
	"context"
	"errors"

	"mailseal/internal/message"
)

// An Opening is a mail on its way out of its layers, for who wants to look at it
// on the way: Decrypt first, if at all, then Unsign. It may be used by one
// goroutine, and is closed by its owner.
type Opening struct {
	mail  *message.Message
	d     *opening
	w     wrapping // the mail as it is now, if changed
	edits []message.Edit
	made  *message.Message // of them
}

// NewOpening begins with a mail, which must stay as it is. The options need no
// keys where nothing shall be decrypted.
func NewOpening(m *message.Message, o DecryptOptions) *Opening {
	if o.Depth <= 0 {
		o.Depth = 8
	}
	p := &Opening{mail: m, d: &opening{DecryptOptions: o, mail: m}}
	p.d.begin()
	return p
}

// begin goes back to the mail as it came.
func (d *opening) begin() {
	d.close()
	d.Opened, d.decrypted = &Opened{}, false
	d.now = inner{header: d.mail.Header, body: d.mail.Body, lf: d.mail.Newline == "\n"}
}

// Decrypt takes off encryption, as the function Decrypt has it. After an error
// the mail is what it was.
func (p *Opening) Decrypt() (*Opened, error) {
	if err := p.decrypt(); err != nil {
		p.d.begin()
		p.edits, p.made = nil, nil
		return nil, err
	}
	return p.d.Opened, nil
}

func (p *Opening) decrypt() error {
	d := p.d
	if d.Spool == nil {
		return errors.New("decrypt a mail: a spool is needed")
	}
	if err := d.layers(); err != nil {
		return err
	}
	if !d.decrypted {
		return ErrNotEncrypted
	}
	if err := d.canonical(); err != nil {
		return err
	}
	d.Header = d.now.header
	var err error
	if d.Protected, err = readProtected(d.now, p.mail.Header, d.Spool, d.Limits); err != nil {
		return err
	}
	if d.Headers && d.Protected != nil {
		p.w.outside = d.Protected.edits
	}
	return p.remake()
}

// Unsign takes off the signature that is round the whole mail now, and puts its
// content in place of the two: what was in it is of a mail what a reader sees.
// The caller knows that it was good. The error is that of Decrypt, ErrNotSigned,
// or a *Problem.
func (p *Opening) Unsign() error {
	d := p.d
	root, kind, err := d.now.glance(d.Limits)
	if err != nil {
		return err
	}
	before, held := d.now, d.held
	d.held, d.kind, d.Signed = nil, kind, nil
	switch kind {
	case SignedDetached:
		err = d.unsign(func(Kind) bool { return true })
	case SignedOpaque:
		err = d.unpack(root)
	default:
		err = ErrNotSigned
	}
	if err == errEnough {
		err = ErrNotSigned
	}
	if err == nil {
		err = d.canonical()
	}
	if err == nil {
		_, err = d.sound()
	}
	if err != nil {
		d.close()
		d.now, d.held = before, held
		return err
	}
	d.held = append(d.held, held...)
	return p.remake()
}

// ErrNotSigned: the mail as a whole is not signed.
var ErrNotSigned = errors.New("mail is not signed")

// remake makes the edits anew.
func (p *Opening) remake() error {
	d := p.d
	bodies := []message.Body{d.now.body}
	for _, c := range d.held {
		bodies = append(bodies, owned{c})
	}
	fields, err := d.sound()
	if err != nil {
		return err
	}
	p.w.fields, p.w.body = fields, message.Concat(bodies...)
	p.edits = p.w.edits(p.mail.Header)
	p.made, err = p.mail.Apply(p.edits)
	return err
}

// Mail is what has become of the mail. Its body is the Opening's.
func (p *Opening) Mail() *message.Message {
	if p.made == nil {
		return p.mail
	}
	return p.made
}

// Edits are what makes Mail of the mail that came, none if that is as it was.
// They own the new body from here on, and the Opening is done.
func (p *Opening) Edits() []message.Edit {
	p.d.held = nil
	return p.edits
}

// Close frees what the mail reads from, unless it was given away.
func (p *Opening) Close() { p.d.close() }

// canonical gives what is left lines that end in CRLF, as mails have (RFC 8551
// section 3.1.1).
func (d *opening) canonical() error {
	if !d.now.lf {
		return nil
	}
	body, done, err := canonical(d.now.message(), d.Spool)
	if err != nil {
		return err
	}
	d.hold(inner{d.now.header, body, false}, done)
	return nil
}

// tell shows the mail as it is now to who judges signatures.
func (d *opening) tell() error {
	if d.Signed == nil {
		return nil
	}
	m := d.mail
	if len(d.Layers) > 0 {
		fields, err := d.sound()
		if err != nil {
			return err
		}
		if m, err = m.Apply(relabel(m.Header, fields)); err != nil {
			return err
		}
		m.Body, m.Newline = d.now.body, d.now.message().Newline
	}
	return d.Signed(m)
}

// sound are the labels of what is left, if an MTA could carry them.
func (d *opening) sound() ([]message.Field, error) {
	fields := d.now.labels()
	for _, f := range fields {
		if !carried(f) {
			return nil, &Problem{BadStructure, "control characters in " + f.Name(), nil}
		}
	}
	return fields, nil
}

// late says that there is no time left.
func (d *opening) late() error {
	if d.Context == nil {
		return nil
	}
	return context.Cause(d.Context)
}

// body is what is left, to be read while there is time.
func (d *opening) body() message.Body { return timed{d.Context, d.now.body} }

// A timed body is there as long as there is time.
type timed struct {
	until context.Context
	message.Body
}

func (t timed) ReadAt(p []byte, off int64) (int, error) {
	if t.until != nil && t.until.Err() != nil {
		return 0, context.Cause(t.until)
	}
	return t.Body.ReadAt(p, off)
}
