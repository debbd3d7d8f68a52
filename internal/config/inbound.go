package config

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"mailseal/internal/policy"
)

// Inbound is what becomes of mail that comes in.
type Inbound struct {
	// Decrypt opens what is for local recipients.
	Decrypt bool
	// InnerHeaders restores header fields that were protected inside (RFC 9788).
	InnerHeaders bool
	// KeepSignature leaves good signatures on the mail.
	KeepSignature                 bool
	OnVerifyFail, OnDecryptFail   policy.Treatment
	VerifyFailTag, DecryptFailTag string
	// SubjectTags are words that nobody but us may put into a subject.
	SubjectTags []string
	// ReportFields writes X-Mailseal fields.
	ReportFields bool
	// DecryptFailures is how many mails of a client may fail in an hour, 0: any
	// number.
	DecryptFailures int
}

func defaultInbound() Inbound {
	return Inbound{
		Decrypt: true, KeepSignature: true, VerifyFailTag: "[signature not valid]", DecryptFailTag: "[not decrypted]",
		SubjectTags: []string{}, DecryptFailures: 50,
	}
}

// inboundKeys are those of Inbound, in the table smime.
var inboundKeys = map[string]spec{
	"smime.decrypt":          {set: func(v value) { v.boolean(&v.d.c.SMIME.Inbound.Decrypt) }},
	"smime.inner_headers":    {set: func(v value) { v.boolean(&v.d.c.SMIME.Inbound.InnerHeaders) }},
	"smime.keep_signature":   {set: func(v value) { v.boolean(&v.d.c.SMIME.Inbound.KeepSignature) }},
	"smime.on_verify_fail":   {set: func(v value) { word(v, &v.d.c.SMIME.Inbound.OnVerifyFail, treatments) }},
	"smime.on_decrypt_fail":  {set: func(v value) { word(v, &v.d.c.SMIME.Inbound.OnDecryptFail, treatments) }},
	"smime.verify_fail_tag":  {set: func(v value) { v.tag(&v.d.c.SMIME.Inbound.VerifyFailTag) }},
	"smime.decrypt_fail_tag": {set: func(v value) { v.tag(&v.d.c.SMIME.Inbound.DecryptFailTag) }},
	"smime.subject_tags":     {set: subjectTags},
	"smime.report_fields":    {set: func(v value) { v.boolean(&v.d.c.SMIME.Inbound.ReportFields) }},
	"smime.decrypt_failures": {set: func(v value) { v.number(&v.d.c.SMIME.Inbound.DecryptFailures, 0, 1000000) }},
}

// with adds the keys of a file of their own.
func with(more, keys map[string]spec) map[string]spec {
	maps.Copy(keys, more)
	return keys
}

var treatments = []option[policy.Treatment]{
	{"deliver", policy.Deliver}, {"tag", policy.Tag}, {"quarantine", policy.Quarantine}, {"reject", policy.Reject},
}

// maxTag bounds a tag: it is to leave room for the subject.
const maxTag = 60

// tag takes words for a subject. A short one would be taken out of subjects in
// which it means something.
func (v value) tag(to *string) {
	const want = `words for the front of a subject, of 4 characters at least, as "[not signed]"`
	s, ok := v.str(want)
	if !ok {
		return
	}
	seen := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
	if n := len([]rune(seen)); n < 4 || len(s) > maxTag || strings.TrimSpace(s) != s || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		v.fail("%q; want %s", s, want)
		return
	}
	*to = s
}

func subjectTags(v value) {
	ts := []string{}
	v.list(`words in subjects, as ["[signed OK]"]`, func(v value) {
		var t string
		v.tag(&t)
		if t != "" && slices.Contains(ts, t) {
			v.fail("%q is there twice; want it once", t)
		}
		ts = append(ts, t)
	})
	v.d.c.SMIME.Inbound.SubjectTags = ts
}
