// Package ber reads the Basic Encoding Rules of ASN.1 as a stream, for input nobody vouches for.
//
// A Reader walks forward over an io.Reader, one element at a time; what is not wanted is skipped, what is long is streamed
// (a string in a million pieces is one io.Reader), and only what the caller asks for with a bound is held in memory. Nothing
// recurses: nesting lies in an explicit stack of bounded depth, every element must end within its parent, and the work
// is linear in the input whatever its shape.
//
//	r := ber.NewReader(src, ber.Limits{})
//	h, err := r.Next()       // the header of the first element
//	err = r.Enter()          // into it
//	h, err = r.Next()        // its first child; io.EOF at its end
//
// DER turns an element held in memory into the Distinguished Encoding Rules, over which signatures are made.
//
// ITU-T X.690 (ISO/IEC 8825-1).
package ber

import (
	"errors"
	"fmt"
)

// ErrMalformed and ErrLimit are the kinds of *Error.
var (
	ErrMalformed = errors.New("malformed encoding")
	ErrLimit     = errors.New("limit passed")
)

// Error says what is wrong with the input, and where. Errors of the source itself are returned as they are.
type Error struct {
	Kind   error // ErrMalformed or ErrLimit
	Offset int64
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("%v at octet %d: %s", e.Kind, e.Offset, e.Reason) }

func (e *Error) Unwrap() error { return e.Kind }

// Limits bound what hostile input may cost. A zero field means its default.
type Limits struct {
	Depth    int // nested elements, pieces of strings included: 64
	Elements int // elements in all, pieces of streamed strings not counted: 65536
}

func (l Limits) orDefault() Limits {
	if l.Depth <= 0 {
		l.Depth = 64
	}
	if l.Elements <= 0 {
		l.Elements = 1 << 16
	}
	return l
}

// Tag is the class and number of an element.
type Tag struct {
	Class  uint8
	Number uint32
}

func (t Tag) String() string {
	if t.Class != Universal {
		return fmt.Sprintf("[%s%d]", [...]string{Application: "APPLICATION ", ContextSpecific: "", Private: "PRIVATE "}[t.Class], t.Number)
	}
	if name, ok := tagNames[t]; ok {
		return name
	}
	return fmt.Sprintf("[UNIVERSAL %d]", t.Number)
}

var tagNames = map[Tag]string{
	Boolean: "BOOLEAN", Integer: "INTEGER", BitString: "BIT STRING", OctetString: "OCTET STRING",
	Null: "NULL", OID: "OBJECT IDENTIFIER", Sequence: "SEQUENCE", Set: "SET",
}

// Classes.
const (
	Universal uint8 = iota
	Application
	ContextSpecific
	Private
)

// Universal tags used by CMS.
var (
	Boolean     = Tag{Universal, 1}
	Integer     = Tag{Universal, 2}
	BitString   = Tag{Universal, 3}
	OctetString = Tag{Universal, 4}
	Null        = Tag{Universal, 5}
	OID         = Tag{Universal, 6}
	Sequence    = Tag{Universal, 16}
	Set         = Tag{Universal, 17}
)

// Context is the context-specific tag [n].
func Context(n uint32) Tag { return Tag{ContextSpecific, n} }

// Indefinite is the Length of an element that ends with end-of-contents octets.
const Indefinite = -1

// Header is what stands before an element's contents.
type Header struct {
	Tag         Tag
	Constructed bool
	Length      int64 // of the contents, or Indefinite
	Offset      int64 // of the first identifier octet
	Size        int   // of identifier and length octets
}

// maxHeader bounds identifier and length octets: numbers of up to 28 bits, lengths of up to 8 octets.
const maxHeader = 1 + 4 + 1 + 8

// maxLength keeps sums of offsets and lengths far from overflow.
const maxLength = 1 << 56

// errShort: the octets end within a header.
var errShort = errors.New("header is cut off")

// parseHeader reads the header at the start of b (X.690 sections 8.1.2 and 8.1.3).
func parseHeader(b []byte) (Header, error) {
	if len(b) == 0 {
		return Header{}, errShort
	}
	h := Header{Tag: Tag{b[0] >> 6, uint32(b[0] & 0x1f)}, Constructed: b[0]&0x20 != 0, Size: 1}
	if h.Tag.Number == 0x1f {
		if err := h.longTag(b); err != nil {
			return h, err
		}
	}
	if h.Size >= len(b) {
		return h, errShort
	}
	first := b[h.Size]
	h.Size++
	switch {
	case first < 0x80:
		h.Length = int64(first)
	case first == 0x80:
		if !h.Constructed {
			return h, errors.New("primitive element of indefinite length")
		}
		h.Length = Indefinite
	case first > 0x88:
		return h, errors.New("length of more than 8 octets")
	default:
		n := int(first & 0x7f)
		if h.Size+n > len(b) {
			return h, errShort
		}
		var length uint64
		for _, c := range b[h.Size : h.Size+n] {
			length = length<<8 | uint64(c)
		}
		if length > maxLength {
			return h, errors.New("length overflows")
		}
		h.Length = int64(length)
		h.Size += n
	}
	return h, nil
}

// longTag reads a tag number of 31 and more.
func (h *Header) longTag(b []byte) error {
	h.Tag.Number = 0
	for i := 1; ; i++ {
		switch {
		case i > 4:
			return errors.New("tag number of more than 28 bits")
		case i >= len(b):
			return errShort
		case i == 1 && b[i] == 0x80:
			return errors.New("tag number with leading zeros")
		}
		h.Tag.Number = h.Tag.Number<<7 | uint32(b[i]&0x7f)
		if b[i] < 0x80 {
			if h.Tag.Number < 0x1f {
				return errors.New("small tag number in the long form")
			}
			h.Size = i + 1
			return nil
		}
	}
}

// endOfContents says whether h is the mark that ends an element of indefinite length; any other use of the tag is an error.
func (h Header) endOfContents() (bool, error) {
	if h.Tag != (Tag{}) {
		return false, nil
	}
	if h.Constructed || h.Length != 0 || h.Size != 2 {
		return false, errors.New("malformed end-of-contents")
	}
	return true, nil
}
