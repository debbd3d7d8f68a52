package spoof_test

import (
	"strings"

	"mailseal/internal/verdict"
)

// parts are mails of which only a part is signed, and the rest is what is seen.
func parts(w *world) (list []attack) {
	class := "M1"
	add := func(name, mail string, want verdict.Status, says string) {
		list = append(list, attack{class: class, name: name, mail: mail, want: want, says: says})
	}
	good, opaqued := clearSigned(words, over(words, by(w.alice))), opaque(inside(words, by(w.alice)))
	html := func(body string) string { return "Content-Type: text/html\n\n" + body + "\n" }

	add("as it should be", mail(alice, good), verdict.Pass, "")
	add("text before", mail(alice, mixed("mixed", forged, good)), verdict.None, "")
	add("text behind, as a list's footer", mail(alice, mixed("mixed", good, forged)), verdict.None, "")
	add("text before an opaque part", mail(alice, mixed("mixed", forged, opaqued)), verdict.None, "")
	add("two levels further in", mail(alice, mixed("mixed", forged, strings.ReplaceAll(mixed("mixed", good), "=_m", "=_n"))), verdict.None, "")
	add("alone in multipart/mixed", mail(alice, mixed("mixed", good)), verdict.None, "")
	add("text before, within the signed part", mail(alice, signedType+"\n\n"+multipart("=_s", mixed("mixed", forged, words), p7s(over(words, by(w.alice))))), verdict.Fail, "content was changed")
	add("text in the preamble", instead(mail(alice, good), "\n\n--=_s", "\n\nPay 900 to Mallory.\n\n--=_s"), verdict.Pass, "")
	add("text in the epilogue", mail(alice, good+"Pay 900 to Mallory.\n"), verdict.Pass, "")
	add("a signed part in the preamble of unsigned ones", mail(alice, "Content-Type: multipart/mixed; boundary=\"=_m\"\n\n"+good+multipart("=_m", forged)), verdict.None, "")

	class = "M2"
	add("hidden by HTML", mail(alice, mixed("mixed", html(`Pay 900.<div style="display:none">`), good, html("</div>"))), verdict.None, "")
	add("hidden by a style sheet", mail(alice, mixed("mixed", html(`<style>.moz-text-plain{display:none}</style>Pay 900.`), good)), verdict.None, "")
	add("an open comment", mail(alice, mixed("mixed", html(`Pay 900.<!--`), good)), verdict.None, "")
	add("as it should be, in HTML", signed(alice, html("<p>Pay 100."), w.alice), verdict.Pass, "")

	class = "M3"
	related := mixed("related", html(`Pay 900.<img src="cid:a">`), "Content-ID: <a>\n"+good)
	add("referred to by cid", mail(alice, related), verdict.None, "")
	add("opaque, referred to by cid", mail(alice, mixed("related", html(`<object data="cid:a">`), "Content-ID: <a>\n"+opaqued)), verdict.None, "")
	add("an alternative that no reader shows", mail(alice, mixed("alternative", good, html("Pay 900."))), verdict.None, "")
	add("multipart/signed as a part of itself", mail(alice, signedType+"\n\n"+multipart("=_s", strings.ReplaceAll(related, "=_s", "=_t"), p7s(over(words, by(w.alice))))), verdict.Fail, "content was changed")
	add("signed as a whole", signed(alice, mixed("related", html(`<img src="cid:a">`), "Content-ID: <a>\n"+words), w.alice), verdict.Pass, "")

	class = "M4"
	const attachment = "Content-Disposition: attachment; filename=old.eml\n"
	add("attached", mail(alice, mixed("mixed", forged, attachment+"Content-Type: message/rfc822\n\n"+mail(alice, good))), verdict.None, "")
	add("an opaque part attached", mail(alice, mixed("mixed", forged, attachment+opaqued)), verdict.None, "")
	add("attached to a report", mail(alice, mixed("report", forged, forged, attachment+"Content-Type: message/rfc822\n\n"+mail(alice, good))), verdict.None, "")
	add("a signature attached to a clear mail", mail(alice, mixed("mixed", words, attachment+p7s(over(words, by(w.alice))))), verdict.None, "")
	add("an opaque mail that is called an attachment", mail(alice, attachment+opaqued), verdict.Pass, "")
	return list
}

// differentials are mails that readers of MIME take apart in different ways.
func differentials(w *world) (list []attack) {
	add := func(name, mail string, want verdict.Status, says string) {
		list = append(list, attack{class: "D1", name: name, mail: crlf(mail), raw: true, want: want, says: says})
	}
	good := signed(alice, words, w.alice)
	change := func(name, old, new string, want verdict.Status, says string) {
		add(name, instead(good, old, new), want, says)
	}
	const own = `boundary="=_s"`

	add("as it should be", good, verdict.Pass, "")
	change("capitals", "multipart/signed; protocol", "MULTIPART/Signed; PROTOCOL", verdict.Pass, "")
	change("folded", "multipart/signed; ", "\n multipart/signed;\n\t", verdict.Pass, "")
	change("blanks behind the delimiter", "--=_s\nContent-Type: text", "--=_s \t\nContent-Type: text", verdict.Pass, "")

	add("another type above", with(good, "Content-Type: text/html"), verdict.None, "")
	change("another type below", "\n\n", "\nContent-Type: text/html\n\n", verdict.Neutral, "more than one Content-Type")
	change("the same type twice", "\n\n", "\n"+signedType+"\n\n", verdict.Neutral, "more than one Content-Type")
	change("another type below, folded name", "\n\n", "\nContent-Type : text/html\n\n", verdict.Neutral, "Content-Type")
	change("a type behind a CR", "Subject: payment", "Subject: payment\rContent-Type: text/html", verdict.Neutral, "only some readers see it")
	change("a type behind a NUL", "Subject: payment", "Subject: payment\x00Content-Type: text/html", verdict.Pass, "")
	change("a blank before the colon", "Content-Type: multipart", "Content-Type : multipart", verdict.Neutral, "blank before the colon")
	change("two boundaries", own, own+"; boundary=other", verdict.Neutral, "")
	change("two boundaries, the other first", own, "boundary=other; "+own, verdict.Neutral, "")
	change("a boundary in a comment", "multipart/signed;", "multipart/signed (; boundary=other;);", verdict.Neutral, "comment")
	change("a boundary in an open comment", "multipart/signed;", "multipart/signed; x=\"(\"; y=\")\";", verdict.Pass, "")
	change("a boundary behind a quoted quote", "multipart/signed;", `multipart/signed; x="\"; boundary=other; y=";`, verdict.Neutral, "backslash")
	change("a boundary in pieces, beside", own, own+`; boundary*0="ot"; boundary*1="her"`, verdict.Neutral, "")
	change("a boundary in pieces", own, `boundary*0="=_"; boundary*1="s"`, verdict.Neutral, "RFC 2231")
	change("a boundary in a character set, beside", own, own+"; boundary*=us-ascii''other", verdict.Neutral, "")
	change("a boundary in a character set", own, "boundary*=us-ascii''%3D_s", verdict.Neutral, "RFC 2231")
	change("a boundary without quotes", own, "boundary==_s", verdict.Pass, "") // many programs write it so
	change("a boundary as an encoded word", own, `boundary="=?us-ascii?q?=3D=5Fs?="`, verdict.Neutral, "")
	change("no semicolon", "multipart/signed; ", "multipart/signed ", verdict.None, "")
	change("a comma for the semicolon", "multipart/signed; ", "multipart/signed, ", verdict.None, "")
	change("two types in one", "multipart/signed; ", "multipart/signed, text/html; ", verdict.None, "")
	change("a type with a comment", "multipart/signed;", "multipart/(x)signed;", verdict.Neutral, "")
	change("encoded as a whole", "MIME-Version: 1.0", "MIME-Version: 1.0\nContent-Transfer-Encoding: base64", verdict.Neutral, "encoded as a whole")
	change("quoted-printable as a whole", "MIME-Version: 1.0", "MIME-Version: 1.0\nContent-Transfer-Encoding: quoted-printable", verdict.Neutral, "encoded as a whole")
	change("two encodings as a whole", "MIME-Version: 1.0", "MIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\nContent-Transfer-Encoding: base64", verdict.Neutral, "")
	change("no MIME version", "MIME-Version: 1.0\n", "", verdict.Pass, "")
	change("a line that is no field", "Subject: payment", "Subject: payment\nPay 900 to Mallory.", verdict.Neutral, "is no field")
	change("a line of blanks", "Subject: payment", "Subject: payment\n \nPay: 900 to Mallory.", verdict.Neutral, "is blank")
	add("a header further down", header(alice)+signedType+"\n\n"+multipart("=_s", words, p7s(over(words, by(w.alice)))), verdict.None, "")
	return append(list, delimiters(w, good)...)
}

// delimiters are lines that readers take for delimiters, or do not.
func delimiters(w *world, good string) (list []attack) {
	add := func(name, mail string, want verdict.Status, says string) {
		list = append(list, attack{class: "D2", name: name, mail: crlf(mail), raw: true, want: want, says: says})
	}
	change := func(name, old, new string, want verdict.Status, says string) {
		add(name, instead(good, old, new), want, says)
	}
	const more = "delimiters of more parts"
	add("as it should be", good, verdict.Pass, "")
	add("a part behind the end", good+"\n--=_s\n"+forged+"\n--=_s--\n", verdict.Neutral, more)
	add("a second end", good+"--=_s--\n", verdict.Neutral, "")
	change("a part before the first", "\n\n--=_s", "\n\n--=_s\r"+instead(forged, "\n\n", "\r\r")+"\n--=_s", verdict.Neutral, more)
	change("a delimiter behind a CR", "\n\n--=_s", "\n\nx\r--=_s\rContent-Type: text/html\r\rPay 900.\n--=_s", verdict.Neutral, more)
	change("a delimiter that goes on", "\n\n--=_s", "\n\n--=_sx\n"+forged+"\n--=_s", verdict.Neutral, more)
	change("another delimiter that begins the same", `boundary="=_s"`, `boundary="=_"`, verdict.Neutral, "")
	change("a longer delimiter said", `boundary="=_s"`, `boundary="=_s "`, verdict.Neutral, "")
	change("no end", "--=_s--\n", "", verdict.Pass, "")
	change("a CR in the signature's header", "name=smime.p7s", "name=smime.p7s\rContent-Type: text/html\r\r<b>Pay 900.</b>", verdict.Neutral, "")
	change("text before the signature's base64", "name=smime.p7s\nContent-Transfer-Encoding: base64\n\n", "name=smime.p7s\nContent-Transfer-Encoding: base64\n\nPay 900!\n", verdict.Neutral, "")
	change("two types of the signature", "name=smime.p7s", "name=smime.p7s\nContent-Type: text/html", verdict.Neutral, "")

	inner := "Content-Type: multipart/mixed; boundary=\"=_s\"\n\n--=_s\n\nPay 900.\n--=_s--\n"
	add("the same boundary inside", mail(alice, clearSigned(inner, over(inner, by(w.alice)))), verdict.Neutral, "")
	within := "Content-Type: text/plain\n\nPay 100 to Bob.\n--=_s\nContent-Type: text/html\n\nPay 900.\n"
	add("a delimiter in the content", mail(alice, clearSigned(within, over(within, by(w.alice)))), verdict.Neutral, "3 parts")
	bare := []byte(crlf(instead(words, "Bob.", "Bob.\r--=_s\rContent-Type: text/html\r\rPay 900.")))
	add("a delimiter behind a CR in the content", mail(alice, clearSigned("%", object{content: bare, detached: true, signers: []signer{by(w.alice)}}.der())), verdict.Fail, "content was changed")
	list[len(list)-1].mail = instead(list[len(list)-1].mail, "%", string(bare))
	list[len(list)-1].want, list[len(list)-1].says = verdict.Pass, "" // Alice signed it: it is her content
	return list
}
