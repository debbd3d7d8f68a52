package smime

import (
	"mailseal/internal/message"
	"mailseal/smime/cms"
)

// MaxNested bounds Report.Nested.
const MaxNested = 32

// Nested is an S/MIME object further inside.
type Nested struct {
	Section string
	Kind    Kind
	// Report is what is known of its signature, nil where that was not asked for
	// or there is none. Its Kind may differ from the other, which is a guess.
	Report *Report
	// Header is that of the mail that the object is the whole of, as in one that
	// is forwarded; nil where it is only a part of a mail.
	Header message.Header
}

// What a part may come with is less than what a mail may: there are several, and
// nothing is decided by them.
const (
	nestedCertificates = 100
	nestedSigners      = 4
)

// nested finds S/MIME objects that cover less than the mail, and verifies the
// first of those that are signed.
func (o VerifyOptions) nested(r *Report, b message.Body, p *message.Part) error {
	for i, c := range p.Parts {
		if len(r.Nested) == MaxNested {
			return nil
		}
		if p.MediaType == "multipart/signed" && i == len(p.Parts)-1 {
			continue // the signature belongs to the whole
		}
		kind, err := glance(b, c)
		if err != nil {
			return err
		}
		if kind != Plain {
			n := Nested{Section: section(c), Kind: kind}
			if p.MediaType == "message/rfc822" || p.MediaType == "message/global" {
				n.Header = c.Header
			}
			if kind.Signed() && r.verified() < o.Nested {
				if n.Report, err = o.part(b, c); err != nil {
					return err
				}
			}
			r.Nested = append(r.Nested, n)
		}
		if err := o.nested(r, b, c); err != nil {
			return err
		}
	}
	return nil
}

// verified counts the parts that were.
func (r *Report) verified() (n int) {
	for _, part := range r.Nested {
		if part.Report != nil {
			n++
		}
	}
	return n
}

// part verifies the signature of a part.
func (o VerifyOptions) part(b message.Body, p *message.Part) (*Report, error) {
	l := o.CMS
	l.Certificates, l.Signers = nestedCertificates, nestedSigners
	f, err := examine(b, p, cms.ReadOptions{Limits: l, ParseCertificate: o.ParseCertificate})
	if err != nil {
		return nil, err
	}
	return report(b, p, f, o.Certificates)
}
