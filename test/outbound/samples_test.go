package outbound_test

import (
	"encoding/base64"
	"fmt"
	"strings"

	"mailseal/test/wire"
)

// A sample is a mail as people's programs write it, or as they should not.
type sample struct {
	name string
	// fields follow From and To; with date they follow those of every decent
	// mail too. body is all behind the empty line.
	fields, body string
	args         []string // of MAIL
	author       string   // "" for one of those with an identity
	to           int      // how many recipients more than those two

	utf8 bool // goes only through an MTA that offers SMTPUTF8
	// vague: the rules are broken so that readers differ on what it says. It
	// is verified, and what it says not compared.
	vague bool
	// walked: sendmail writes some of the MIME parts in it anew, unless it is
	// told not to look for overlong fields in them (MaxMimeHeaderLength=0/0).
	walked bool
	// unsigned is why mailseal does not sign it, as it says in the log.
	unsigned string
}

const latin1 = "\xe4\xf6\xfc \xdf"

// encoded is base64 in lines.
func encoded(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*i>>3 ^ i)
	}
	s := base64.StdEncoding.EncodeToString(b)
	var out strings.Builder
	for len(s) > 76 {
		out.WriteString(s[:76] + "\r\n")
		s = s[76:]
	}
	return out.String() + s + "\r\n"
}

const mixed = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"outer\"\r\n"

var samples = []sample{
	{name: "plain", fields: "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n", body: wire.Text("Hello,", "", "this is a mail.")},
	{name: "no MIME at all", body: wire.Text("Hello.")},
	{name: "no MIME and 8 bit", body: wire.Text("Gr\xfc\xdfe"), args: []string{"BODY=8BITMIME"}},
	{
		name: "latin1", body: wire.Text("Sch\xf6ne Gr\xfc\xdfe, " + latin1), args: []string{"BODY=8BITMIME"},
		fields: "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n",
	},
	{
		name: "latin1 that the client did not tell of", body: wire.Text(latin1),
		fields: "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n",
	},
	{
		name: "utf-8", body: wire.Text("日本語のメール", "", "署名"), args: []string{"BODY=8BITMIME"},
		fields: "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8; format=flowed\r\nContent-Transfer-Encoding: 8bit\r\nContent-Language: ja\r\n",
	},
	{
		name: "SMTPUTF8", body: wire.Text("日本語"), args: []string{"BODY=8BITMIME", "SMTPUTF8"}, utf8: true,
		fields: "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nX-Name: 日本\r\n",
	},
	{
		name: "iso-2022-jp", body: wire.Text("\x1b$BF|K\\8l\x1b(B"),
		fields: "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-2022-jp\r\nContent-Transfer-Encoding: 7bit\r\n",
	},
	{
		name: "quoted-printable", body: wire.Text("Gr=C3=BC=C3=9Fe und eine sehr lange Zeile, die weich =", "umgebrochen ist=20", "From here."),
		fields: "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n",
	},
	{name: "long lines", body: wire.Text(strings.Repeat("long line ", 300), "short", strings.Repeat("x", 3000))},
	{
		name: "long lines in html", body: wire.Text("<html>" + strings.Repeat("<p>para</p>", 400) + "</html>"),
		fields: "MIME-Version: 1.0\r\nContent-Type: text/html; charset=us-ascii\r\n",
	},
	{name: "trailing blanks", body: wire.Text("blank ", "tab\t", "many    ", " ", "", "-- ", "signature")},
	{name: "From lines", body: wire.Text("From here to there.", " From", "From", ">From quoted", "from small")},
	{name: "dots", body: wire.Text(".", "..", ". and more", ".hidden", "a.", "", ".")},
	{name: "delimiters in the text", body: wire.Text("--", "--boundary", "----- end -----", "--outer--")},
	{name: "empty body"},
	{name: "one empty line", body: "\r\n"},
	{name: "empty lines only", body: "\r\n\r\n\r\n"},
	{name: "no final line end", body: "the last line"},
	{
		name: "attachments", args: []string{"BODY=8BITMIME"},
		fields: mixed,
		body: wire.Text("This is the preamble.", "", "--outer", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit", "",
			"見てください。", "", "--outer", "Content-Type: application/pdf; name=\"r\xc3\xa9sum\xc3\xa9.pdf\"",
			"Content-Disposition: attachment; filename=\"resume.pdf\"; size=3000", "Content-Transfer-Encoding: base64", "") +
			encoded(3000) + wire.Text("--outer", "Content-Type: text/plain; charset=iso-8859-1; name=notes.txt", "Content-Transfer-Encoding: 8bit",
			"Content-Disposition: attachment; filename=notes.txt", "", "Notiz: "+latin1+"  ", "", "--outer--", "This is the epilogue."),
	},
	{
		name: "nested multiparts", args: []string{"BODY=8BITMIME"},
		fields: mixed,
		body: wire.Text("--outer", "Content-Type: multipart/related; boundary=related; type=\"multipart/alternative\"", "",
			"--related", "Content-Type: multipart/alternative; boundary=alt", "",
			"--alt", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit", "", "Grüße", "",
			"--alt", "Content-Type: text/html; charset=utf-8", "Content-Transfer-Encoding: 8bit", "", "<p>Grüße</p>"+strings.Repeat("<br>", 400), "",
			"--alt--", "--related", "Content-Type: image/png", "Content-ID: <image@example.test>", "Content-Transfer-Encoding: base64", "") +
			encoded(500) + wire.Text("--related--", "--outer", "", "no header", "--outer--"),
	},
	{
		name: "deeply nested", fields: mixed,
		body: nested(12),
	},
	{
		name: "forwarded mail", args: []string{"BODY=8BITMIME"},
		fields: mixed,
		body: wire.Text("--outer", "", "see below", "--outer", "Content-Type: message/rfc822", "Content-Disposition: inline", "",
			"From: far@example.org", "To: alice@example.test", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=", "MIME-Version: 1.0",
			"Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit", "", "Grüße  ", "From far", "--outer--"),
	},
	{
		name: "forwarded mail alone", fields: "MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n",
		body: wire.Text("From: far@example.org", "Subject: x", "", "text"),
	},
	{
		name: "odd header", body: wire.Text("text"),
		fields: "X-Folded: one\r\n two\r\n\tthree   \r\nX-Empty:\r\nX-Blank: \r\nx-lower:no blank\r\nX-TAB:\ttab\r\nX-Colon: a:b: c\r\n" +
			"Keywords: " + strings.Repeat("key words, ", 60) + "end\r\n" +
			"MIME-version: 1.0 (made by hand)\r\ncontent-TYPE: TEXT/Plain;\r\n\tCharset=\"us-ascii\" (plain (nested) text);\r\n format = flowed\r\n",
	},
	{name: "8-bit field", fields: "X-Raw: gr\xfc\xdfe\r\nX-Utf: Grüße\r\n", body: wire.Text("text")},
	{
		name: "duplicate fields", body: wire.Text("text"),
		fields: "X-Dup: one\r\nReceived: from inner.example.test (inner [127.0.0.1]) by gate.example.test; Sat, 21 Nov 2026 00:00:00 +0000\r\n" +
			"X-Dup: two\r\nComments: a\r\nx-dup: three\r\nComments: b\r\n",
	},
	{
		name: "Content fields twice, the same", body: wire.Text("text"),
		fields: "MIME-Version: 1.0\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n" +
			"Content-Type: text/plain; charset=us-ascii\r\nContent-Description: one\r\n",
	},
	{
		name: "Content-Type twice, not the same", body: wire.Text("text"), vague: true,
		fields: "MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: 7bit\r\n",
	},
	{
		name: "many Content fields", body: wire.Text("text"),
		fields: "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\nContent-Disposition: inline\r\n" +
			"Content-Description: a text\r\nContent-ID: <a@example.test>\r\nContent-Language: en\r\nContent-Location: http://example.test/\r\n" +
			"Content-Duration: 3\r\nContent-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\n",
	},
	{name: "Content-Type that is none", body: wire.Text("text"), fields: "MIME-Version: 1.0\r\nContent-Type: text\r\n"},
	{name: "many recipients", body: wire.Text("text"), to: 100},

	// What is not signed, and must not be changed.
	{name: "no identity", author: "nobody@example.test", body: wire.Text("text"), unsigned: "no identity for nobody@example.test"},
	{
		name: "no identity, 8 bit", author: "nobody@example.test", body: wire.Text(latin1+"  ", "From here", ".", ""), args: []string{"BODY=8BITMIME"},
		fields:   "X-Dup: one\r\nMIME-Version: 1.0\r\nX-Dup: two\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n",
		unsigned: "no identity for nobody@example.test",
	},
	{
		name: "two authors", author: "alice@example.test, paula@example.test", body: wire.Text("text"),
		unsigned: "From has 2 addresses, not one",
	},
	{
		name: "8-bit text within a signed part", args: []string{"BODY=8BITMIME"},
		fields: mixed,
		body: wire.Text("--outer", "Content-Type: multipart/signed; boundary=inner; protocol=\"application/pgp-signature\"; micalg=pgp-sha1", "",
			"--inner", "Content-Type: text/plain; charset=iso-8859-1", "Content-Transfer-Encoding: 8bit", "", latin1, "--inner",
			"Content-Type: application/pgp-signature", "", "none", "--inner--", "--outer--"),
		unsigned: "encoding it would break its signature",
	},
	{
		name: "OpenPGP", fields: "MIME-Version: 1.0\r\nContent-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=p\r\n",
		body: wire.Text("--p", "Content-Type: application/pgp-encrypted", "", "Version: 1", "", "--p", "Content-Type: application/octet-stream", "",
			"-----BEGIN PGP MESSAGE-----", "", "-----END PGP MESSAGE-----", "--p--"),
		unsigned: "signed or encrypted already",
	},
}

// nested is multiparts in each other, each with a text before the next.
func nested(depth int) string {
	s := wire.Text("innermost")
	for i := range depth {
		boundary := "outer"
		if i < depth-1 {
			boundary = fmt.Sprintf("b%d", i)
		}
		inner := "Content-Type: text/plain\r\n\r\n"
		if i > 0 {
			inner = fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n", i-1)
		}
		s = wire.Text("--"+boundary, "", fmt.Sprint("level ", i), "--"+boundary) + inner + s + wire.Text("--"+boundary+"--")
	}
	return s
}
