package main

import (
	"slices"

	"mailseal/internal/config"
	"mailseal/internal/gateway"
	"mailseal/internal/keystore"
	"mailseal/internal/pki"
	"mailseal/smime/cms"
)

// inbound fills in what becomes of mail that comes in.
func (p *parts) inbound(g *gateway.Config) {
	in := p.conf.SMIME.Inbound
	g.Policy.Decrypt = in.Decrypt
	g.Policy.OnVerifyFail, g.Policy.VerifyFailTag = in.OnVerifyFail, in.VerifyFailTag
	g.Policy.OnDecryptFail, g.Policy.DecryptFailTag = in.OnDecryptFail, in.DecryptFailTag
	g.Policy.SubjectTags = in.SubjectTags
	g.Openers = keystore.NewOpeners(p.identities)
	// What is made of a mail is bounded as its spool is.
	g.CMS = cms.Limits{Inflated: 4 * int64(p.conf.Milter.MaxMessageSize)}
	g.InnerHeaders, g.TakeOff, g.ReportFields, g.DecryptFailures = in.InnerHeaders, !in.KeepSignature, in.ReportFields, in.DecryptFailures
}

// openings says whose mail an identity of ours decrypts: addresses, and "@domain"
// for all of a domain, if they are in local domains.
func openings(c *config.Config, id pki.Identity) []string {
	all := []string{}
	add := func(domain, name string) {
		if ofOurs(c, domain) && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	for _, p := range id.Pairs {
		s := keystore.Serves(p.Certificate)
		for _, a := range s.Addresses {
			add(a.Domain, a.String())
		}
		for _, d := range s.Domains {
			add(d, "@"+d)
		}
	}
	return all
}
