package x5280

import (
	"crypto/x509"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

var (
	tagVersion    = asn1.Tag(0).Constructed().ContextSpecific()
	tagIssuerUID  = asn1.Tag(1).ContextSpecific()
	tagSubjectUID = asn1.Tag(2).ContextSpecific()
	tagExtensions = asn1.Tag(3).Constructed().ContextSpecific()
)

// outline is a certificate's parts, RFC 5280 section 4.1, not yet looked into.
type outline struct {
	tbs, inner, issuer, subject, spki cryptobyte.String // elements
	extensions                        cryptobyte.String // what is in the SEQUENCE
	hasExtensions                     bool
}

// read reads all. parsed is what crypto/x509 made of it, or nil.
func read(der []byte, parsed *x509.Certificate) (*Certificate, error) {
	if len(der) > maxSize {
		return nil, fmt.Errorf("certificate of %d bytes; %d are the limit", len(der), maxSize)
	}
	c := &Certificate{X509: parsed}
	o, ok := c.outline(der)
	if !ok {
		return nil, errMalformed
	}
	if c.Issuer, ok = readName(o.issuer); !ok {
		return nil, errMalformed
	}
	if c.Subject, ok = readName(o.subject); !ok {
		return nil, errMalformed
	}
	if string(o.inner) != string(c.SignatureAlgorithm) { // section 4.1.1.2
		c.fault("it names two different signature algorithms")
	}
	if o.hasExtensions {
		if c.Version != 3 {
			c.fault("it has extensions, and is not of version 3")
		}
		if !c.readExtensions(o.extensions) {
			return nil, errMalformed
		}
	}
	if parsed == nil {
		c.X509 = standIn(c, o, der)
	}
	return c, nil
}

func (c *Certificate) fault(format string, args ...any) {
	if len(c.Faults) < maxTold {
		c.Faults = append(c.Faults, fmt.Sprintf(format, args...))
	}
}

// outline reads what has no type of its own.
func (c *Certificate) outline(der []byte) (o outline, ok bool) {
	signed, rest, ok := ReadSigned(der)
	if !ok || len(rest) > 0 {
		return o, false
	}
	c.SignatureAlgorithm, c.Signature, o.tbs = signed.Algorithm, signed.Signature, signed.Content
	tbs := o.tbs
	var version, serial, validity cryptobyte.String
	var given bool
	if !tbs.ReadASN1(&tbs, asn1.SEQUENCE) || !tbs.ReadOptionalASN1(&version, &given, tagVersion) {
		return o, false
	}
	var number int
	if given && (!version.ReadASN1Integer(&number) || !version.Empty() || number < 0 || number > 2) {
		return o, false
	}
	c.Version = number + 1
	if !tbs.ReadASN1(&serial, asn1.INTEGER) || len(serial) == 0 ||
		!tbs.ReadASN1Element(&o.inner, asn1.SEQUENCE) ||
		!tbs.ReadASN1Element(&o.issuer, asn1.SEQUENCE) ||
		!tbs.ReadASN1(&validity, asn1.SEQUENCE) ||
		!tbs.ReadASN1Element(&o.subject, asn1.SEQUENCE) ||
		!tbs.ReadASN1Element(&o.spki, asn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(tagIssuerUID) || !tbs.SkipOptionalASN1(tagSubjectUID) {
		return o, false
	}
	c.Serial, c.SubjectPublicKey = serial, o.spki
	if c.NotBefore, ok = readTime(&validity); !ok {
		return o, false
	}
	if c.NotAfter, ok = readTime(&validity); !ok || !validity.Empty() {
		return o, false
	}
	if !tbs.ReadOptionalASN1(&o.extensions, &o.hasExtensions, tagExtensions) || !tbs.Empty() {
		return o, false
	}
	if o.hasExtensions {
		list := o.extensions
		if !list.ReadASN1(&o.extensions, asn1.SEQUENCE) || !list.Empty() {
			return o, false
		}
	}
	return o, true
}

// readTime reads a Time of section 4.1.2.5: in UTC, with seconds and no fractions.
func readTime(s *cryptobyte.String) (time.Time, bool) {
	var text cryptobyte.String
	var tag asn1.Tag
	if !s.ReadAnyASN1(&text, &tag) {
		return time.Time{}, false
	}
	full := string(text)
	switch {
	case tag == asn1.UTCTime && len(text) == len("YYMMDDhhmmssZ"):
		century := "20"
		if text[0] >= '5' {
			century = "19"
		}
		full = century + full
	case tag != asn1.GeneralizedTime || len(text) != len("YYYYMMDDhhmmssZ"):
		return time.Time{}, false
	}
	t, err := time.Parse("20060102150405Z", full)
	return t, err == nil
}
