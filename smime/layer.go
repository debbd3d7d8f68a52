package smime

import (
	"errors"
	"io"

	"mailseal/internal/message"
	"mailseal/internal/spool"
	"mailseal/smime/cms"
)

// hold makes e what is left, which reads from what c closes. Layers before are
// done with.
func (d *opening) hold(e inner, c io.Closer) {
	d.close()
	d.now, d.held = e, []io.Closer{c}
}

func (d *opening) close() {
	for _, c := range d.held {
		c.Close()
	}
	d.held = nil
}

// decrypt takes off encryption.
func (d *opening) decrypt(root *message.Part) error {
	w := &watched{Body: d.body()}
	var failed error // of the spool
	e, err := cms.ReadEnveloped(root.Decode(w), cms.ReadEnvelopedOptions{
		Keys:               d.Keys,
		Spool:              func() (cms.Spool, error) { return &place{File: d.Spool.Create(), failed: &failed}, nil },
		Check:              func(r *io.SectionReader) bool { return d.isEntity(r, &failed) },
		Limits:             d.CMS,
		GCMInEnvelopedData: d.GCMInEnvelopedData,
	})
	if err == nil && (w.err != nil || failed != nil) {
		e.Content.Close()
	}
	switch {
	case w.err != nil:
		return w.err
	case failed != nil:
		return failed
	case errors.Is(err, ErrNoRecipient), errors.Is(err, ErrDecrypt):
		return err
	case err != nil:
		return explain("encrypted content", err)
	case !e.ContentType.Equal(cms.OIDData):
		e.Content.Close()
		return ErrDecrypt // as if it were no entity: it is none
	}
	left, _, err := readInner(e.Content, d.Spool, d.Limits)
	if err != nil {
		e.Content.Close()
		return err
	}
	d.Layers = append(d.Layers, OpenedLayer{d.kind, e.Cipher, e.Recipients, e.Opened, e.By})
	d.decrypted = true
	d.hold(left, e.Content)
	return nil
}

// isEntity reports whether what may have been decrypted begins as an entity
// does.
func (d *opening) isEntity(r *io.SectionReader, failed *error) bool {
	_, ok, err := readInner(unowned{SectionReader: r}, d.Spool, d.Limits)
	if err != nil && *failed == nil {
		*failed = err
	}
	return ok
}

// unowned is a Body that is somebody else's.
type unowned struct {
	*io.SectionReader
	nothing
}

// unpack takes off compression, or an opaque signature.
func (d *opening) unpack(root *message.Part) error {
	what, layer := "compressed content", OpenedLayer{Kind: d.kind}
	w := &watched{Body: d.body()}
	var failed error
	file := &place{File: d.Spool.Create(), failed: &failed}
	o := cms.ReadOptions{Content: file, Limits: d.CMS}
	var err error
	if d.kind == Compressed {
		_, err = cms.ReadCompressed(root.Decode(w), o)
		d.CMS = d.CMS.Inflate(file.Size())
	} else {
		what = "signed content"
		_, err = cms.ReadSignedData(root.Decode(w), o)
	}
	var left inner
	var ok bool
	switch {
	case w.err != nil:
		err = w.err
	case errors.Is(failed, spool.ErrTooLarge):
		err = &Problem{TooLarge, what + " is " + spool.ErrTooLarge.Error(), nil}
	case failed != nil:
		err = failed
	case err != nil:
		err = explain(what, err)
	default:
		if left, ok, err = readInner(file, d.Spool, d.Limits); err == nil && !ok {
			err = &Problem{BadStructure, what + " is no MIME entity", nil}
		}
	}
	if err != nil {
		file.Close()
		return err
	}
	d.Layers = append(d.Layers, layer)
	d.hold(left, file)
	return nil
}

// unsign takes off a detached signature, if what it is over is of a kind to go
// on with.
func (d *opening) unsign(on func(Kind) bool) error {
	body, done, err := canonical(d.now.message(), d.Spool)
	if err != nil {
		return err
	}
	content, err := d.signed(timed{d.Context, body}, on)
	if err == nil && !d.decrypted {
		err = d.tell()
	}
	if err != nil {
		done.Close()
		return err
	}
	d.Layers = append(d.Layers, OpenedLayer{Kind: SignedDetached})
	d.held = append(d.held, done) // beside those before: it may read from them
	d.now = inner{header: content.Header, body: content.Content(body)}
	return nil
}

// signed finds the content of a multipart/signed.
func (d *opening) signed(body message.Body, on func(Kind) bool) (*message.Part, error) {
	root, err := message.Walk(d.now.header, body, d.Limits)
	if err != nil {
		return nil, err
	}
	f, err := examine(body, root, cms.ReadOptions{Limits: d.CMS})
	switch {
	case err != nil:
		return nil, err
	case f.kind != SignedDetached:
		return nil, errEnough
	}
	kind, err := glance(body, f.content)
	if err == nil && !on(kind) {
		err = errEnough
	}
	if err == nil && f.problem != nil {
		err = f.problem // readers may differ in what is there
	}
	return f.content, err
}

// preview says what the content of a compressed or an opaquely signed entity is,
// by its beginning.
func preview(b message.Body, p *message.Part, k Kind, s *spool.Store, l message.Limits) (Kind, error) {
	e, ok, err := beginning(b, p, k, s, l)
	if !ok || err != nil {
		return Plain, err
	}
	_, kind, err := e.glance(l)
	if limit := (*message.LimitError)(nil); errors.As(err, &limit) {
		return Plain, nil
	}
	return kind, err
}

// beginning is that of the content of a compressed or an opaquely signed
// entity. What is wrong with the rest shows to who reads it.
func beginning(b message.Body, p *message.Part, k Kind, s *spool.Store, l message.Limits) (inner, bool, error) {
	w := &watched{Body: b}
	var content head
	if o := (cms.ReadOptions{Content: &content}); k == Compressed {
		cms.ReadCompressed(p.Decode(w), o)
	} else {
		cms.ReadSignedData(p.Decode(w), o)
	}
	if w.err != nil {
		return inner{}, false, w.err
	}
	return readInner(message.Bytes(content.Bytes()), s, l)
}

// A place is a spool's file that remembers what went wrong with it.
type place struct {
	*spool.File
	failed *error
}

func (p *place) note(err error) {
	if err != nil && !errors.Is(err, io.EOF) && *p.failed == nil {
		*p.failed = err
	}
}

func (p *place) Write(b []byte) (int, error) {
	n, err := p.File.Write(b)
	p.note(err)
	return n, err
}

// ReadFrom tells the file's errors from the reader's.
func (p *place) ReadFrom(r io.Reader) (int64, error) {
	from := &remembering{Reader: r}
	n, err := p.File.ReadFrom(from)
	if from.err == nil {
		p.note(err)
	}
	return n, err
}

func (p *place) ReadAt(b []byte, off int64) (int, error) {
	n, err := p.File.ReadAt(b, off)
	p.note(err)
	return n, err
}

type remembering struct {
	io.Reader
	err error
}

func (r *remembering) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}
