package smime_test

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mailseal/certmgr/ca"
	"mailseal/internal/message"
	"mailseal/internal/spool"
	"mailseal/internal/testpki"
	"mailseal/smime"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// Whatever the mail, it is encrypted, arrives, and comes out as what it was.
func TestDecryptionUndoesEncryption(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	h := bob(p)
	rapid.Check(t, func(rt *rapid.T) {
		mail := drawMail(rt)
		if rapid.Bool().Draw(rt, "LF") {
			mail = strings.ReplaceAll(mail, "\r\n", "\n")
		}
		if rapid.IntRange(0, 9).Draw(rt, "huge") == 0 {
			mail = "X-Huge: " + strings.Repeat("x ", 100_000) + "\r\n" + mail
		}
		in := within{t, rt, mail}
		m := readRaw(t, newSpool(t), mail)
		o := smime.EncryptOptions{To: []recipient.To{h.to}, Cipher: rapid.SampledFrom(writable).Draw(rt, "cipher"), Spool: newSpool(t)}
		o.Protect = rapid.SampledFrom([]smime.HeaderProtection{smime.HeadersOff, smime.HideSubject}).Draw(rt, "headers")
		edits, err := smime.Encrypt(m, o)
		if u := (*smime.UnencryptableError)(nil); errors.As(err, &u) && o.Protect != smime.HeadersOff {
			return
		} else if err != nil {
			in.Error(err)
		}
		e := apply(t, m, edits)
		if m.Newline != "\n" {
			checkTransport(in, e)
		}
		back, opened := decryptWith(in, e, smime.DecryptOptions{Keys: recipient.List{h.key}, Spool: newSpool(t), Headers: true})
		if len(opened.Layers) != 1 || opened.Rest != nil {
			in.Errorf("opened %+v", opened)
		}
		if o.Protect == smime.HeadersOff {
			checkOpened(in, m, back)
		} else if got, want := leaves(in, back), leaves(in, m); len(got) != len(want) {
			in.Errorf("%d leaves, want %d", len(got), len(want))
		}
	})
}

// Signed mail comes out as it went in, to the byte.
func TestSignaturesSurviveEncryption(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	h, id := bob(p), p.User("alice@corp.example", ca.Ed25519)
	rapid.Check(t, func(rt *rapid.T) {
		mail := drawMail(rt)
		m := readRaw(t, newSpool(t), mail)
		o := options(t, id, rapid.SampledFrom([]smime.Format{smime.Detached, smime.Opaque}).Draw(rt, "format"))
		edits, err := smime.Protect(m, smime.ProtectOptions{
			Mode:    rapid.SampledFrom([]smime.Mode{smime.ModeSignEncrypt, smime.ModeTriple}).Draw(rt, "mode"),
			Headers: rapid.SampledFrom([]smime.HeaderProtection{smime.HeadersOff, smime.HeadersSigned, smime.HideSubject}).Draw(rt, "headers"),
			Sign:    o,
			Encrypt: smime.EncryptOptions{To: []recipient.To{h.to}, Cipher: content.AES128GCM, Spool: newSpool(t)},
		})
		if u := (*smime.UnsignableError)(nil); errors.As(err, &u) {
			return
		} else if err != nil {
			rt.Fatal(err)
		}
		in := within{t, rt, mail}
		back, _ := decrypt(in, apply(t, m, edits), h)
		if r := verify(in, back); !good(r) {
			in.Errorf("does not verify: %s", describe(r))
		}
	})
}

// 100 MB take no more memory than a small mail.
func TestEncryptionDoesNotGrowWithTheMail(t *testing.T) {
	const most = 4 << 20
	if raceEnabled {
		t.Skip("the race detector empties pools")
	}
	size := 25 << 20
	if os.Getenv("MAILSEAL_SLOW") != "" {
		size = 100 << 20
	}
	p := testpki.NewAt(t, fixed)
	h := bob(p)
	s := newSpool(t)
	for _, c := range []content.Cipher{content.AES256CBC, content.AES256GCM, content.ChaCha20Poly1305} {
		for name, m := range map[string]*message.Message{"attachment": bigMail(t, s, size), "8-bit text": bigText(t, s, size)} {
			t.Run(c.String()+" "+name, func(t *testing.T) {
				runtime.GC()
				var e, back *message.Message
				o := smime.EncryptOptions{To: []recipient.To{h.to}, Cipher: c, Spool: s}
				if n := allocated(func() { e = encryptWith(t, m, o) }); n > most {
					t.Errorf("Encrypt took %d bytes", n)
				}
				d := smime.DecryptOptions{Keys: recipient.List{h.key}, Spool: s}
				if n := allocated(func() { back, _ = decryptWith(t, e, d) }); n > most {
					t.Errorf("Decrypt took %d bytes", n)
				}
				if name == "attachment" && back.Body.Size() != m.Body.Size() {
					t.Errorf("body of %d bytes, want %d", back.Body.Size(), m.Body.Size())
				}
			})
		}
	}
}

// Every spool file is closed, by the verdict or, where there is none, before
// Encrypt, Decrypt and Protect return.
func TestNoFileOfEncryptionStaysOpen(t *testing.T) {
	s, err := spool.New(spool.Config{Dir: t.TempDir(), Memory: 1})
	if err != nil {
		t.Fatal(err)
	}
	p := testpki.NewAt(t, fixed)
	h, id := bob(p), p.User("alice@corp.example", ca.P256)
	wrong := recipient.Key{Certificate: h.key.Certificate, Private: impostor(t, h.key.Private)}
	before := openFiles(t)
	m, err := message.Read(strings.NewReader("Subject: x\n\n"+strings.Repeat("A line that ends in LF, 8-bit: \u00fc\n", 10000)), s, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	again := func(m *message.Message) []message.Edit {
		edits, err := smime.Encrypt(m, smime.EncryptOptions{To: []recipient.To{h.to}, Spool: s, Again: true})
		if err != nil {
			t.Fatal(err)
		}
		return edits
	}
	for _, mode := range []smime.Mode{smime.ModeSign, smime.ModeEncrypt, smime.ModeSignEncrypt, smime.ModeTriple} {
		for _, format := range []smime.Format{smime.Detached, smime.Opaque} {
			edits, err := smime.Protect(m, smime.ProtectOptions{
				Mode: mode, Sign: smime.SignOptions{Identity: id, Spool: s, Format: format},
				Encrypt: smime.EncryptOptions{To: []recipient.To{h.to}, Spool: s},
			})
			if err != nil {
				t.Fatal(err)
			}
			out, err := m.Apply(edits)
			if err != nil {
				t.Fatal(err)
			}
			twice := again(out)
			outer, err := out.Apply(twice)
			if err != nil {
				t.Fatal(err)
			}
			for _, mail := range []*message.Message{out, outer} {
				for _, key := range []recipient.Key{h.key, wrong, {}} {
					opened, _, err := smime.Decrypt(mail, smime.DecryptOptions{Keys: recipient.List{key, key}, Spool: s})
					if (err == nil) != (key.Private == h.key.Private && (mode != smime.ModeSign || mail == outer)) {
						t.Errorf("%v: %v", mode, err)
					}
					message.Verdict{Edits: opened}.Close()
					if _, err := smime.Inspect(mail, smime.InspectOptions{Spool: s, Keys: recipient.List{key}}); err != nil {
						t.Error(err)
					}
				}
			}
			message.Verdict{Edits: twice}.Close()
			message.Verdict{Edits: edits}.Close()
		}
	}
	m.Body.Close()
	if after := openFiles(t); after != before {
		t.Errorf("%d files open, %d before", after, before)
	}
}
