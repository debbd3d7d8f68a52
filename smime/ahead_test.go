package smime_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mailseal/internal/message"
	"mailseal/smime"
)

// A mail of this size is hashed before it is known what it is.
const large = 200 << 10

// What a mail is foretold to be makes no difference to what is signed.
func TestForetellingSignsTheSame(t *testing.T) {
	id := fixedIdentity(t)
	filler := strings.Repeat("Filler, and nothing in it.\r\n", large/28)
	rapid.Check(t, func(rt *rapid.T) {
		var b strings.Builder
		b.WriteString("Content-Type: multipart/mixed; boundary=\"=_b\"\r\n" +
			rapid.SampledFrom([]string{"", "Content-Transfer-Encoding: 8bit\r\n", "Content-Type: text/plain\r\n"}).Draw(rt, "field") + "\r\n" +
			rapid.SampledFrom([]string{"", "preamble\r\n", "x --=_b\r\n", "--=_b \r\n\r\npadded\r\n", "--=_bc\r\n"}).Draw(rt, "preamble"))
		for i, content := range []string{drawEntity(rt, 1, "=_b1"), "\r\n" + filler, drawEntity(rt, 1, "=_b2")} {
			if i > 0 || rapid.IntRange(0, 5).Draw(rt, "first") > 0 {
				b.WriteString("--=_b\r\n" + content + "\r\n")
			}
		}
		b.WriteString(rapid.SampledFrom([]string{"--=_b--\r\n", "--=_b--", "", "--=_b--\r\nepilogue\r\n--=_b--\r\n", "--=_b-- \r\n", "x\r\n--=_c--\r\n"}).Draw(rt, "end"))
		m := readRaw(t, newSpool(t), b.String())
		o := options(t, id, smime.Detached)
		got, gotErr := signedEntity(t, m, o)
		o.Root = walk(t, m)
		want, wantErr := signedEntity(t, m, o)
		if got != want || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
			rt.Fatalf("signed\n%.2000q %v\nand after the walk\n%.2000q %v", got, gotErr, want, wantErr)
		}
	})
}

func signedEntity(t testing.TB, m *message.Message, o smime.SignOptions) (string, error) {
	edits, err := smime.Sign(m, o)
	if err != nil {
		return "", err
	}
	defer message.Verdict{Edits: edits}.Close()
	signed, err := m.Apply(edits)
	if err != nil {
		t.Fatal(err)
	}
	return entityOf(t, signed), nil
}

// Nor to what is found in a signed one.
func TestForetellingVerifiesTheSame(t *testing.T) {
	m := makeParts(t, fixedIdentity(t))
	content := entityText + strings.Repeat("Filler, and nothing in it.\r\n", large/28)
	signature := multipartSigned(p7sParams, "", p7sType, detachedOver(t, content, m.signer), "")
	_, signature, _ = strings.Cut(signature, "\n\n--=_s\n\n--=_s\n")
	signature = strings.ReplaceAll(signature, "\n", "\r\n")
	verified := 0
	rapid.Check(t, func(rt *rapid.T) {
		mail := "Content-Type: multipart/signed; boundary=\"=_s\"; micalg=sha-512\r\n\r\n" +
			rapid.SampledFrom([]string{"", "preamble\r\n", "x --=_s\r\n", "--=_s \r\n\r\nx\r\n"}).Draw(rt, "preamble") +
			rapid.SampledFrom([]string{"--=_s\r\n", "--=_s\t\r\n", "--=_s--\r\n"}).Draw(rt, "open") +
			rapid.SampledFrom([]string{content, content, content, content + "\r\n--=_s\r\n\r\nmore", content + "more", content[:large/2]}).Draw(rt, "content") +
			rapid.SampledFrom([]string{"\r\n--=_s\r\n", "\r\n--=_s\r\n", "\r\n--=_s \r\n", "\n--=_s\r\n"}).Draw(rt, "between") +
			signature + rapid.SampledFrom([]string{"--=_s--\r\n", "--=_s--\r\n", "--=_s--", "--=_s--\r\nfooter\r\n--=_s--\r\n", "--=_s\r\n\r\nthird\r\n--=_s--\r\n"}).Draw(rt, "end")
		msg := readRaw(t, newSpool(t), mail)
		got, err := smime.Verify(msg, smime.VerifyOptions{})
		want, wantErr := smime.Verify(msg, smime.VerifyOptions{Root: walk(t, msg)})
		if err = errors.Join(err, wantErr); err != nil {
			rt.Fatal(err)
		}
		if describe(got) != describe(want) || got.Part != want.Part {
			rt.Fatalf("%s, part %s, and after the walk %s, part %s", describe(got), got.Part, describe(want), want.Part)
		}
		if good(got) {
			verified++
			if entityOf(t, msg) != content {
				rt.Fatal("good over what was never signed")
			}
		}
	})
	if verified == 0 {
		t.Error("no mail was good")
	}
}
