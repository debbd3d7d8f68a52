package smime

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/internal/spool"
	"mailseal/smime/cms"
	"mailseal/smime/entity"
)

// A Format is how a signature and its content travel.
type Format int

const (
	Detached Format = iota // multipart/signed: readable without S/MIME
	Opaque                 // application/pkcs7-mime: nothing on the way can change it unseen
)

func (f Format) String() string {
	if f == Opaque {
		return "opaque"
	}
	return "detached"
}

// SignOptions say who signs and how. Identity and Spool are needed.
type SignOptions struct {
	Identity pki.Identity
	Format   Format
	Digest   crypto.Hash // 0: by the key; Ed25519 always signs with SHA-512 (RFC 8419)
	PSS      bool        // RSA: RSASSA-PSS instead of PKCS #1 v1.5
	KeyID    bool        // certificates are named by their key identifier, not by issuer and serial number
	// Also sign beside Identity, as while one kind of key takes over from
	// another: readers who know the new kind see both signatures, others may
	// take the mail for one they cannot judge.
	Also   []pki.Identity
	Now    func() time.Time
	Rand   io.Reader    // of the boundary, crypto/rand if nil
	Spool  *spool.Store // where encoded parts and opaque bodies are made
	Limits message.Limits
	// Protect puts copies of header fields under the signature (RFC 9788).
	Protect HeaderProtection
	// Encrypted signs also what is encrypted, as the outer signature of a
	// triple-wrapped mail does (RFC 2634 section 1.1). It tells of the
	// ciphertext alone.
	Encrypted bool
	// Again signs also what is signed.
	Again bool
	// Root is the mail's walk where the caller has it already.
	Root *message.Part
}

// An UnsignableError says why a mail cannot be signed without changing what
// it says or breaking a signature inside. The mail itself is as it was.
type UnsignableError struct {
	Section string // the part's number (RFC 3501 section 6.4.5), "" for the mail
	Reason  string
}

func (e *UnsignableError) Error() string {
	if e.Section == "" {
		return "mail cannot be signed: " + e.Reason
	}
	return "mail cannot be signed: part " + e.Section + ": " + e.Reason
}

// Sign returns the edits that turn the mail into a signed one; they own the
// new body, which reads from the old one. ErrProtected: it is signed or
// encrypted already. *UnsignableError, *message.LimitError: it cannot be signed.
// Every other error is I/O or the key.
func Sign(m *message.Message, o SignOptions) ([]message.Edit, error) {
	w, err := o.wrap(m, false)
	if err != nil {
		return nil, err
	}
	return w.edits(m.Header), nil
}

// wrap signs a mail, which is encrypted after that or not.
func (o SignOptions) wrap(m *message.Message, encrypted bool) (*wrapping, error) {
	if o.Spool == nil || o.Identity.Certificate == nil || o.Identity.Key == nil {
		return nil, errors.New("sign a mail: spool, certificate and key are needed")
	}
	if why := veiled(staying(m.Header)); why != "" {
		return nil, &UnsignableError{Reason: why}
	}
	source, done, err := newSource(m, o.Spool, o.Root)
	if err != nil {
		return nil, err
	}
	c := o.Protect.cover(m.Header, encrypted)
	source.Protected, source.HP = c.fields, c.hp
	s := signature{o, source}
	signed, fields, err := s.make()
	if err != nil {
		done.Close()
		return nil, err
	}
	return &wrapping{fields: fields, body: message.Concat(signed, owned{done}), outside: c.outside}, nil
}

// staying is what of a header signing leaves where it is.
func staying(h message.Header) message.Header {
	return slices.DeleteFunc(slices.Clone(h), func(f message.Field) bool {
		return entity.IsContent(f.Name()) || f.Is("MIME-Version")
	})
}

// A signature in the making.
type signature struct {
	SignOptions
	source entity.Source // its Root is there after walked
}

// make returns the new body and the fields that describe it.
func (s *signature) make() (message.Body, []message.Field, error) {
	now := s.Now
	if now == nil {
		now = time.Now
	}
	at := now()
	var signers []cms.Signer
	for _, id := range append([]pki.Identity{s.Identity}, s.Also...) {
		signers = append(signers, cms.Signer{
			Certificate: id.Certificate, Key: id.Key, Chain: id.Chain,
			Digest: s.Digest, PSS: s.PSS, KeyID: s.KeyID, SigningTime: at,
		})
	}
	if s.Format == Opaque {
		return s.opaque(signers)
	}
	return s.detached(signers)
}

// walked sees to it that the mail's structure is known, and looks whether it is
// protected.
func (s *signature) walked() (err error) {
	if s.source.Root == nil {
		if s.source.Root, err = message.Walk(s.source.Header, s.source.Body, s.Limits); err != nil {
			return err
		}
	}
	f, err := examine(s.source.Body, s.source.Root, cms.ReadOptions{})
	if err != nil {
		return err
	}
	if unsigned := f.signed != nil && len(f.signed.Signers) == 0; f.kind.Protected() && !unsigned && !s.allowed(f.kind) {
		return ErrProtected
	}
	if why := s.Protect.hindered(f.kind, s.source.Root); why != "" {
		return &UnsignableError{Reason: why}
	}
	return nil
}

// allowed reports whether mail of that kind is signed, as it is protected
// already.
func (s *signature) allowed(k Kind) bool {
	switch k {
	case Enveloped, AuthEnveloped:
		return s.Encrypted
	case SignedDetached, SignedOpaque:
		return s.Again
	}
	return false
}

// sign calls f with the entity, and again with an encoded one if bytes came by
// that would not arrive as they are.
func (s *signature) sign(f func(r io.Reader, size int64) error) (message.Body, error) {
	e, err := s.signAhead(f)
	if e != nil || err != nil && !errors.Is(err, errFaults) {
		return e, err
	}
	forms := []form{{entity.Outline, ^entity.Fault(0)}, {entity.Encode, entity.Hard}}
	if err != nil {
		forms = forms[1:]
	}
	if err := s.walked(); err != nil {
		return nil, err
	}
	e, err = first(s.source, forms, f)
	if errors.Is(err, errFaults) {
		err = &UnsignableError{Reason: "it does not become 7-bit"}
	}
	return e, unsignable(err)
}

// signAhead calls f with what will be the entity, if nothing in the mail is out
// of the ordinary, on the walk. No entity and no error: it is another.
func (s *signature) signAhead(f func(r io.Reader, size int64) error) (message.Body, error) {
	if s.source.Root != nil {
		return nil, nil
	}
	root, at, ok := foretell(s.source.Header, s.source.Body, s.Limits)
	if !ok || !strings.HasPrefix(root.MediaType, "multipart/") || root.MediaType == "multipart/signed" || root.MediaType == "multipart/encrypted" {
		return nil, nil
	}
	foretold := s.source
	foretold.Root = unwalked(root, s.source.Body, at)
	guess, err := entity.Outline(foretold)
	if err != nil {
		return nil, nil
	}
	defer guess.Close()
	c := &check{mask: ^entity.Fault(0)}
	p := &passage{header: s.source.Header, body: s.source.Body, limits: s.Limits, check: c.block}
	var more int
	if p.before, p.span.from, p.span.to, more = guess.Split(); more > 0 || !s.ordinary(p.span.from) {
		return nil, nil
	}
	p.Reader = &checkedReader{message.NewReader(guess), c.block}
	if err := f(p, guess.Size()); err != nil {
		return nil, err
	}
	s.source.Root = p.root
	if err := s.walked(); err != nil {
		return nil, err
	}
	e, err := entity.Outline(s.source)
	if err != nil {
		return nil, unsignable(err)
	}
	if c.scan.Finish() == 0 && e.Same(guess) {
		return e, nil
	}
	return nil, e.Close()
}

// ordinary reports whether the parts in the first bytes of the mail need no
// change but for what is in them; most that need one are there.
func (s *signature) ordinary(from int64) bool {
	head := s.source
	head.Body = message.Section(s.source.Body, 0, aheadTail)
	var err error
	if head.Root, err = message.Walk(head.Header, head.Body, s.Limits); err != nil {
		return false
	}
	e, err := entity.Outline(head)
	if err != nil {
		return false
	}
	defer e.Close()
	_, at, to, _ := e.Split()
	return at == from && to == head.Body.Size()
}

func unsignable(err error) error {
	var e *entity.Error
	if errors.As(err, &e) {
		return &UnsignableError{Section: e.Section, Reason: e.Reason}
	}
	return err
}

// detached makes a multipart/signed (RFC 8551 section 3.5.3).
func (s *signature) detached(signers []cms.Signer) (message.Body, []message.Field, error) {
	micalg, err := micalg(signers)
	if err != nil {
		return nil, nil, err
	}
	var der []byte
	e, err := s.sign(func(r io.Reader, _ int64) error {
		var err error
		der, err = cms.SignDetached(r, signers...)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	boundary := message.Boundary(s.Rand)
	var tail bytes.Buffer
	fmt.Fprintf(&tail, "\r\n--%s\r\n", boundary)
	for _, f := range partFields("application/pkcs7-signature; name=smime.p7s", "smime.p7s") {
		tail.WriteString(f.Raw() + "\r\n")
	}
	tail.WriteString("\r\n")
	w := entity.NewBase64Writer(&tail) // to memory: it has no errors
	w.Write(der)
	w.Close()
	fmt.Fprintf(&tail, "--%s--\r\n", boundary)
	body := message.Concat(message.Bytes([]byte("--"+boundary+"\r\n")), e, message.Bytes(tail.Bytes()))
	return body, []message.Field{message.NewField("Content-Type", fmt.Sprintf(
		" multipart/signed; protocol=\"application/pkcs7-signature\";\r\n micalg=%s; boundary=\"%s\"",
		micalg, boundary))}, nil
}

// micalg names the digests of the signers, each once (RFC 8551 section
// 3.5.3.2); a list has to be quoted.
func micalg(signers []cms.Signer) (string, error) {
	var names []string
	for _, s := range signers {
		digest, err := s.Hash()
		if err != nil {
			return "", err
		}
		if name := strings.ToLower(digest.String()); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) > 1 {
		return `"` + strings.Join(names, ",") + `"`, nil
	}
	return strings.Join(names, ""), nil
}

// partFields label CMS: media types for those who read them, names for those
// who do not (RFC 8551 section 3.2.1).
func partFields(contentType, name string) []message.Field {
	return []message.Field{
		message.NewField("Content-Type", " "+contentType),
		message.NewField("Content-Transfer-Encoding", " base64"),
		message.NewField("Content-Disposition", " attachment; filename="+name),
	}
}

// opaque makes an application/pkcs7-mime (RFC 8551 section 3.5.2).
func (s *signature) opaque(signers []cms.Signer) (message.Body, []message.Field, error) {
	var prefix, suffix []byte
	e, err := s.sign(func(r io.Reader, size int64) error {
		var err error
		prefix, suffix, err = cms.SignOpaque(r, size, signers...)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	defer e.Close()
	file := s.Spool.Create()
	w := entity.NewBase64Writer(file)
	_, err = io.Copy(w, io.MultiReader(bytes.NewReader(prefix), message.NewReader(e), bytes.NewReader(suffix)))
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, partFields("application/pkcs7-mime; smime-type=signed-data;\r\n name=smime.p7m", "smime.p7m"), nil
}
