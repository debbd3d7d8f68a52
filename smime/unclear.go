package smime

import (
	"bytes"
	"slices"
	"strings"

	"mailseal/internal/message"
)

// unclear says why the type or the encoding of p may be another one to some
// readers than here. It returns "" where they all see the same.
func unclear(p *message.Part) string {
	for _, name := range []string{"Content-Type", "Content-Transfer-Encoding"} {
		for i, f := range p.Header.All(name) {
			switch {
			case i > 0 && (name == "Content-Type" || !strings.EqualFold(f.Text(), p.Encoding)):
				return "more than one " + name
			case !strings.HasPrefix(f.Raw()[len(name):], ":"):
				return name + " with a blank before the colon" // to some no field, or the header's end
			}
		}
	}
	if f, ok := p.Header.Get("Content-Type"); ok {
		// To others it is another type, or none, which means text.
		if word, _, _ := strings.Cut(f.Text(), ";"); !strings.EqualFold(strings.Trim(word, " \t"), p.MediaType) {
			return "Content-Type has a comment or a backslash, or something else beside the type"
		}
		if strings.HasPrefix(p.Malformed, "Content-Type with ") {
			return p.Malformed // RFC 2045 section 5.2: then it may be taken for text
		}
	}
	return ""
}

// ambiguous says why readers may see another content in a mail with that header
// than the signed one, "" when they all see the same.
func ambiguous(k Kind, h message.Header) string {
	if why := veiled(h); why != "" || k != SignedDetached {
		return why
	}
	// The text before the first part is the forger's. It becomes a part for a
	// reader who finds another boundary, in a comment or behind a quoted quote,
	// or decodes the whole (RFC 2045 section 6.4 forbids that).
	for _, f := range h {
		switch text := f.Text(); {
		case f.Is("Content-Type"):
			if bare, regular := message.Uncomment(text); bare != text || !regular || strings.Contains(text, `\`) {
				return "Content-Type has a comment or a backslash, which not all readers understand"
			} else if strings.Contains(strings.ToLower(text), "boundary*") {
				return "boundary is in the form of RFC 2231, which not all readers understand"
			}
		case f.Is("Content-Transfer-Encoding") && !slices.Contains([]string{"", "7bit", "8bit", "binary"}, strings.ToLower(text)):
			return "multipart/signed is encoded as a whole"
		}
	}
	return ""
}

// veiled says which of the fields that tell what a mail is are there once more
// for some readers, or where the header ends for some, so that they do not see
// these fields at all.
func veiled(h message.Header) string {
	for i, f := range h {
		mbox := i == 0 && f.Name() == "" && strings.HasPrefix(f.Raw(), "From ")
		if why := headerEnd(f); why != "" && !mbox {
			return why
		}
		for _, name := range []string{"Content-Type", "Content-Transfer-Encoding", "MIME-Version"} {
			if len(f.Hidden(name)) > 0 {
				return name + " is there once more, and only some readers see it"
			}
		}
	}
	return ""
}

// headerEnd says why the header ends at a field or within it for some readers: at a
// folded line of blanks or a blank before the colon, which RFC 5322 section 4 has for
// obsolete, or at a line that is no field. To some a CR is a line end.
func headerEnd(f message.Field) string {
	const ends = ", and for some readers the header ends there"
	if !regularField(f) {
		return "a line in the header is no field" + ends
	}
	if !strings.ContainsAny(f.Raw(), "\r\n") {
		return ""
	}
	lines := strings.Split(strings.ReplaceAll(strings.ReplaceAll(f.Raw(), "\r\n", "\n"), "\r", "\n"), "\n")
	for _, l := range lines[1:] {
		switch {
		case strings.Trim(l, " \t") == "":
			return "a line in the header is blank" + ends
		case l[0] != ' ' && l[0] != '\t' && !regularField(message.ParseField(l)):
			return "a line in the header is no field" + ends
		}
	}
	return ""
}

// regularField reports whether a line is a field without a blank before the colon.
func regularField(f message.Field) bool {
	return f.Name() != "" && strings.HasPrefix(f.Raw()[len(f.Name()):], ":")
}

// stray says why there may be fields in a part's header that only some readers
// see.
func stray(p *message.Part) string {
	for _, f := range p.Header {
		if f.Name() == "" {
			return "a line in the header that is no field"
		}
		if strings.Contains(strings.ReplaceAll(f.Raw(), "\r\n", ""), "\r") {
			return "a CR in the header that is no line end"
		}
	}
	return ""
}

// extraParts reports whether there is a line outside the content of a
// multipart/signed that some readers take for one more delimiter. To compare the
// beginning of a line is enough (RFC 2046 section 5.1.1), and what follows the
// closing delimiter is not for everybody the end.
func extraParts(b message.Body, p *message.Part) bool {
	mark := []byte("--" + p.Params["boundary"])
	content := p.Parts[0]
	return marks(message.Section(b, p.BodyOffset, content.Offset-p.BodyOffset), mark, 1) > 1 ||
		marks(message.Section(b, content.End, p.End-content.End), mark, 2) > 2
}

// marks counts the lines that begin with mark, up to one more than most. A CR is
// a line end here as it is to some.
func marks(b message.Body, mark []byte, most int) (n int) {
	buf := blockPool.Get().(*block)
	defer blockPool.Put(buf)
	buf[0] = '\n' // before the first line
	held := 1
	for r := message.NewReader(b); n <= most; {
		read, err := r.Read(buf[held:])
		seen := buf[:held+read]
		for at := 0; n <= most; at++ {
			i := bytes.Index(seen[at:], mark)
			if i < 0 {
				break
			}
			if at += i; at > 0 && (seen[at-1] == '\n' || seen[at-1] == '\r') {
				n++
			}
		}
		// A whole mark and what is before it do not stay: it counts once.
		held = copy(buf[:], seen[len(seen)-min(len(seen), len(mark)):])
		if err != nil {
			break // also recorded by who watches b
		}
	}
	return n
}
