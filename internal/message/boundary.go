package message

import (
	"crypto/rand"
	"encoding/base32"
	"io"
)

// Boundary returns a new multipart boundary (RFC 2046 section 5.1.1). It has
// "=_" in it, which neither base64 nor quoted-printable can contain, and is
// to be quoted. A nil random is crypto/rand, which also stands in for one
// that has run dry.
func Boundary(random io.Reader) string {
	var b [20]byte
	if random == nil {
		random = rand.Reader
	}
	if _, err := io.ReadFull(random, b[:]); err != nil {
		_, _ = rand.Read(b[:]) // never fails
	}
	return "=_" + base32.StdEncoding.EncodeToString(b[:])
}
