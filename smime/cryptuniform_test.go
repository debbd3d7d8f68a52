package smime_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"mailseal/internal/message"
	"mailseal/internal/testpki"
	"mailseal/smime"
	"mailseal/smime/cms"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// counted is a body that counts what is read of it.
type counted struct {
	message.Body
	read atomic.Int64
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Body.ReadAt(p, off)
	c.read.Add(int64(n))
	return n, err
}

// Nobody sees from the work that a decryption takes what it failed of: all of
// the ciphertext is read, and as often, whatever was in it and whoever's the key.
func TestEveryFailureTakesTheSameWork(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	good := "Content-Type: text/plain\r\n\r\n" + strings.Repeat("A line of text.\r\n", 20_000)
	noise := "no field\r\n" + good[len("no field\r\n"):]
	for _, h := range []holder{holders(p)[0], bob(p)} {
		wrong := recipient.Key{Certificate: h.key.Certificate, Private: impostor(t, h.key.Private)}
		for _, c := range []content.Cipher{content.AES256CBC, content.AES256GCM, content.ChaCha20Poly1305} {
			work := map[int64][]string{}
			try := func(name, plaintext string, key recipient.Key, change int, want error) {
				t.Helper()
				m := read(t, newSpool(t), "Subject: x\n"+envelop(t, h, c, plaintext))
				der, err := io.ReadAll(walk(t, m).Decode(m.Body))
				if err != nil {
					t.Fatal(err)
				}
				if change > 0 {
					der[len(der)-change] ^= 0x80
				}
				m = read(t, newSpool(t), "Subject: x\n"+cmsPart(der))
				body := &counted{Body: m.Body}
				counting := *m
				counting.Body = body
				edits, _, err := smime.Decrypt(&counting, smime.DecryptOptions{Keys: recipient.List{key}, Spool: newSpool(t)})
				if !errors.Is(err, want) {
					t.Errorf("%s, %v, %s: %v", h.name, c, name, err)
				}
				message.Verdict{Edits: edits}.Close()
				n := body.read.Load() - body.Size() // the size differs by some characters of keys
				work[n] = append(work[n], name)
			}
			try("good", good, h.key, 0, nil)
			try("wrong key", good, wrong, 0, smime.ErrDecrypt)
			try("no entity", noise, h.key, 0, smime.ErrDecrypt)
			try("bad end", noise, h.key, 3, smime.ErrDecrypt) // of the padding or the tag
			if len(work) != 1 {
				t.Errorf("%s, %v: octets read beyond the body's size differ: %v", h.name, c, work)
			}
		}
	}
}

// An entity that a peer's label or name alone says to be encrypted is opened.
func TestLabelsThatPeersUse(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	h := bob(p)
	var der bytes.Buffer
	plaintext := "Content-Type: text/plain\r\n\r\nx\r\n"
	if err := cms.Encrypt(&der, strings.NewReader(plaintext), -1, cms.Encryption{To: []recipient.To{h.to}, Cipher: content.AES256CBC}); err != nil {
		t.Fatal(err)
	}
	base64 := cmsPart(der.Bytes())
	base64 = base64[strings.Index(base64, "Content-Transfer"):]
	for _, label := range []string{
		"application/pkcs7-mime; smime-type=signed-data", "application/x-pkcs7-mime", "Application/PKCS7-MIME; name=\"smime.p7m\"",
		"application/octet-stream; name=smime.p7m", "application/octet-stream\nContent-Disposition: attachment; filename=\"X.P7M\"",
	} {
		back, _ := decrypt(t, read(t, newSpool(t), "From: a@b\nContent-Type: "+label+"\n"+base64), h)
		if got := text(t, back.Body); got != "x\r\n" {
			t.Errorf("%s: %q", label, got)
		}
	}
	for _, label := range []string{"text/plain; name=smime.p7m", "application/octet-stream; name=x.doc", "application/pkcs7"} {
		refuses(t, read(t, newSpool(t), "From: a@b\nContent-Type: "+label+"\n"+base64), smime.ErrNotEncrypted, h.key)
	}
	binary := readRaw(t, newSpool(t), "From: a@b\r\nContent-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: binary\r\n\r\n"+der.String())
	back, _ := decrypt(t, binary, h)
	if got := text(t, back.Body); got != "x\r\n" {
		t.Errorf("binary: %q", got)
	}
}
