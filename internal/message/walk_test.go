package message

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// outline writes the tree of parts as text: section, type, content, and what
// is wrong.
func outline(t testing.TB, b Body, p *Part) string {
	t.Helper()
	var out strings.Builder
	var write func(p *Part, depth int)
	write = func(p *Part, depth int) {
		fmt.Fprintf(&out, "%s%s %s", strings.Repeat("  ", depth), orDash(p.Section), orDash(p.MediaType))
		switch {
		case len(p.Parts) == 0:
			fmt.Fprintf(&out, " %q", bodyString(t, p.Content(b)))
		case p.isMultipart() && !p.Closed:
			out.WriteString(" open")
		}
		if p.Malformed != "" {
			fmt.Fprintf(&out, " (%s)", p.Malformed)
		}
		out.WriteString("\n")
		for _, c := range p.Parts {
			write(c, depth+1)
		}
	}
	write(p, 0)
	return out.String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func TestWalk(t *testing.T) {
	const mixed = "Content-Type: multipart/mixed; boundary=b\n\n"
	for _, tt := range []struct{ name, mail, want string }{
		{"plain", "A: b\n\ntext", "- text/plain \"text\"\n"},
		{"two parts", mixed + "preamble\n--b\nContent-Type: text/html\n\none\n--b\n\ntwo\n--b--\nepilogue\n", `
- multipart/mixed
  1 text/html "one"
  2 text/plain "two"
`},
		{"CRLF", strings.ReplaceAll(mixed+"--b\n\none\n\n--b\n\ntwo\n--b--", "\n", "\r\n"), `
- multipart/mixed
  1 text/plain "one\r\n"
  2 text/plain "two"
`},
		{"blanks behind delimiters", mixed + "--b \t\n\none\n--b--  \n", `
- multipart/mixed
  1 text/plain "one"
`},
		{"no closing delimiter", mixed + "--b\n\none\n--b\n\ntwo\n", `
- multipart/mixed open
  1 text/plain "one"
  2 text/plain "two\n"
`},
		{"no delimiter", mixed + "text --b\n -- b\n--bc\n-b\n", `
- multipart/mixed "text --b\n -- b\n--bc\n-b\n"
`},
		{"nothing", mixed, "- multipart/mixed \"\"\n"},
		{"cut in a delimiter", mixed + "--b\n\none\n--b", `
- multipart/mixed open
  1 text/plain "one"
  2 text/plain ""
`},
		{"empty parts", mixed + "--b\n--b\n\n--b\n\n\n--b--", `
- multipart/mixed
  1 text/plain ""
  2 text/plain ""
  3 text/plain ""
`},
		{"header only", mixed + "--b\nContent-Type: text/html\n--b\nContent-Type: text/css\n\n--b--", `
- multipart/mixed
  1 text/html ""
  2 text/css ""
`},
		{"text in place of a header", mixed + "--b\nhello\n--b--", `
- multipart/mixed
  1 text/plain "" (a line in the header that is no field)
`},
		{"closing delimiter only", mixed + "--b--\n--b\n\none\n", "- multipart/mixed \"--b--\\n--b\\n\\none\\n\"\n"},
		{"nested", mixed + `--b
Content-Type: multipart/alternative; boundary="in ner"

--in ner
Content-Type: text/plain

one
--in ner
Content-Type: text/html

two
--in ner--
epilogue of the inner
--in ner
--b
Content-Type: image/png

three
--b--
`, `
- multipart/mixed
  1 multipart/alternative
    1.1 text/plain "one"
    1.2 text/html "two"
  2 image/png "three"
`},
		{"outer closes inner", mixed + "--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\none\n--b\n\ntwo\n--c\nthree\n--b--\n", `
- multipart/mixed
  1 multipart/mixed open
    1.1 text/plain "one"
  2 text/plain "two\n--c\nthree"
`},
		{"boundary of the outer one begins as the inner's", mixed + "--b\nContent-Type: multipart/mixed; boundary=b-1\n\n--b-1\n\none\n--b-1--\n--b--\n", `
- multipart/mixed
  1 multipart/mixed
    1.1 text/plain "one"
`},
		{"same boundary inside", mixed + "--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n", `
- multipart/mixed
  1 multipart/mixed "" (a boundary that is also one of a multipart around it)
  2 text/plain "one"
`},
		{"a boundary that closes the outer", mixed + "--b\nContent-Type: multipart/mixed; boundary=b--\n\n--b--\n\none\n", `
- multipart/mixed
  1 multipart/mixed "" (a boundary that is also one of a multipart around it)
`},
		{"a boundary that the outer closes", "Content-Type: multipart/mixed; boundary=b--\n\n--b--\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n--b----", `
- multipart/mixed
  1 multipart/mixed "--b\n" (a boundary that is also one of a multipart around it)
`},
		// RFC 3501 section 6.4.5 has this mail.
		{"sections", mixed + `--b

--b
Content-Type: application/octet-stream

--b
Content-Type: message/rfc822

Content-Type: multipart/mixed; boundary=c

--c

--c
Content-Type: application/octet-stream

--c--
--b
Content-Type: multipart/mixed; boundary=d

--d
Content-Type: image/gif

--d
Content-Type: message/rfc822

Content-Type: multipart/mixed; boundary=e

--e

--e
Content-Type: multipart/alternative; boundary=f

--f

--f
Content-Type: text/richtext

--f--
--e--
--d--
--b
Content-Type: message/rfc822

Subject: no parts

text
--b--
`, `
- multipart/mixed
  1 text/plain ""
  2 application/octet-stream ""
  3 message/rfc822
    3 multipart/mixed
      3.1 text/plain ""
      3.2 application/octet-stream ""
  4 multipart/mixed
    4.1 image/gif ""
    4.2 message/rfc822
      4.2 multipart/mixed
        4.2.1 text/plain ""
        4.2.2 multipart/alternative
          4.2.2.1 text/plain ""
          4.2.2.2 text/richtext ""
  5 message/rfc822
    5.1 text/plain "text"
`},
		{"a mail in the mail", "Content-Type: message/rfc822\n\nA: b\n\ntext\n", `
- message/rfc822
  1.1 text/plain "text\n"
`},
		{"a mail with parts in the mail", "Content-Type: message/global\nContent-Transfer-Encoding: 8bit\n\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n", `
- message/global
  1 multipart/mixed
    1.1 text/plain "one"
`},
		{"an encoded mail in the mail", "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nQTogYg==\n", `
- message/rfc822 "QTogYg==\n"
`},
		{"mails in mails", mixed + "--b\nContent-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nA: b\n\ntext\n--b--\n", `
- multipart/mixed
  1 message/rfc822
    1.1 message/rfc822
      1.1.1 text/plain "text"
`},
		{"an empty mail in the mail", mixed + "--b\nContent-Type: message/rfc822\n\n--b--\n", `
- multipart/mixed
  1 message/rfc822
    1.1 text/plain ""
`},
		{"digest", "Content-Type: multipart/digest; boundary=b\n\n--b\n\nA: b\n\none\n--b\nContent-Type: text/plain\n\ntwo\n--b--", `
- multipart/digest
  1 message/rfc822
    1.1 text/plain "one"
  2 text/plain "two"
`},
		{"duplicate type", "Content-Type: multipart/mixed; boundary=b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n", `
- multipart/mixed "--b\n\none\n--b--\n" (Content-Type more than once)
`},
		{"no boundary", "Content-Type: multipart/mixed\n\n--\n\none\n----\n", `
- multipart/mixed "--\n\none\n----\n" (a multipart without a boundary)
`},
		{"long boundary", "Content-Type: multipart/mixed; boundary=" + strings.Repeat("b", 10<<10) + "\n\n--b\n", `
- multipart/mixed "--b\n" (a boundary that is too long)
`},
		{"broken type", "Content-Type: multipart boundary=b\n\n--b\n", `
- - "--b\n" (Content-Type with no subtype)
`},
		{"NUL in the type", "Content-Type: multipart/mixed\x00; boundary=b\n\n--b\n", `
- multipart/mixed "--b\n" (Content-Type with a control character)
`},
		{"encoded multipart", "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: quoted-printable\n\n--b\n\none\n--b--\n", `
- multipart/mixed (a multipart with a transfer encoding)
  1 text/plain "one"
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := read(t, tt.mail)
			root, err := Walk(m.Header, m.Body, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), outline(t, m.Body, root)); d != "" {
				t.Errorf("parts (-want +got):\n%s", d)
			}
			checkParts(t, m.Body, root)
		})
	}
}

func TestRawIsWhatIsSigned(t *testing.T) {
	const first = "Content-Type: text/plain\r\n\r\nsigned text\r\n"
	m := read(t, "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=\"----s\"\r\n\r\n"+
		"This is signed.\r\n\r\n------s\r\n"+first+"\r\n------s\r\nContent-Type: application/pkcs7-signature\r\n\r\nMII=\r\n\r\n------s--\r\n\r\n")
	root, err := Walk(m.Header, m.Body, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got := bodyString(t, root.Parts[0].Raw(m.Body)); got != first {
		t.Errorf("signed bytes %q, want %q", got, first)
	}
	if got := root.Params["protocol"]; got != "application/pkcs7-signature" {
		t.Errorf("protocol %q", got)
	}
	if !root.Closed || root.Malformed != "" {
		t.Errorf("closed %t, malformed %q", root.Closed, root.Malformed)
	}
}
