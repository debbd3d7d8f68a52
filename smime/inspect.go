package smime

import (
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

	"mailseal/internal/message"
	"mailseal/internal/spool"
	"mailseal/smime/cms"
	"mailseal/smime/cms/recipient"
)

// InspectOptions bound an inspection. Spool is needed.
type InspectOptions struct {
	Limits message.Limits
	CMS    cms.Limits
	Spool  *spool.Store // for what is inside of CMS objects
	// Keys open what is encrypted to them.
	Keys recipient.List
	// GCMInEnvelopedData as in cms.ReadEnvelopedOptions.
	GCMInEnvelopedData bool
	// Depth is how many CMS objects inside each other are opened, 0 for 8.
	Depth int
}

// A Layer is a MIME entity, the CMS object that is its content, and what is
// inside of either.
type Layer struct {
	// Section is the part's number (RFC 3501 section 6.4.5), "" for the mail;
	// inside a CMS object it continues after a "/" (RFC 7281 section 3.2.1).
	Section     string   `json:"section"`
	Type        string   `json:"type"`
	Encoding    string   `json:"encoding,omitempty"`
	Disposition string   `json:"disposition,omitempty"`
	Name        string   `json:"name,omitempty"`
	Size        int64    `json:"size"`           // of the content as it stands in the mail
	Kind        Kind     `json:"kind,omitempty"` // what the entity is as S/MIME
	Problem     string   `json:"problem,omitempty"`
	CMS         *Object  `json:"cms,omitempty"`
	Layers      []*Layer `json:"layers,omitempty"`
}

// An Object is a CMS object in words. Nothing of it is verified.
type Object struct {
	Type             string        `json:"type"`
	ContentType      string        `json:"content_type,omitempty"`
	ContentAlgorithm string        `json:"content_algorithm,omitempty"`
	ContentSize      int64         `json:"content_size"` // -1: the content is not in it
	Digests          []string      `json:"digests,omitempty"`
	Recipients       []Party       `json:"recipients,omitempty"`
	Signers          []Party       `json:"signers,omitempty"`
	Certificates     []Certificate `json:"certificates,omitempty"`
	CRLs             int           `json:"crls,omitempty"`
}

// A Party is a signer or a recipient, named by issuer and serial number or by
// a key identifier.
type Party struct {
	Kind        string    `json:"kind,omitempty"` // of a recipient: ktri, kari, kekri, pwri, ori
	Issuer      string    `json:"issuer,omitempty"`
	Serial      string    `json:"serial,omitempty"` // hexadecimal, as all bytes here
	KeyID       string    `json:"key_id,omitempty"`
	Digest      string    `json:"digest,omitempty"`
	Algorithm   string    `json:"algorithm"`
	SigningTime time.Time `json:"signing_time,omitzero"`
	Attributes  []string  `json:"attributes,omitempty"`
	// Capabilities are what a signer says that it reads (RFC 8551 section 2.5.2).
	Capabilities []string `json:"capabilities,omitempty"`
}

// A Certificate was sent along.
type Certificate struct {
	Subject   string    `json:"subject,omitempty"`
	Issuer    string    `json:"issuer,omitempty"`
	Serial    string    `json:"serial,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	NotAfter  time.Time `json:"not_after,omitzero"`
	Problem   string    `json:"problem,omitempty"`
	// Capabilities are what its holder reads, as it says (RFC 4262).
	Capabilities []string `json:"capabilities,omitempty"`
}

// Inspect describes a mail. It verifies nothing, and decrypts what Keys open.
func Inspect(m *message.Message, o InspectOptions) (*Layer, error) {
	if o.Depth <= 0 {
		o.Depth = 8
	}
	body, done, err := canonical(m, o.Spool)
	if err != nil {
		return nil, err
	}
	defer done.Close()
	root, err := message.Walk(m.Header, body, o.Limits)
	if err != nil {
		return nil, err
	}
	return o.layer(body, root, "", o.Depth)
}

// layer describes an entity and what is inside; prefix goes before sections.
func (o InspectOptions) layer(b message.Body, p *message.Part, prefix string, depth int) (*Layer, error) {
	l := &Layer{
		Section: prefix + p.Section, Type: p.MediaType, Encoding: p.Encoding, Disposition: p.Disposition,
		Name: p.DispositionParams["filename"], Size: p.End - p.BodyOffset, Problem: p.Malformed,
	}
	if l.Name == "" {
		l.Name = p.Params["name"]
	}
	var err error
	if l.Kind, err = glance(b, p); err != nil {
		return nil, err
	}
	if labelled(p) || named(p) {
		if err := o.object(b, p, l, prefix, depth); err != nil {
			return nil, err
		}
	}
	for _, c := range p.Parts {
		inner, err := o.layer(b, c, prefix, depth)
		if err != nil {
			return nil, err
		}
		if l.Kind == SignedDetached && (labelled(c) || named(c)) && c == p.Parts[1] {
			inner.Kind = Plain // it belongs to the whole
		}
		l.Layers = append(l.Layers, inner)
	}
	return l, nil
}

// object describes the CMS object in a part, and what is in that.
func (o InspectOptions) object(b message.Body, p *message.Part, l *Layer, prefix string, depth int) error {
	w := &watched{Body: b}
	var failed error // of the spool
	content := &place{File: o.Spool.Create(), failed: &failed}
	defer content.Close()
	d, err := o.describe(w, p, content)
	switch {
	case w.err != nil:
		return w.err
	case errors.Is(failed, spool.ErrTooLarge):
		err = failed
	case failed != nil:
		return failed
	}
	if err != nil {
		if l.Kind != Plain && l.Problem == "" {
			l.Problem = err.Error()
		}
		return nil
	}
	l.CMS = newObject(d)
	if l.Kind == SignedOpaque && len(d.Signers) == 0 && d.ContentSize < 0 {
		l.Kind = CertsOnly // a glance does not tell
	}
	if depth == 0 {
		return nil
	}
	return o.content(b, p, l, content, prefix, depth)
}

// content describes what is in a CMS object, if we may see it.
func (o InspectOptions) content(b message.Body, p *message.Part, l *Layer, signed *place, prefix string, depth int) error {
	d := o.opening(b, l.Kind)
	defer d.close()
	switch opens, err := o.open(d, p, signed); {
	case fault(err):
		l.Problem = err.Error()
		return nil
	case err != nil || !opens:
		return err
	}
	err := o.inside(d.now, l, prefix+section(p)+"/", depth-1)
	var limit *message.LimitError
	if errors.As(err, &limit) || errors.Is(err, spool.ErrTooLarge) {
		l.Problem = "content: " + err.Error()
		return nil
	}
	return err
}

func (o InspectOptions) opening(b message.Body, k Kind) *opening {
	return &opening{Opened: &Opened{}, kind: k, now: inner{body: b}, DecryptOptions: DecryptOptions{
		Keys: o.Keys, Spool: o.Spool, Limits: o.Limits, CMS: o.CMS, GCMInEnvelopedData: o.GCMInEnvelopedData,
	}}
}

// open reports whether there is an entity for us in a CMS object, and leaves it
// in d. Of a signature it is known already.
func (o InspectOptions) open(d *opening, p *message.Part, signed *place) (bool, error) {
	switch {
	case signed.Size() > 0:
		m, err := message.Read(io.NewSectionReader(signed, 0, signed.Size()), o.Spool, o.Limits)
		if err != nil {
			return false, err
		}
		d.hold(inner{m.Header, m.Body, m.Newline == "\n"}, m.Body)
		return true, nil
	case (d.kind == Enveloped || d.kind == AuthEnveloped) && len(o.Keys) > 0:
		return true, d.decrypt(p)
	case d.kind == Compressed:
		return true, d.unpack(p)
	}
	return false, nil
}

// inside describes the content of a CMS object.
func (o InspectOptions) inside(content inner, l *Layer, prefix string, depth int) error {
	body, done, err := canonical(content.message(), o.Spool)
	if err != nil {
		return err
	}
	defer done.Close()
	root, err := message.Walk(content.header, body, o.Limits)
	if err != nil {
		return err
	}
	layer, err := o.layer(body, root, prefix, depth)
	if err != nil {
		return err
	}
	l.Layers = append(l.Layers, layer)
	return nil
}

func (o InspectOptions) describe(b message.Body, p *message.Part, content io.Writer) (*cms.Description, error) {
	oid, err := cms.Identify(p.Decode(b))
	if err != nil {
		return nil, err
	}
	if !oid.Equal(cms.OIDSignedData) {
		return cms.Describe(p.Decode(b))
	}
	sd, err := cms.ReadSignedData(p.Decode(b), cms.ReadOptions{Content: content, Limits: o.CMS})
	if err != nil {
		return nil, err
	}
	return sd.Describe(), nil
}

func newObject(d *cms.Description) *Object {
	o := &Object{
		Type: d.TypeName, ContentType: d.ContentTypeName, ContentAlgorithm: d.ContentAlgorithm,
		ContentSize: d.ContentSize, Digests: d.Digests, CRLs: d.CRLs,
	}
	for _, r := range d.Recipients {
		o.Recipients = append(o.Recipients, Party{
			Kind: r.Kind, Issuer: r.Issuer, Serial: hexSerial(r.Serial), KeyID: fmt.Sprintf("%X", r.SubjectKeyID), Algorithm: r.Algorithm,
		})
	}
	for _, s := range d.Signers {
		o.Signers = append(o.Signers, Party{
			Issuer: s.Issuer, Serial: hexSerial(s.Serial), KeyID: fmt.Sprintf("%X", s.SubjectKeyID),
			Digest: s.Digest, Algorithm: s.Algorithm, SigningTime: s.SigningTime, Attributes: s.Attributes,
			Capabilities: s.Capabilities,
		})
	}
	for _, c := range d.Certificates {
		cert := Certificate{
			Subject: c.Subject, Issuer: c.Issuer, Serial: hexSerial(c.Serial), NotBefore: c.NotBefore, NotAfter: c.NotAfter,
			Capabilities: c.Capabilities,
		}
		if c.Err != nil {
			cert.Problem = c.Err.Error()
		}
		o.Certificates = append(o.Certificates, cert)
	}
	return o
}

func hexSerial(n *big.Int) string {
	if n == nil {
		return ""
	}
	return fmt.Sprintf("%X", n)
}
