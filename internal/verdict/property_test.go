package verdict

import (
	"crypto/x509"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mailseal/internal/testpki/forge"
)

// Whatever names a certificate has and whatever From says, it passes as a person's
// only if one of its addresses is the one in From: local part byte for byte, domain
// without the case of letters; and as a domain's only from its domain's CA.
func TestPassIsExact(t *testing.T) {
	locals := rapid.SampledFrom([]string{"bob", "Bob", "alice", "b.ob", "domain-signing-authority", "review-authority", "bob "})
	domains := rapid.SampledFrom([]string{"partner.example", "PARTNER.example", "sub.partner.example", "evilpartner.example", "example", "partner.example.", "other.example"})
	hosts := rapid.SampledFrom([]string{"partner.example", "*.partner.example", "*", "*.example", "other.example", "mx.partner.example"})
	cas := map[bool]*forge.Issued{true: partnerCA, false: generalCA}
	trusted := anchors(t)
	made := map[string]*x509.Certificate{} // the same again and again
	rapid.Check(t, func(rt *rapid.T) {
		from := rapid.SampledFrom([]string{"bob", "Bob", "alice"}).Draw(rt, "local part") + "@" +
			rapid.SampledFrom([]string{"partner.example", "Partner.Example", "sub.partner.example", "other.example"}).Draw(rt, "domain")
		partner := rapid.Bool().Draw(rt, "of the partner's CA")
		mails := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) string { return locals.Draw(rt, "local") + "@" + domains.Draw(rt, "domain") }), 0, 2).Draw(rt, "addresses")
		dns := rapid.SliceOfN(hosts, 0, 2).Draw(rt, "hosts")
		var names [][]byte
		person := false
		for _, m := range mails {
			names = append(names, forge.Mail(m))
			local, domain, _ := strings.Cut(m, "@")
			wantLocal, wantDomain, _ := strings.Cut(from, "@")
			person = person || local == wantLocal && strings.EqualFold(domain, wantDomain)
		}
		for _, d := range dns {
			names = append(names, forge.DNS(d))
		}
		key := strings.Join(append(append([]string{map[bool]string{true: "p", false: "g"}[partner]}, mails...), dns...), "|")
		if made[key] == nil {
			made[key] = leaf(t, cas[partner], forMail, names...)
		}
		got := Judge(signedBy(made[key]), Question{Anchors: trusted, At: now}.By(fields("From: "+from)))
		atPartner := strings.HasSuffix(strings.ToLower(from), "@partner.example") || strings.HasSuffix(from, "@sub.partner.example")
		switch {
		case got.Status == Pass && got.Domain && (!partner || !atPartner || person):
			rt.Errorf("a domain's signature: %+v", got)
		case got.Status == Pass && !got.Domain && !person:
			rt.Errorf("a person's signature: %+v", got)
		case got.Status != Pass && person && (!partner || atPartner):
			rt.Errorf("refused: %+v", got)
		case got.Status == Pass && !strings.HasSuffix(strings.ToLower(from), strings.ToLower(got.Identifier[strings.Index(got.Identifier, "@")+1:])):
			rt.Errorf("by %s", got.Identifier)
		}
	})
}
