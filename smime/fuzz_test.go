package smime_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/message"
	"mailseal/internal/testpki"
	"mailseal/smime"
)

// FuzzVerify: whatever the mail, Verify ends, and finds a good signature only
// over content that the one key in this test has signed.
func FuzzVerify(f *testing.F) {
	p := testpki.NewAt(f, fixed)
	id := p.User("alice@corp.example", ca.P256)
	signed := map[string]bool{}
	for _, mail := range []string{plain, plain + strings.Repeat("More of it.\n", 30)} {
		for _, format := range []smime.Format{smime.Detached, smime.Opaque} {
			m := sign(f, read(f, newSpool(f), mail), options(f, id, format))
			signed[entityOf(f, m)] = true
			f.Add(whole(f, m))
		}
	}
	m := makeParts(f, p)
	signed[entityText] = true
	text := strings.ReplaceAll(entityText, "\r", "")
	f.Add([]byte(multipartSigned(p7sParams, text, p7sType, m.detached, end)))
	f.Add([]byte(multipartSigned(p7sParams, text, p7sType, m.opaque, end)))
	f.Add([]byte(multipartSigned(p7sParams, text, p7mType, m.detached, "--=_s\n\nthird\n"+end)))
	f.Add([]byte(opaqueMail("application/octet-stream; name=x.p7m", m.opaque)))
	f.Add([]byte(pgpSigned))
	s := newSpool(f)
	f.Fuzz(func(t *testing.T, mail []byte) {
		m, err := message.Read(strings.NewReader(string(mail)), s, message.Limits{})
		if err != nil {
			return
		}
		defer m.Body.Close()
		var content strings.Builder
		r, err := smime.Verify(m, smime.VerifyOptions{Spool: s, Content: &content})
		if limit := (*message.LimitError)(nil); errors.As(err, &limit) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		if (r.Kind == smime.Malformed) != (r.Err != nil && !r.Kind.Signed()) {
			t.Errorf("%s", describe(r))
		}
		if !good(r) {
			return
		}
		for _, s := range r.Signers {
			if !s.Result.Certificate.Equal(id.Certificate) {
				t.Errorf("somebody else signed it")
			}
		}
		got := content.String()
		if r.Kind == smime.SignedDetached {
			got = strings.ReplaceAll(entityOf(t, m), "\r\n", "\n") // a mail may have LF
			got = strings.ReplaceAll(got, "\n", "\r\n")
		}
		if !signed[got] {
			t.Errorf("good over what was never signed: %q", got)
		}
		if _, err := smime.Inspect(m, smime.InspectOptions{Spool: s}); err != nil {
			t.Error(err)
		}
	})
}

// FuzzSign: whatever the mail, it is refused or signed so that it arrives,
// verifies and says what it said.
func FuzzSign(f *testing.F) {
	files, err := filepath.Glob("testdata/sign/*.eml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no mails: %v", err)
	}
	for _, file := range files {
		mail, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(strings.ReplaceAll(string(mail), "\n", "\r\n"))
	}
	f.Add(plain)
	id := testpki.NewAt(f, fixed).User("alice@corp.example", ca.Ed25519)
	s := newSpool(f)
	f.Fuzz(func(t *testing.T, mail string) {
		m, err := message.Read(strings.NewReader(mail), s, message.Limits{})
		if err != nil {
			return
		}
		defer m.Body.Close()
		edits, err := smime.Sign(m, smime.SignOptions{Identity: id, Spool: s})
		if err != nil {
			var u *smime.UnsignableError
			var l *message.LimitError
			if !errors.As(err, &u) && !errors.As(err, &l) && !errors.Is(err, smime.ErrProtected) {
				t.Fatal(err)
			}
			return
		}
		checkSigned(t, m, apply(t, m, edits))
	})
}
