package spoof_test

import (
	"mailseal/internal/verdict"
)

const said = "smime=pass body.smime-identifier=" + alice

// inOurWords are fields that are ours to some reader.
var inOurWords = []string{
	"Authentication-Results: " + ours + "; " + said,
	"authentication-results:MX.Example.JP;" + said,
	"Authentication-Results : " + ours + "; " + said,
	"Authentication-Results: " + ours + " 1; " + said,
	"Authentication-Results: " + ours + "/1; " + said,
	"Authentication-Results: " + ours + " (x) 1 (y); " + said,
	"Authentication-Results: \"" + ours + "\"; " + said,
	"Authentication-Results: \"mx\\.example.jp\"; " + said,
	"Authentication-Results: (a comment) " + ours + "; " + said,
	"Authentication-Results: (((" + ours + "; " + said,
	"Authentication-Results: mx (x) . example . jp; " + said,
	"Authentication-Results: " + ours + ".; " + said,
	"Authentication-Results: ; " + ours + "; " + said,
	"Authentication-Results:\n " + ours + "\n ;\n " + said,
	"Authentication-Results:\n\t\n " + ours + "; " + said,
	"Authentication-Results: =?utf-8?q?mx=2Eexample=2Ejp?=; " + said,
	"Authentication-Results: =?utf-8?b?bXguZXhhbXBsZS5qcA==?=; " + said,
	"Authentication-Results: =?utf-8?q?mx.exam?= =?utf-8?q?ple.jp?=; " + said,
	"Authentication-Results: =?iso-8859-2?q?mx.example.jp?=; " + said,
	"Authentication-Results: =?iso-8859-2?b?bXguZXhhbXBsZS5qcA==?=; " + said,
	"Authentication-Results: =?us-ascii*en?q?mx.example.jp?=; " + said,
	"Authentication-Results: =?utf-8?q?mx=2Eexample.jp; " + said + "?=",
	"Authentication-Results: \uff4d\uff58.example.jp; " + said,
	"Authentication-Results: \x00" + ours + "; " + said,
	"Authentication-Results: " + ours + "\x00; " + said,
	"Authentication-Results: \u200b" + ours + "; " + said,
	"Authentication-Results: " + ours + "; none; " + said,
	"Authentication-Results: " + ours + "; (unclosed " + said,
	"Authentication-Results: " + ours + "; dkim=pass; dmarc=pass",
	"Authentication-Results: " + ours,
	"X: y\rAuthentication-Results: " + ours + "; " + said,
}

// claims are what Mallory says in our name.
func claims(w *world) (list []attack) {
	unsigned := mail(alice, forged)
	forgery := func(name string, gone bool, fields ...string) {
		a := attack{class: "A1", name: name, mail: with(unsigned, fields...), want: verdict.None}
		if gone {
			a.gone = fields
		}
		list = append(list, a)
	}
	for _, f := range inOurWords {
		forgery(f, true, f)
	}
	forgery("many", true, "Authentication-Results: "+ours+"; smime=pass", "Authentication-Results: "+ours+"; smime=pass")
	for _, f := range []string{
		"Authentication-Results: mx.far.example; " + said,
		"Authentication-Results: not-" + ours + "; " + said,
		"Authentication-Results: " + ours + ".evil.example; " + said,
		"ARC-Authentication-Results: i=1; " + ours + "; " + said,
		"X-Authentication-Results: " + ours + "; " + said,
	} {
		forgery(f, false, f)
	}
	field := "Authentication-Results: " + ours + "; smime=fail"
	list = append(list, attack{class: "A1", name: "on a signed mail", mail: with(signed(alice, words, w.alice), field), want: verdict.Pass, gone: []string{field}})
	below := instead(signed(alice, words, w.alice), "\n\n", "\n"+field+"\n\n")
	list = append(list, attack{class: "A1", name: "below, on a signed mail", mail: below, want: verdict.Pass, gone: []string{field}})

	// Further in it is content: it stays, and says nothing.
	within := "Authentication-Results: " + ours + "; " + said + "\n" + forged
	list = append(list,
		attack{class: "A2", name: "under the signature", mail: mail(alice, clearSigned(within, over(within, by(w.mallory)))), want: verdict.Policy},
		attack{class: "A2", name: "under the signature, opaque", mail: mail(alice, opaque(inside(within, by(w.mallory)))), want: verdict.Policy},
		attack{class: "A2", name: "under Mallory's signature, from her", mail: mail(mallory, opaque(inside(within, by(w.mallory)))), want: verdict.Pass},
		attack{class: "A2", name: "in a part", mail: mail(alice, mixed("mixed", within)), want: verdict.None},
		attack{class: "A2", name: "in the body", mail: unsigned + "Authentication-Results: " + ours + "; " + said + "\n", want: verdict.None},
	)
	return list
}
