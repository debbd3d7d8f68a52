// Package verdict says what a signature is worth: from what smime found, the
// path to a trust anchor and the From address it makes a result in the words
// of RFC 7281, writes it as an Authentication-Results field (RFC 8601), and
// finds the fields of that kind that others wrote in our name.
//
//	_, result, err := verdict.Of(mail, smime.VerifyOptions{Spool: spool}, verdict.Question{Anchors: anchors, At: now})
//	field := result.Folded("mx.example.jp") // smime=pass body.smime-identifier=...
//
// Who signed is the author if an address of the certificate is the one in From
// (RFC 8550 section 3, RFC 9598), the author's domain if the certificate is the
// domain's and from a CA that is trusted for it (RFC 3183), or whom the
// administrator names for a certificate that names nobody (Mapping).
package verdict

import (
	"crypto/x509"
	"fmt"
	"strings"
)

// A Status is a result of RFC 7281 section 3.1.
type Status string

const (
	None      Status = "none"      // not signed
	Pass      Status = "pass"      // signed, verified, acceptable
	Fail      Status = "fail"      // verification failed
	Policy    Status = "policy"    // verified and not acceptable
	Neutral   Status = "neutral"   // syntax errors, or nothing we can process
	TempError Status = "temperror" // may succeed later
	PermError Status = "permerror" // cannot be verified, now or later
)

// worse orders statuses for mail with several signers: the worst one counts.
var worse = map[Status]int{Pass: 0, None: 1, Policy: 2, Neutral: 3, TempError: 4, PermError: 5, Fail: 6}

// Verify is the status as the MTAs' logs say it: OK, NO, TEMP or FAIL.
func (s Status) Verify() string {
	switch s {
	case Pass:
		return "OK"
	case None:
		return "NO"
	case TempError:
		return "TEMP"
	}
	return "FAIL"
}

// A Result is the verdict on one mail.
type Result struct {
	Status Status `json:"smime"`
	// Reason is for people, "" where the status says all.
	Reason string `json:"reason,omitempty"`
	// Part is the IMAP section of the signature (RFC 7281 section 3.2.1).
	Part string `json:"part,omitempty"`
	// Identifier is the signer's e-mail address, or "@domain" for a domain's
	// signature; "" when the certificate has none that can be written: then Serial
	// and Issuer name it.
	Identifier string `json:"identifier,omitempty"`
	Serial     string `json:"serial,omitempty"` // hexadecimal
	Issuer     string `json:"issuer,omitempty"` // RFC 4514
	// Domain: the signature is a domain's and not a person's.
	Domain bool `json:"domain,omitempty"`
	// Revocation is good, revoked or unknown, or off where nobody is to ask; "" where
	// there was nothing to ask about.
	Revocation string `json:"revocation,omitempty"`
	// Kinds is what the signature says that it is (RFC 3183 section 3.1.2), for
	// nearly all nothing.
	Kinds []string `json:"signature_types,omitempty"`
	// Integrity is "none" if the mail was encrypted in a way that lets others change
	// it, and no signature inside says that nobody did.
	Integrity string `json:"integrity,omitempty"`
	// Parts are signatures that cover less than the mail.
	Parts []Part `json:"parts,omitempty"`
	// Signers are the verdicts on each of them.
	Signers []Signer `json:"-"`
}

// maxIdentifier is the longest address (RFC 5321 section 4.5.3.1): one that was
// cut would be somebody else's.
const maxIdentifier = 320

func (r *Result) name(c *x509.Certificate, address string) {
	if address != "" && len(address) <= maxIdentifier && isASCII(address) && !strings.Contains(address, "=") {
		r.Identifier = address
		return
	}
	r.Serial, r.Issuer = fmt.Sprintf("%X", c.SerialNumber), c.Issuer.String()
}

// Field returns the value of the Authentication-Results field, on one line
// and without a leading blank.
func (r Result) Field(authservID string) string { return strings.Join(r.words(authservID), " ") }

// Folded returns the value as it goes into a header: a leading blank, and a
// fold where a line would be longer than 78 characters.
func (r Result) Folded(authservID string) string {
	var b strings.Builder
	line := len("Authentication-Results:")
	for _, w := range r.words(authservID) {
		if line+1+len(w) > 78 {
			b.WriteString("\r\n")
			line = 0
		}
		b.WriteString(" " + w)
		line += 1 + len(w)
	}
	return b.String()
}

// words are the parts between which the field may be folded. Filters look for
// "smime=pass" without reading the grammar, so no value may hold it.
func (r Result) words(authservID string) []string {
	ws := []string{authservID + ";", "smime=" + string(r.Status)}
	add := func(property, value string) {
		if value != "" {
			ws = append(ws, property+"="+pvalue(value))
		}
	}
	add("reason", strings.ReplaceAll(r.Reason, "=", ":"))
	add("body.smime-identifier", r.Identifier)
	add("body.smime-serial", r.Serial)
	add("body.smime-issuer", issuer(r.Issuer))
	add("body.smime-part", r.Part)
	return ws
}

// issuer escapes each "=" of a distinguished name but those that follow an
// attribute's type, which RFC 4514 section 2.4 allows.
func issuer(dn string) string {
	var b strings.Builder
	atType := true
	for i := 0; i < len(dn); i++ {
		switch c := dn[i]; {
		case c == '\\' && i+1 < len(dn):
			b.WriteString(dn[i : i+2])
			i++
		case c == '=' && !atType:
			b.WriteString(`\3D`)
		default:
			b.WriteByte(c)
			atType = (atType || c == ',' || c == '+') && c != '='
		}
	}
	return b.String()
}

// maxValue bounds a value in the field, in bytes: a line has at most 998
// (RFC 5322 section 2.1.1) and certificates are written by strangers.
const maxValue = 400

// pvalue writes a value of RFC 8601 section 2.2: a token, an address, which may be
// without local part, or a quoted-string. Bytes that no quoted-string may hold become "?".
func pvalue(v string) string {
	if len(v) > maxValue {
		v = v[:maxValue] + "..."
	}
	local, domain, isAddress := strings.Cut(v, "@")
	if isAddress && (local == "" || isToken(local)) && isToken(domain) || isToken(v) {
		return v
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < 0x20 || c >= 0x7f:
			b.WriteByte('?')
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// isToken: RFC 2045 section 5.1.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?=`, r)
	})
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}
