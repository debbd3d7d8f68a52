package cms

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/ber"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
	"mailseal/smime/cms/syntax"
)

// parts of an EnvelopedData or AuthEnvelopedData, to be put together wrongly.
type parts struct {
	kind            []int
	version         []byte
	originator      []byte
	recipients      [][]byte
	contentType     []byte
	algorithm       []byte
	ciphertext      []byte // element, nil for none
	attributes, tag []byte // elements
	unprotected     []byte
}

// takeApart takes apart what Encrypt made in DER.
func takeApart(t testing.TB, object []byte) *parts {
	t.Helper()
	r := ber.NewReader(bytes.NewReader(object), ber.Limits{})
	raw := func() []byte {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		return must(r.Raw(1 << 28))
	}
	enter := func() {
		if _, err := r.Next(); err != nil || r.Enter() != nil {
			t.Fatal("not what Encrypt makes")
		}
	}
	p := &parts{}
	enter()
	s := input(raw())
	p.kind, _ = syntax.ReadOID(&s)
	enter()
	enter()
	p.version = raw()
	enter()
	for {
		if _, err := r.Next(); err == io.EOF {
			break
		}
		p.recipients = append(p.recipients, must(r.Raw(1<<28)))
	}
	r.Leave()
	enter()
	p.contentType, p.algorithm, p.ciphertext = raw(), raw(), raw()
	r.Leave()
	if h, err := r.Next(); err == nil {
		if h.Tag == ber.Context(1) {
			p.attributes = must(r.Raw(1 << 28))
			r.Next()
		}
		p.tag = must(r.Raw(1 << 28))
	}
	return p
}

func (p *parts) build() []byte {
	return tlv(der.SEQUENCE, oidDER(p.kind), tlv(syntax.Explicit(0), tlv(der.SEQUENCE, p.version, p.originator,
		tlv(der.SET, p.recipients...), tlv(der.SEQUENCE, p.contentType, p.algorithm, p.ciphertext), p.attributes, p.tag, p.unprotected)))
}

// What is odd but no reason to refuse.
func TestEnvelopedTolerates(t *testing.T) {
	keys := recipient.List{rsa2048().opener()}
	for _, cipher := range []content.Cipher{content.AES256CBC, content.AES128GCM} {
		object := encrypted(t, mail, true, Encryption{To: []recipient.To{rsa2048().recipient(), p256().recipient()}, Cipher: cipher})
		for what, change := range map[string]func(*parts){
			"nothing":           func(*parts) {},
			"version":           func(p *parts) { p.version = []byte{2, 1, 7} },
			"originator":        func(p *parts) { p.originator = tlv(syntax.Explicit(0), tlv(syntax.Explicit(0), rsa2048().cert.Raw)) },
			"unknown recipient": func(p *parts) { p.recipients = append(p.recipients, tlv(syntax.Explicit(9), []byte{5, 0})) },
			"unprotected attributes": func(p *parts) {
				p.unprotected = tlv(syntax.Explicit(1), attr(label.Type, addCapabilities))
				if p.tag != nil {
					p.unprotected[0]++
				}
			},
			"pieces": func(p *parts) {
				var b []byte
				for _, c := range p.ciphertext[2:] {
					b = append(b, 4, 1, c, 4, 0)
				}
				p.ciphertext = slices.Concat([]byte{0xa0, 0x80}, b, []byte{0, 0})
			},
			"pieces of pieces": func(p *parts) {
				half := len(p.ciphertext) / 2
				p.ciphertext = tlv(syntax.Explicit(0), tlv(der.OCTET_STRING, p.ciphertext[2:half]), []byte{0x24, 0x80},
					tlv(der.OCTET_STRING, p.ciphertext[half:half+1]), []byte{0x24, 0}, tlv(der.OCTET_STRING, p.ciphertext[half+1:]), []byte{0, 0})
			},
		} {
			p := takeApart(t, object)
			change(p)
			e, got, err := decrypted(t, bytes.NewReader(p.build()), ReadEnvelopedOptions{Keys: keys})
			if err != nil || !bytes.Equal(got, mail) {
				t.Errorf("%v, %s: %q, %v", cipher, what, got, err)
				continue
			}
			if e.Recipients[e.Opened].Kind != recipient.KeyTransport || len(e.By) != 1 {
				t.Errorf("%v, %s: opened by %+v", cipher, what, e.Recipients[e.Opened])
			}
		}
		if _, got, err := decrypted(t, bytes.NewReader(berEncode(object)), ReadEnvelopedOptions{Keys: keys}); err != nil || !bytes.Equal(got, mail) {
			t.Errorf("%v, all of indefinite length: %q, %v", cipher, got, err)
		}
	}
}

// What everybody can see is told.
func TestEnvelopedRefuses(t *testing.T) {
	cbc := encrypted(t, mail, true, Encryption{To: []recipient.To{rsa2048().recipient()}, Cipher: content.AES256CBC})
	gcm := encrypted(t, mail, true, Encryption{To: []recipient.To{rsa2048().recipient()}, Cipher: content.AES256GCM})
	attribute := attr(label.Type, addCapabilities)
	for _, test := range []struct {
		what   string
		from   []byte
		change func(*parts)
		want   error
	}{
		{"no content", cbc, func(p *parts) { p.ciphertext = nil }, ErrMalformed},
		{"content under another tag", cbc, func(p *parts) { p.ciphertext[0] = 0x81 }, ErrMalformed},
		{"content that is pieces of something else", cbc, func(p *parts) { p.ciphertext = tlv(syntax.Explicit(0), []byte{5, 0}) }, ErrMalformed},
		{"no recipients", cbc, func(p *parts) { p.recipients = nil }, ErrNoRecipient},
		{"malformed recipient", cbc, func(p *parts) { p.recipients = append(p.recipients, []byte{0x30, 0}) }, ErrMalformed},
		{"unknown cipher", cbc, func(p *parts) { p.algorithm = syntax.Algorithm([]int{1, 2, 840, 113549, 3, 2}, nil) }, ErrUnsupported},
		{"cipher without parameters", cbc, func(p *parts) { p.algorithm = syntax.Algorithm(content.AES256CBC.OID(), nil) }, ErrMalformed},
		{"GCM in EnvelopedData", gcm, func(p *parts) { p.kind, p.tag = OIDEnvelopedData, nil }, ErrUnsupported},
		{"CBC in AuthEnvelopedData", cbc, func(p *parts) { p.kind, p.tag = OIDAuthEnvelopedData, []byte{4, 0} }, ErrUnsupported},
		{"no tag", gcm, func(p *parts) { p.tag = nil }, ErrMalformed},
		{"something else for a tag", gcm, func(p *parts) { p.tag = []byte{5, 0} }, ErrMalformed},
		{"a long tag", gcm, func(p *parts) { p.tag = tlv(der.OCTET_STRING, make([]byte, 5000)) }, ErrLimit},
		{"two tags", gcm, func(p *parts) { p.tag = append(p.tag, p.tag...) }, ErrMalformed},
		{"a tag in EnvelopedData", cbc, func(p *parts) { p.tag = []byte{4, 0} }, ErrMalformed},
		{"duplicate attributes", gcm, func(p *parts) { p.attributes = tlv(syntax.Explicit(1), attribute, attribute) }, ErrAttributes},
		{"primitive attributes", gcm, func(p *parts) { p.attributes = []byte{0x81, 0} }, ErrMalformed},
		{"attributes that are none", gcm, func(p *parts) { p.attributes = tlv(syntax.Explicit(1), []byte{5, 0}) }, ErrMalformed},
		{"another content type", gcm, func(p *parts) {
			p.attributes = tlv(syntax.Explicit(1), attr(oidContentType, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(OIDSignedData) }))
		}, ErrAttributes},
		{"no content type", gcm, func(p *parts) { p.contentType = oidDER(OIDSignedData) }, ErrAttributes},
		{"many attributes", gcm, func(p *parts) {
			p.attributes = tlv(syntax.Explicit(1), slices.Repeat([][]byte{attribute}, 65)...)
		}, ErrLimit},
		{"many recipients", cbc, func(p *parts) { p.recipients = slices.Repeat([][]byte{{0xa9, 0}}, 2001) }, ErrLimit},
	} {
		p := takeApart(t, test.from)
		test.change(p)
		_, _, err := decrypted(t, bytes.NewReader(p.build()), ReadEnvelopedOptions{Keys: recipient.List{rsa2048().opener()}})
		wantErr(t, test.what, err, test.want)
	}
	for n := range cbc {
		_, _, err := decrypted(t, bytes.NewReader(cbc[:n]), ReadEnvelopedOptions{Keys: recipient.List{rsa2048().opener()}})
		if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrNoRecipient) {
			t.Fatalf("%d of %d octets: %v", n, len(cbc), err)
		}
	}
	_, _, err := decrypted(t, bytes.NewReader(append(bytes.Clone(cbc), 0)), ReadEnvelopedOptions{Keys: recipient.List{rsa2048().opener()}})
	wantErr(t, "an octet behind", err, ErrMalformed)
	_, _, err = decrypted(t, bytes.NewReader(opaque(t, mail, rsa2048().signer())), ReadEnvelopedOptions{})
	wantErr(t, "signed", err, ErrUnsupported)
	_, err = ReadEnveloped(bytes.NewReader(cbc), ReadEnvelopedOptions{
		Keys:  recipient.List{rsa2048().opener()},
		Spool: func() (Spool, error) { return nil, io.ErrShortWrite },
	})
	wantErr(t, "no spool", err, io.ErrShortWrite)
}

// Everything that depends on a key is one error, with one text, told after all ciphertext was decrypted.
func TestUniformFailure(t *testing.T) {
	keys := recipient.List{rsa2048().opener(), p256().opener()}
	noise := bytes.Repeat([]byte{0xa5}, 16)
	change := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	for _, cipher := range []content.Cipher{content.AES128CBC, content.AES256CBC, content.AES256GCM, content.ChaCha20Poly1305} {
		oaep := recipient.To{Certificate: rsa2048().cert, Transport: recipient.OAEP(crypto.SHA256)}
		for what, to := range map[string]recipient.To{"v1.5": rsa2048().recipient(), "OAEP": oaep, "ECDH": p256().recipient()} {
			object := encrypted(t, mail, true, Encryption{To: []recipient.To{to}, Cipher: cipher})
			for how, f := range map[string]func(*parts){
				"wrong key":        func(p *parts) { p.recipients[0] = change(p.recipients[0], len(p.recipients[0])-1) },
				"key of noise":     func(p *parts) { copy(p.recipients[0][len(p.recipients[0])-16:], noise) },
				"changed text":     func(p *parts) { p.ciphertext = change(p.ciphertext, len(p.ciphertext)-17) },
				"changed end":      func(p *parts) { p.ciphertext = change(p.ciphertext, len(p.ciphertext)-1) },
				"text cut off":     func(p *parts) { p.ciphertext = tlv(syntax.Context0, p.ciphertext[2:len(p.ciphertext)-1]) },
				"block cut off":    func(p *parts) { p.ciphertext = tlv(syntax.Context0, p.ciphertext[2:len(p.ciphertext)-16]) },
				"nothing left":     func(p *parts) { p.ciphertext = tlv(syntax.Context0) },
				"changed tag":      func(p *parts) { p.tag = change(p.tag, len(p.tag)-1) },
				"short tag":        func(p *parts) { p.tag = tlv(der.OCTET_STRING, p.tag[2:14]) },
				"no tag":           func(p *parts) { p.tag = []byte{4, 0} },
				"other attributes": func(p *parts) { p.attributes = tlv(syntax.Explicit(1), attr(label.Type, addCapabilities)) },
			} {
				p := takeApart(t, object)
				if p.tag == nil && slices.Contains([]string{"changed tag", "short tag", "no tag", "other attributes"}, how) {
					continue
				}
				f(p)
				var s spools
				_, err := ReadEnveloped(bytes.NewReader(p.build()), ReadEnvelopedOptions{Keys: keys, Spool: s.spool, Check: beginsLikeMail})
				if err == nil && how == "changed end" && !cipher.Authenticated() {
					continue // the last octet of a random block is 1 one time in 256, which is padding
				}
				if err != ErrDecrypt {
					t.Errorf("%v, %s, %s: %v", cipher, what, how, err)
					continue
				}
				if s.open() != 0 || len(s) != 1 || len(s[0].b) != len(p.ciphertext)-2 {
					t.Errorf("%v, %s, %s: %d spools are open, %d octets were decrypted of %d", cipher, what, how, s.open(), len(s[0].b), len(p.ciphertext)-2)
				}
			}
		}
	}
}

// beginsLikeMail is a Check.
func beginsLikeMail(r *io.SectionReader) bool {
	head := make([]byte, 8)
	io.ReadFull(r, head)
	return string(head) == "Content-"
}

// Of several keys that may be meant all are tried, whichever is right, and the plaintext of only one remains.
func TestSeveralAttempts(t *testing.T) {
	right := p256().opener()
	wrong := recipient.Key{Certificate: right.Certificate, Private: root().key} // a key of the same curve
	object := encrypted(t, mail, true, Encryption{To: []recipient.To{p256().recipient(), rsa2048().recipient()}, Cipher: content.AES256CBC})
	for _, test := range []struct {
		keys recipient.List
		want int // the key that opens; -1: none
	}{
		{recipient.List{right, wrong}, 0},
		{recipient.List{wrong, right}, 1},
		{recipient.List{wrong, rsa2048().opener(), wrong}, 1},
		{recipient.List{wrong, wrong}, -1},
		{recipient.List{wrong, wrong, wrong, wrong, right}, -1}, // one too many
	} {
		var s spools
		checks := 0
		e, err := ReadEnveloped(bytes.NewReader(object), ReadEnvelopedOptions{Keys: test.keys, Spool: s.spool, Check: func(r *io.SectionReader) bool {
			checks++
			return beginsLikeMail(r)
		}})
		if want := min(len(test.keys), maxAttempts); len(s) != want || checks != want {
			t.Errorf("%d keys: %d spools, %d checks", len(test.keys), len(s), checks)
		}
		switch {
		case test.want < 0 && err == ErrDecrypt && s.open() == 0:
		case test.want >= 0 && err == nil && len(e.By) == 1 && e.By[0].Private == test.keys[test.want].Private && s.open() == 1:
		default:
			t.Errorf("want key %d: %+v, %v, %d spools open", test.want, e, err, s.open())
		}
	}
}

// A mail to a whole department: each of them has a key here, and the mail opens only if all of them have it.
func TestManyOfUs(t *testing.T) {
	us := department{List: make(recipient.List, 150)}
	to := make([]recipient.To, len(us.List))
	for i := range us.List {
		c := *p256().cert
		c.SubjectKeyId = fmt.Appendf(nil, "key %d", i)
		us.List[i] = recipient.Key{Certificate: &c, Private: p256().key}
		to[i] = recipient.To{Certificate: &c, ByKeyID: true}
	}
	object := encrypted(t, mail, true, Encryption{To: to, Cipher: content.AES256CBC})
	if e, got, err := decrypted(t, bytes.NewReader(object), ReadEnvelopedOptions{Keys: us}); err != nil || !bytes.Equal(got, mail) || len(e.By) != len(us.List) {
		t.Errorf("to %d: opened by %+v, %v", len(to), e, err)
	}
	others := encrypted(t, mail, true, Encryption{To: to[1:], Cipher: content.AES256CBC})
	if _, _, err := decrypted(t, bytes.NewReader(others), ReadEnvelopedOptions{Keys: us}); err != ErrNoRecipient {
		t.Errorf("one of %d is left out: %v", len(to), err)
	}
}

// department opens what all of them open.
type department struct{ recipient.List }

func (e department) Enough(keys []recipient.Key) bool { return len(keys) == len(e.List) }

// Passwords of others do not keep out who is named, and what they cost is bounded however many there are.
func TestPasswordsComeLast(t *testing.T) {
	to := []recipient.To{rsa2048().recipient()}
	for n := range 6 {
		to = append(to, recipient.To{Password: []byte{byte('a' + n)}, Rounds: 1 + n})
	}
	object := encrypted(t, mail, true, Encryption{To: to, Cipher: content.AES256CBC})
	keys := recipient.List{{Password: []byte("f")}, rsa2048().opener()}
	if e, _, err := decrypted(t, bytes.NewReader(object), ReadEnvelopedOptions{Keys: keys}); err != nil || e.By[0].Private == nil {
		t.Errorf("beside six passwords: %v", err)
	}
	dear := must(recipient.Parse(must(recipient.To{Password: []byte("x"), Rounds: maxRounds/2 - 1}.Wrap(rand.Reader, make([]byte, 32)))))
	d := decryption{Enveloped: &Enveloped{Recipients: slices.Repeat([]*recipient.Info{dear}, 100)}, options: ReadEnvelopedOptions{Keys: keys}}
	if d.match(); len(d.attempts) != 2 {
		t.Errorf("%d rounds for each of a hundred: %d attempts", dear.Rounds(), len(d.attempts))
	}
}

// A spool that fails leaves nothing open, also behind an attempt that was good.
func TestSpoolFailsLate(t *testing.T) {
	right := p256().opener()
	object := encrypted(t, mail, true, Encryption{
		To: []recipient.To{p256().recipient()}, Cipher: content.ChaCha20Poly1305, Attributes: []Attribute{label}, // which are read again
	})
	var s spools
	made := 0
	e, err := ReadEnveloped(bytes.NewReader(object), ReadEnvelopedOptions{Keys: recipient.List{right, {Certificate: right.Certificate, Private: root().key}}, Spool: func() (Spool, error) {
		spool, err := s.spool()
		if made++; made == 2 {
			return unreadable{spool}, err
		}
		return spool, err
	}})
	if e != nil || !errors.Is(err, io.ErrUnexpectedEOF) || len(s) != 2 || s.open() != 0 {
		t.Errorf("%v, %v, %d of %d spools open", e, err, s.open(), len(s))
	}
}

type unreadable struct{ Spool }

func (unreadable) ReadAt([]byte, int64) (int, error) { return 0, io.ErrUnexpectedEOF }

// A wrong key makes right padding one time in 256; then Check sees noise, and its answer counts.
func TestCheck(t *testing.T) {
	for _, cipher := range []content.Cipher{content.AES256CBC, content.AES256GCM} {
		object := encrypted(t, mail, true, Encryption{To: []recipient.To{p256().recipient()}, Cipher: cipher})
		for _, answer := range []bool{true, false} {
			var seen []byte
			_, got, err := decrypted(t, bytes.NewReader(object), ReadEnvelopedOptions{Keys: recipient.List{p256().opener()}, Check: func(r *io.SectionReader) bool {
				seen = must(io.ReadAll(r))
				return answer
			}})
			if !bytes.Equal(seen, mail) || answer != (err == nil) || answer != bytes.Equal(got, mail) || !answer && err != ErrDecrypt {
				t.Errorf("%v, Check says %v of %q: %q, %v", cipher, answer, seen, got, err)
			}
		}
	}
}

// GCM in EnvelopedData is read as those write it who do: with the tag behind the text, however it is cut.
func TestGCMInEnvelopedData(t *testing.T) {
	for _, size := range []int{0, 1, 16, 100, 70_000} {
		plaintext := bytes.Repeat([]byte("x"), size)
		p := takeApart(t, encrypted(t, plaintext, true, Encryption{To: []recipient.To{p256().recipient()}, Cipher: content.AES256GCM}))
		in := input(p.ciphertext)
		var text, tag []byte
		in.ReadASN1Bytes(&text, syntax.Context0)
		in = input(p.tag)
		in.ReadASN1Bytes(&tag, der.OCTET_STRING)
		text = append(text, tag...)
		p.kind, p.tag = OIDEnvelopedData, nil
		o := ReadEnvelopedOptions{Keys: recipient.List{p256().opener()}, GCMInEnvelopedData: true}
		for _, piece := range []int{1, 15, 16, 17, 4096, len(text)} {
			if size > 1000 && piece == 1 {
				continue
			}
			var list []byte
			for rest := text; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
				list = append(list, tlv(der.OCTET_STRING, rest[:min(piece, len(rest))])...)
			}
			p.ciphertext = tlv(syntax.Explicit(0), list)
			if _, got, err := decrypted(t, bytes.NewReader(p.build()), o); err != nil || !bytes.Equal(got, plaintext) {
				t.Errorf("%d octets in pieces of %d: %d octets, %v", size, piece, len(got), err)
			}
		}
		for _, wrong := range [][]byte{text[:len(text)-1], text[:len(text)-16], text[:min(15, len(text))], nil} {
			p.ciphertext = tlv(syntax.Context0, wrong)
			if _, _, err := decrypted(t, bytes.NewReader(p.build()), o); err != ErrDecrypt {
				t.Errorf("%d of %d octets with tag: %v", len(wrong), len(text), err)
			}
		}
	}
}
