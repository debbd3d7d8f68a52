package smime_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/smime"
)

// fixedIdentity is the same in each of the fuzzer's processes, and signs the
// same mail always the same.
func fixedIdentity(t testing.TB) pki.Identity {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	der, err := x509.CreateCertificate(nil, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Alice"}, NotBefore: fixed, NotAfter: fixed.AddDate(100, 0, 0),
		EmailAddresses: []string{"alice@corp.example"},
	}, &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return pki.Identity{Certificate: cert, Key: key}
}

// FuzzVerify: whatever the mail, Verify ends, and finds a good signature only
// over content that the one key in this test has signed.
func FuzzVerify(f *testing.F) {
	id := fixedIdentity(f)
	signed := map[string]bool{}
	for _, mail := range []string{plain, plain + strings.Repeat("More of it.\n", 30)} {
		for _, format := range []smime.Format{smime.Detached, smime.Opaque} {
			o := options(f, id, format)
			o.Rand = rand.NewChaCha8([32]byte{})
			m := sign(f, read(f, newSpool(f), mail), o)
			signed[entityOf(f, m)] = true
			f.Add(whole(f, m))
		}
	}
	m := makeParts(f, id)
	signed[entityText] = true
	text := strings.ReplaceAll(entityText, "\r", "")
	f.Add([]byte(multipartSigned("; micalg=sha-512", text, p7sType, m.detached, end)))
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
	id := fixedIdentity(f)
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
