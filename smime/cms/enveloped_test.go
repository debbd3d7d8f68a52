package cms

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"testing"

	"pgregory.net/rapid"

	"mailseal/smime/cms/ber"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// memory is a Spool that knows whether it was closed.
type memory struct {
	b      []byte
	closed bool
}

func (m *memory) Write(p []byte) (int, error) {
	m.b = append(m.b, p...)
	return len(p), nil
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(m.b).ReadAt(p, off) }

func (m *memory) Close() error {
	m.closed = true
	return nil
}

// spools keeps account of the Spools that were made.
type spools []*memory

func (s *spools) spool() (Spool, error) {
	m := &memory{}
	*s = append(*s, m)
	return m, nil
}

// open is how many are not closed.
func (s spools) open() (n int) {
	for _, m := range s {
		if !m.closed {
			n++
		}
	}
	return n
}

// decrypted reads object; there is a spool left open only with plaintext.
func decrypted(t failer, object io.Reader, o ReadEnvelopedOptions) (*Enveloped, []byte, error) {
	t.Helper()
	var s spools
	o.Spool = s.spool
	e, err := ReadEnveloped(object, o)
	if err != nil {
		if e != nil || s.open() != 0 {
			t.Fatalf("%v, yet there is %v and %d spools are open", err, e, s.open())
		}
		return nil, nil, err
	}
	plaintext := make([]byte, e.Content.Size())
	if _, err := e.Content.ReadAt(plaintext, 0); err != nil && err != io.EOF {
		t.Fatalf("read plaintext: %v", err)
	}
	if n, err := e.Content.ReadAt(make([]byte, 1), e.Content.Size()); n != 0 || err != io.EOF {
		t.Fatalf("there is more behind the plaintext: %v", err)
	}
	if s.open() != 1 {
		t.Fatalf("%d spools are open", s.open())
	}
	if e.Content.Close(); s.open() != 0 {
		t.Fatalf("closed, yet %d spools are open", s.open())
	}
	return e, plaintext, nil
}

// failer is a testing.TB or a rapid.T.
type failer interface {
	Helper()
	Fatalf(string, ...any)
}

func (i identity) recipient() recipient.To { return recipient.To{Certificate: i.cert} }

func (i identity) opener() recipient.Key { return recipient.Key{Certificate: i.cert, Private: i.key} }

// encrypted returns an object, in BER if size is unknown.
func encrypted(t failer, plaintext []byte, known bool, e Encryption) []byte {
	t.Helper()
	size := int64(len(plaintext))
	if !known {
		size = -1
	}
	var b bytes.Buffer
	if err := Encrypt(&b, bytes.NewReader(plaintext), size, e); err != nil {
		t.Fatalf("encrypt: %v", err)
	}
	return b.Bytes()
}

var written = []content.Cipher{
	content.AES128CBC, content.AES192CBC, content.AES256CBC, content.AES128GCM, content.AES256GCM, content.ChaCha20Poly1305,
}

var label = Attribute{Type: []int{1, 2, 840, 113549, 1, 9, 16, 2, 4}, Values: [][]byte{{4, 1, 'b'}, {4, 1, 'a'}}}

// decrypt(encrypt(m)) == m for every recipient alone and none else, in every cipher, size and encoding, with what was said of it.
func TestEncryptedIsDecrypted(t *testing.T) {
	someone := []recipient.To{rsa2048().recipient(), p256().recipient(), p384().recipient(), p521().recipient(),
		{Certificate: rsa2048().cert, ByKeyID: true}, {Certificate: p256().cert, ByKeyID: true},
		{Certificate: rsa2048().cert, Transport: recipient.OAEP(crypto.SHA256)}}
	keys := recipient.List{rsa2048().opener(), p256().opener(), p384().opener(), p521().opener(),
		rsa2048().opener(), p256().opener(), rsa2048().opener()}
	rapid.Check(t, func(t *rapid.T) {
		e := Encryption{Cipher: rapid.SampledFrom(written).Draw(t, "cipher")}
		to := rapid.SliceOfNDistinct(rapid.IntRange(0, len(someone)-1), 1, 3, rapid.ID).Draw(t, "to")
		for _, n := range to {
			e.To = append(e.To, someone[n])
		}
		if rapid.Bool().Draw(t, "signed-data") && e.Cipher.Authenticated() {
			e.ContentType = OIDSignedData
		}
		if rapid.Bool().Draw(t, "attributes") && e.Cipher.Authenticated() {
			e.Attributes = []Attribute{label}
		}
		plaintext := bytes.Repeat([]byte("All work and no play.\r\n"), 12_000)
		plaintext = plaintext[:rapid.OneOf(rapid.IntRange(0, 64), rapid.IntRange(0, len(plaintext))).Draw(t, "size")]
		known := rapid.Bool().Draw(t, "DER")
		object := encrypted(t, plaintext, known, e)
		if known {
			if again, err := ber.DER(bytes.Clone(object), ber.Limits{}); err != nil || !bytes.Equal(again, object) {
				t.Fatalf("not DER: %v", err)
			}
		}
		for _, n := range to {
			got, content, err := decrypted(t, bytes.NewReader(object), ReadEnvelopedOptions{Keys: keys[n : n+1]})
			if err != nil {
				t.Fatalf("recipient %d: %v", n, err)
			}
			if !bytes.Equal(content, plaintext) || got.Cipher != e.Cipher || len(got.Recipients) != len(to) || !got.ContentType.Equal(e.contentType()) {
				t.Fatalf("recipient %d: %d octets, %+v", n, len(content), got)
			}
			if want := len(e.Attributes) + map[bool]int{true: 1}[e.ContentType != nil || e.Attributes != nil]; len(got.Attributes) != want {
				t.Fatalf("recipient %d: attributes %v", n, got.Attributes)
			}
		}
		other := recipient.List{ed().opener(), {Certificate: root().cert, Private: root().key}}
		if _, _, err := decrypted(t, bytes.NewReader(object), ReadEnvelopedOptions{Keys: other}); !errors.Is(err, ErrNoRecipient) {
			t.Fatalf("somebody else: %v", err)
		}
	})
}

// The versions of RFC 5652 section 6.1, and the sort of object that the cipher makes.
func TestEnvelopedVersion(t *testing.T) {
	byKey := recipient.To{Certificate: rsa2048().cert, ByKeyID: true}
	for _, test := range []struct {
		cipher  content.Cipher
		to      []recipient.To
		version int
	}{
		{content.AES256CBC, []recipient.To{rsa2048().recipient()}, 0},
		{content.AES256CBC, []recipient.To{rsa2048().recipient(), byKey}, 2},
		{content.AES256CBC, []recipient.To{rsa2048().recipient(), p256().recipient()}, 2},
		{content.AES256CBC, []recipient.To{p256().recipient(), {Password: []byte("x"), Rounds: 1000}}, 3},
		{content.AES256GCM, []recipient.To{p256().recipient(), {Password: []byte("x"), Rounds: 1000}}, 0},
	} {
		kind := OIDEnvelopedData
		if test.cipher.Authenticated() {
			kind = OIDAuthEnvelopedData
		}
		for _, known := range []bool{true, false} {
			object := encrypted(t, mail, known, Encryption{To: test.to, Cipher: test.cipher})
			e, _, err := decrypted(t, bytes.NewReader(object), ReadEnvelopedOptions{Keys: recipient.List{rsa2048().opener(), p256().opener()}})
			if err != nil || e.Version != test.version || !e.Type.Equal(kind) {
				t.Errorf("%v for %d: %v, %+v; want version %d", test.cipher, len(test.to), err, e, test.version)
			}
		}
	}
}

// What cannot be asked for.
func TestEncryptRefuses(t *testing.T) {
	to := []recipient.To{rsa2048().recipient()}
	for what, e := range map[string]Encryption{
		"nobody":                    {Cipher: content.AES256CBC},
		"no cipher":                 {To: to},
		"3DES":                      {To: to, Cipher: content.TripleDESCBC},
		"CCM":                       {To: to, Cipher: content.AES256CCM},
		"a key that only signs":     {To: []recipient.To{ed().recipient()}, Cipher: content.AES256CBC},
		"attributes with CBC":       {To: to, Cipher: content.AES256CBC, Attributes: []Attribute{label}},
		"attributes twice":          {To: to, Cipher: content.AES256GCM, Attributes: []Attribute{label, label}},
		"a content-type attribute":  {To: to, Cipher: content.AES256GCM, Attributes: []Attribute{{Type: oidContentType}}},
		"content of a strange type": {To: to, Cipher: content.AES256GCM, ContentType: []int{7}},
	} {
		var b bytes.Buffer
		if err := Encrypt(&b, bytes.NewReader(mail), -1, e); err == nil || b.Len() > 0 {
			t.Errorf("%s: %v, %d octets written", what, err, b.Len())
		}
	}
	for _, size := range []int64{0, int64(len(mail)) - 1, int64(len(mail)) + 1} {
		if err := Encrypt(io.Discard, bytes.NewReader(mail), size, Encryption{To: to, Cipher: content.AES256CBC}); err == nil {
			t.Errorf("%d octets for %d", len(mail), size)
		}
	}
	want := errors.New("broken")
	for n := range 3 {
		if err := Encrypt(&breaking{n, want}, bytes.NewReader(mail), 35, Encryption{To: to, Cipher: content.AES256GCM}); err != want {
			t.Errorf("write %d breaks: %v", n, err)
		}
	}
}

// breaking breaks after some writes.
type breaking struct {
	writes int
	err    error
}

func (b *breaking) Write(p []byte) (int, error) {
	if b.writes--; b.writes < 0 {
		return 0, b.err
	}
	return len(p), nil
}

func ExampleEncrypt() {
	alice := p256()
	var object bytes.Buffer
	err := Encrypt(&object, bytes.NewReader(mail), int64(len(mail)), Encryption{
		To:     []recipient.To{{Certificate: alice.cert}},
		Cipher: content.AES256CBC,
	})
	fmt.Println(err)
	e, err := ReadEnveloped(&object, ReadEnvelopedOptions{
		Keys:  recipient.List{{Certificate: alice.cert, Private: alice.key}},
		Spool: func() (Spool, error) { return &memory{}, nil },
	})
	fmt.Println(e.Cipher, e.Content.Size(), err)
	// Output:
	// <nil>
	// AES256-CBC 35 <nil>
}
