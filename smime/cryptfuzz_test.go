package smime_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"mailseal/internal/message"
	"mailseal/internal/spool"
	"mailseal/smime"
	"mailseal/smime/cms"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// fixedHolder is the same in each of the fuzzer's processes.
func fixedHolder(t testing.TB) holder {
	t.Helper()
	key, err := ecdh.P256().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := asn1.Marshal(pkix.Name{CommonName: "CA"}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{RawIssuer: issuer, SerialNumber: big.NewInt(7), PublicKey: key.PublicKey()}
	return holder{"bob", recipient.To{Certificate: cert}, recipient.Key{Certificate: cert, Private: key}}
}

// FuzzDecrypt: whatever the mail, Decrypt ends, says nothing beside an error,
// and what it gives is all of what one object held: exactly what was
// encrypted, where that is authenticated.
func FuzzDecrypt(f *testing.F) {
	h, id := fixedHolder(f), fixedIdentity(f)
	s := newSpool(f)
	known := map[string]bool{}
	add := func(m *message.Message) {
		f.Add(whole(f, m), true)
		f.Add(bytes.ReplaceAll(whole(f, m), []byte("\r\n"), []byte("\n")), false)
		if root := walk(f, m); root.Encoding == "base64" { // what is changed in binary stays an object
			var b bytes.Buffer
			b.WriteString("Subject: x\r\nContent-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: binary\r\n\r\n")
			b.ReadFrom(root.Decode(m.Body))
			f.Add(b.Bytes(), true)
		}
	}
	encrypt := func(m *message.Message, c content.Cipher) *message.Message {
		return encryptWith(f, m, smime.EncryptOptions{To: []recipient.To{h.to}, Cipher: c, Spool: s, Again: true})
	}
	m := read(f, s, plain)
	known[text(f, m.Body)] = true
	o := options(f, id, smime.Detached)
	o.Rand = rand.NewChaCha8([32]byte{})
	signed := sign(f, m, o)
	opaque := sign(f, m, options(f, id, smime.Opaque))
	for _, inner := range []*message.Message{m, signed, opaque, compress(f, m), read(f, s, secret)} {
		known[text(f, inner.Body)] = true
		for _, c := range []content.Cipher{content.AES128CBC, content.AES128GCM, content.ChaCha20Poly1305} {
			add(encrypt(inner, c))
		}
	}
	once := encrypt(m, content.AES128GCM)
	known[text(f, once.Body)] = true
	add(encrypt(once, content.AES128GCM))
	add(compress(f, once))
	o.Encrypted = true
	add(sign(f, once, o))
	o.Format = smime.Opaque
	add(sign(f, once, o))
	hidden := protect(f, read(f, s, secret), smime.ProtectOptions{
		Mode: smime.ModeEncrypt, Headers: smime.HideSubject,
		Encrypt: smime.EncryptOptions{To: []recipient.To{h.to}, Cipher: content.AES128GCM, Spool: s},
	})
	add(hidden)

	f.Fuzz(func(t *testing.T, mail []byte, headers bool) {
		m, err := message.Read(bytes.NewReader(mail), s, message.Limits{})
		if err != nil {
			return
		}
		defer m.Body.Close()
		keys := recipient.List{h.key}
		edits, opened, err := smime.Decrypt(m, smime.DecryptOptions{Keys: keys, Spool: s, Headers: headers, Depth: 4})
		if err != nil {
			if edits != nil || opened != nil {
				t.Error("something came out beside an error")
			}
			var problem *smime.Problem
			var limit *message.LimitError
			if !errors.Is(err, smime.ErrDecrypt) && !errors.Is(err, smime.ErrNoRecipient) && !errors.Is(err, smime.ErrNotEncrypted) &&
				!errors.As(err, &problem) && !errors.As(err, &limit) {
				t.Errorf("unexpected: %v", err)
			}
			return
		}
		defer message.Verdict{Edits: edits}.Close()
		back, err := m.Apply(edits)
		if err != nil {
			t.Fatalf("edits that no MTA takes: %v", err)
		}
		body := text(t, back.Body)
		if authenticated(opened) && !known[body] {
			t.Errorf("decrypted what was never encrypted: %q", body)
		}
		if l := opened.Layers; len(l) == 1 && opened.Rest == nil && !strings.HasSuffix(plaintextOf(t, m, s, keys), body) {
			t.Errorf("not the whole of one plaintext: %q", body)
		}
		if got, want := lines(back.Header, "From", "Sender"), lines(m.Header, "From", "Sender"); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("from %q, was %q", got, want)
		}
		if _, err := smime.Inspect(m, smime.InspectOptions{Spool: s, Keys: keys}); err != nil && !errors.As(err, new(*message.LimitError)) {
			t.Error(err)
		}
	})
}

// authenticated reports whether nobody could change what was decrypted.
func authenticated(o *smime.Opened) bool {
	for _, l := range o.Layers {
		switch l.Kind {
		case smime.AuthEnveloped:
			return true
		case smime.Enveloped:
			return false
		}
	}
	return false
}

// plaintextOf decrypts the one object of a mail by itself.
func plaintextOf(t testing.TB, m *message.Message, s *spool.Store, keys recipient.List) string {
	t.Helper()
	e, err := cms.ReadEnveloped(walk(t, m).Decode(m.Body), cms.ReadEnvelopedOptions{
		Keys: keys, Spool: func() (cms.Spool, error) { return s.Create(), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Content.Close()
	return strings.ReplaceAll(strings.ReplaceAll(text(t, e.Content), "\r\n", "\n"), "\n", "\r\n")
}
