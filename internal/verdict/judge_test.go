package verdict

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/internal/mailaddr"
	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/internal/trust"
	"mailseal/internal/trust/revocation"
	"mailseal/smime"
	"mailseal/smime/cms"
)

// anchored trusts the roots, and asks nobody about revocation.
func anchored(ps ...*testpki.PKI) *trust.Anchors {
	var s trust.Sources
	for _, p := range ps {
		s.Mail = append(s.Mail, p.Root())
	}
	return trust.New(s, trust.Options{Revocation: revocation.Off})
}

func TestJudge(t *testing.T) {
	p := testpki.New(t)
	alice, mallory := p.User("alice@example.jp", ca.P256), p.User("mallory@evil.example", ca.P256)
	stranger := p.Stranger().User("alice@example.jp", ca.P256)
	by := func(id pki.Identity, err error) smime.Signer {
		return smime.Signer{Result: cms.SignerResult{Certificate: id.Certificate, Err: err}}
	}
	unknown := smime.Signer{Result: cms.SignerResult{Err: cms.ErrNoCertificate}}
	for _, tt := range []struct {
		name       string
		report     smime.Report
		want       Status
		identifier string
	}{
		{"plain", smime.Report{}, None, ""},
		{"encrypted", smime.Report{Kind: smime.Enveloped}, None, ""},
		{"good", smime.Report{Signers: []smime.Signer{by(alice, nil)}}, Pass, "alice@example.jp"},
		{"two good signers", smime.Report{Signers: []smime.Signer{by(alice, nil), by(alice, nil)}}, Pass, "alice@example.jp"},
		{"a good one and somebody else", smime.Report{Signers: []smime.Signer{by(alice, nil), by(mallory, nil)}}, Policy, "mallory@evil.example"},
		{"a good one and a broken one", smime.Report{Signers: []smime.Signer{by(alice, nil), by(alice, cms.ErrSignature)}}, Fail, "alice@example.jp"},
		{"a good one and an unknown one", smime.Report{Signers: []smime.Signer{by(alice, nil), unknown}}, PermError, ""},
		{"no signers", smime.Report{Signers: nil}, PermError, ""},
		{"changed", smime.Report{Signers: []smime.Signer{by(alice, fmt.Errorf("x: %w", cms.ErrDigest))}}, Fail, "alice@example.jp"},
		{"attributes", smime.Report{Signers: []smime.Signer{by(alice, cms.ErrAttributes)}}, PermError, "alice@example.jp"},
		{"unsupported", smime.Report{Signers: []smime.Signer{by(alice, cms.ErrUnsupported)}}, Neutral, "alice@example.jp"},
		{"weak", smime.Report{Signers: []smime.Signer{by(alice, cms.ErrWeak)}}, Policy, "alice@example.jp"},
		{"weak and not trusted", smime.Report{Signers: []smime.Signer{by(stranger, cms.ErrWeak)}}, Fail, "alice@example.jp"},
		{"an error nobody foresaw", smime.Report{Signers: []smime.Signer{by(alice, errors.New("?"))}}, Neutral, "alice@example.jp"},
		{"good signer, bad mail", smime.Report{Err: &smime.Problem{Class: smime.Contradiction}, Signers: []smime.Signer{by(alice, nil)}}, PermError, ""},
		{"malformed", smime.Report{Err: &smime.Problem{Class: smime.BadStructure}}, Neutral, ""},
		{"too large", smime.Report{Err: &smime.Problem{Class: smime.TooLarge}}, Neutral, ""},
		{"empty signature", smime.Report{Err: &smime.Problem{Class: smime.NoSigner}}, PermError, ""},
		{"a problem nobody foresaw", smime.Report{Err: errors.New("?"), Signers: []smime.Signer{by(alice, nil)}}, Neutral, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.report.Kind == smime.Plain && tt.name != "plain" {
				tt.report.Kind, tt.report.Part = smime.SignedDetached, "2"
			}
			from := mailaddr.Address{Local: "alice", Domain: "example.jp"}
			got := Judge(&tt.report, Question{From: []mailaddr.Address{from}, Anchors: anchored(p), At: time.Now()})
			if got.Status != tt.want || got.Identifier != tt.identifier {
				t.Errorf("%+v, want %s by %q", got, tt.want, tt.identifier)
			}
			if (got.Status == Pass || got.Status == None) != (got.Reason == "") && tt.report.Err == nil {
				t.Errorf("reason %q", got.Reason)
			}
		})
	}
	report := smime.Report{Kind: smime.SignedOpaque, Signers: []smime.Signer{by(mallory, nil)}}
	if got := Judge(&report, Question{NoAddressCheck: true, Anchors: anchored(p), At: time.Now()}); got.Status != Pass {
		t.Errorf("without address check: %+v", got)
	}
	if got := Judge(&report, Question{NoAddressCheck: true, Anchors: anchored(), At: time.Now()}); got.Status != Fail {
		t.Errorf("without anchors: %+v", got)
	}
}

// A renewed certificate may have the old one's key and key identifier, and both
// may come along: the one that counts is the one that is trusted now.
func TestJudgeTwins(t *testing.T) {
	p := testpki.New(t)
	alice, old := p.User("alice@example.jp", ca.P256), p.Expired("alice@example.jp", ca.P256)
	stranger := p.Stranger().User("alice@example.jp", ca.P256)
	from := []mailaddr.Address{{Local: "alice", Domain: "example.jp"}}
	for _, tt := range []struct {
		name   string
		ids    []pki.Identity
		want   Status
		who    pki.Identity
		reason trust.Reason
	}{
		{"renewed", []pki.Identity{old, alice}, Pass, alice, ""},
		{"renewed, the other way round", []pki.Identity{alice, old}, Pass, alice, ""},
		{"old alone", []pki.Identity{old}, Fail, old, trust.Expired},
		{"old and a stranger's", []pki.Identity{old, stranger}, Fail, stranger, trust.Unknown},
		{"a stranger's and ours", []pki.Identity{stranger, alice}, Pass, alice, ""},
	} {
		result := cms.SignerResult{Certificate: tt.ids[0].Certificate}
		for _, id := range tt.ids[1:] {
			result.Twins = append(result.Twins, id.Certificate)
		}
		report := smime.Report{Kind: smime.SignedOpaque, Signers: []smime.Signer{{Result: result}}}
		q := Question{From: from, Anchors: anchored(p), At: time.Now()}
		if got := Judge(&report, q); got.Status != tt.want || got.Reason != string(tt.reason) {
			t.Errorf("%s: %+v, want %s", tt.name, got, tt.want)
		}
		if c, _ := q.trusted(result, q.Anchors.Among(t.Context(), trust.Came{}, q.At)); !c.Equal(tt.who.Certificate) {
			t.Errorf("%s: the certificate from %v to %v by %s counts", tt.name, c.NotBefore, c.NotAfter, c.Issuer)
		}
	}
}

func TestAuthors(t *testing.T) {
	for _, tt := range []struct{ header, from, problem string }{
		{"From: alice@example.jp", "[alice@example.jp]", ""},
		{"FROM :alice@example.jp", "[alice@example.jp]", ""},
		{"From:\r\n alice@example.jp", "[alice@example.jp]", ""},
		{"From: alice@example.jp\r\n <alice@example.jp>", "[alice@example.jp]", ""},
		{"From: bob@example.jp <alice@example.jp>", "[]", "cannot be read"},
		{"Sender: eve@evil.example\nResent-From: eve@evil.example\nFrom: alice@example.jp", "[alice@example.jp]", ""},
		{"From: alice@example.jp\nfrom\t: bob@example.jp", "[alice@example.jp bob@example.jp]", ""},
		{"From: alice@example.jp\nFrom:", "[alice@example.jp]", "cannot be read"},
		{"Subject: x", "[]", "no From"},
		{strings.Repeat("From:a@b.example\n", 100) + "X: y", "[" + strings.Repeat("a@b.example ", 19) + "a@b.example]", "more than 20"},
		{"From: eve@evil.example\nSubject: x\rFrom: alice@example.jp", "[eve@evil.example]", "only some readers"},
		{"Subject: x\rfrom : alice@example.jp\nFrom: eve@evil.example", "[eve@evil.example]", "only some readers"},
		{"From: eve@evil.example (\rFrom: alice@example.jp\r)", "[eve@evil.example]", "only some readers"},
		{" From: alice@example.jp\nFrom: eve@evil.example", "[eve@evil.example]", "only some readers"},
		{"From\v: alice@example.jp\nFrom: eve@evil.example", "[eve@evil.example]", "only some readers"},
		{"fr\x00om: alice@example.jp\nFrom: eve@evil.example", "[eve@evil.example]", "only some readers"},
		{"From alice@example.jp Thu Jan  1 00:00:00 1970\nFrom: alice@example.jp", "[alice@example.jp]", ""},
		{"From: alice@example.jp\nSubject: x\r", "[alice@example.jp]", ""},
		{"From: alice@example.jp\nSubject: x\r\n From: eve@evil.example", "[alice@example.jp]", ""},
	} {
		var h message.Header
		for l := range strings.SplitSeq(strings.ReplaceAll(tt.header, "\r\n", "\x01"), "\n") {
			h = append(h, message.ParseField(strings.ReplaceAll(l, "\x01", "\r\n")))
		}
		from, problem := Authors(h)
		if fmt.Sprint(from) != tt.from || (problem == "") != (tt.problem == "") || !strings.Contains(problem, tt.problem) {
			t.Errorf("%q: %v, %q", tt.header, from, problem)
		}
	}
}

// What a stranger may write into a certificate, against From alice@example.jp.
func TestCertificateAddresses(t *testing.T) {
	email := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	for _, tt := range []struct {
		name string
		san  []string
		dn   []any
		ok   bool
	}{
		{name: "the address", san: []string{"alice@example.jp"}, ok: true},
		{name: "one of several", san: []string{"bob@example.jp", "alice@EXAMPLE.JP"}, ok: true},
		{name: "local part in other case", san: []string{"Alice@example.jp"}},
		{name: "in the subject", dn: []any{"alice@example.jp"}, ok: true},
		{name: "in the subject beside others", san: []string{"bob@example.jp"}, dn: []any{"bob@example.jp", "alice@example.jp"}, ok: true},
		{name: "blank before", san: []string{" alice@example.jp"}},
		{name: "blank behind", san: []string{"alice@example.jp "}},
		{name: "line end", san: []string{"alice@example.jp\n"}},
		{name: "NUL", san: []string{"alice@example.jp\x00.evil.example"}},
		{name: "NUL in the subject", dn: []any{"alice@example.jp\x00"}},
		{name: "blank behind the quotes", san: []string{"\"alice\"@ example.jp"}},
		{name: "two in one", san: []string{"alice@example.jp,mallory@evil.example"}},
		{name: "angle brackets", san: []string{"<alice@example.jp>"}},
		{name: "name and address", san: []string{"Alice <alice@example.jp>"}},
		{name: "comment", san: []string{"alice@example.jp(x)"}},
		{name: "domain alone", san: []string{"example.jp", "@example.jp"}},
		{name: "wildcard", san: []string{"*@example.jp"}},
		{name: "full-width letter", dn: []any{"alice@\uff45xample.jp"}},
		{name: "ideographic dot", dn: []any{"alice@example\u3002jp"}},
		{name: "Cyrillic", dn: []any{"alice@ex\u0430mple.jp"}},
		{name: "dot at the end", san: []string{"alice@example.jp."}},
		{name: "no text", dn: []any{42, []byte("alice@example.jp")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &x509.Certificate{EmailAddresses: tt.san}
			for _, v := range tt.dn {
				c.Subject.Names = append(c.Subject.Names, pkix.AttributeTypeAndValue{Type: email, Value: v})
			}
			q := Question{From: []mailaddr.Address{{Local: "alice", Domain: "example.jp"}}}
			if got := q.identify(q.names(c), trust.CA, nil); (got.problem == "") != tt.ok {
				t.Errorf("%+v", got)
			}
		})
	}
}

// Every class of problem has a status of its own choosing, none is pass.
func TestProblemsAreComplete(t *testing.T) {
	for c := smime.BadStructure; !strings.HasPrefix(c.String(), "class("); c++ {
		if s := problems[c]; s == "" || s == Pass {
			t.Errorf("%v: %q", c, s)
		}
	}
}

func TestField(t *testing.T) {
	long := strings.Repeat("long words ", 100)
	for _, tt := range []struct {
		r    Result
		want string
	}{
		{Result{Status: None}, "mx.example.jp; smime=none"},
		{Result{Status: Pass, Identifier: "alice@example.jp", Part: "2"}, "mx.example.jp; smime=pass body.smime-identifier=alice@example.jp body.smime-part=2"},
		{Result{Status: Fail, Reason: "it's bad", Part: "1.2"}, `mx.example.jp; smime=fail reason="it's bad" body.smime-part=1.2`},
		{Result{Status: Pass, Identifier: "@partner.example", Reason: "domain signature"}, `mx.example.jp; smime=pass reason="domain signature" body.smime-identifier=@partner.example`},
		{Result{Status: Pass, Identifier: `"a b"@x.example`}, `mx.example.jp; smime=pass body.smime-identifier="\"a b\"@x.example"`},
		{Result{Status: Fail, Serial: "0A", Issuer: "CN=日本\r\n; smime=pass"}, `mx.example.jp; smime=fail body.smime-serial=0A body.smime-issuer="CN=????????; smime\\3Dpass"`},
		{Result{Status: Fail, Serial: "0A", Issuer: `CN=a\=b\,smime=pass+O=smime=pass,1.2.3=#0c,OU=x`}, `mx.example.jp; smime=fail body.smime-serial=0A body.smime-issuer="CN=a\\=b\\,smime\\3Dpass+O=smime\\3Dpass,1.2.3=#0c,OU=x"`},
		{Result{Status: Neutral, Reason: "part smime=pass cannot be read"}, `mx.example.jp; smime=neutral reason="part smime:pass cannot be read"`},
	} {
		if got := tt.r.Field("mx.example.jp"); got != tt.want {
			t.Errorf("%s\nwant %s", got, tt.want)
		}
	}
	folded := Result{Status: Fail, Reason: long, Identifier: "alice@example.jp", Issuer: long, Serial: "1", Part: "2"}.Folded("mx.example.jp")
	for _, l := range strings.Split(folded, "\r\n") {
		if len(l) > 900 || !strings.HasPrefix(l, " ") {
			t.Errorf("line of %d: %.40q", len(l), l)
		}
	}
}

// What looks for smime=pass in our field finds our word and nobody else's.
func TestValuesCannotForgeAResult(t *testing.T) {
	for _, c := range []*x509.Certificate{
		{EmailAddresses: []string{"smime=pass@evil.example"}},
		{EmailAddresses: []string{`"; smime=pass"@evil.example`}},
		{EmailAddresses: []string{strings.Repeat("x", 400) + "@evil.example"}},
		{Issuer: pkix.Name{CommonName: "smime=pass", Organization: []string{`\`, "x+smime=pass", "smime=pass,", `"smime=pass`}}},
		{Issuer: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "\u0130, smime=pass"}}}},
	} {
		c.SerialNumber = big.NewInt(10)
		var r Result
		r.Status = Fail
		r.name(c, Question{}.identify(namesOf(c), trust.CA, nil).identifier)
		if r.Identifier != "" || r.Serial != "A" {
			t.Errorf("identifier %q, serial %q", r.Identifier, r.Serial)
		}
		if f := r.Field("mx.example.jp"); strings.Contains(f, "smime=pass") {
			t.Errorf("%s", f)
		}
	}
}

func TestOfAMailPastALimit(t *testing.T) {
	var h message.Header
	h = append(h, message.NewField("From", " alice@example.jp"), message.NewField("Content-Type", " multipart/mixed; boundary=b"))
	m := &message.Message{Header: h, Body: message.Bytes([]byte(strings.Repeat("--b\r\n\r\n", 50))), Newline: "\r\n"}
	_, got, err := Of(m, smime.VerifyOptions{Limits: message.Limits{Parts: 10}}, Question{Anchors: anchored(), At: time.Now()})
	if err != nil || got.Status != Neutral || !strings.Contains(got.Reason, "more than 10 parts") {
		t.Errorf("%+v, %v", got, err)
	}
}
