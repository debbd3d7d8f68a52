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
	"io"
	"slices"

	"mailseal/internal/message"
	"mailseal/internal/spool"
)

// A Source is the mail that an entity is made from.
type Source struct {
	Header message.Header
	Body   message.Body  // with CRLF
	Root   *message.Part // the walk of Header and Body
	Spool  *spool.Store
	// Protected are header fields that go inside with the content, and HP is
	// then Content-Type's parameter of that name (RFC 9788 section 2.1.1).
	Protected message.Header
	HP        string
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

// Raw returns the entity with the content as it is. Only control characters in
// its header, which no header can have, become blanks.
func Raw(s Source) (*Entity, error) {
	a := &assembler{Source: s, file: s.Spool.Create(), raw: true}
	if err := a.header(s.Root, label{}); err != nil {
		a.file.Close()
		return nil, err
	}
	a.take(0, s.Body.Size())
	return &Entity{a.body(), a.pieces, a.file}, nil
}

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
