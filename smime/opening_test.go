package smime_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/message"
	"mailseal/internal/testpki"
	"mailseal/smime"
	"mailseal/smime/cms/recipient"
)

const note = "From: alice@corp.example\nSubject: a note\nMIME-Version: 1.0\nContent-Type: text/plain; charset=us-ascii\nContent-Language: en\n\nHello.\n"

// What is taken off in steps is the mail that it was, whatever its lines end in,
// and each signature over what is encrypted is shown before it goes.
func TestOpeningStepByStep(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	h, alice := bob(p), p.User("alice@corp.example", ca.P256)
	for _, mode := range []smime.Mode{smime.ModeSign, smime.ModeSignEncrypt, smime.ModeTriple} {
		for _, format := range []smime.Format{smime.Detached, smime.Opaque} {
			for _, newline := range []string{"\r\n", "\n"} {
				m := read(t, newSpool(t), note)
				edits, err := smime.Protect(m, smime.ProtectOptions{Mode: mode, Sign: options(t, alice, format), Encrypt: smime.EncryptOptions{To: []recipient.To{h.to}, Spool: newSpool(t)}})
				if err != nil {
					t.Fatal(err)
				}
				protected := apply(t, m, edits)
				m = readRaw(t, newSpool(t), strings.ReplaceAll(string(whole(t, protected)), "\r\n", newline))
				step := steps{T: t, mail: m}
				o := smime.NewOpening(m, smime.DecryptOptions{Keys: recipient.List{h.key}, Spool: newSpool(t), Signed: step.see})
				_, err = o.Decrypt()
				if (mode == smime.ModeSign) != errors.Is(err, smime.ErrNotEncrypted) || mode != smime.ModeSign && err != nil {
					t.Fatalf("%v, %v: %v", mode, format, err)
				}
				if shown := map[smime.Mode]int{smime.ModeTriple: 1}[mode]; step.seen != shown {
					t.Errorf("%v, %v: %d signatures shown", mode, format, step.seen)
				}
				if r := verify(t, o.Mail()); !good(r) {
					t.Errorf("%v, %v: inside %s", mode, format, describe(r))
				}
				if err := o.Unsign(); err != nil {
					t.Fatalf("%v, %v: %v", mode, format, err)
				}
				if err := o.Unsign(); !errors.Is(err, smime.ErrNotSigned) {
					t.Errorf("%v, %v: taken off twice: %v", mode, format, err)
				}
				after := apply(t, m, o.Edits())
				o.Close()
				if got := string(whole(t, after)); strings.ReplaceAll(got, "\r\n", "\n") != note {
					t.Errorf("%v, %v, lines end in %q:\n%s", mode, format, newline, got)
				}
			}
		}
	}
}

// steps are what Signed is shown.
type steps struct {
	*testing.T
	mail *message.Message
	seen int
}

func (s *steps) see(m *message.Message) error {
	s.seen++
	if r := verify(s.T, m); !good(r) || m != s.mail {
		s.Errorf("shown %s", describe(r))
	}
	return nil
}

// A mail that does not open stays as it was, and what cannot be taken off too.
func TestOpeningGoesBack(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	h, alice := bob(p), p.User("alice@corp.example", ca.P256)
	sealed := encrypt(t, read(t, newSpool(t), note), h)
	wrong := recipient.List{{Certificate: h.key.Certificate, Private: impostor(t, h.key.Private)}}
	over := options(t, alice, smime.Detached)
	over.Encrypted = true
	for name, m := range map[string]*message.Message{"encrypted": sealed, "signed over that": sign(t, sealed, over)} {
		o := smime.NewOpening(m, smime.DecryptOptions{Keys: wrong, Spool: newSpool(t)})
		if opened, err := o.Decrypt(); !errors.Is(err, smime.ErrDecrypt) || opened != nil || o.Mail() != m || o.Edits() != nil {
			t.Errorf("%s: %v, %v", name, opened, err)
		}
		if err := o.Unsign(); (name == "encrypted") != errors.Is(err, smime.ErrNotSigned) {
			t.Errorf("%s: %v", name, err)
		}
		o.Close()
	}
	// Control characters in a signed part's fields are not for a mail's header.
	odd := bytes.Replace(whole(t, sign(t, read(t, newSpool(t), note), options(t, alice, smime.Detached))), []byte("Content-Language: en"), []byte("Content-Language: e\rX: n"), 1)
	m := readRaw(t, newSpool(t), string(odd))
	o := smime.NewOpening(m, smime.DecryptOptions{Spool: newSpool(t)})
	defer o.Close()
	if problem := new(smime.Problem); !errors.As(o.Unsign(), &problem) || o.Mail() != m {
		t.Error("control characters come into the header")
	}
}

// Time that is over ends the work, and is no fault of the mail.
func TestOpeningInTime(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	h := bob(p)
	ctx, cancel := context.WithCancelCause(context.Background())
	over := errors.New("over")
	cancel(over)
	m := encrypt(t, read(t, newSpool(t), note), h)
	if _, _, err := smime.Decrypt(m, smime.DecryptOptions{Keys: recipient.List{h.key}, Spool: newSpool(t), Context: ctx}); !errors.Is(err, over) {
		t.Error(err)
	}
}
