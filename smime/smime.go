// Package smime signs, encrypts, decrypts and verifies one mail as S/MIME 4.0.
//
// A postmaster's gateway has a mail as it came from the MTA. What leaves is
// signed with the gateway's identity and handed back as edits, so that the MTA
// keeps everything that is not S/MIME's business:
//
//	edits, err := smime.Sign(m, smime.SignOptions{Identity: id, Spool: spool})
//	if errors.Is(err, smime.ErrProtected) { ... } // signed or encrypted before
//
// What arrives is verified, each signer by itself:
//
//	report, err := smime.Verify(m, smime.VerifyOptions{})
//	for _, s := range report.Signers { ... }
//
// Mail is encrypted and opened as a whole, never a part of it:
//
//	edits, err := smime.Encrypt(m, smime.EncryptOptions{To: to, Spool: spool})
//	edits, opened, err := smime.Decrypt(m, smime.DecryptOptions{Keys: keys, Spool: spool})
//
// or step by step, for who judges each layer:
//
//	o := smime.NewOpening(m, smime.DecryptOptions{Keys: keys, Spool: spool, Signed: judge})
//	opened, err := o.Decrypt()
//	... o.Mail() ... o.Unsign() ... o.Edits()
//
// and Protect does what a profile's mode says: sign, encrypt, both, or both and
// sign again.
//
// Whether mail is S/MIME is found by parsing the CMS in it, never by its
// label, and only a signature over the whole mail (its root) says anything of
// the mail: signed parts further inside are told, and decide nothing. Trust in
// certificates, and their addresses, are internal/verdict's business.
//
// RFC 8551 (S/MIME 4.0), RFC 1847 (multipart/signed), RFC 5652 (CMS), RFC 7281
// (results), RFC 2634 section 1.1 (triple wrapping), RFC 9788 (header protection). Package smime/entity makes the bytes that are signed, package
// smime/cms the signatures.
package smime

import (
	"errors"
	"fmt"
	"slices"
)

// A Kind says what a mail is as a whole.
type Kind int

const (
	Plain          Kind = iota // no S/MIME at its root
	SignedDetached             // multipart/signed with a CMS signature
	SignedOpaque               // CMS signed-data that carries the content
	Enveloped                  // CMS enveloped-data: encrypted
	AuthEnveloped              // CMS authEnveloped-data: encrypted (RFC 5083)
	Compressed                 // CMS compressed-data (RFC 3274)
	CertsOnly                  // CMS signed-data of certificates only, no signer and no content
	Malformed                  // labelled as S/MIME, and no CMS that fits is in it
	OpenPGP                    // PGP/MIME (RFC 3156), signed or encrypted: not ours to judge or change
)

var kinds = [...]string{
	"plain", "signed-detached", "signed-opaque", "enveloped", "auth-enveloped", "compressed", "certs-only",
	"malformed", "openpgp",
}

func (k Kind) String() string {
	if k < 0 || int(k) >= len(kinds) {
		return fmt.Sprintf("kind(%d)", int(k))
	}
	return kinds[k]
}

// MarshalText writes the kind's word.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads it.
func (k *Kind) UnmarshalText(text []byte) error {
	i := slices.Index(kinds[:], string(text))
	if i < 0 {
		return fmt.Errorf("%q is no kind of mail", text)
	}
	*k = Kind(i)
	return nil
}

// Protected reports whether the mail is signed or encrypted, by whatever
// means: such mail is not signed again, unless that is asked for.
func (k Kind) Protected() bool {
	switch k {
	case SignedDetached, SignedOpaque, Enveloped, AuthEnveloped, OpenPGP:
		return true
	}
	return false
}

// Signed reports whether Verify finds signers to judge.
func (k Kind) Signed() bool { return k == SignedDetached || k == SignedOpaque }

// ErrProtected: the mail is signed or encrypted already.
var ErrProtected = errors.New("mail is signed or encrypted already")

// A Class is what kind of trouble a Problem is.
type Class int

const (
	BadStructure  Class = iota // MIME or CMS break the rules: nobody can verify this
	Unsupported                // well-formed, and made of something we cannot verify
	TooLarge                   // over a bound on hostile input
	NoSigner                   // a signature that nobody made
	Contradiction              // the mail's label and its signature do not agree (RFC 1847 section 2.1)
)

func (c Class) String() string {
	switch c {
	case BadStructure:
		return "malformed"
	case Unsupported:
		return "unsupported"
	case TooLarge:
		return "too large"
	case NoSigner:
		return "no signer"
	case Contradiction:
		return "contradiction"
	}
	return fmt.Sprintf("class(%d)", int(c))
}

// A Problem is why a mail that says it is signed cannot be verified as a
// whole, or one that says it is encrypted cannot be opened. A Report with a
// Problem never counts as signed, whatever its signers.
type Problem struct {
	Class  Class
	Reason string // for people; from the mail only what is quoted and short
	Err    error  // the cause, if another package found it
}

func (p *Problem) Error() string {
	if p.Err != nil {
		return p.Reason + ": " + p.Err.Error()
	}
	return p.Reason
}

func (p *Problem) Unwrap() error { return p.Err }
