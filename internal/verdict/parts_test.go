package verdict

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"

	"mailseal/internal/message"
	"mailseal/internal/testpki/forge"
	"mailseal/internal/trust"
	"mailseal/internal/trust/revocation"
	"mailseal/smime"
	"mailseal/smime/cms"
)

// A part's signature is told, and never as the mail's.
func TestParts(t *testing.T) {
	alice := leaf(t, generalCA, forMail, forge.Mail("alice@example.jp"))
	part := func(section, signature string, h message.Header, c *x509.Certificate, err error) smime.Nested {
		r := signedBy(c)
		r.Part, r.Signers[0].Result.Err = signature, err
		return smime.Nested{Section: section, Kind: r.Kind, Report: r, Header: h}
	}
	good := part("1", "1.2", nil, alice, nil)
	forwarded := part("2", "2.2", fields("From: alice@example.jp"), alice, nil)
	changed := part("3", "3.2", nil, alice, cms.ErrDigest)
	encrypted := smime.Nested{Section: "4", Kind: smime.Enveloped}
	unread := smime.Nested{Section: "5", Kind: smime.SignedOpaque}
	for _, tt := range []struct {
		name   string
		from   string
		root   *smime.Report
		nested []smime.Nested
		field  string
		parts  string
	}{
		{"nothing is signed", "eve@evil.example", &smime.Report{}, nil, "mx.example; smime=none", ""},
		{"a part, by the author", "alice@example.jp", &smime.Report{}, []smime.Nested{good},
			`mx.example; smime=none reason="only part 1 is signed, not the mail" body.smime-part=1.2`, "1 good"},
		{"a part, by somebody else", "eve@evil.example", &smime.Report{}, []smime.Nested{good},
			`mx.example; smime=none reason="only part 1 is signed, not the mail" body.smime-part=1.2`, "1 policy"},
		{"a mail in the mail", "eve@evil.example", &smime.Report{}, []smime.Nested{forwarded},
			`mx.example; smime=none reason="only part 2 is signed, not the mail" body.smime-part=2.2`, "2 good"},
		{"several", "eve@evil.example", &smime.Report{}, []smime.Nested{forwarded, changed, encrypted, unread},
			`mx.example; smime=none reason="only parts 2, 3 are signed, not the mail" body.smime-part=2.2`, "2 good 3 fail 4  5 "},
		{"encrypted ones", "eve@evil.example", &smime.Report{}, []smime.Nested{encrypted}, "mx.example; smime=none", "4 "},
		{"the mail is signed, too", "alice@example.jp", signedBy(alice), []smime.Nested{changed},
			"mx.example; smime=pass body.smime-identifier=alice@example.jp body.smime-part=2", "3 fail"},
		{"the mail is signed by somebody else", "eve@evil.example", signedBy(alice), []smime.Nested{forwarded},
			`mx.example; smime=policy reason="certificate is not for the From address" body.smime-identifier=alice@example.jp body.smime-part=2`, "2 good"},
		{"the mail is malformed", "eve@evil.example", &smime.Report{Kind: smime.Malformed, Err: &smime.Problem{Reason: "x"}}, []smime.Nested{forwarded},
			"mx.example; smime=neutral reason=x", "2 good"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.root.Nested = tt.nested
			r := Judge(tt.root, Question{Anchors: anchors(t), At: now}.By(fields("From: "+tt.from)))
			if got := r.Field("mx.example"); got != tt.field {
				t.Errorf("%s\nwant %s", got, tt.field)
			}
			var parts []string
			for _, p := range r.Parts {
				parts = append(parts, fmt.Sprintf("%s %s", p.Covered, p.Result))
			}
			if got := strings.Join(parts, " "); got != tt.parts {
				t.Errorf("%q, want %q", got, tt.parts)
			}
		})
	}
}

// Weak is policy or fail, after all that is worse, and never pass.
func TestWeakness(t *testing.T) {
	weakSignature := fmt.Errorf("%w: SHA-1 digest", cms.ErrWeak)
	weakPath := &trust.Error{Reason: trust.Weak}
	revoked := &trust.Error{Reason: trust.Revoked}
	good, bad := identity{identifier: "a@b.example", note: "x"}, identity{problem: wrongAddress}
	for _, tt := range []struct {
		name      string
		weak      error
		untrusted error
		who       identity
		fails     bool
		want      Status
		reason    string
	}{
		{"strong", nil, nil, good, true, Pass, "x"},
		{"digest", weakSignature, nil, good, false, Policy, "algorithm or key is too weak: SHA-1 digest"},
		{"digest, by setting", weakSignature, nil, good, true, Fail, "algorithm or key is too weak: SHA-1 digest"},
		{"path", nil, weakPath, good, false, Policy, string(trust.Weak)},
		{"path, by setting", nil, weakPath, good, true, Fail, string(trust.Weak)},
		{"both", weakSignature, weakPath, good, false, Policy, string(trust.Weak)},
		{"digest, another's", weakSignature, nil, bad, false, Policy, wrongAddress},
		{"path, another's, by setting", nil, weakPath, bad, true, Fail, string(trust.Weak)},
		{"revoked", weakSignature, revoked, good, false, Fail, string(trust.Revoked)},
		{"unknown to whoever asks", nil, &trust.Error{Reason: trust.RevocationUnknown}, good, true, TempError, string(trust.RevocationUnknown)},
		{"an error nobody foresaw", nil, errors.New("y"), good, false, Fail, "y"},
	} {
		q := Question{Settings: Settings{WeakFails: tt.fails}}
		if status, reason := q.decide(tt.weak, tt.untrusted, tt.who); status != tt.want || reason != tt.reason {
			t.Errorf("%s: %s, %q; want %s, %q", tt.name, status, reason, tt.want, tt.reason)
		}
	}
}

// Whatever is wrong with a certificate, it is no pass.
func TestDistrustIsNoPass(t *testing.T) {
	for _, r := range trust.Reasons() {
		for _, fails := range []bool{false, true} {
			q := Question{Settings: Settings{WeakFails: fails}}
			status, reason := q.decide(nil, &trust.Error{Reason: r}, identity{})
			if status == Pass || status == None || reason != string(r) {
				t.Errorf("%s: %s, %q", r, status, reason)
			}
		}
	}
}

// An unknown status changes nothing and is told, whichever signer's it is.
func TestUnknownRevocation(t *testing.T) {
	of := func(s Status, status revocation.Status, note string) Signer {
		return Signer{Result: Result{Status: s, Reason: note}, Finding: trust.Finding{Revocation: revocation.Report{Status: status}}}
	}
	for _, tt := range []struct {
		name    string
		signers []Signer
		want    Status
		reason  string
		status  string
	}{
		{"off", []Signer{of(Pass, "", "")}, Pass, "", ""},
		{"good", []Signer{of(Pass, revocation.Good, "")}, Pass, "", "good"},
		{"unknown", []Signer{of(Pass, revocation.Unknown, "")}, Pass, "revocation status is unknown", "unknown"},
		{"unknown, with a note", []Signer{of(Pass, revocation.Unknown, "domain signature")}, Pass, "domain signature; revocation status is unknown", "unknown"},
		{"the second one's", []Signer{of(Pass, revocation.Good, ""), of(Pass, revocation.Unknown, "")}, Pass, "revocation status is unknown", "unknown"},
		{"policy", []Signer{of(Policy, revocation.Unknown, "why")}, Policy, "why", "unknown"},
		{"the second one's is revoked", []Signer{of(Pass, revocation.Unknown, ""), of(Fail, revocation.Revoked, "revoked"), of(Pass, revocation.Good, "")}, Fail, "revoked", "revoked"},
	} {
		if r := together(tt.signers); r.Status != tt.want || r.Reason != tt.reason || r.Revocation != tt.status {
			t.Errorf("%s: %+v", tt.name, r)
		}
	}
}
