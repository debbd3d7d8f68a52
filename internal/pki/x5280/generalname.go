package x5280

import (
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// A Form is the choice of a GeneralName (section 4.2.1.6).
type Form int

// The forms, by their tags.
const (
	OtherName     Form = 0
	Mail          Form = 1
	DNS           Form = 2
	X400          Form = 3
	DirectoryName Form = 4
	EDIParty      Form = 5
	URI           Form = 6
	IP            Form = 7
	RegisteredID  Form = 8
	// UTF8Mail is the otherName SmtpUTF8Mailbox (RFC 9598).
	UTF8Mail Form = 16
)

var forms = map[Form]string{
	OtherName: "otherName", Mail: "mail address", DNS: "domain name", X400: "X.400 address", DirectoryName: "directory name",
	EDIParty: "EDI party name", URI: "URI", IP: "IP address", RegisteredID: "registered ID", UTF8Mail: "mail address",
}

func (f Form) String() string { return forms[f] }

// A GeneralName is one of a subjectAltName, or the base of a constraint.
type GeneralName struct {
	Form Form
	Text string // Mail, DNS, URI, UTF8Mail; IP and others: the bytes
	Name Name   // DirectoryName
}

// readGeneralName reads one.
func readGeneralName(s *cryptobyte.String) (g GeneralName, ok bool) {
	var value cryptobyte.String
	var tag asn1.Tag
	if !s.ReadAnyASN1(&value, &tag) || tag&0xc0 != 0x80 || tag&0x1f > 8 {
		return g, false
	}
	g.Form, g.Text = Form(tag&0x1f), string(value)
	constructed := tag&0x20 != 0
	switch g.Form {
	case OtherName, X400, EDIParty, DirectoryName:
		ok = constructed
	default:
		ok = !constructed
	}
	switch g.Form {
	case Mail, DNS, URI:
		for i := range len(g.Text) {
			ok = ok && g.Text[i] < 0x80 // IA5String
		}
	case DirectoryName:
		var element cryptobyte.String
		if !value.ReadASN1Element(&element, asn1.SEQUENCE) || !value.Empty() {
			return g, false
		}
		var good bool
		g.Name, good = readName(element)
		ok = ok && good
	case OtherName:
		var id, box, mail cryptobyte.String
		if !value.ReadASN1(&id, asn1.OBJECT_IDENTIFIER) || !value.ReadASN1(&box, asn1.Tag(0).Constructed().ContextSpecific()) || !value.Empty() {
			return g, false
		}
		if OID(id) == smtpUTF8Mailbox && box.ReadASN1(&mail, asn1.UTF8String) && box.Empty() {
			g.Form, g.Text = UTF8Mail, string(mail)
		}
	}
	return g, ok
}

// ReadAccess reads the value of authorityInfoAccess: the places where a method is to be
// had, as id-ad-ocsp (section 4.2.2.1).
func ReadAccess(value []byte, method OID) (all []GeneralName, ok bool) {
	s, ok := sequence(value)
	for n := 0; ok && !s.Empty(); n++ {
		var one, id cryptobyte.String
		if n == maxPoints || !s.ReadASN1(&one, asn1.SEQUENCE) || !one.ReadASN1(&id, asn1.OBJECT_IDENTIFIER) {
			return nil, false
		}
		g, good := readGeneralName(&one)
		if !good || !one.Empty() {
			return nil, false
		}
		if OID(id) == method {
			all = append(all, g)
		}
	}
	return all, ok
}

func (c *Certificate) readAltNames(value cryptobyte.String) bool {
	s, ok := sequence(value)
	if !ok || s.Empty() {
		return false
	}
	for !s.Empty() {
		g, ok := readGeneralName(&s)
		if !ok {
			return false
		}
		c.AltNames = append(c.AltNames, g)
	}
	return true
}

// NameConstraints is section 4.2.1.10.
type NameConstraints struct {
	Permitted, Excluded []GeneralName
}

func (c *Certificate) readNameConstraints(value cryptobyte.String) bool {
	s, ok := sequence(value)
	if !ok || s.Empty() {
		return false
	}
	n := &NameConstraints{}
	for i, trees := range []*[]GeneralName{&n.Permitted, &n.Excluded} {
		var list cryptobyte.String
		var given bool
		if !s.ReadOptionalASN1(&list, &given, asn1.Tag(i).Constructed().ContextSpecific()) || given && list.Empty() {
			return false
		}
		for !list.Empty() {
			var one cryptobyte.String
			if !list.ReadASN1(&one, asn1.SEQUENCE) {
				return false
			}
			base, ok := readGeneralName(&one)
			// minimum 0 is the default, and nothing else is allowed; nor is a maximum.
			if !ok || !readMinimum(&one) || !one.Empty() || base.Form == IP && len(base.Text) != 8 && len(base.Text) != 32 {
				return false
			}
			*trees = append(*trees, base)
		}
	}
	c.Constraints = n
	return s.Empty()
}

// readMinimum takes a minimum of 0, which DER does not write and some do.
func readMinimum(s *cryptobyte.String) bool {
	tag := asn1.Tag(0).ContextSpecific()
	if !s.PeekASN1Tag(tag) {
		return true
	}
	n, ok := readCount(s, tag)
	return ok && *n == 0
}
