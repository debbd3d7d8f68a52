package cms

import (
	"bufio"
	"bytes"
	"crypto/subtle"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"slices"

	"mailseal/smime/cms/ber"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// maxAttempts bounds the content-encryption keys that are tried. There is one where senders are honest; more of them, as when
// a password is given or somebody names us twice, are tried side by side, because who saw the first fail would know more than he
// should.
const maxAttempts = 4

// maxUnwraps bounds the pairs of recipient and key that one is looked for with: many of us may be recipients, and all of them have to
// have the key. With RSA keys of 4096 bits it is a second of work.
const maxUnwraps = 256

// maxRounds bounds the rounds of PBKDF2 of all attempts together: three recipients as most programs write them.
const maxRounds = 2_000_000

// decryption is an Enveloped being read.
type decryption struct {
	*object
	*Enveloped
	options  ReadEnvelopedOptions
	attempts []*attempt
	tag      []byte
	aads     [][]byte
}

// attempt is one content-encryption key, whom we have it by, and what became of it.
type attempt struct {
	info   int // of the first of keys
	keys   []recipient.Key
	cek    []byte
	spool  Spool
	source struct{ io.Reader } // of cipher
	cipher *content.Decrypter
}

// read reads everything that lies between the content type and the end.
func (d *decryption) read() (err error) {
	if err = d.enter(ber.Sequence); err != nil {
		return err
	}
	if d.Version, err = d.version(); err != nil {
		return err
	}
	if d.Recipients, err = d.recipientInfos(); err != nil {
		return err
	}
	if d.options.Keys == nil {
		return ErrNoRecipient
	}
	if d.match(); len(d.attempts) == 0 {
		return ErrNoRecipient
	}
	oid, a, ciphertext, err := d.encryptedContentInfo()
	switch {
	case err != nil:
		return err
	case ciphertext == nil:
		return d.Malformed("there is no encrypted content")
	}
	if err := d.decrypt(a, ciphertext); err != nil {
		return err
	}
	if err := d.object.Leave(); err != nil {
		return err
	}
	if d.ContentType = oid; d.Type.Equal(OIDAuthEnvelopedData) {
		err = d.authentication()
	} else {
		err = d.optional(ber.Context(1))
	}
	if err != nil {
		return err
	}
	return d.Leave()
}

// match finds who of the recipients we may be: those who are named first, as every password may be anybody's.
func (d *decryption) match() {
	var guesses []*attempt
	rounds, tries := 0, map[*x509.Certificate]int{}
	for i, info := range d.Recipients {
		for _, key := range d.options.Keys.For(info) {
			one := &attempt{info: i, keys: []recipient.Key{key}}
			switch {
			case info.Kind != recipient.Password:
				if tries[key.Certificate]++; tries[key.Certificate] <= maxAttempts {
					d.attempts = append(d.attempts, one)
				}
			case rounds+info.Rounds() <= maxRounds && len(guesses) < maxAttempts:
				rounds += info.Rounds()
				guesses = append(guesses, one)
			}
		}
		if len(d.attempts) >= maxUnwraps {
			break
		}
	}
	d.attempts = append(d.attempts[:min(len(d.attempts), maxUnwraps)], guesses...)
}

// encryptedContentInfo enters an EncryptedContentInfo (RFC 5652 section 6.1). The content, nil if there is none, must be read
// before it is left.
func (p *object) encryptedContentInfo() (oid asn1.ObjectIdentifier, a pkix.AlgorithmIdentifier, ciphertext io.Reader, err error) {
	if err = p.enter(ber.Sequence); err != nil {
		return nil, a, nil, err
	}
	if oid, err = p.oid(); err != nil {
		return nil, a, nil, err
	}
	h, err := p.must()
	if err != nil {
		return nil, a, nil, err
	}
	if a, err = p.algorithm(h); err != nil {
		return nil, a, nil, err
	}
	switch h, err := p.Next(); {
	case err == io.EOF:
		return oid, a, nil, nil
	case err != nil:
		return nil, a, nil, err
	case h.Tag != ber.Context(0):
		return nil, a, nil, p.Malformed("something else where encrypted content belongs")
	}
	return oid, a, p.Content(), nil
}

// decrypt runs the ciphertext through every attempt.
func (d *decryption) decrypt(id pkix.AlgorithmIdentifier, ciphertext io.Reader) error {
	a, err := content.Parse(id)
	switch {
	case errors.Is(err, content.ErrParameters):
		return d.Malformed(err.Error())
	case err != nil:
		return fmt.Errorf("%w: content encryption %s", ErrUnsupported, nameOf(id.Algorithm))
	}
	d.Cipher = a.Cipher()
	if err := d.allowed(); err != nil {
		return err
	}
	if err := d.start(a); err != nil {
		return err
	}
	if d.Type.Equal(OIDEnvelopedData) && d.Cipher.Authenticated() {
		t := tail{bufio.NewReader(ciphertext), a.TagSize()}
		defer func() { d.tag = t.rest() }()
		ciphertext = t
	}
	if len(d.attempts) == 1 {
		t := d.attempts[0]
		t.source.Reader = ciphertext
		_, err = io.Copy(t.spool, t.cipher)
	} else {
		err = d.sideBySide(ciphertext)
	}
	if errors.Is(err, content.ErrTooLong) {
		err = d.Malformed(err.Error())
	}
	return err
}

// sideBySide runs the ciphertext through several attempts, chunk by chunk.
func (d *decryption) sideBySide(ciphertext io.Reader) error {
	chunk := make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(ciphertext, chunk)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
		for _, t := range d.attempts {
			t.source.Reader = bytes.NewReader(chunk[:n])
			if _, err := io.Copy(t.spool, t.cipher); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
	}
}

// allowed says whether the cipher is one for the type of the object.
func (d *decryption) allowed() error {
	switch {
	case d.Type.Equal(OIDAuthEnvelopedData) && !d.Cipher.Authenticated():
		return fmt.Errorf("%w: %v, which authenticates nothing, in auth-enveloped-data", ErrUnsupported, d.Cipher)
	case d.Type.Equal(OIDEnvelopedData) && d.Cipher.Authenticated() && !d.options.GCMInEnvelopedData:
		return fmt.Errorf("%w: %v in enveloped-data; an option takes it", ErrUnsupported, d.Cipher)
	}
	return nil
}

// start gets the keys. What is not supported is so for everybody to see; another recipient may still do.
func (d *decryption) start(a content.Algorithm) error {
	if err := d.unwrap(a.Cipher().KeySize()); err != nil {
		return err
	}
	for _, t := range d.attempts {
		var err error
		if t.spool, err = d.options.Spool(); err != nil {
			return err
		}
		if t.cipher, err = a.Decrypter(&t.source, t.cek); err != nil {
			return err
		}
	}
	return nil
}

// unwrap gets the content-encryption keys, each once. Whoever adds a recipient to a mail that was for others does not know theirs,
// so the one that he wraps is another one: only who opens the same one is among those whom the content is for. That tells nobody
// anything of a key that he does not have.
func (d *decryption) unwrap(size int) error {
	var unsupported error
	candidates := d.attempts
	d.attempts = nil
	for _, t := range candidates {
		var err error
		t.cek, err = d.Recipients[t.info].Unwrap(t.keys[0], size)
		if errors.Is(err, recipient.ErrUnsupported) {
			unsupported = fmt.Errorf("%w: %v", ErrUnsupported, err)
			continue
		} else if err != nil {
			return err
		}
		same := slices.IndexFunc(d.attempts, func(o *attempt) bool { return subtle.ConstantTimeCompare(o.cek, t.cek) == 1 })
		if same < 0 {
			d.attempts = append(d.attempts, t)
		} else {
			d.attempts[same].keys = append(d.attempts[same].keys, t.keys[0])
		}
	}
	if len(d.attempts) == 0 {
		return unsupported
	}
	d.attempts = slices.DeleteFunc(d.attempts, func(t *attempt) bool { return !d.options.Keys.Enough(t.keys) })
	if len(d.attempts) == 0 {
		return ErrNoRecipient
	}
	d.attempts = d.attempts[:min(len(d.attempts), maxAttempts)]
	return nil
}

// optional passes over an element of that tag, behind which nothing may follow.
func (d *decryption) optional(t ber.Tag) error {
	h, err := d.Next()
	switch {
	case err == io.EOF:
		return nil
	case err == nil && h.Tag != t:
		return d.Malformed("something else where attributes belong")
	}
	return err
}

// release finds the attempt that decrypted. Each takes its whole way first, and whatever is wrong gets the same answer.
func (d *decryption) release() (*Enveloped, error) {
	var released *attempt
	for _, t := range d.attempts {
		size, good, err := t.cipher.Finish(d.tag, d.aads, t.spool)
		if err != nil {
			return nil, err
		}
		// Unauthenticated noise is checked like plaintext: how long that takes must not tell how the padding was.
		if d.options.Check != nil && (good || !d.Cipher.Authenticated()) {
			checked := d.options.Check(io.NewSectionReader(t.spool, 0, size))
			good = good && checked
		}
		if good && released == nil {
			released = t
			d.Content, d.Opened, d.By = &Plaintext{t.spool, size}, t.info, t.keys
		}
	}
	if released == nil {
		return nil, ErrDecrypt
	}
	released.spool = nil // the caller's from here on
	return d.Enveloped, nil
}

// discard closes every spool that was not released.
func (d *decryption) discard() {
	for _, t := range d.attempts {
		if t.spool != nil {
			t.spool.Close()
		}
	}
}

// tail reads all of r but the last keep octets.
type tail struct {
	r    *bufio.Reader
	keep int
}

func (t tail) Read(p []byte) (int, error) {
	if _, err := t.r.Peek(t.keep + 1); err != nil {
		return 0, err
	}
	return t.r.Read(p[:min(len(p), t.r.Buffered()-t.keep)])
}

// rest is what was kept, once there is no more to read.
func (t tail) rest() []byte {
	b, _ := t.r.Peek(t.keep)
	return b
}
