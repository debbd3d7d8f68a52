package smime_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mailseal/certmgr/ca"
	"mailseal/internal/message"
	"mailseal/internal/testpki"
	"mailseal/smime"
)

// drawContent draws lines that come near every rule of what survives.
func drawContent(t *rapid.T) string {
	piece := rapid.SampledFrom([]string{
		"plain line\r\n", "\r\n", "\r\n\r\n", "From here\r\n", ">From there\r\n", "blank at the end \r\n", "tab\t\r\n",
		".\r\n", "-- \r\n", "--almost\r\n", "gr\u00fc\u00df dich\r\n", "\u65e5\u672c\u8a9e\r\n", "latin \xe9\xe8\r\n", "equals = sign\r\n",
		"bare\nLF\r\n", "bare\rCR\r\n", "NUL\x00\r\n", strings.Repeat("long ", 250) + "\r\n", "no line end",
	})
	return strings.Join(rapid.SliceOfN(piece, 0, 8).Draw(t, "content"), "")
}

// drawEntity draws a header and content, nested as deep as depth allows.
func drawEntity(t *rapid.T, depth int, name string) string {
	kinds := []string{"text", "html", "data", "base64", "quoted", "bare"}
	if depth > 0 {
		kinds = append(kinds, "mixed", "mixed", "message")
	}
	label := rapid.SampledFrom([]string{"", "7bit", "8bit", "binary"}).Draw(t, "label")
	field := ""
	if label != "" {
		field = "Content-Transfer-Encoding: " + label + "\r\n"
	}
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
	case "html":
		return "Content-Type: text/html; charset=utf-8; \r\n\tx=y\r\n" + field + "\r\n" + drawContent(t)
	case "data":
		return field + "Content-Type: application/x-data; name=\"gr\u00fcn.dat\"\r\n\r\n" + drawContent(t)
	case "base64":
		n := rapid.IntRange(0, 60).Draw(t, "groups")
		fill := rapid.SampledFrom([]string{"\r\n", " \r\n", ""}).Draw(t, "fill")
		return "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n" + strings.Repeat("LS1iDQo"+"K"+fill, n)
	case "quoted":
		return "Content-Transfer-Encoding: quoted-printable\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" +
			rapid.SampledFrom([]string{"gr=C3=BCn=\r\n\r\n", "blank \r\n", "From=\r\n here", "=00=0D", "--=\r\n"}).Draw(t, "quoted")
	case "bare":
		return "\r\n" + drawContent(t)
	case "message":
		return "Content-Type: message/rfc822\r\n" + field + "\r\nSubject: s\u00fc\u00df \r\nFrom: \u00e8ve <eve@example.com>\r\n" +
			drawEntity(t, depth-1, name+"m")
	case "mixed":
		return drawMultipart(t, depth, name, field)
	}
	return "Content-Type: text/plain; charset=utf-8\r\n" + field + "\r\n" + drawContent(t)
}

func drawMultipart(t *rapid.T, depth int, name, field string) string {
	var b strings.Builder
	boundary := "=_" + name
	fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=\"%s\"\r\n%s\r\n", boundary, field)
	b.WriteString(rapid.SampledFrom([]string{"", "preamble\r\n", "\r\n", "pr\u00e4ambel \r\n"}).Draw(t, "preamble"))
	for i := range rapid.IntRange(1, 3).Draw(t, "parts") {
		b.WriteString("--" + boundary + rapid.SampledFrom([]string{"", " "}).Draw(t, "padding") + "\r\n")
		b.WriteString(drawEntity(t, depth-1, fmt.Sprint(name, i)) + "\r\n")
	}
	if rapid.IntRange(0, 4).Draw(t, "closed") > 0 {
		b.WriteString("--" + boundary + "--")
		b.WriteString(rapid.SampledFrom([]string{"", "\r\n", "\r\n\r\n", "\r\nepilog\u00fce\r\n", " \r\n"}).Draw(t, "epilogue"))
	}
	return b.String()
}

// drawMail draws a mail of any shape.
func drawMail(t *rapid.T) string {
	return "From: alice@corp.example\r\nSubject: s\u00fc\u00df\r\n" + drawEntity(t, 3, "b")
}

// within makes a failed check one of the property.
type within struct {
	testing.TB
	rt   *rapid.T
	mail string
}

func (w within) Errorf(format string, args ...any) {
	w.rt.Fatalf("%s\nmail:\n%q", fmt.Sprintf(format, args...), w.mail)
}

func (w within) Error(args ...any) { w.Errorf("%s", fmt.Sprint(args...)) }

// Whatever the mail, it is signed so that it arrives, verifies, and says what
// it said.
func TestSigningKeepsWhatAMailSays(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	id := p.User("alice@corp.example", ca.Ed25519)
	rapid.Check(t, func(rt *rapid.T) {
		mail := drawMail(rt)
		m := readRaw(t, newSpool(t), mail)
		o := options(t, id, rapid.SampledFrom([]smime.Format{smime.Detached, smime.Opaque}).Draw(rt, "format"))
		edits, err := smime.Sign(m, o)
		if u := (*smime.UnsignableError)(nil); errors.As(err, &u) {
			rt.Logf("%v", u)
			return
		} else if err != nil {
			rt.Fatal(err)
		}
		checkSigned(within{t, rt, mail}, m, apply(t, m, edits))
	})
}

// One changed byte anywhere in what is signed is found out.
func TestOneChangedByteIsFoundOut(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	for _, format := range []smime.Format{smime.Detached, smime.Opaque} {
		t.Run(format.String(), func(t *testing.T) {
			m := read(t, newSpool(t), plain+strings.Repeat("One more line.\n", 20))
			signed := sign(t, m, options(t, p.User("alice@corp.example", ca.P256), format))
			body := text(t, signed.Body)
			from, to := 0, len(body)
			if format == smime.Detached {
				part := walk(t, signed).Parts[0]
				from, to = int(part.Offset), int(part.End)
			}
			rapid.Check(t, func(rt *rapid.T) {
				at := rapid.IntRange(from, to-1).Draw(rt, "at")
				b := []byte(body)
				b[at] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
				changed := *signed
				changed.Body = message.Bytes(b)
				if r := verify(t, &changed); good(r) && entityOf(t, &changed) != entityOf(t, signed) {
					rt.Fatalf("byte %d changed from %q to %q and nobody saw it: %s", at, body[at], b[at], describe(r))
				} else if good(r) && format == smime.Detached {
					rt.Fatalf("byte %d of the signed part changed and nobody saw it", at)
				}
			})
		})
	}
}
