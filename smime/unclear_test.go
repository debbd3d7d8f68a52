package smime_test

import (
	"errors"
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/testpki"
	"mailseal/smime"
)

// A good signature is none where some readers show something beside what it is
// over: what surrounds the content is not signed.
func TestReadersThatSeeMore(t *testing.T) {
	m := makeParts(t, testpki.NewAt(t, fixed).User("alice@corp.example", ca.P256))
	const text = "Content-Type: text/plain; charset=us-ascii\n\nHello Bob.\n"
	const more = "Content-Type: text/plain\n\nforged\n"
	signature := func(fields string) string {
		return strings.Replace(multipartSigned(p7sParams, text, p7sType, m.detached, end), "Content-Type: "+p7sType+"\n", fields, 1)
	}
	const sigType = "Content-Type: " + p7sType + "\n"
	before := func(s string) string {
		return strings.Replace(signature(sigType), "\n\n", "\n\n"+s, 1)
	}
	opaque := func(fields string) string {
		return strings.Replace(opaqueMail(p7mType, m.opaque), "Content-Type: "+p7mType+"\nContent-Transfer-Encoding: base64\n", fields, 1)
	}
	const (
		p7m      = "Content-Type: " + p7mType + "\n"
		encoding = "Content-Transfer-Encoding: base64\n"
	)
	for _, tt := range []struct {
		name, mail string
		good       bool
	}{
		{"signature part", signature(sigType), true},
		{"of two types", signature(sigType + "Content-Type: text/html\n"), false},
		{"of two encodings", strings.Replace(signature(sigType), encoding, encoding+"Content-Transfer-Encoding: 7bit\n", 1), false},
		{"of an encoding told twice", strings.Replace(signature(sigType), encoding, encoding+"content-transfer-encoding: BASE64\n", 1), true},
		{"with a CR that may be a line end", signature(sigType + "X-A: a\rContent-Type: text/html\n"), false},
		{"with a type behind a comment", signature("Content-Type: (text/html;) " + p7sType + "\n"), false},
		{"with two types in one", signature("Content-Type: application/pkcs7-signature text/html\n"), false},
		{"with a line that is no field", signature("Content Type: text/html\n" + sigType), false},
		{"with a blank before the colon", signature("Content-Type : " + p7sType + "\n"), false},

		{"mail of two types in one", strings.Replace(signature(sigType), "multipart/signed;", "multipart/signed text/html;", 1), false},
		{"type in capitals", strings.Replace(signature(sigType), "multipart/signed;", "Multipart/SIGNED ;", 1), true},
		{"mail with words behind a parameter", strings.Replace(signature(sigType), "; micalg", " x; micalg", 1), false},
		{"mail with a parameter without a value", strings.Replace(signature(sigType), "; micalg", "; x; micalg", 1), false},
		{"mail with letters that are none in its type", strings.Replace(signature(sigType), "; micalg", "\x85; micalg", 1), false},
		{"mail with a parameter that is not quoted", strings.Replace(signature(sigType), `"application/pkcs7-signature"`, "application/pkcs7-signature", 1), true},
		{"opaque, words behind a parameter", opaque("Content-Type: " + p7mType + " x\n" + encoding), false},
		{"preamble", before("--=_ are the first characters of a delimiter\n"), true},
		{"delimiter and more in the preamble", before("--=_sX\n" + more), false},
		{"delimiter behind a CR in the preamble", before("text\r--=_s\r" + more), false},
		{"long preamble", before(strings.Repeat("line\n", 100<<10)), true},
		{"delimiter in a long preamble", before(strings.Repeat("line\n", 13107) + "--=_sX\n" + strings.Repeat("line\n", 50<<10)), false},
		{"part behind the end", signature(sigType) + "--=_s\n" + more + end, false},
		{"delimiter and more behind the end", signature(sigType) + "--=_sX\n" + more, false},
		{"delimiter and more in the signature part", strings.Replace(signature(sigType), end, "--=_sX\n"+more+end, 1), false},

		{"mail with a type behind a comment's end", strings.Replace(signature(sigType), "boundary=", "x=y (; boundary=other); boundary=", 1), false},
		{"mail with a quoted pair in the type", strings.Replace(signature(sigType), "multipart/signed;", "multipart/signed; x=\"\\\"; boundary=other; y=\";", 1), false},
		{"mail that is encoded as a whole", encoding + signature(sigType), false},
		{"mail that says it is not encoded", "Content-Transfer-Encoding: 8Bit\n" + signature(sigType), true},
		{"mail with a type behind a CR", "X: y\rContent-Type: text/html\n" + signature(sigType), false},
		{"mail with a version behind a CR", "X: y\rMIME-version : 1.0\n" + signature(sigType), false},
		{"mail with another field behind a CR", "X: y\rX-Type: text/html\n" + signature(sigType), true},
		{"mail with a line that is no field", "X: y\nforged\n" + signature(sigType), false},
		{"mail from an mbox", "From alice Sat Nov 21 12:00:00 2026\n" + signature(sigType), true},
		{"mail with a line of blanks", "X: y\n \t\nforged: z\n" + signature(sigType), false},
		{"mail with a line of blanks and a CR", "X: y\n \r\nforged: z\n" + signature(sigType), false},
		{"mail with a blank before From's colon", "From : a\n" + signature(sigType), false},
		{"mail with a blank before a colon", "X : y\n" + signature(sigType), false},
		{"mail with two CRs", "X: y\r\r z\n" + signature(sigType), false},
		{"mail with a CR and words", "X: y\rforged\n" + signature(sigType), false},
		{"mail with a CR and a blank", "X: y\r z\n" + signature(sigType), true},
		{"mail with a fold behind the colon", "X:\n y\n" + signature(sigType), true},
		{"mail with a boundary in pieces", strings.Replace(signature(sigType), `boundary="=_s"`, `boundary*0="=_"; Boundary*1="s"`, 1), false},
		{"mail with a boundary in a character set", strings.Replace(signature(sigType), `boundary="=_s"`, "BOUNDARY*=us-ascii''%3D_s", 1), false},
		{"mail with a type behind a control character", "Content-Type\v: text/html\n" + signature(sigType), false},

		{"opaque", opaque(p7m + encoding), true},
		{"opaque, type behind a CR", opaque("X: y\rContent-Type: text/html\n" + p7m + encoding), false},
		{"opaque, encoding with a NUL", opaque("Content-Transfer\x00-Encoding: 7bit\n" + p7m + encoding), false},
		{"opaque, type behind a comment", opaque("Content-Type: (text/html;) " + p7mType + "\n" + encoding), false},
		{"opaque, blank before the type's colon", opaque("Content-Type : " + p7mType + "\n" + encoding), false},
		{"opaque, blank before the encoding's colon", opaque(p7m + "Content-Transfer-Encoding : base64\n"), false},
		{"opaque of two encodings", opaque(p7m + encoding + "Content-Transfer-Encoding: 7bit\n"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mail := strings.ReplaceAll(tt.mail, "\n", "\r\n")
			r := verify(t, readRaw(t, newSpool(t), mail))
			if good(r) != tt.good {
				t.Errorf("%s, good %v, want %v", describe(r), good(r), tt.good)
			}
			p := new(smime.Problem)
			if !tt.good && (!errors.As(r.Err, &p) || p.Class != smime.BadStructure) {
				t.Errorf("error %v, want a bad structure", r.Err)
			}
		})
	}
}

// What Verify would not believe, Sign does not make; what signing takes away
// does not matter.
func TestSignNothingAmbiguous(t *testing.T) {
	id := testpki.NewAt(t, fixed).User("alice@corp.example", ca.P256)
	for _, tt := range []struct {
		field string
		ok    bool
	}{
		{"Subject: sec\n a\rMIME-Version: 1.0", false},
		{"X: y\r\rcontent-type : text/html", false},
		{"Content\v-Type: text/html", false},
		{"X: y\n \nSubject: x", false},
		{"Subject x", false},
		{"X: y\rSubject: x", true},
		{"X: y\n Content-Type: text/html", true},
		{"MIME-Version: 1.0\rContent-Type: text/html", true},
		{"Content-Description: x\rContent-Type: text/html", false}, // it would go inside
	} {
		for _, format := range []smime.Format{smime.Detached, smime.Opaque} {
			s := newSpool(t)
			m := readRaw(t, s, strings.ReplaceAll("From: alice@corp.example\n"+tt.field+"\n\nHello.\n", "\n", "\r\n"))
			o := options(t, id, format)
			o.Spool = s
			edits, err := smime.Sign(m, o)
			var cannot *smime.UnsignableError
			switch {
			case tt.ok && err != nil, !tt.ok && !errors.As(err, &cannot):
				t.Errorf("%q %v: %v", tt.field, format, err)
			case tt.ok:
				if r := verify(t, apply(t, m, edits)); !good(r) {
					t.Errorf("%q %v: %s", tt.field, format, describe(r))
				}
			}
		}
	}
}
