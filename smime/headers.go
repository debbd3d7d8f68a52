package smime

import (
	"fmt"
	"slices"
	"strings"

	"mailseal/internal/message"
)

// HeaderProtection says which header fields go inside with the content, as
// RFC 9788 has it.
type HeaderProtection int

const (
	// HeadersOff leaves the mail's header as it is, outside of everything.
	HeadersOff HeaderProtection = iota
	// HeadersSigned puts a copy of the fields inside, where a signature covers
	// them.
	HeadersSigned
	// HideSubject does that too, and where the mail is encrypted nobody sees
	// the subject, keywords and comments from outside: RFC 9788's baseline of
	// confidentiality (section 3.2.1). Without encryption it is HeadersSigned.
	HideSubject
)

var headerProtections = [...]string{"off", "signed", "hide-subject"}

func (p HeaderProtection) String() string {
	if p < 0 || int(p) >= len(headerProtections) {
		return fmt.Sprintf("header-protection(%d)", int(p))
	}
	return headerProtections[p]
}

// MarshalText writes the word that configurations have.
func (p HeaderProtection) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads it.
func (p *HeaderProtection) UnmarshalText(text []byte) error {
	i := slices.Index(headerProtections[:], string(text))
	if i < 0 {
		return fmt.Errorf("unknown header protection %q; want off, signed or hide-subject", text)
	}
	*p = HeaderProtection(i)
	return nil
}

// protectedFields are what authors write (RFC 5322 sections 3.6.1 to 3.6.5).
// What the way adds is not theirs, and Bcc would tell everybody.
var protectedFields = []string{
	"from", "sender", "reply-to", "to", "cc", "date", "message-id", "in-reply-to", "references", "subject", "comments", "keywords",
}

// The values of Content-Type's parameter hp (RFC 9788 section 2.1.1).
const (
	hpClear  = "clear"  // signed only
	hpCipher = "cipher" // encrypted
)

// hidden is what is in the place of a subject that nobody shall see.
const hidden = " [...]"

// A cover is what header protection adds to the content and takes from the
// mail's header.
type cover struct {
	hp      string // "" for nothing
	fields  message.Header
	outside []message.Edit
}

// cover protects the fields of a mail's header. Where it is encrypted, the
// content also tells how each field is seen from outside (RFC 9788 section
// 2.2), so that answers do not reveal what was hidden.
func (p HeaderProtection) cover(h message.Header, encrypted bool) cover {
	if p == HeadersOff {
		return cover{}
	}
	c := cover{hp: hpClear}
	var outer message.Header
	seen := map[string]int{}
	for _, f := range h {
		name := strings.ToLower(f.Name())
		if !slices.Contains(protectedFields, name) {
			continue
		}
		seen[name]++
		c.fields = append(c.fields, f)
		switch {
		case !encrypted:
		case p == HideSubject && (name == "keywords" || name == "comments"):
			c.outside = append(c.outside, message.DropField{Name: f.Name(), Occurrence: seen[name]})
		case p == HideSubject && name == "subject":
			if seen[name] == 1 {
				c.outside = append(c.outside, message.SetField{Field: message.NewField(f.Name(), hidden)})
				outer = append(outer, message.NewField("HP-Outer", " "+f.Name()+":"+hidden))
			}
		default:
			outer = append(outer, message.NewField("HP-Outer", " "+f.Name()+":"+f.Value()))
		}
	}
	if encrypted {
		c.hp = hpCipher
		c.fields = append(c.fields, outer...)
	}
	return c
}

// hindered says why header fields cannot be protected in a mail of that kind,
// "" where they can.
func (p HeaderProtection) hindered(k Kind, root *message.Part) string {
	_, has := root.Params["hp"]
	switch {
	case p == HeadersOff:
		return ""
	case k.Protected(), root.MediaType == "multipart/signed", root.MediaType == "multipart/encrypted":
		// They belong beside the innermost content (RFC 9788 section 1.9),
		// which nobody may change any more.
		return "its header fields cannot be protected, as it is signed or encrypted already"
	case has:
		return "its Content-Type says that header fields are protected already"
	case root.MediaType == "" || len(root.Header.All("Content-Type")) > 1:
		return "its Content-Type is in doubt, so that header fields cannot be protected"
	}
	return ""
}
