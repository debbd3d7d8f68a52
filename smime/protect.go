package smime

import (
	"fmt"
	"slices"

	"mailseal/internal/message"
)

// A Mode is what is done to a mail, from the inside outwards (RFC 8551 section
// 3.7).
type Mode int

const (
	ModeSign        Mode = iota
	ModeEncrypt          // nobody knows who did
	ModeSignEncrypt      // nobody outside sees who signed
	ModeTriple           // signed, encrypted, signed (RFC 2634 section 1.1)
)

var modes = [...]string{"sign", "encrypt", "sign-encrypt", "triple"}

func (m Mode) String() string {
	if m < 0 || int(m) >= len(modes) {
		return fmt.Sprintf("mode(%d)", int(m))
	}
	return modes[m]
}

// MarshalText writes the word that configurations have.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads it.
func (m *Mode) UnmarshalText(text []byte) error {
	i := slices.Index(modes[:], string(text))
	if i < 0 {
		return fmt.Errorf("unknown mode %q; want sign, encrypt, sign-encrypt or triple", text)
	}
	*m = Mode(i)
	return nil
}

// ProtectOptions say what is done, and for each of its steps how. Header
// protection is one for the whole mail, and takes effect innermost: what
// SignOptions and EncryptOptions say of it does not count.
type ProtectOptions struct {
	Mode    Mode
	Sign    SignOptions    // of both signatures of ModeTriple
	Encrypt EncryptOptions // of the modes that encrypt
	Headers HeaderProtection
}

// Protect returns the edits that turn the mail into one that is protected as the
// mode says; they own the new body. Nothing but MIME's fields, and those that are
// hidden, change in the mail's own header. The errors are those of Sign and
// Encrypt.
func Protect(m *message.Message, o ProtectOptions) ([]message.Edit, error) {
	sign, encrypt, outer := o.Sign, o.Encrypt, o.Sign
	sign.Protect, encrypt.Protect, outer.Protect = o.Headers, o.Headers, HeadersOff
	outer.Encrypted, outer.Root = true, nil
	var steps []func(*message.Message) (*wrapping, error)
	switch o.Mode {
	case ModeSign:
		return Sign(m, sign)
	case ModeEncrypt:
		return Encrypt(m, encrypt)
	case ModeTriple:
		steps = append(steps, outer.signature)
		fallthrough
	case ModeSignEncrypt:
		encrypt.Protect, encrypt.Root = HeadersOff, nil // it is inside already
		inner := func(m *message.Message) (*wrapping, error) { return sign.wrap(m, true) }
		steps = append(steps, encrypt.wrap, inner)
	default:
		return nil, fmt.Errorf("unknown %v", o.Mode)
	}
	slices.Reverse(steps)
	return compose(m, steps)
}

// signature wraps what is not encrypted after that.
func (o SignOptions) signature(m *message.Message) (*wrapping, error) { return o.wrap(m, false) }

// compose does one step to what the one before has made.
func compose(m *message.Message, steps []func(*message.Message) (*wrapping, error)) ([]message.Edit, error) {
	var all *wrapping
	step := m
	for _, wrap := range steps {
		w, err := wrap(step)
		if err != nil {
			all.close()
			return nil, err
		}
		if all != nil {
			w.outside = append(all.outside, w.outside...)
			if w.apart {
				all.close()
			} else {
				w.body = message.Concat(w.body, owned{all.body})
			}
		}
		all = w
		if step, err = m.Apply(all.edits(m.Header)); err != nil {
			all.close()
			return nil, err
		}
		step.Newline = "\r\n" // its body has them
	}
	return all.edits(m.Header), nil
}

func (w *wrapping) close() {
	if w != nil {
		w.body.Close()
	}
}
