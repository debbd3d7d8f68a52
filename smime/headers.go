package smime

import "fmt"

// HeaderProtection says which header fields go inside with the content, as RFC 9788 has it.
type HeaderProtection int

const (
	// HeadersOff leaves the mail's header as it is, outside of everything.
	HeadersOff HeaderProtection = iota
	// HeadersSigned puts a copy of the fields inside, where a signature covers them.
	HeadersSigned
	// HideSubject does that too, and where the mail is encrypted nobody sees the subject from outside.
	HideSubject
)

var headerProtections = [...]string{"off", "signed", "hide-subject"}

func (p HeaderProtection) String() string {
	if p < 0 || int(p) >= len(headerProtections) {
		return fmt.Sprintf("header-protection(%d)", int(p))
	}
	return headerProtections[p]
}

// MarshalText writes the word that configurations have.
func (p HeaderProtection) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads it.
func (p *HeaderProtection) UnmarshalText(text []byte) error {
	for i, s := range headerProtections {
		if s == string(text) {
			*p = HeaderProtection(i)
			return nil
		}
	}
	return fmt.Errorf("unknown header protection %q; want off, signed or hide-subject", text)
}
