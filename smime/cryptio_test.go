package smime_test

import (
	"errors"
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/message"
	"mailseal/internal/spool"
	"mailseal/internal/testpki"
	"mailseal/smime"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// Trouble with the disk is never taken for trouble with the mail: the mail is
// tried again, and not delivered as one that cannot be opened.
func TestTroubleWithTheDisk(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	h, id := bob(p), p.User("alice@corp.example", ca.P256)
	m := read(t, newSpool(t), plain+strings.Repeat("One more line.\n", 30_000))
	signed := options(t, id, smime.Detached)
	signed.Encrypted = true
	opaque := options(t, id, smime.Opaque)
	opaque.Encrypted = true
	for _, c := range []content.Cipher{content.AES256CBC, content.AES256GCM} {
		e := encryptWith(t, m, smime.EncryptOptions{To: []recipient.To{h.to}, Cipher: c, Spool: newSpool(t)})
		for name, e := range map[string]*message.Message{"encrypted": e, "signed": sign(t, e, signed), "opaque": sign(t, e, opaque), "compressed": compress(t, e)} {
			size := e.Body.Size()
			for _, from := range []int64{0, 100, 70_000, size / 2, size - 1} {
				broken := *e
				broken.Body = brokenBody{e.Body, from}
				if _, _, err := smime.Decrypt(&broken, smime.DecryptOptions{Keys: recipient.List{h.key}, Spool: newSpool(t)}); !errors.Is(err, errDisk) {
					t.Errorf("%v, %s, from %d: %v", c, name, from, err)
				}
				if _, err := smime.Inspect(&broken, smime.InspectOptions{Keys: recipient.List{h.key}, Spool: newSpool(t)}); !errors.Is(err, errDisk) {
					t.Errorf("inspect %v, %s, from %d: %v", c, name, from, err)
				}
			}
		}
		// No room for what is inside.
		small, err := spool.New(spool.Config{Limit: 100_000})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = smime.Decrypt(e, smime.DecryptOptions{Keys: recipient.List{h.key}, Spool: small})
		if !errors.Is(err, spool.ErrTooLarge) || errors.Is(err, smime.ErrDecrypt) {
			t.Errorf("%v, no room: %v", c, err)
		}
	}
	for _, from := range []int64{0, 100, 100_000, m.Body.Size() - 1} {
		broken := *m
		broken.Body = brokenBody{m.Body, from}
		if _, err := smime.Encrypt(&broken, smime.EncryptOptions{To: []recipient.To{h.to}, Spool: newSpool(t)}); !errors.Is(err, errDisk) {
			t.Errorf("encrypt from %d: %v", from, err)
		}
	}
	small, err := spool.New(spool.Config{Limit: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := smime.Encrypt(m, smime.EncryptOptions{To: []recipient.To{h.to}, Spool: small}); !errors.Is(err, spool.ErrTooLarge) {
		t.Errorf("encrypt, no room: %v", err)
	}
}

// Compressed content that becomes too much is the mail's fault.
func TestBomb(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	h := bob(p)
	bomb := compress(t, read(t, newSpool(t), "Subject: x\n\n"+strings.Repeat("0123456789", 5_000_000)+"\n"))
	m := encrypt(t, bomb, h)
	_, opened := decrypt(t, m, h)
	var problem *smime.Problem
	if !errors.As(opened.Rest, &problem) || problem.Class != smime.TooLarge {
		t.Errorf("opened %s, left because of %v", kinds(opened), opened.Rest)
	}
	small, err := spool.New(spool.Config{Limit: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	packed := compress(t, read(t, newSpool(t), "Subject: x\n\n"+strings.Repeat("0123456789\n", 100_000)))
	_, opened = decryptWith(t, encrypt(t, packed, h), smime.DecryptOptions{Keys: recipient.List{h.key}, Spool: small})
	if !errors.As(opened.Rest, &problem) || problem.Class != smime.TooLarge {
		t.Errorf("over the spool's limit: left because of %v", opened.Rest)
	}
}
