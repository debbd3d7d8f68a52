package entity

import (
	"errors"
	"io"

	"mailseal/internal/message"
	"mailseal/internal/spool"
)

// An assembler puts an entity together of pieces of the mail and of a file
// with what had to be written anew.
type assembler struct {
	Source
	file   *spool.File
	pieces []piece
	look   bool // at the content of leaves
	raw    bool // fields need not survive anything
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

// clean reports whether a range of the mail has no fault. It looks no further
// than the first, so that messages in messages in messages cost no look each.
func (a *assembler) clean(lo, hi int64) (bool, error) {
	var s untilFault
	_, err := io.CopyBuffer(struct{ io.Writer }{&s}, struct{ io.Reader }{a.reader(lo, hi)}, make([]byte, 64<<10))
	if err == errFault {
		return false, nil
	}
	return s.Finish() == 0, err
}

type untilFault struct{ Scanner }

var errFault = errors.New("not clean")

func (s *untilFault) Write(p []byte) (int, error) {
	if s.Scanner.Write(p); s.Faults() != 0 {
		return 0, errFault
	}
	return len(p), nil
}

func (a *assembler) reader(lo, hi int64) io.Reader {
	return message.NewReader(message.Section(a.Body, lo, hi-lo))
}
