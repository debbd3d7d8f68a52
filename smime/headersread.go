package smime

import (
	"slices"
	"strings"

	"mailseal/internal/message"
	"mailseal/internal/spool"
)

// Protected is what encrypted content says of the header fields of its mail
// (RFC 9788 section 4.1). Whoever encrypted it wrote that, whoever he is: it
// is worth no more than the mail's own header.
type Protected struct {
	// HP is "cipher", or "clear" where the sender hid nothing.
	HP string
	// Differ are the names of fields that are others than outside, and may be
	// put in their place.
	Differ []string
	// From is the content's, where it is another than the mail's. It stays
	// inside: who a mail is from has been judged by the one outside.
	From string

	edits []message.Edit
}

// restored are the fields that content may have restored. Who a mail is from, its
// name, its way, and all that others have found out about it are not the
// content's to say.
var restored = []string{"Subject", "Date", "To", "Cc", "Reply-To", "In-Reply-To", "References", "Keywords", "Comments"}

// readProtected finds the protected fields in an entity that was encrypted,
// inside its signature if it has one.
func readProtected(e inner, outer message.Header, s *spool.Store, l message.Limits) (*Protected, error) {
	root, err := message.Walk(e.header, e.body, l)
	if err != nil {
		return nil, nil // whoever reads the mail will say so
	}
	payload, err := payload(e.body, root, 4, s, l)
	if payload == nil || err != nil {
		return nil, err
	}
	p := &Protected{HP: strings.ToLower(payload.Params["hp"])}
	if p.HP != hpClear && p.HP != hpCipher || payload.Malformed != "" {
		return nil, nil
	}
	for _, name := range restored {
		in, out := payload.Header.All(name), outer.All(name)
		if len(in) != 1 || !carried(in[0]) || len(out) == 1 && in[0].Text() == out[0].Text() {
			continue
		}
		p.Differ = append(p.Differ, name)
		p.edits = append(p.edits, message.SetField{Field: lifted(in[0])})
	}
	in, out := texts(payload.Header.All("From")), texts(outer.All("From"))
	if len(in) > 0 && !slices.Equal(in, out) {
		p.From = strings.Join(in, ", ")
	}
	return p, nil
}

func texts(fields []message.Field) []string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = f.Text()
	}
	return all
}

// payload finds the entity that signatures are over, within depth of them.
func payload(b message.Body, p *message.Part, depth int, s *spool.Store, l message.Limits) (*message.Part, error) {
	if p.MediaType == "multipart/signed" && len(p.Parts) > 0 && depth > 0 {
		return payload(b, p.Parts[0], depth-1, s, l)
	}
	kind, err := glance(b, p)
	if err != nil || kind != SignedOpaque {
		return p, err
	}
	e, ok, err := beginning(b, p, kind, s, l)
	if !ok || err != nil || depth == 0 {
		return nil, err
	}
	root, err := message.Walk(e.header, e.body, l)
	if err != nil {
		return nil, nil
	}
	return payload(e.body, root, depth-1, s, l)
}
