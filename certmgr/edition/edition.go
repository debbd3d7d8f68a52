// Package edition is what a CA tells everybody: its certificate, the list of
// what was revoked, and an OCSP answer for each certificate that has not ended.
// All of it is signed, so that who hands it out needs no key.
//
// A Press, where the key is, keeps an edition up to date. A reader has got one
// with a Mark, and asks with it for what is newer; merged with what the reader
// has, that is the whole again. Nothing that a reader asks makes the CA sign.
package edition

import (
	"time"
)

// A Mark is which edition a reader has. The zero Mark is none.
type Mark struct {
	Press  string `json:"press,omitempty"` // which one printed it: after a restart all is new
	Number uint64 `json:"number,omitempty"`
}

// An Edition is what a CA tells, or what of it is newer than a Mark.
type Edition struct {
	Mark
	// Whole: it takes the place of what the reader has, and is not added to it.
	Whole bool `json:"whole,omitempty"`
	// Path is where on the web it is to be found, by the CA's URL; it has no
	// slash at its end.
	Path string `json:"path,omitempty"`
	// Certificate is the CA's own, in DER.
	Certificate []byte `json:"certificate"`
	// List is nil where it is no newer, or where there is none.
	List *List `json:"list,omitempty"`
	// Answers are about single certificates.
	Answers []Answer `json:"answers,omitempty"`
}

// A List is a CRL (RFC 5280 section 5), in DER.
type List struct {
	ThisUpdate time.Time `json:"this_update"`
	NextUpdate time.Time `json:"next_update"`
	DER        []byte    `json:"der"`
}

// An Answer is an OCSP response (RFC 6960), in DER.
type Answer struct {
	Serial     string    `json:"serial"` // as the CA's folder has it
	ThisUpdate time.Time `json:"this_update"`
	NextUpdate time.Time `json:"next_update"`
	DER        []byte    `json:"der"`
}
