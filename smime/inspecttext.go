package smime

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
)

// insides is what the content of each kind of CMS object is called.
var insides = map[Kind]string{
	SignedOpaque: "signed", Enveloped: "decrypted", AuthEnveloped: "decrypted", Compressed: "decompressed",
}

// WriteText writes the tree for people. Values from the mail are written so
// that they cannot be taken for anything else, nor move a terminal's cursor.
func (l *Layer) WriteText(w io.Writer) error {
	b := bufio.NewWriter(w)
	l.text(b, 0, "")
	return b.Flush()
}

// text writes l, which stands in something of that kind: as "signed", "decrypted".
func (l *Layer) text(w *bufio.Writer, depth int, around string) {
	indent := strings.Repeat("  ", depth)
	section, mediaType := printable(l.Section), printable(l.Type)
	switch {
	case section == "":
		section = "mail"
	case strings.HasSuffix(section, "/"):
		section += " " + around + " content"
	}
	if mediaType == "" {
		mediaType = "no media type"
	}
	fmt.Fprintf(w, "%s%s: %s", indent, section, mediaType)
	if l.Encoding != "" {
		fmt.Fprintf(w, ", %s", printable(l.Encoding))
	}
	if l.Disposition != "" {
		fmt.Fprintf(w, ", %s", printable(l.Disposition))
	}
	if l.Name != "" {
		fmt.Fprintf(w, " %+q", l.Name)
	}
	fmt.Fprintf(w, ", %d bytes", l.Size)
	if l.Kind != Plain {
		fmt.Fprintf(w, ": %s", l.Kind)
	}
	fmt.Fprintln(w)
	if l.Problem != "" {
		fmt.Fprintf(w, "%s  ! %s\n", indent, printable(l.Problem))
	}
	if l.CMS != nil {
		l.CMS.text(w, indent+"  ")
	}
	for _, inner := range l.Layers {
		inner.text(w, depth+1, insides[l.Kind])
	}
}

func (o *Object) text(w *bufio.Writer, indent string) {
	fmt.Fprintf(w, "%sCMS %s of %s", indent, printable(o.Type), printable(o.ContentType))
	if o.ContentAlgorithm != "" {
		fmt.Fprintf(w, ", %s", printable(o.ContentAlgorithm))
	}
	if len(o.Digests) > 0 {
		fmt.Fprintf(w, ", %s", printable(strings.Join(o.Digests, " ")))
	}
	if o.ContentSize >= 0 {
		fmt.Fprintf(w, ", %d bytes inside", o.ContentSize)
	} else {
		fmt.Fprint(w, ", content not inside")
	}
	if o.CRLs > 0 {
		fmt.Fprintf(w, ", %d CRLs", o.CRLs)
	}
	fmt.Fprintln(w)
	for _, p := range o.Recipients {
		fmt.Fprintf(w, "%srecipient %s %s, %s\n", indent, p.Kind, p.name(), printable(p.Algorithm))
	}
	for _, p := range o.Signers {
		fmt.Fprintf(w, "%ssigner %s, %s with %s", indent, p.name(), printable(p.Algorithm), printable(p.Digest))
		if !p.SigningTime.IsZero() {
			fmt.Fprintf(w, ", says %s", p.SigningTime.UTC().Format(time.RFC3339))
		}
		fmt.Fprintln(w)
		reads(w, indent, p.Capabilities)
	}
	for _, c := range o.Certificates {
		if c.Problem != "" {
			fmt.Fprintf(w, "%scertificate that cannot be read: %s\n", indent, printable(c.Problem))
			continue
		}
		fmt.Fprintf(w, "%scertificate %+q of %+q serial %s, %s to %s\n", indent, c.Subject, c.Issuer, c.Serial,
			c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly))
		reads(w, indent, c.Capabilities)
	}
}

// reads tells capabilities.
func reads(w *bufio.Writer, indent string, capabilities []string) {
	if len(capabilities) > 0 {
		fmt.Fprintf(w, "%s  reads %s\n", indent, strings.Join(capabilities, ", "))
	}
}

// name is how the object names the party.
func (p Party) name() string {
	switch {
	case p.Issuer != "" || p.Serial != "":
		return fmt.Sprintf("%+q serial %s", p.Issuer, p.Serial)
	case p.KeyID != "":
		return "key " + p.KeyID
	}
	return "without a name"
}

// printable quotes a value unless it is plain words of printable ASCII.
func printable(s string) string {
	odd := strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
	if odd || len(s) > 200 {
		if len(s) > 200 {
			s = s[:200] + "..."
		}
		return fmt.Sprintf("%+q", s)
	}
	return s
}
