// Package entity makes the MIME entity that is signed out of a mail.
//
// A signature must still hold where the mail is read, so the entity is made of
// what every hop leaves alone: 7-bit data in short lines, with CRLF, without
// line-initial "From " and trailing blanks (RFC 8551 section 3.1). Most mail is
// so already, and then nothing is copied: Outline takes the mail's own bytes,
// unseen, and a Scanner over them says whether that was right. Where it was
// not, Encode looks at each part and encodes those that need it. What a reader
// gets after decoding is the same in every case.
//
// What is not changed whatever it holds, because a change could break or turn
// it: the content of a multipart/signed inside, parts whose MIME fields
// contradict each other or are no MIME, and reports (message/delivery-status
// and its kin). They are signed as they are, faults that only endanger a
// signature and all; with a fault that makes 7-bit mail impossible the mail
// cannot be signed, and Error says which part it is.
//
// An attached message (message/rfc822) is somebody's document: it stays byte
// for byte where it needs nothing, preamble and all. Elsewhere preamble and
// epilogue are never signed.
//
// RFC 2045, 2046 (MIME), RFC 2047, 2231 (8-bit bytes in fields), RFC 1847
// section 2.1, RFC 8551 section 3.1.
package entity

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"mailseal/internal/message"
	"mailseal/internal/spool"
)

// A Source is the mail that an entity is made from.
type Source struct {
	Header message.Header
	Body   message.Body  // with CRLF
	Root   *message.Part // the walk of Header and Body
	Spool  *spool.Store
}

// An Error says why no entity can be made without changing what the mail says.
type Error struct {
	Section string // of the part (RFC 3501 section 6.4.5), "" for the mail
	Reason  string
}

func (e *Error) Error() string {
	if e.Section == "" {
		return e.Reason
	}
	return "part " + e.Section + ": " + e.Reason
}

// An Entity is a Body of pieces of a mail's body and of what had to be written
// anew. It reads from the Source's Body and does not own that.
type Entity struct {
	message.Body
	pieces []piece
	file   *spool.File
}

// Outline returns the entity as it is when no part needs to be encoded. It
// reads the fields and delimiters only.
func Outline(s Source) (*Entity, error) { return assemble(s, false) }

// Encode returns the entity with each part in a form that survives. It has no
// hard faults.
func Encode(s Source) (*Entity, error) { return assemble(s, true) }

func assemble(s Source, look bool) (*Entity, error) {
	a := &assembler{Source: s, file: s.Spool.Create(), look: look}
	if err := a.part(s.Root); err != nil {
		a.file.Close()
		return nil, err
	}
	return &Entity{a.body(), a.pieces, a.file}, nil
}

// Split returns what an entity begins with, if that is something made and then
// a range of the Source's Body, and how many pieces follow.
func (e *Entity) Split() (made message.Body, from, to int64, more int) {
	if len(e.pieces) < 2 || !e.pieces[0].made || e.pieces[1].made {
		return nil, 0, 0, len(e.pieces)
	}
	first := message.Section(e.file, e.pieces[0].lo, e.pieces[0].hi-e.pieces[0].lo)
	return first, e.pieces[1].lo, e.pieces[1].hi, len(e.pieces) - 2
}

// Same reports whether two entities of the same Source's Body consist of the
// same pieces.
func (e *Entity) Same(f *Entity) bool {
	if !slices.Equal(e.pieces, f.pieces) || e.file.Size() != f.file.Size() {
		return false
	}
	var made [2]bytes.Buffer
	for i, file := range []*spool.File{e.file, f.file} {
		if _, err := io.Copy(&made[i], message.NewReader(file)); err != nil {
			return false
		}
	}
	return bytes.Equal(made[0].Bytes(), made[1].Bytes())
}

// An assembler puts an entity together of pieces of the mail and of a file
// with what had to be written anew.
type assembler struct {
	Source
	file   *spool.File
	pieces []piece
	look   bool // at the content of leaves
}

type piece struct {
	made   bool // of the file, else of the mail
	lo, hi int64
}

// take appends bytes of the mail.
func (a *assembler) take(lo, hi int64) { a.add(piece{false, lo, hi}) }

// Write appends bytes that were made.
func (a *assembler) Write(p []byte) (int, error) {
	lo := a.file.Size()
	n, err := a.file.Write(p)
	a.add(piece{true, lo, lo + int64(n)})
	return n, err
}

func (a *assembler) add(p piece) {
	if p.lo >= p.hi {
		return
	}
	if n := len(a.pieces); n > 0 && a.pieces[n-1].made == p.made && a.pieces[n-1].hi == p.lo {
		a.pieces[n-1].hi = p.hi
		return
	}
	a.pieces = append(a.pieces, p)
}

func (a *assembler) body() message.Body {
	bodies := make([]message.Body, 0, len(a.pieces)+1)
	for _, p := range a.pieces {
		from := a.Body
		if p.made {
			from = a.file
		}
		bodies = append(bodies, message.Section(from, p.lo, p.hi-p.lo))
	}
	return message.Concat(append(bodies, closing{a.file})...)
}

// closing is an empty Body that closes the file the others read from.
type closing struct{ io.Closer }

func (closing) Size() int64                       { return 0 }
func (closing) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }

// scan finds the faults of a range of the mail.
func (a *assembler) scan(lo, hi int64) (Fault, error) {
	var s Scanner
	if _, err := io.CopyBuffer(struct{ io.Writer }{&s}, struct{ io.Reader }{a.reader(lo, hi)}, make([]byte, 64<<10)); err != nil {
		return 0, err
	}
	return s.Finish(), nil
}

func (a *assembler) reader(lo, hi int64) io.Reader {
	return message.NewReader(message.Section(a.Body, lo, hi-lo))
}

// part appends an entity with its header.
func (a *assembler) part(p *message.Part) error {
	switch {
	case opaque(p):
		return a.frozen(p)
	case strings.HasPrefix(p.MediaType, "multipart/"):
		return a.multipart(p)
	case len(p.Parts) == 1 && p.MediaType == "message/rfc822":
		return a.attached(p)
	}
	return a.leaf(p)
}

// opaque reports whether readers may differ on what the part is: a multipart
// whose boundary is not certain has no parts here.
func opaque(p *message.Part) bool {
	if ambiguous(p.Header, "Content-Type") || ambiguous(p.Header, "Content-Transfer-Encoding") {
		return true
	}
	return composite(p) && len(p.Parts) == 0 && (identity(p.Encoding) || p.MediaType != "message/rfc822")
}

// composite reports whether the part says that there are parts in it, were it
// in a way that only some understand.
func composite(p *message.Part) bool {
	if p.MediaType == "" {
		f, _ := p.Header.Get("Content-Type")
		v := strings.ToLower(f.Text())
		return strings.HasPrefix(v, "multipart") || strings.HasPrefix(v, "message")
	}
	return strings.HasPrefix(p.MediaType, "multipart/") || p.MediaType == "message/rfc822"
}

// frozen appends a part as it is.
func (a *assembler) frozen(p *message.Part) error {
	if a.look {
		f, err := a.scan(p.Offset, p.End)
		if err != nil {
			return err
		}
		if f &= Hard; f != 0 {
			return &Error{p.Section, fmt.Sprintf("it has %s and its MIME fields are in doubt (%s)", f, doubt(p))}
		}
	}
	if p == a.Root {
		for _, field := range contentFields(a.Header) {
			if f := fieldFaults(field) & Hard; f != 0 {
				return &Error{p.Section, fmt.Sprintf("field %q has %s and the MIME fields are in doubt (%s)", field.Name(), f, doubt(p))}
			}
		}
		if err := a.header(p, label{}); err != nil {
			return err
		}
	}
	a.take(p.Offset, p.End)
	return nil
}

func doubt(p *message.Part) string {
	switch {
	case ambiguous(p.Header, "Content-Type"):
		return "more than one Content-Type"
	case ambiguous(p.Header, "Content-Transfer-Encoding"):
		return "more than one Content-Transfer-Encoding"
	case p.Malformed != "":
		return p.Malformed
	}
	return "no parts in it"
}

// multipart appends the parts, without what stands before and after them.
func (a *assembler) multipart(p *message.Part) error {
	if err := a.header(p, sevenBitLabel(p)); err != nil {
		return err
	}
	if p.MediaType == "multipart/signed" {
		return a.inviolate(p)
	}
	open := "--" + p.Params["boundary"] + crlf
	before := open
	for _, c := range p.Parts {
		if err := a.delimiter(before, p, c.Offset-int64(len(before))); err != nil {
			return err
		}
		if err := a.part(c); err != nil {
			return err
		}
		before = crlf + open
	}
	last := p.Parts[len(p.Parts)-1]
	end := strings.TrimSuffix(before, crlf) + "--"
	if err := a.delimiter(end, p, last.End); err != nil {
		return err
	}
	return a.lineEnd(p, last.End+int64(len(end)))
}

// inviolate appends the content of a signed part: another change to its bytes
// would break that signature.
func (a *assembler) inviolate(p *message.Part) error {
	if a.look {
		f, err := a.scan(p.BodyOffset, p.End)
		if err != nil {
			return err
		}
		if f &= Hard; f != 0 {
			return &Error{p.Section, fmt.Sprintf("it is signed and has %s: encoding it would break its signature", f)}
		}
	}
	a.take(p.BodyOffset, p.End)
	return nil
}

// delimiter appends a delimiter line, as bytes of the mail where those at
// offset are the same.
func (a *assembler) delimiter(want string, p *message.Part, offset int64) error {
	end := offset + int64(len(want))
	if offset >= p.BodyOffset && end <= p.End {
		have := make([]byte, len(want))
		if _, err := io.ReadFull(a.reader(offset, end), have); err != nil {
			return err
		}
		if string(have) == want {
			a.take(offset, end)
			return nil
		}
	}
	_, err := a.Write([]byte(want))
	return err
}

// lineEnd appends the line end that follows the closing delimiter. Where more
// follows, it is the beginning of an epilogue and left out with it, but for
// the last line of a mail.
func (a *assembler) lineEnd(p *message.Part, offset int64) error {
	rest := p.End - offset
	if rest < int64(len(crlf)) || rest > int64(len(crlf)) && p != a.Root {
		return nil
	}
	return a.delimiter(crlf, p, offset)
}

// attached appends a message in a message.
func (a *assembler) attached(p *message.Part) error {
	if err := a.header(p, sevenBitLabel(p)); err != nil {
		return err
	}
	var f Fault
	if a.look {
		var err error
		if f, err = a.scan(p.BodyOffset, p.End); err != nil {
			return err
		}
	}
	if f == 0 && !mislabelled(p.Parts[0]) {
		a.take(p.BodyOffset, p.End)
		return nil
	}
	return a.part(p.Parts[0])
}

// mislabelled: some part would be converted at a hop without 8BITMIME, for its
// label alone (Postfix does).
func mislabelled(p *message.Part) bool {
	if sevenBitLabel(p) != (label{}) {
		return true
	}
	if p.MediaType == "multipart/signed" {
		return false
	}
	for _, c := range p.Parts {
		if mislabelled(c) {
			return true
		}
	}
	return false
}

// leaf appends a part that has no parts.
func (a *assembler) leaf(p *message.Part) error {
	if a.look {
		f, err := a.scan(p.BodyOffset, p.End)
		if err != nil {
			return err
		}
		if f != 0 {
			return a.encode(p, f)
		}
	}
	if err := a.header(p, sevenBitLabel(p)); err != nil {
		return err
	}
	a.take(p.BodyOffset, p.End)
	return nil
}
