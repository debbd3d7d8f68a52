package smime

import (
	"errors"
	"io"

	"mailseal/internal/message"
	"mailseal/internal/spool"
	"mailseal/smime/cms"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
	"mailseal/smime/entity"
)

// EncryptOptions say for whom and how. To and Spool are needed.
type EncryptOptions struct {
	To []recipient.To
	// Cipher is AES-256-CBC if it is the zero Cipher: the one that every
	// client reads. CBC makes an enveloped-data, everything else an
	// authEnveloped-data (RFC 5083).
	Cipher content.Cipher
	Spool  *spool.Store
	// Protect puts copies of header fields inside (RFC 9788). A mail that is
	// signed already cannot have that: see Protect.
	Protect HeaderProtection
	// Again encrypts also what is encrypted already.
	Again  bool
	Limits message.Limits
	// Root is the mail's walk where the caller has it already.
	Root *message.Part
}

// An UnencryptableError says why a mail cannot be encrypted as it is wanted.
type UnencryptableError struct{ Reason string }

func (e *UnencryptableError) Error() string { return "mail cannot be encrypted: " + e.Reason }

// Encrypt returns the edits that turn the mail into an encrypted one; they own
// the new body, which is apart from the old one. Everything can be encrypted: what
// is 8-bit becomes 7-bit inside, as whoever opens it may have to send it on
// (RFC 8551 section 3.1.2), unless a signature forbids that. ErrProtected: it is
// encrypted already. *UnencryptableError, *message.LimitError: the mail or its
// recipients do not allow it. Every other error is I/O.
func Encrypt(m *message.Message, o EncryptOptions) ([]message.Edit, error) {
	w, err := o.wrap(m)
	if err != nil {
		return nil, err
	}
	return w.edits(m.Header), nil
}

func (o EncryptOptions) wrap(m *message.Message) (*wrapping, error) {
	if o.Spool == nil || len(o.To) == 0 {
		return nil, errors.New("encrypt a mail: spool and recipients are needed")
	}
	if o.Cipher == content.None {
		o.Cipher = content.AES256CBC
	}
	source, done, err := newSource(m, o.Spool, o.Root)
	if err != nil {
		return nil, err
	}
	defer done.Close()
	if source.Root == nil {
		if source.Root, err = message.Walk(source.Header, source.Body, o.Limits); err != nil {
			return nil, err
		}
	}
	if err := o.refuse(source); err != nil {
		return nil, err
	}
	c := o.Protect.cover(m.Header, true)
	source.Protected, source.HP = c.fields, c.hp
	file, err := o.encrypt(source)
	if err != nil {
		return nil, err
	}
	return &wrapping{fields: o.fields(), body: file, apart: true, outside: c.outside}, nil
}

// refuse says why the mail is not encrypted.
func (o EncryptOptions) refuse(s entity.Source) error {
	kind, err := glance(s.Body, s.Root)
	if err != nil {
		return err
	}
	if !o.Again {
		encrypted, err := isEncrypted(s.Body, s.Root, kind, o.Spool, o.Limits)
		if err != nil {
			return err
		}
		if encrypted {
			return ErrProtected
		}
	}
	if why := o.Protect.hindered(kind, s.Root); why != "" {
		return &UnencryptableError{why}
	}
	return nil
}

// isEncrypted reports whether the entity, of that kind, is encrypted or a
// signature over something encrypted.
func isEncrypted(b message.Body, p *message.Part, kind Kind, s *spool.Store, l message.Limits) (bool, error) {
	switch kind {
	case Enveloped, AuthEnveloped:
		return true, nil
	case SignedDetached:
		inner, err := glance(b, p.Parts[0])
		return inner == Enveloped || inner == AuthEnveloped, err
	case SignedOpaque:
		inner, err := preview(b, p, kind, s, l)
		return inner == Enveloped || inner == AuthEnveloped, err
	}
	return p.MediaType == "multipart/encrypted" && isOpenPGP(b, p), nil
}

// encrypt makes the CMS object in base64.
func (o EncryptOptions) encrypt(s entity.Source) (message.Body, error) {
	var file *spool.File
	encryption := cms.Encryption{To: o.To, Cipher: o.Cipher}
	e, err := first(s, []form{{entity.Outline, entity.Hard}, {entity.Encode, 0}, {entity.Raw, 0}}, func(r io.Reader, size int64) error {
		file = o.Spool.Create()
		w := entity.NewBase64Writer(file)
		err := cms.Encrypt(w, r, size, encryption)
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			file.Close()
		}
		return err
	})
	var unfit *entity.Error
	switch {
	case errors.As(err, &unfit):
		return nil, &UnencryptableError{unfit.Error()}
	case errors.Is(err, cms.ErrUnsupported), errors.Is(err, recipient.ErrUnsupported):
		return nil, &UnencryptableError{err.Error()}
	case err != nil:
		return nil, err
	}
	return file, e.Close()
}

func (o EncryptOptions) fields() []message.Field {
	kind := "enveloped-data"
	if o.Cipher.Authenticated() {
		kind = "authEnveloped-data" // RFC 8551 section 3.2.2
	}
	return partFields("application/pkcs7-mime; smime-type="+kind+";\r\n name=smime.p7m", "smime.p7m")
}
