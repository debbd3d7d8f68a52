package smime_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"sort"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mailseal/certmgr/ca"
	"mailseal/internal/message"
	"mailseal/internal/testpki"
	"mailseal/smime"
	"mailseal/smime/cms"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
	"mailseal/smime/entity"
)

// cmsPart is an entity with a CMS object.
func cmsPart(der []byte) string {
	return "Content-Type: application/pkcs7-mime; name=smime.p7m\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString(der) + "\n"
}

// envelop encrypts any bytes and makes a mail of that, but for its header.
func envelop(t testing.TB, h holder, c content.Cipher, plaintext string) string {
	t.Helper()
	var der bytes.Buffer
	e := cms.Encryption{To: []recipient.To{h.to}, Cipher: c}
	if err := cms.Encrypt(&der, strings.NewReader(plaintext), int64(len(plaintext)), e); err != nil {
		t.Fatal(err)
	}
	return cmsPart(der.Bytes())
}

// Whatever of an entity is not as it should be, and whoever's key it is: the
// answer is one.
func TestEveryFailureIsTheSame(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	for _, h := range holders(p) {
		if h.name != "RSA" && h.name != "P-256" && h.name != "ML-KEM-768" {
			continue
		}
		for _, c := range []content.Cipher{content.AES128CBC, content.AES256GCM, content.ChaCha20Poly1305} {
			for name, plaintext := range map[string]string{
				"empty":                "",
				"no header":            "\r\nbody\r\n",
				"text":                 "Hello Bob.\r\n",
				"noise":                "\xd1\x17\x00\xff" + strings.Repeat("\x8e\n\n", 50),
				"no field of MIME":     "Subject: x\r\nFrom: y\r\n\r\nbody\r\n",
				"line without a colon": "Content-Type: text/plain\r\nno field\r\n\r\nbody\r\n",
				"NUL in the header":    "Content-Type: text/plain\x00\r\n\r\nbody\r\n",
				"CR in the header":     "Content-Type: text/plain\rX: y\r\n\r\nbody\r\n",
				"endless header":       "Content-Type: text/plain;\r\n" + strings.Repeat(" x=y;\r\n", 200_000),
				"endless line":         "Content-Type: " + strings.Repeat("x", 2<<20),
			} {
				if len(plaintext) > 1000 && h.name != "P-256" {
					continue
				}
				m := read(t, newSpool(t), "Subject: x\n"+envelop(t, h, c, plaintext))
				_, _, err := smime.Decrypt(m, smime.DecryptOptions{Keys: recipient.List{h.key}, Spool: newSpool(t)})
				if !errors.Is(err, smime.ErrDecrypt) || err.Error() != smime.ErrDecrypt.Error() {
					t.Errorf("%s, %v, %s: %v", h.name, c, name, err)
				}
			}
		}
	}
}

// The wrong key is no other failure, though one of 256 gives right padding.
func TestWrongKeys(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	for _, h := range holders(p) {
		m := read(t, newSpool(t), "Subject: x\n"+envelop(t, h, content.AES128CBC, "Content-Type: text/plain\r\n\r\nx\r\n"))
		tries := 5
		if _, slow := h.key.Private.(*rsa.PrivateKey); slow {
			tries = 1
		}
		for range tries {
			wrong := recipient.Key{Certificate: h.key.Certificate, Private: impostor(t, h.key.Private)}
			if h.key.Password != nil {
				wrong.Password = rapid.SliceOfN(rapid.Byte(), 1, 8).Example()
			}
			_, _, err := smime.Decrypt(m, smime.DecryptOptions{Keys: recipient.List{wrong}, Spool: newSpool(t)})
			if !errors.Is(err, smime.ErrDecrypt) || err.Error() != smime.ErrDecrypt.Error() {
				t.Errorf("%s: %v", h.name, err)
			}
			// The right key beside it opens.
			back, opened := decryptWith(t, m, smime.DecryptOptions{Keys: recipient.List{wrong, h.key}, Spool: newSpool(t)})
			if by := opened.Layers[0].By; len(by) != 1 || by[0].Private != h.key.Private || text(t, back.Body) != "x\r\n" {
				t.Errorf("%s: opened by %d keys: %q", h.name, len(by), text(t, back.Body))
			}
		}
	}
}

// A changed byte is never decrypted to something that was not encrypted where
// the cipher authenticates, and never ends otherwise than in a known way.
func TestChangedCiphertext(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	h := bob(p)
	m := read(t, newSpool(t), plain+strings.Repeat("One more line.\n", 20))
	for _, c := range []content.Cipher{content.AES256CBC, content.AES256GCM, content.ChaCha20Poly1305} {
		t.Run(c.String(), func(t *testing.T) {
			e := encryptWith(t, m, smime.EncryptOptions{To: []recipient.To{h.to}, Cipher: c, Spool: newSpool(t)})
			der, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(text(t, e.Body), "\r\n", ""))
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]int{}
			for at := range der {
				b := bytes.Clone(der)
				b[at] ^= 1 << (at % 8)
				changed := *e
				changed.Body = message.Bytes([]byte(base64.StdEncoding.EncodeToString(b)))
				edits, _, err := smime.Decrypt(&changed, smime.DecryptOptions{Keys: recipient.List{h.key}, Spool: newSpool(t)})
				var problem *smime.Problem
				switch {
				case err == nil:
					back := apply(t, &changed, edits)
					if same := text(t, back.Body) == text(t, m.Body); !same && c.Authenticated() {
						t.Errorf("byte %d changed, and so the content", at)
					}
					seen["decrypted"]++
				case errors.Is(err, smime.ErrDecrypt):
					seen["ErrDecrypt"]++
				case errors.Is(err, smime.ErrNoRecipient):
					seen["ErrNoRecipient"]++
				case errors.Is(err, smime.ErrNotEncrypted):
					seen["ErrNotEncrypted"]++
				case errors.As(err, &problem):
					seen[problem.Class.String()]++
				default:
					t.Errorf("byte %d: %v", at, err)
				}
			}
			t.Log(seen)
			if seen["ErrDecrypt"] == 0 || seen["malformed"] == 0 {
				t.Error("some outcome was not there")
			}
		})
	}
}

// From inside come the fields that describe the content, and no others.
func TestNothingElseIsLifted(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	h := bob(p)
	inside := "Authentication-Results: mx.corp.example; smime=pass\r\nFrom: ceo@corp.example\r\nSubject: another\r\nReceived: from me\r\n" +
		"X-Gateway-Encrypted: yes\r\nContent-Length: 3\r\nContent-type: text/html;\r\n charset=utf-8\r\nContent-ID : <1@x>\r\nDKIM-Signature: v=1\r\n" +
		"CONTENT-TRANSFER-ENCODING: 8bit\r\nTo: all@corp.example\r\nMIME-Version: 2.0\r\nBcc: x@y\r\n\r\n<p>\xfc\r\n"
	m := read(t, newSpool(t), "From: mallory@example.com\nSubject: hello\n"+
		"Content-Description: outside\nContent-Disposition: attachment\n"+envelop(t, h, content.AES256GCM, inside))
	for _, restore := range []bool{false, true} { // there is no hp parameter, so nothing to restore
		back, opened := decryptWith(t, m, smime.DecryptOptions{Keys: recipient.List{h.key}, Spool: newSpool(t), Headers: restore})
		want := "From: mallory@example.com\r\nSubject: hello\r\nContent-type: text/html;\r\n charset=utf-8\r\nCONTENT-TRANSFER-ENCODING: 8bit\r\n" +
			"Content-ID: <1@x>\r\nMIME-Version: 1.0\r\n\r\n<p>\xfc\r\n"
		if got := string(whole(t, back)); got != want {
			t.Errorf("got\n%q\nwant\n%q", got, want)
		}
		if f, ok := opened.Header.Get("Received"); !ok || f.Text() != "from me" {
			t.Error("the inner header is not told")
		}
		if opened.Protected != nil {
			t.Errorf("protected: %+v", opened.Protected)
		}
	}
}

// Fields that are there twice stay so, for whoever judges the mail.
func TestRepeatedFieldsStayRepeated(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	h := bob(p)
	m := read(t, newSpool(t), "From: mallory@example.com\n"+
		envelop(t, h, content.AES256GCM, "Content-Type: text/plain\r\nContent-Type: text/html\r\nContent-Language: de\r\n\r\n<p>\r\n"))
	back, _ := decrypt(t, m, h)
	var types []string
	for _, f := range back.Header.All("Content-Type") {
		types = append(types, f.Text())
	}
	if got := fmt.Sprint(types); got != "[text/plain text/html]" {
		t.Errorf("types %s", got)
	}
}

// EFAIL: only a mail that is encrypted as a whole is opened. An attacker's text
// round a stolen ciphertext never gets into one body with what was in it.
func TestPartsAreNeverDecrypted(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	h := bob(p)
	secret := encrypt(t, read(t, newSpool(t), plain), h)
	entity := func(m *message.Message) string {
		var b strings.Builder
		for _, f := range m.Header {
			if name := strings.ToLower(f.Name()); strings.HasPrefix(name, "content-") {
				b.WriteString(f.Raw() + "\r\n")
			}
		}
		return b.String() + "\r\n" + text(t, m.Body)
	}
	stolen := entity(secret)
	html := "Content-Type: text/html\r\n\r\n<img src=\"http://evil.example/"
	mixed := func(kind string, parts ...string) string {
		return "Content-Type: multipart/" + kind + "; boundary=b; protocol=\"application/pkcs7-signature\"\r\n\r\n--b\r\n" +
			strings.Join(parts, "\r\n--b\r\n") + "\r\n--b--\r\n"
	}
	signature := "Content-Type: application/pkcs7-signature; name=smime.p7s\r\nContent-Transfer-Encoding: base64\r\n\r\n"
	id := p.User("mallory@example.com", ca.P256)
	validly := sign(t, readRaw(t, newSpool(t), "From: mallory@example.com\r\n"+mixed("mixed", html, stolen)), options(t, id, smime.Detached))
	opaque := sign(t, readRaw(t, newSpool(t), "From: mallory@example.com\r\n"+mixed("mixed", html, stolen)), options(t, id, smime.Opaque))
	for name, mail := range map[string]string{
		"in the middle":            mixed("mixed", html, stolen, html),
		"alone in a multipart":     mixed("mixed", stolen),
		"alternative":              mixed("alternative", html, stolen),
		"related":                  mixed("related", html, stolen),
		"attached":                 "Content-Type: message/rfc822\r\n\r\n" + stolen,
		"signed by nobody":         mixed("signed", stolen, html),
		"signed with rubbish":      mixed("signed", stolen, signature+"QUJD"),
		"signed, three parts":      mixed("signed", html, stolen, signature+"QUJD"),
		"signed multipart":         string(whole(t, validly)),
		"opaquely signed":          string(whole(t, opaque)),
		"digest":                   mixed("digest", "\r\n"+stolen),
		"text before the CMS type": "Content-Type: text/html; x=\"application/pkcs7-mime\"\r\n\r\n" + stolen,
	} {
		t.Run(name, func(t *testing.T) {
			refuses(t, readRaw(t, newSpool(t), "From: mallory@example.com\r\n"+mail), smime.ErrNotEncrypted, h.key)
		})
	}
	var problem *smime.Problem
	twice := readRaw(t, newSpool(t), "Content-Type: application/pkcs7-mime; name=smime.p7m\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n"+text(t, secret.Body))
	if _, _, err := smime.Decrypt(twice, smime.DecryptOptions{Keys: recipient.List{h.key}, Spool: newSpool(t)}); !errors.As(err, &problem) {
		t.Errorf("two types: %v", err)
	}
	// What is inside of encryption is not opened in parts either.
	m := readRaw(t, newSpool(t), "From: mallory@example.com\r\n"+mixed("mixed", html, stolen))
	back, opened := decrypt(t, encrypt(t, m, h), h)
	if len(opened.Layers) != 1 || strings.Contains(text(t, back.Body), "Hello Bob") {
		t.Errorf("opened %d layers: %q", len(opened.Layers), text(t, back.Body))
	}
}

// kinds are those of the layers that were opened.
func kinds(o *smime.Opened) string {
	var words []string
	for _, l := range o.Layers {
		words = append(words, l.Kind.String())
	}
	return strings.Join(words, " ")
}

// compress is what others may do to mail before or after encryption.
func compress(t testing.TB, m *message.Message) *message.Message {
	t.Helper()
	e, err := entity.Outline(entity.Source{Header: m.Header, Body: m.Body, Root: walk(t, m), Spool: newSpool(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var der bytes.Buffer
	if err := cms.Compress(&der, message.NewReader(e)); err != nil {
		t.Fatal(err)
	}
	return read(t, newSpool(t), "From: alice@corp.example\nTo: bob@partner.example\nSubject: hello\n"+cmsPart(der.Bytes()))
}

// Layers come off one by one; a signature over something else stays.
func TestLayers(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	h, other := bob(p), newHolder("carol", pairOf(p.User("carol@partner.example", ca.P256)), recipient.Transport{})
	m := read(t, newSpool(t), plain)
	again := func(m *message.Message, h holder) *message.Message {
		return encryptWith(t, m, smime.EncryptOptions{To: []recipient.To{h.to}, Spool: newSpool(t), Again: true})
	}
	signed := func(m *message.Message, f smime.Format) *message.Message {
		o := options(t, p.User("alice@corp.example", ca.P256), f)
		o.Encrypted, o.Again = true, true
		return sign(t, m, o)
	}
	d, o := smime.Detached, smime.Opaque
	deep := m
	for range 9 {
		deep = again(deep, h)
	}
	for name, tt := range map[string]struct {
		mail  *message.Message
		kinds string
		left  smime.Kind
		rest  error
	}{
		"encrypted twice":           {again(again(m, h), h), "enveloped enveloped", smime.Plain, nil},
		"for somebody behind us":    {again(again(m, other), h), "enveloped", smime.Enveloped, smime.ErrNoRecipient},
		"compressed inside":         {again(compress(t, m), h), "enveloped compressed", smime.Plain, nil},
		"compressed outside":        {compress(t, again(m, h)), "compressed enveloped", smime.Plain, nil},
		"triple, detached":          {signed(again(signed(m, d), h), d), "signed-detached enveloped", smime.SignedDetached, nil},
		"triple, opaque":            {signed(again(signed(m, o), h), o), "signed-opaque enveloped", smime.SignedOpaque, nil},
		"signed twice, encrypted":   {signed(signed(again(m, h), d), d), "signed-detached signed-detached enveloped", smime.Plain, nil},
		"signed inside":             {again(signed(m, d), h), "enveloped", smime.SignedDetached, nil},
		"triple inside encryption":  {again(signed(again(m, h), d), h), "enveloped", smime.SignedDetached, nil},
		"compressed and signed":     {again(signed(compress(t, m), o), h), "enveloped", smime.SignedOpaque, nil},
		"compressed alone":          {compress(t, m), "", smime.Compressed, smime.ErrNotEncrypted},
		"signed alone":              {signed(m, d), "", smime.Plain, smime.ErrNotEncrypted},
		"signed opaquely alone":     {signed(m, o), "", smime.Plain, smime.ErrNotEncrypted},
		"deeper than one should go": {deep, strings.TrimSpace(strings.Repeat("enveloped ", 8)), smime.Enveloped, &smime.Problem{Class: smime.TooLarge}},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.kinds == "" {
				refuses(t, tt.mail, tt.rest, h.key)
				return
			}
			back, opened := decrypt(t, tt.mail, h)
			if got := kinds(opened); got != tt.kinds {
				t.Errorf("opened %q, want %q", got, tt.kinds)
			}
			var problem *smime.Problem
			if want, ok := tt.rest.(*smime.Problem); ok {
				if !errors.As(opened.Rest, &problem) || problem.Class != want.Class {
					t.Errorf("left because of %v", opened.Rest)
				}
			} else if !errors.Is(opened.Rest, tt.rest) {
				t.Errorf("left because of %v, want %v", opened.Rest, tt.rest)
			}
			kind, err := smime.Classify(back, walk(t, back))
			if err != nil || kind != tt.left {
				t.Errorf("left is %v, %v; want %v", kind, err, tt.left)
			}
			if kind.Signed() {
				if r := verify(t, back); !good(r) {
					t.Error(describe(r))
				}
			} else if kind == smime.Plain {
				checkOpened(t, m, back)
			}
		})
	}
}

// What may be decompressed is bounded for all layers together: each alone may be large.
func TestLayersInflateTogether(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	h := bob(p)
	needed := func(m *message.Message) int64 {
		m = encryptWith(t, m, smime.EncryptOptions{To: []recipient.To{h.to}, Spool: newSpool(t)})
		return int64(sort.Search(1<<16, func(n int) bool {
			edits, opened, err := smime.Decrypt(m, smime.DecryptOptions{
				Keys: recipient.List{h.key}, Spool: newSpool(t), CMS: cms.Limits{Inflated: int64(n) + 1},
			})
			if err != nil {
				t.Fatal(err)
			}
			message.Verdict{Edits: edits}.Close()
			return opened.Rest == nil
		}))
	}
	once := compress(t, read(t, newSpool(t), "From: alice@corp.example\n\n"+strings.Repeat("The same again.\n", 100)))
	if single, double := needed(once), needed(compress(t, once)); double < single+once.Body.Size() {
		t.Errorf("%d octets are enough for two layers of which one takes %d and the other %d", double, single, once.Body.Size())
	}
}

// Lines that end in LF, outside and inside, are those of a mail.
func TestDecryptLF(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	h := bob(p)
	mail := "From: alice@corp.example\n" + envelop(t, h, content.AES256CBC, "Content-Type: text/plain\n\none\ntwo\n")
	for _, m := range []*message.Message{read(t, newSpool(t), mail), readRaw(t, newSpool(t), mail)} {
		back, _ := decrypt(t, m, h)
		if got := text(t, back.Body); got != "one\r\ntwo\r\n" {
			t.Errorf("%q: got %q", m.Newline, got)
		}
	}
}

// A key that takes AES-GCM where it must not be does so only when told.
func TestMisplacedGCM(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	h := bob(p)
	cek := make([]byte, 32)
	rand.Read(cek)
	m := read(t, newSpool(t), "From: alice@corp.example\n"+cmsPart(misplaced(t, h, cek, "Content-Type: text/plain\r\n\r\nx\r\n")))
	var problem *smime.Problem
	if _, _, err := smime.Decrypt(m, smime.DecryptOptions{Keys: recipient.List{h.key}, Spool: newSpool(t)}); !errors.As(err, &problem) || problem.Class != smime.Unsupported {
		t.Errorf("got %v", err)
	}
	back, opened := decryptWith(t, m, smime.DecryptOptions{Keys: recipient.List{h.key}, Spool: newSpool(t), GCMInEnvelopedData: true})
	if text(t, back.Body) != "x\r\n" || opened.Layers[0].Kind != smime.Enveloped || opened.Layers[0].Cipher != content.AES256GCM {
		t.Errorf("opened %+v: %q", opened.Layers, text(t, back.Body))
	}
}
