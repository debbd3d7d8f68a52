package smime_test

import (
	"crypto"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailseal/certmgr/ca"
	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/smime"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// A holder is one whom mail is encrypted to, and who opens it.
type holder struct {
	name string
	to   recipient.To
	key  recipient.Key
}

func newHolder(name string, p pki.Pair, t recipient.Transport) holder {
	return holder{name, recipient.To{Certificate: p.Certificate, Transport: t}, recipient.Key{Certificate: p.Certificate, Private: p.Key}}
}

func pairOf(id pki.Identity) pki.Pair { return pki.Pair{Certificate: id.Certificate, Key: id.Key} }

// bob has an EC key, which is the fastest.
func bob(p *testpki.PKI) holder {
	return newHolder("P-256", pairOf(p.User("bob@partner.example", ca.P256)), recipient.Transport{})
}

// holders have a key of every kind.
func holders(p *testpki.PKI) []holder {
	rsa := pairOf(p.User("bob@partner.example", ca.RSA2048))
	hs := []holder{
		newHolder("RSA", rsa, recipient.Transport{}),
		newHolder("OAEP SHA-1", rsa, recipient.OAEP(crypto.SHA1)),
		newHolder("OAEP SHA-256", rsa, recipient.OAEP(crypto.SHA256)),
		newHolder("OAEP SHA-512, MGF SHA-1", rsa, recipient.Transport{Hash: crypto.SHA512, MGFHash: crypto.SHA1}),
		newHolder("P-384", pairOf(p.User("bob@partner.example", ca.P384)), recipient.Transport{}),
		newHolder("P-521", pairOf(p.User("bob@partner.example", ca.P521)), recipient.Transport{}),
		newHolder("X25519", p.X25519("bob@partner.example"), recipient.Transport{}),
		newHolder("ML-KEM-768", p.MLKEM768("bob@partner.example"), recipient.Transport{}),
		{"password", recipient.To{Password: []byte("geheim"), Rounds: 1000}, recipient.Key{Password: []byte("geheim")}},
		bob(p),
	}
	bySKI := bob(p)
	bySKI.name, bySKI.to.ByKeyID = "P-256 by key identifier", true
	return append(hs, bySKI)
}

var writable = []content.Cipher{
	content.None, content.AES128CBC, content.AES192CBC, content.AES256CBC, content.AES128GCM, content.AES256GCM, content.ChaCha20Poly1305,
}

// encrypt returns the mail as the MTA sends it on.
func encrypt(t testing.TB, m *message.Message, hs ...holder) *message.Message {
	t.Helper()
	o := smime.EncryptOptions{Spool: newSpool(t)}
	for _, h := range hs {
		o.To = append(o.To, h.to)
	}
	return encryptWith(t, m, o)
}

func encryptWith(t testing.TB, m *message.Message, o smime.EncryptOptions) *message.Message {
	t.Helper()
	edits, err := smime.Encrypt(m, o)
	if err != nil {
		t.Fatal(err)
	}
	return apply(t, m, edits)
}

// decrypt returns the mail as the MTA delivers it.
func decrypt(t testing.TB, m *message.Message, h holder) (*message.Message, *smime.Opened) {
	t.Helper()
	return decryptWith(t, m, smime.DecryptOptions{Keys: recipient.List{h.key}, Spool: newSpool(t)})
}

func decryptWith(t testing.TB, m *message.Message, o smime.DecryptOptions) (*message.Message, *smime.Opened) {
	t.Helper()
	edits, opened, err := smime.Decrypt(m, o)
	if err != nil {
		t.Fatal(err)
	}
	return apply(t, m, edits), opened
}

// refuses wants an error and nothing else of a decryption.
func refuses(t testing.TB, m *message.Message, want error, keys ...recipient.Key) {
	t.Helper()
	edits, opened, err := smime.Decrypt(m, smime.DecryptOptions{Keys: recipient.List(keys), Spool: newSpool(t)})
	if !errors.Is(err, want) || edits != nil || opened != nil {
		t.Errorf("got %v with %d edits, want %v", err, len(edits), want)
	}
}

// checkOpened: what was decrypted says what the mail said, and its header is the
// mail's own.
func checkOpened(t testing.TB, m, opened *message.Message) {
	t.Helper()
	if diff := cmp.Diff(leaves(t, m), leaves(t, opened)); diff != "" {
		t.Errorf("content is another after decryption (-before +after):\n%s", diff)
	}
	other := func(h message.Header) (fields []string) {
		for _, f := range h {
			if name := strings.ToLower(f.Name()); !strings.HasPrefix(name, "content-") && name != "mime-version" {
				fields = append(fields, f.Raw())
			}
		}
		return fields
	}
	if diff := cmp.Diff(other(m.Header), other(opened.Header)); diff != "" {
		t.Errorf("other fields changed (-before +after):\n%s", diff)
	}
}

// Every cipher and every kind of key, there and back.
func TestEveryCipherAndKindOfKey(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	m := read(t, newSpool(t), plain)
	for _, h := range holders(p) {
		for _, c := range writable {
			t.Run(h.name+" "+c.String(), func(t *testing.T) {
				e := encryptWith(t, m, smime.EncryptOptions{To: []recipient.To{h.to}, Cipher: c, Spool: newSpool(t)})
				checkTransport(t, e)
				checkFields(t, m, e)
				if body := text(t, e.Body); strings.Contains(body, "Hello Bob.") {
					t.Error("the content can be read")
				}
				back, opened := decrypt(t, e, h)
				checkOpened(t, m, back)
				if got, want := text(t, back.Body), text(t, m.Body); got != want {
					t.Errorf("body %q, want %q", got, want)
				}
				kind, cipher := smime.Enveloped, c
				if c.Authenticated() {
					kind = smime.AuthEnveloped
				}
				if c == content.None {
					cipher = content.AES256CBC
				}
				if len(opened.Layers) != 1 || opened.Layers[0].Kind != kind || opened.Layers[0].Cipher != cipher {
					t.Errorf("opened %+v", opened.Layers)
				}
			})
		}
	}
}

// One mail is for everybody whom it is encrypted to, and for nobody else.
func TestEveryRecipientOpens(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	m := read(t, newSpool(t), plain)
	hs := slices.DeleteFunc(holders(p), func(h holder) bool { return strings.HasPrefix(h.name, "OAEP") })
	e := encrypt(t, m, hs...)
	for _, h := range hs {
		back, opened := decrypt(t, e, h)
		checkOpened(t, m, back)
		if l := opened.Layers[0]; len(l.Recipients) != len(hs) || !l.Recipients[l.Recipient].For(h.key) {
			t.Errorf("%s opened as recipient %d of %d", h.name, l.Recipient, len(l.Recipients))
		}
	}
	carol := newHolder("carol", pairOf(p.User("carol@partner.example", ca.P256)), recipient.Transport{})
	refuses(t, encrypt(t, m, hs[0]), smime.ErrNoRecipient, carol.key)
	refuses(t, encrypt(t, m, hs[0]), smime.ErrNoRecipient)
}

// A signature inside encryption holds after it is off, whatever the signed mail
// is made of.
func TestSignedMailGoesInsideUntouched(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	id, h := p.User("alice@corp.example", ca.P256), bob(p)
	for _, format := range []smime.Format{smime.Detached, smime.Opaque} {
		signed := sign(t, read(t, newSpool(t), plain), options(t, id, format))
		back, _ := decrypt(t, encrypt(t, signed, h), h)
		if r := verify(t, back); !good(r) {
			t.Errorf("%v: %s", format, describe(r))
		}
		if got, want := text(t, back.Body), text(t, signed.Body); got != want {
			t.Errorf("%v: another body:\n%s", format, cmp.Diff(want, got))
		}
	}
	// Faults that cannot be mended stay: it cannot be signed so, but encrypted.
	broken := "Content-Type: multipart/signed; boundary=s; protocol=\"x/y\"\r\n\r\npre\xe9\r\n--s\r\n\r\n8-bit \xfc\x00, bare\nLF\r\n--s\r\n\r\nx\r\n--s--\r\nepi"
	m := readRaw(t, newSpool(t), broken)
	back, _ := decrypt(t, encrypt(t, m, h), h)
	if got, want := text(t, back.Body), text(t, m.Body); got != want {
		t.Errorf("another body: %q, want %q", got, want)
	}
}

// What is encrypted is not encrypted again, unless that is wanted.
func TestEncryptedMailIsNotEncryptedAgain(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	h := bob(p)
	m := read(t, newSpool(t), plain)
	once := encrypt(t, m, h)
	o := options(t, p.User("alice@corp.example", ca.P256), smime.Detached)
	o.Encrypted = true
	wrapped := sign(t, once, o)
	o.Format = smime.Opaque
	pgp := read(t, newSpool(t), "Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=b\n\n--b\n"+
		"Content-Type: application/pgp-encrypted\n\nVersion: 1\n--b\nContent-Type: application/octet-stream\n\n-----BEGIN PGP MESSAGE-----\n--b--\n")
	for name, e := range map[string]*message.Message{"enveloped": once, "signed": wrapped, "opaque": sign(t, once, o), "OpenPGP": pgp} {
		_, err := smime.Encrypt(e, smime.EncryptOptions{To: []recipient.To{h.to}, Spool: newSpool(t)})
		if !errors.Is(err, smime.ErrProtected) {
			t.Errorf("%s: %v", name, err)
		}
		again := encryptWith(t, e, smime.EncryptOptions{To: []recipient.To{h.to}, Spool: newSpool(t), Again: true})
		if name == "OpenPGP" {
			continue
		}
		back, opened := decrypt(t, again, h)
		if name == "enveloped" {
			checkOpened(t, m, back)
			if len(opened.Layers) != 2 {
				t.Errorf("opened %d layers", len(opened.Layers))
			}
		} else if back, _ = decrypt(t, back, h); text(t, back.Body) != text(t, m.Body) {
			t.Errorf("%s: opened %q", name, text(t, back.Body))
		}
	}
	for name, e := range map[string]string{
		"PGP-signed":     pgpSigned,
		"labelled":       "Content-Type: application/pkcs7-mime\n\nno CMS\n",
		"no header":      "\nbody\n",
		"no content":     "Subject: x\n\n",
		"two types":      "Content-Type: text/plain\nContent-Type: text/html\n\n<p>x\n",
		"type in doubt":  "Content-Type: multipart/mixed; boundary=\n\n--\nx\n",
		"long parameter": "Content-Type: text/plain; name=" + strings.Repeat("x", 2000) + "\n\nx\n",
		"header alone":   "Subject: x\nContent-Type: text/html",
	} {
		m := read(t, newSpool(t), e)
		back, _ := decrypt(t, encrypt(t, m, h), h)
		if diff := cmp.Diff(leaves(t, m), leaves(t, back)); diff != "" {
			t.Errorf("%s: (-before +after):\n%s", name, diff)
		}
	}
}

// Nobody is an error, and what no recipient's key can do is one of the mail.
func TestNobodyToEncryptTo(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	m := read(t, newSpool(t), plain)
	if _, err := smime.Encrypt(m, smime.EncryptOptions{Spool: newSpool(t)}); err == nil {
		t.Error("encrypted to nobody")
	}
	signer := p.User("carol@partner.example", ca.Ed25519).Certificate
	var unencryptable *smime.UnencryptableError
	_, err := smime.Encrypt(m, smime.EncryptOptions{To: []recipient.To{{Certificate: signer}}, Spool: newSpool(t)})
	if !errors.As(err, &unencryptable) {
		t.Errorf("to Ed25519: %v", err)
	}
	_, err = smime.Encrypt(m, smime.EncryptOptions{To: []recipient.To{bob(p).to}, Cipher: content.TripleDESCBC, Spool: newSpool(t)})
	if !errors.As(err, &unencryptable) {
		t.Errorf("with 3DES: %v", err)
	}
}

// A folded line of blanks ends the header for some readers: what comes from inside has none.
func TestNoBlankLineIsLifted(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	h := bob(p)
	inside := "Subject: a\r\n \r\n b\r\nContent-Type: text/plain;\r\n\t \r\n hp=cipher\r\nContent-Description:\r\n \r\nContent-ID:\r\n \t\r\n <1@x>\r\n\r\nx\r\n"
	m := read(t, newSpool(t), "From: a@b\nSubject: ...\n"+envelop(t, h, content.AES256GCM, inside))
	back, _ := decryptWith(t, m, smime.DecryptOptions{Keys: recipient.List{h.key}, Spool: newSpool(t), Headers: true})
	want := "From: a@b\r\nSubject: a\r\n b\r\nContent-Type: text/plain;\r\n hp=cipher\r\nContent-Description:\r\nContent-ID:\r\n <1@x>\r\nMIME-Version: 1.0\r\n\r\nx\r\n"
	if got := string(whole(t, back)); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}
