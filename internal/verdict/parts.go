package verdict

import (
	"strings"

	"mailseal/smime"
)

// maxParts bounds the signed parts that are verified besides the mail as a whole.
const maxParts = 4

// A Part is the verdict on a signature that covers a part of the mail only. It says
// nothing of the mail, and is written nowhere where it could be taken for the
// mail's: not as smime= in the field, nor in the log, nor as pass for who looks for
// that word.
type Part struct {
	// Covered is the section that is signed, Part that of the signature (RFC 7281
	// section 3.2.1).
	Covered string `json:"covered"`
	Part    string `json:"part,omitempty"`
	Kind    string `json:"kind"`
	// Result is the status, with the word good for pass; "" where nobody looked: past
	// the first parts, and what is not signed.
	Result     string `json:"result,omitempty"`
	Reason     string `json:"reason,omitempty"`
	Identifier string `json:"identifier,omitempty"`
	Serial     string `json:"serial,omitempty"`
	Issuer     string `json:"issuer,omitempty"`
	Revocation string `json:"revocation,omitempty"`
	// Signers are the verdicts on each of its signers.
	Signers []Signer `json:"-"`
}

// parts judges signed parts: those that are a mail of their own, as one that was
// forwarded, by its From, all others by this mail's.
func (q Question) parts(nested []smime.Nested) (all []Part) {
	for _, n := range nested {
		p := Part{Covered: n.Section, Kind: n.Kind.String()}
		if n.Report != nil {
			asked := q
			if n.Header != nil {
				asked = q.By(n.Header)
			}
			r := asked.root(n.Report)
			p.Part, p.Result, p.Reason, p.Revocation = r.Part, string(r.Status), r.Reason, r.Revocation
			if r.Status == Pass {
				p.Result = "good"
			}
			p.Identifier, p.Serial, p.Issuer, p.Signers = r.Identifier, r.Serial, r.Issuer, r.Signers
		}
		all = append(all, p)
	}
	return all
}

// tellParts says of a mail that is not signed which of its parts are. The result
// stays none: a filter that looks for more must not find it.
func (r *Result) tellParts() {
	if r.Status != None {
		return
	}
	var signed []string
	for _, p := range r.Parts {
		if p.Result == "" || p.Result == string(None) {
			continue
		}
		if signed = append(signed, p.Covered); r.Part == "" {
			r.Part = p.Part
		}
	}
	switch len(signed) {
	case 0:
	case 1:
		r.Reason = "only part " + signed[0] + " is signed, not the mail"
	default:
		r.Reason = "only parts " + strings.Join(signed, ", ") + " are signed, not the mail"
	}
}
