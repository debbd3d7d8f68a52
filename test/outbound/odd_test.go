package outbound_test

import (
	"slices"
	"strings"
	"testing"

	"mailseal/internal/mtarig"
	"mailseal/internal/testpki"
	"mailseal/test/host"
	"mailseal/test/wire"
)

// odd are mails that break a rule, or come near to it: what is signed must
// still be what a reader of the unsigned mail would have read.
var odd = []sample{
	{name: "NUL", body: wire.Text("a\x00b", "c")},
	{name: "998 and 999 bytes", body: wire.Text(strings.Repeat("a", 998), strings.Repeat("b", 999), strings.Repeat("c", 1000))},
	{name: "exactly 998 bytes", body: wire.Text(strings.Repeat("a", 998))},
	{name: "Content-Type without MIME-Version", fields: "Content-Type: text/html\r\n", body: wire.Text("<p>x</p>")},
	{
		name: "long Content-Type", walked: true,
		fields: "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii; x=\"" + strings.Repeat("long ", 300) + "\"\r\n",
		body:   wire.Text("x"),
	},
	{
		name:   "trailing blank in Content-Type",
		fields: "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii  \r\nContent-Language: en \t\r\n",
		body:   wire.Text("x"),
	},
	{name: "8-bit name of the only part", args: []string{"BODY=8BITMIME"},
		fields: "MIME-Version: 1.0\r\nContent-Type: application/pdf; name=\"r\xc3\xa9sum\xc3\xa9.pdf\"\r\n" +
			"Content-Disposition: attachment;\r\n filename=\"r\xc3\xa9sum\xc3\xa9.pdf\"\r\nContent-Transfer-Encoding: base64\r\n",
		body: encoded(200)},
	{
		name:   "8-bit Content-Description",
		fields: "MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Description: Gr\xc3\xbc\xc3\x9fe\r\n",
		body:   wire.Text("x"),
	},
	{
		name:   "encoding in capitals",
		fields: "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8BIT\r\n",
		body:   wire.Text(latin1),
	},
	{
		name:   "encoding with a comment",
		fields: "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit (so)\r\n",
		body:   wire.Text(latin1),
	},
	{
		name:   "binary",
		fields: "MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n",
		body:   wire.Text("a\x01\xff\x00b", strings.Repeat("\xff", 2000)),
	},
	{
		name:   "7bit that is not",
		fields: "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 7bit\r\n",
		body:   wire.Text(latin1),
	},
	{
		name:   "encoding that is none, 7-bit",
		fields: "MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: x-unknown\r\n",
		body:   wire.Text("abc"), vague: true,
	},
	{
		name: "encoding that is none, 8-bit", unsigned: "does not allow to encode",
		fields: "MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: x-unknown\r\n",
		body:   wire.Text(latin1),
	},
	{name: "base64 in one line", fields: "MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n",
		body: strings.ReplaceAll(encoded(3000), "\r\n", "") + "\r\n"},
	{name: "quoted-printable with long lines", fields: "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n",
		body: wire.Text(strings.Repeat("=C3=BC", 500))},
	{name: "quoted-printable with 8 bit", fields: "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n",
		body: wire.Text("Gr\xc3\xbc=C3=9Fe")},
	{
		name:   "utf-16",
		fields: "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n",
		body:   wire.Text("/v8AYQBi"),
	},
	{name: "no closing delimiter", vague: true, fields: mixed, body: wire.Text("--outer", "", "a", "--outer", "", latin1)},
	{name: "closing delimiter without line end", fields: mixed, body: "--outer\r\n\r\n" + latin1 + "\r\n--outer--"},
	{name: "blanks after the delimiter", fields: mixed, body: wire.Text("--outer  ", "", latin1+" ", "--outer\t", "", "b", "--outer-- ")},
	{name: "boundary that begins another", fields: mixed,
		body: wire.Text("--outer", "Content-Type: multipart/mixed; boundary=outerb", "", "--outerb", "", latin1, "--outerb--", "--outer", "", "b", "--outer--")},
	{name: "8-bit preamble", fields: mixed, body: wire.Text(latin1, "--outer", "", "a", "--outer--", latin1)},
	{name: "empty parts", fields: mixed, body: wire.Text("--outer", "", "--outer", "Content-Type: text/plain", "", "", "--outer--")},
	{name: "no parts", walked: true, fields: mixed, body: wire.Text("nothing here"), vague: true},
	{
		name: "no boundary", walked: true,
		fields: "MIME-Version: 1.0\r\nContent-Type: multipart/mixed\r\n",
		body:   wire.Text("--a", "", "x", "--a--"), vague: true,
	},
	{
		name: "no boundary, 8 bit", walked: true,
		fields: "MIME-Version: 1.0\r\nContent-Type: multipart/mixed\r\n",
		body:   wire.Text("--a", "", latin1, "--a--"), unsigned: "cannot be signed",
	},
	{
		name:   "encoded multipart",
		fields: mixed + "Content-Transfer-Encoding: quoted-printable\r\n",
		body:   wire.Text("--outer", "", "a =3D", "--outer--"), vague: true,
	},
	{name: "delivery report", fields: "MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=outer\r\n",
		body: wire.Text("--outer", "", "It did not go.  ", "--outer", "Content-Type: message/delivery-status", "", "Reporting-MTA: dns; mx.example.test ", "",
			"Final-Recipient: rfc822; bob@example.net", "Action: failed", "Status: 5.1.1", "--outer", "Content-Type: text/rfc822-headers", "",
			"From: alice@example.test", "Subject: x", "--outer--")},
	{name: "digest", fields: "MIME-Version: 1.0\r\nContent-Type: multipart/digest; boundary=outer\r\n",
		body: wire.Text("--outer", "", "From: a@example.org", "Subject: one", "", "one", "--outer", "", "From: b@example.org", "Subject: two", "", "two  ", "--outer--"), vague: true},
	{
		name: "encoded message", walked: true,
		fields: mixed,
		body:   wire.Text("--outer", "Content-Type: message/rfc822", "Content-Transfer-Encoding: base64", "", "U3ViamVjdDogeA0KDQp4DQo=", "--outer--"), vague: true,
	},
	{
		name:   "part of a message",
		fields: "MIME-Version: 1.0\r\nContent-Type: message/partial; id=\"a@example.test\"; number=1; total=2\r\n",
		body:   wire.Text("From: x@example.org", "", "half a mail"),
	},
	{name: "many fields", fields: strings.Repeat("X-Many: field\r\n", 500), body: wire.Text("x")},
	{name: "long field", fields: "X-Long: " + strings.Repeat("word ", 150) + "\r\n", body: wire.Text("x")},
}

// parts are mails whose MIME parts have headers that somebody might like to
// write in another way. sendmail does by default: at delivery it reads the
// header of every part, also within multipart/signed, shortens what it finds
// too long, and writes it again (mime8to7 and putheader).
var parts = []sample{
	{name: "forwarded mail with a real header", fields: mixed,
		body: wire.Text("--outer", "", "see below", "--outer", "Content-Type: message/rfc822", "",
			"Return-Path: <far@example.org>", "Delivered-To: alice@example.test", "Received: from a by b; Sat, 21 Nov 2026 12:00:00 +0900",
			"From: \"Far, Away\" <far@example.org>  (comment)", "To: a@example.org,b@example.org,  c@example.org", "Cc:  undisclosed-recipients:;",
			"Bcc: secret@example.org", "Reply-To: <>", "Sender:far@example.org", "Return-Receipt-To: far@example.org", "Disposition-Notification-To: far@example.org",
			"Errors-To: x@example.org", "Full-Name: Far", "Resent-From: y@example.org", "Resent-Bcc: z@example.org",
			"To: "+strings.Repeat("somebody@example.org, ", 60)+"last@example.org",
			"Content-Length: 3", "Lines: 1", "Status: RO", "X-Mailer: x", "Subject:no blank", "Message-Id:<x@example.org>", "Apparently-To: q@example.org", "Precedence: bulk", "Priority: urgent", "", "text", "--outer--")},
	{name: "Bcc inside alone", fields: mixed, body: wire.Text("--outer", "", "see below", "--outer", "Content-Type: message/rfc822", "",
		"From: far@example.org", "Bcc: secret@example.org", "Subject: x", "", "text", "--outer--")},
	{name: "Return-Path inside alone", fields: mixed, body: wire.Text("--outer", "", "see below", "--outer", "Content-Type: message/rfc822", "",
		"Return-Path: <far@example.org>", "From: far@example.org", "Subject: x", "", "text", "--outer--")},
	{name: "commas inside alone", fields: mixed, body: wire.Text("--outer", "", "see below", "--outer", "Content-Type: message/rfc822", "",
		"From: far@example.org", "To: a@example.org,b@example.org,  c@example.org", "Subject: x", "", "text", "--outer--")},
	{name: "no blank inside alone", fields: mixed, body: wire.Text("--outer", "", "see below", "--outer", "Content-Type: message/rfc822", "",
		"From:far@example.org", "Subject:x", "", "text", "--outer--")},
	{name: "comment inside alone", fields: mixed, body: wire.Text("--outer", "", "see below", "--outer", "Content-Type: message/rfc822", "",
		"From: \"Far, Away\" <far@example.org>  (comment)", "Subject: x", "", "text", "--outer--")},
	{
		name: "no colon in part header", vague: true, walked: true,
		fields: mixed,
		body:   wire.Text("--outer", "no field at all", "", "text", "--outer", "", "b", "--outer--"),
	},
	{
		name: "blank before the colon in part header", walked: true,
		fields: mixed,
		body:   wire.Text("--outer", "Content-Type : text/plain", "X-A :b", "X-B:", "X-C: ", "X-D:  two", "", "text", "--outer", "", "b", "--outer--"),
	},
	{
		name:   "folds in part header",
		fields: mixed,
		body:   wire.Text("--outer", "Content-Type: text/plain;", "\tcharset=us-ascii;", "    format=flowed", "X-A:", " b", "content-ID:", "\t<a@b>", "", "text", "--outer", "", "b", "--outer--"),
	},
	{
		name:   "Content-Length in a part",
		fields: mixed,
		body:   wire.Text("--outer", "Content-Type: text/plain", "Content-Length: 4", "Bcc: x@example.org", "Return-Path: <x@y>", "", "text", "--outer", "", "b", "--outer--"),
	},
	{name: "25 deep", walked: true, fields: mixed, body: nested(25)},
	{name: "18 deep", fields: mixed, body: nested(18)},
	{
		name:   "inner preamble",
		fields: mixed,
		body:   wire.Text("--outer", "Content-Type: multipart/mixed; boundary=in", "", "preamble", "", "--in", "", "x", "--in--", "epilogue", "", "--outer--"),
	},
	{
		name:   "forwarded multipart with preamble",
		fields: mixed,
		body:   wire.Text("--outer", "Content-Type: message/rfc822", "", "From: far@example.org", "Content-Type: multipart/mixed; boundary=in", "", "preamble", "", "--in", "", "x", "--in--", "epilogue", "", "--outer--"),
	},
	{
		name:   "long name",
		fields: mixed,
		body:   wire.Text("--outer", "Content-Type: application/pdf; name=\""+strings.Repeat("n", 240)+".pdf\"", "", "x", "--outer--"),
	},
	{
		name: "long description", walked: true,
		fields: mixed,
		body:   wire.Text("--outer", "Content-Description: "+strings.Repeat("long ", 500), "", "x", "--outer--"),
	},
	{
		name:   "parameter of 1000",
		fields: mixed,
		body:   wire.Text("--outer", "Content-Type: text/plain;", " x="+strings.Repeat("n", 900), "", "x", "--outer--"),
	},
	{
		name: "parameter of 1100", walked: true,
		fields: mixed,
		body:   wire.Text("--outer", "Content-Type: text/plain;", " x=\""+strings.Repeat("n ", 450), " "+strings.Repeat("n ", 100)+"\"", "", "x", "--outer--"),
	},
	{
		name:   "digest inside",
		fields: mixed,
		body:   wire.Text("--outer", "Content-Type: multipart/digest; boundary=d", "", "--d", "", "From: a@example.org", "Subject: one", "", "one", "--d--", "--outer--"),
	},
	{
		name:   "quotes in the boundary",
		fields: "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"a b'c()+_,-./:=?\"\r\n",
		body:   wire.Text("--a b'c()+_,-./:=?", "", "x", "--a b'c()+_,-./:=?--"),
	},
	{
		name: "unbalanced parameter", walked: true,
		fields: mixed,
		body:   wire.Text("--outer", "Content-Type: text/plain; name=smile:).txt", "Content-Disposition: attachment; filename=a(1.txt", "", "x", "--outer--"),
	},
	{
		name:   "unbalanced in quotes",
		fields: mixed,
		body:   wire.Text("--outer", "Content-Type: text/plain; name=\"smile:).txt\"", "Content-Disposition: attachment; filename=\"a(1.txt\"", "", "x", "--outer--"),
	},
	{name: "unbalanced Content-ID", fields: mixed, body: wire.Text("--outer", "Content-ID: <abc", "", "x", "--outer--")},
	{
		name: "boundary in pieces", walked: true,
		fields: "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary*0=ou; boundary*1=ter\r\n",
		body:   wire.Text("--outer", "", "x", "--outer--"),
	},
	{
		name:   "boundary of 70",
		fields: "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=" + strings.Repeat("b", 70) + "\r\n",
		body:   wire.Text("--"+strings.Repeat("b", 70), "", "x", "--"+strings.Repeat("b", 70)+"--"),
	},
	{
		name: "boundary of 200", walked: true,
		fields: "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=" + strings.Repeat("b", 200) + "\r\n",
		body:   wire.Text("--"+strings.Repeat("b", 200), "", "x", "--"+strings.Repeat("b", 200)+"--"),
	},
	{
		name: "boundary behind many parameters", walked: true,
		fields: "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; " + strings.Repeat("x=y; ", 25) + " boundary=outer\r\n",
		body:   wire.Text("--outer", "", "x", "--outer--"), vague: true,
	},
	{
		name:   "empty parameter",
		fields: mixed,
		body:   wire.Text("--outer", "Content-Type: text/plain;; charset=us-ascii;", "", "x", "--outer--"), vague: true,
	},
	{
		name:   "40 KB of header in a forwarded mail",
		fields: mixed,
		body:   wire.Text("--outer", "Content-Type: message/rfc822", "", "From: far@example.org", strings.Repeat("X-Long: "+strings.Repeat("x", 70)+"\r\n", 500)+"Subject: x", "", "x", "--outer--"),
	},
	{
		name:   "long line in a forwarded header",
		fields: mixed,
		body:   wire.Text("--outer", "Content-Type: message/rfc822", "", "From: far@example.org", "X-Long: "+strings.Repeat("word ", 390), "Subject: x", "", "x", "--outer--"),
	},
	{
		name:   "forwarded in forwarded",
		fields: mixed,
		body:   wire.Text("--outer", "Content-Type: message/rfc822", "", "From: far@example.org", "Content-Type: message/rfc822", "", "From: b@example.org", "Content-Type: text/plain", "Content-Transfer-Encoding: 7bit", "", "x", "--outer--"),
	},
	{
		name: "escaped boundary", vague: true,
		fields: "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"a\\b\"\r\n",
		body:   wire.Text("--ab", "", "x", "--ab--"),
	},
}

func TestOddSamples(t *testing.T) {
	p := testpki.New(t)
	settings := settings(p)
	j := newJudges(t, p, settings.Identities...)
	all := slices.Concat(odd, parts)
	for _, tt := range []struct {
		name  string
		setup host.Setup
		extra string
		walks bool
	}{
		{"postfix", host.Both[0], "", false},
		{"sendmail", host.Both[1], "", true},
		{"sendmail that does not look into parts", host.Both[1], "define(`confMAX_MIME_HEADER_LENGTH', `0/0')dnl", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := host.Start(t, tt.setup, settings, refusing, func(c *mtarig.Config) {
				if tt.extra != "" {
					c.Extra = append(c.Extra, tt.extra)
				}
			})
			(&round{Host: h, judges: j, samples: all, walks: tt.walks}).run(t)
		})
	}
}
