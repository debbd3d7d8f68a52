package cms

import (
	"fmt"
	"slices"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/ber"
	"mailseal/smime/cms/syntax"
)

// authentication reads what follows the content of an AuthEnvelopedData (RFC 5083 section 2.1): attributes that are
// authenticated with it, the tag, and attributes that are not.
func (d *decryption) authentication() error {
	h, err := d.must()
	if err == nil && h.Tag == ber.Context(1) {
		if err = d.authAttributes(h); err == nil {
			h, err = d.must()
		}
	}
	if err == nil && h.Tag != ber.OctetString {
		err = d.Malformed("something else where the message authentication code belongs")
	}
	if err != nil {
		return err
	}
	encoded, err := d.small()
	if err != nil {
		return err
	}
	s := input(encoded)
	var tag []byte
	if !s.ReadASN1Bytes(&tag, der.OCTET_STRING) {
		return d.Malformed("message authentication code")
	}
	d.tag = tag
	if err := d.checkAttributes(); err != nil {
		return err
	}
	return d.optional(ber.Context(2))
}

// authAttributes reads the attributes and how they may have been authenticated: as a SET OF in DER (RFC 5083 section 2.2), or as
// received by senders who forget to sort.
func (d *decryption) authAttributes(h ber.Header) error {
	if !h.Constructed {
		return d.Malformed("attributes in a primitive element")
	}
	raw, err := d.raw()
	if err != nil {
		return err
	}
	encoded, err := ber.DER(raw, ber.Limits{Depth: d.limits.Depth, Elements: d.limits.Elements})
	if err != nil {
		return err
	}
	s := input(encoded)
	d.Attributes, d.aads, err = parseAttributes(&s, syntax.Explicit(1), d.limits.Attributes)
	return err
}

// checkAttributes holds the attributes to RFC 5083 section 2.1: none twice, and the content type is what it says there, which
// goes without saying only for data.
func (d *decryption) checkAttributes() error {
	for i, a := range d.Attributes {
		same := func(b Attribute) bool { return b.Type.Equal(a.Type) }
		if slices.ContainsFunc(d.Attributes[:i], same) {
			return fmt.Errorf("%w: several attributes %s", ErrAttributes, nameOf(a.Type))
		}
	}
	value, err := attribute(d.Attributes, oidContentType)
	if err != nil {
		return err
	}
	if value == nil {
		if !d.ContentType.Equal(OIDData) {
			return fmt.Errorf("%w: content of type %s without a content-type attribute", ErrAttributes, nameOf(d.ContentType))
		}
		return nil
	}
	s := input(value)
	if oid, ok := syntax.ReadOID(&s); !ok || !s.Empty() || !oid.Equal(d.ContentType) {
		return fmt.Errorf("%w: content type differs from its attribute", ErrAttributes)
	}
	return nil
}
