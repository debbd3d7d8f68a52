package config

import (
	"maps"
	"slices"
	"strings"

	"mailseal/internal/mailaddr"
	"mailseal/internal/trust/revocation"
)

var revocations = []option[revocation.Mode]{{"soft", revocation.Soft}, {"off", revocation.Off}, {"hard", revocation.Hard}}

// files takes a list of paths.
func (v value) files(to *[]string) {
	ps := []string{}
	v.list("files and folders", func(v value) {
		var p string
		v.file(&p)
		ps = append(ps, p)
	})
	*to = ps
}

// domainCAs takes the table of CAs that are trusted for one domain.
func domainCAs(v value) {
	const want = `a domain, or all below it as ".partner.example"`
	in, ok := v.raw.(map[string]any)
	if !ok {
		v.fail("%s; want the table [domain_cas]", kind(v.raw))
		return
	}
	v.d.c.DomainCAs = make(map[string][]string)
	for _, name := range slices.Sorted(maps.Keys(in)) {
		p := v.path.key(name)
		item := value{d: v.d, path: p, key: string(p), raw: in[name]}
		sub, dot := strings.CutPrefix(name, ".")
		d, err := mailaddr.Domain(sub)
		if err != nil || strings.HasPrefix(d, "[") {
			item.fail("%q is not a domain name; want %s", name, want)
			continue
		}
		if dot {
			d = "." + d
		}
		var ps []string
		item.files(&ps)
		if _, twice := v.d.c.DomainCAs[d]; twice {
			item.fail("%s is there twice; want it once", d)
		}
		v.d.c.DomainCAs[d] = ps
		v.d.note(p)
		v.d.c.file.domains[d] = p
	}
}

// AtDomain is At for a file of [domain_cas]: that of a domain, as DomainCAs has it.
func (c *Config) AtDomain(domain string, err error, element int) error {
	p, ok := c.file.domains[domain]
	if !ok {
		p = "domain_cas"
	}
	return &Error{File: c.file.name, Place: c.file.place(p.element(element)), Key: string(p), Err: err}
}
