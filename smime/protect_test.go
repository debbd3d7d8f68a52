package smime_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailseal/certmgr/ca"
	"mailseal/internal/message"
	"mailseal/internal/testpki"
	"mailseal/smime"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

const secret = `Received: from pc.corp.example
From: Alice <alice@corp.example>
To: bob@partner.example
Bcc: carol@partner.example
Subject: merger with
 Example Inc.
Date: Thu, 1 Oct 2026 12:00:00 +0900
Message-ID: <1@corp.example>
Keywords: takeover
Keywords: money
Comments: burn this
Content-Language: en
X-Mailer: x

Dear Bob.
`

func protect(t testing.TB, m *message.Message, o smime.ProtectOptions) *message.Message {
	t.Helper()
	edits, err := smime.Protect(m, o)
	if err != nil {
		t.Fatal(err)
	}
	return apply(t, m, edits)
}

// lines are the fields of those names.
func lines(h message.Header, names ...string) (all []string) {
	for _, f := range h {
		if slices.ContainsFunc(names, f.Is) {
			all = append(all, strings.ReplaceAll(f.Raw(), "\r\n", ""))
		}
	}
	return all
}

// Each mode in each format, with each header protection: everybody finds what
// he should.
func TestModes(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	h := bob(p)
	for _, mail := range []string{secret, strings.ReplaceAll(secret, "\n", "\r\n")} {
		for _, mode := range []smime.Mode{smime.ModeSign, smime.ModeEncrypt, smime.ModeSignEncrypt, smime.ModeTriple} {
			for _, format := range []smime.Format{smime.Detached, smime.Opaque} {
				for _, headers := range []smime.HeaderProtection{smime.HeadersOff, smime.HeadersSigned, smime.HideSubject} {
					t.Run(mode.String()+" "+format.String()+" "+headers.String(), func(t *testing.T) {
						m := readRaw(t, newSpool(t), mail)
						out := protect(t, m, smime.ProtectOptions{
							Mode: mode, Headers: headers,
							Sign:    options(t, p.User("alice@corp.example", ca.P256), format),
							Encrypt: smime.EncryptOptions{To: []recipient.To{h.to}, Cipher: content.AES256GCM, Spool: newSpool(t)},
						})
						checkMode(t, m, out, h, mode, headers)
					})
				}
			}
		}
	}
}

func checkMode(t *testing.T, m, out *message.Message, h holder, mode smime.Mode, headers smime.HeaderProtection) {
	t.Helper()
	encrypted, signed := mode != smime.ModeSign, mode != smime.ModeEncrypt
	// A mail with LF is sent with CRLF.
	if m.Newline == "\n" {
		m, out = read(t, newSpool(t), string(whole(t, m))), read(t, newSpool(t), string(whole(t, out)))
	}
	hides := encrypted && headers == smime.HideSubject
	outside := []string{"Subject: merger with Example Inc.", "Keywords: takeover", "Keywords: money", "Comments: burn this"}
	if hides {
		outside = []string{"Subject: [...]"}
	}
	if diff := cmp.Diff(outside, lines(out.Header, "Subject", "Keywords", "Comments")); diff != "" {
		t.Errorf("outside (-want +got):\n%s", diff)
	}
	if !hides {
		checkFields(t, m, out)
	}
	if mode == smime.ModeSign || mode == smime.ModeTriple {
		if r := verify(t, out); !good(r) {
			t.Errorf("outside: %s", describe(r))
		}
	}
	inside := out
	if encrypted {
		back, opened := decryptWith(t, out, smime.DecryptOptions{Keys: recipient.List{h.key}, Spool: newSpool(t), Headers: true})
		checkProtected(t, opened.Protected, headers, hides)
		inside = back
		// What is twice inside cannot be put back in one place.
		if diff := cmp.Diff([]string{"Subject: merger with Example Inc."}, lines(inside.Header, "Subject")); diff != "" {
			t.Errorf("restored (-want +got):\n%s", diff)
		}
	}
	entity := string(whole(t, inside))
	if signed {
		if r := verify(t, inside); !good(r) {
			t.Errorf("inside: %s", describe(r))
		}
		entity = entityOf(t, inside)
	}
	e := readRaw(t, newSpool(t), entity)
	if diff := cmp.Diff(leaves(t, m), leaves(t, e)); diff != "" {
		t.Errorf("content is another (-before +after):\n%s", diff)
	}
	if signed {
		checkPayload(t, e.Header, encrypted, headers)
	}
}

func checkProtected(t *testing.T, p *smime.Protected, headers smime.HeaderProtection, hides bool) {
	t.Helper()
	var want *smime.Protected
	if headers != smime.HeadersOff {
		want = &smime.Protected{HP: "cipher"}
	}
	if hides {
		want.Differ = []string{"Subject", "Comments"}
	}
	if (p == nil) != (want == nil) || p != nil && (p.HP != want.HP || p.From != "" || !slices.Equal(p.Differ, want.Differ)) {
		t.Errorf("protected %+v, want %+v", p, want)
	}
}

// checkPayload holds what is signed to RFC 9788 section 2.
func checkPayload(t *testing.T, h message.Header, encrypted bool, headers smime.HeaderProtection) {
	t.Helper()
	var want []string
	hp := ""
	copies := []string{
		"From: Alice <alice@corp.example>", "To: bob@partner.example", "Subject: merger with Example Inc.",
		"Date: Thu, 1 Oct 2026 12:00:00 +0900", "Message-ID: <1@corp.example>", "Keywords: takeover", "Keywords: money", "Comments: burn this",
	}
	if headers != smime.HeadersOff {
		hp, want = "clear", copies
	}
	if encrypted && headers != smime.HeadersOff {
		hp = "cipher"
		for _, c := range copies {
			hides := headers == smime.HideSubject
			switch {
			case hides && strings.HasPrefix(c, "Subject"):
				c = "Subject: [...]"
			case hides && (strings.HasPrefix(c, "Keywords") || strings.HasPrefix(c, "Comments")):
				continue
			}
			want = append(want, "HP-Outer: "+c)
		}
	}
	var got []string
	for _, f := range h {
		if !strings.HasPrefix(strings.ToLower(f.Name()), "content-") {
			got = append(got, strings.ReplaceAll(f.Raw(), "\r\n", ""))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
	root, err := message.Walk(h, message.Bytes(nil), message.Limits{})
	if err != nil || root.Params["hp"] != hp {
		t.Errorf("hp=%q, want %q", root.Params["hp"], hp)
	}
}

// Header fields cannot be protected where the content may not be changed, or
// says that it has some.
func TestHeadersThatCannotBeProtected(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	h, id := bob(p), p.User("alice@corp.example", ca.P256)
	signed := string(whole(t, sign(t, read(t, newSpool(t), plain), options(t, id, smime.Detached))))
	for name, mail := range map[string]string{
		"signed": signed, "OpenPGP": pgpSigned,
		"hp":        "From: a@b\nContent-Type: text/plain; hp=cipher\n\nx\n",
		"two types": "From: a@b\nContent-Type: text/plain\nContent-Type: text/html\n\nx\n",
		"no type":   "From: a@b\nContent-Type: x\n\nx\n",
	} {
		m := read(t, newSpool(t), mail)
		_, err := smime.Encrypt(m, smime.EncryptOptions{To: []recipient.To{h.to}, Spool: newSpool(t), Protect: smime.HideSubject})
		var unencryptable *smime.UnencryptableError
		if !errors.As(err, &unencryptable) {
			t.Errorf("%s is encrypted: %v", name, err)
		}
		o := options(t, id, smime.Detached)
		o.Protect, o.Again = smime.HeadersSigned, true
		_, err = smime.Sign(m, o)
		var unsignable *smime.UnsignableError
		if !errors.As(err, &unsignable) && !errors.Is(err, smime.ErrProtected) {
			t.Errorf("%s is signed: %v", name, err)
		}
	}
}

// What content says of header fields is taken from a list, once each, and
// where no list says so it is only told.
func TestRestoredHeaders(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	h := bob(p)
	outside := "From: Alice <alice@corp.example>\nSubject: [...]\nDate: Thu, 1 Oct 2026 12:00:00 +0900\nMessage-ID: <1@x>\nTo: bob@partner.example\n"
	inside := "From: CEO <ceo@corp.example>\r\nSender: x@y\r\nSubject: real\r\nMessage-ID: <2@x>\r\nReceived: from me\r\nCc: one@x\r\n two@x\r\nCc: three@x\r\n" +
		"Authentication-Results: mx; smime=pass\r\nReply-To: Bob\r\n <bob@partner.example>\r\nX-Mailer: x\r\nReturn-Path: <>\r\nDate: Thu, 1 Oct 2026 12:00:00 +0900\r\n" +
		"HP-Outer: Subject: [...]\r\nContent-Type: text/plain; hp="
	for _, tt := range []struct{ hp, subject string }{
		{`"cipher"`, "real"}, {"clear", "real"}, {"CIPHER", "real"}, {"x", "[...]"}, {"cipher; hp=clear", "[...]"}, {`""`, "[...]"},
	} {
		m := read(t, newSpool(t), outside+envelop(t, h, content.AES256GCM, inside+tt.hp+"\r\n\r\nx\r\n"))
		back, opened := decryptWith(t, m, smime.DecryptOptions{Keys: recipient.List{h.key}, Spool: newSpool(t), Headers: true})
		want := []string{"From: Alice <alice@corp.example>", "Subject: " + tt.subject, "Date: Thu, 1 Oct 2026 12:00:00 +0900", "Message-ID: <1@x>", "To: bob@partner.example"}
		if tt.subject == "real" {
			want = append(want, "Reply-To: Bob <bob@partner.example>")
			if got := opened.Protected; got.From != "CEO <ceo@corp.example>" || strings.Join(got.Differ, " ") != "Subject Reply-To" {
				t.Errorf("hp=%s: %+v", tt.hp, got)
			}
		} else if opened.Protected != nil {
			t.Errorf("hp=%s: %+v", tt.hp, opened.Protected)
		}
		got := slices.DeleteFunc(lines(back.Header, names(back.Header)...), func(l string) bool {
			return strings.HasPrefix(l, "Content-") || strings.HasPrefix(l, "MIME-")
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("hp=%s (-want +got):\n%s", tt.hp, diff)
		}
		untouched, _ := decrypt(t, m, h)
		if got := lines(untouched.Header, "Subject"); got[0] != "Subject: [...]" {
			t.Errorf("without being asked: %q", got)
		}
	}
}

func names(h message.Header) (all []string) {
	for _, f := range h {
		all = append(all, f.Name())
	}
	return all
}

func TestModeWords(t *testing.T) {
	for m := smime.ModeSign; m <= smime.ModeTriple; m++ {
		text, _ := m.MarshalText()
		var back smime.Mode
		if err := back.UnmarshalText(text); err != nil || back != m {
			t.Errorf("%s is read as %v, %v", text, back, err)
		}
	}
	for p := smime.HeadersOff; p <= smime.HideSubject; p++ {
		text, _ := p.MarshalText()
		var back smime.HeaderProtection
		if err := back.UnmarshalText(text); err != nil || back != p {
			t.Errorf("%s is read as %v, %v", text, back, err)
		}
	}
	if err := new(smime.Mode).UnmarshalText([]byte("sgin")); err == nil {
		t.Error("sgin is a mode")
	}
	if err := new(smime.HeaderProtection).UnmarshalText([]byte("on")); err == nil {
		t.Error("on is a header protection")
	}
}
