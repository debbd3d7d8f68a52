package trust

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"maps"
	"slices"
	"strings"
	"time"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/recent"
	"mailseal/internal/trust/path"
	"mailseal/internal/trust/revocation"
)

// Sources are who is trusted.
type Sources struct {
	// Mail are CAs trusted for e-mail, whoever's it is. One that is no CA is trusted
	// as itself, and nobody below it.
	Mail []*x509.Certificate
	// Domains are CAs trusted for signers of one domain only: "partner.example", or
	// ".partner.example" for all domains below it.
	Domains map[string][]*x509.Certificate
	// Pinned are certificates trusted as themselves, and nobody below them, CA or not:
	// self-signed ones of partners say that they are CAs.
	Pinned []*x509.Certificate
	// Lists are CRLs.
	Lists *revocation.Lists
}

// Options are how paths are judged.
type Options struct {
	// Path is policies and inhibitions. Its time and use are not read: each question
	// has its own time, and all are about mail.
	Path path.Options
	// Revocation is what is made of it.
	Revocation revocation.Mode
	// Fetch gets CRLs and asks OCSP responders; nil: neither.
	Fetch revocation.Fetcher
}

// Anchors are who is trusted. They never change once made, and may be used by any
// number of goroutines.
type Anchors struct {
	options Options
	lists   *revocation.Lists
	cas     []*x5280.Certificate // all CAs, which may have issued a CRL
	check   func(context.Context, path.Result, revocation.Question) revocation.Report
	pinned  map[string]*x5280.Certificate // by their DER
	mail    *circle
	domains map[string]*circle
}

// A circle is anchors that are trusted on the same grounds.
type circle struct {
	basis Basis
	store *path.Store
	// paths are those found, by all certificates that came with the question:
	// the answer to a mail must not depend on which mails came before it.
	// One that was good stays good while all of its certificates are valid.
	paths *recent.Cache[asked, path.Result]
}

// asked is what a path depends on besides the anchors and the time.
type asked [sha256.Size]byte

// So many paths are remembered, and none with more bytes of certificates: a CA that is
// trusted for one domain can make some of a megabyte.
const (
	pathsSize     = 1000
	maxRemembered = 32 << 10
)

// New makes them. Without any source nobody is trusted.
func New(s Sources, o Options) *Anchors {
	o.Path.Use = path.SignMail
	a := &Anchors{
		options: o, lists: s.Lists, check: revocation.Check,
		pinned: map[string]*x5280.Certificate{}, domains: map[string]*circle{},
	}
	if a.lists == nil {
		a.lists = revocation.NewLists()
	}
	mail := readable(s.Mail)
	a.mail, a.cas = newCircle(CA, mail), mail
	for _, domain := range slices.Sorted(maps.Keys(s.Domains)) {
		cas := readable(s.Domains[domain])
		a.domains[domain], a.cas = newCircle(DomainCA, cas), append(a.cas, cas...)
	}
	for _, c := range mail {
		// Of version 1, it can only be a root that is a CA.
		if (c.Version == 3 || !c.SelfIssued()) && (c.Basic == nil || !c.Basic.CA) {
			a.pinned[string(c.X509.Raw)] = c
		}
	}
	for _, c := range readable(s.Pinned) {
		a.pinned[string(c.X509.Raw)] = c
	}
	return a
}

func newCircle(b Basis, anchors []*x5280.Certificate) *circle {
	return &circle{basis: b, store: path.NewStore(anchors), paths: recent.New[asked, path.Result](pathsSize)}
}

func (c *circle) remember(q asked, r path.Result) {
	size := 0
	for _, c := range r.Path {
		size += len(c.X509.Raw)
	}
	if size <= maxRemembered {
		c.paths.Put(q, r)
	}
}

// Anchors are these themselves: what never changes is its own present state.
func (a *Anchors) Anchors() *Anchors { return a }

// circles are those that signers of a domain are looked for in, the narrowest first.
func (a *Anchors) circles(domain string) []*circle {
	var all []*circle
	add := func(name string) {
		if c, ok := a.domains[name]; ok {
			all = append(all, c)
		}
	}
	if len(a.domains) > 0 && domain != "" {
		add(domain)
		for rest := domain; ; {
			_, above, ok := strings.Cut(rest, ".")
			if !ok {
				break
			}
			add("." + above)
			rest = above
		}
	}
	return append(all, a.mail)
}

// Came is what came with a mail. Strangers chose it.
type Came struct {
	Certificates []*x509.Certificate
	CRLs         [][]byte // as they came
}

// maxExtra bounds the certificates that came with a mail and take part in path
// building. What they may cost package path bounds.
const maxExtra = 1000

// Among begins a search through what came with a mail.
func (a *Anchors) Among(ctx context.Context, came Came, at time.Time) *Search {
	s := &Search{
		ctx: ctx, anchors: a, at: at, crls: came.CRLs, extra: came.Certificates[:min(len(came.Certificates), maxExtra)],
		searches: map[*circle]*path.Search{}, revoked: map[string]revocation.Report{}, spare: maxSpare, effort: revocation.NewEffort(),
	}
	h := sha256.New()
	for _, c := range s.extra {
		h.Write(c.Raw) // DER: its end is certain
	}
	s.came = h.Sum(nil)
	return s
}

// readable are the certificates that RFC 5280 can be applied to. The others lead
// nowhere.
func readable(certs []*x509.Certificate) []*x5280.Certificate {
	all := make([]*x5280.Certificate, 0, len(certs))
	for _, c := range certs {
		if read, err := x5280.Read(c); err == nil {
			all = append(all, read)
		}
	}
	return all
}

func valid(way []*x5280.Certificate, at time.Time) bool {
	return !slices.ContainsFunc(way, func(c *x5280.Certificate) bool {
		return at.Before(c.NotBefore) || at.After(c.NotAfter)
	})
}
