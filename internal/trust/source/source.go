// Package source reads the files that say who is trusted, and follows them while
// they change:
//
//	w, err := source.Open(source.Config{Mail: []string{"/etc/mailseal/trust.d"}})
//	go w.Run(ctx, log)
//	...
//	w.Anchors().Among(ctx, came, now) // as of this mail
//
// A change counts a moment after it was made, by fsnotify on the folders, or at the
// next poll where that tells nothing, as over NFS. Folders may be swapped by symbolic
// links, as Kubernetes does it.
//
// A file that is gone, or holds no certificate any more because somebody is half done
// with writing it, leaves what it held before in force, and the log says so once. To
// trust a CA no more, take its file out of its folder, or its certificate out of a
// file that has others.
package source

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/trust"
	"mailseal/internal/trust/revocation"
)

// A Kind is what a file is for. Its name is that of the setting.
type Kind string

// The kinds.
const (
	Mail    Kind = "trust"
	System  Kind = "system_trust"
	Domains Kind = "domain_cas"
	Pinned  Kind = "pinned"
	CRLs    Kind = "crls"
)

// Config names files and folders, by absolute paths.
type Config struct {
	Mail    []string            // CAs for e-mail
	System  bool                // and those of the system
	Domains map[string][]string // CAs for one domain; a leading dot: for those below it
	Pinned  []string            // certificates that are trusted as themselves
	CRLs    []string
	// Optional kinds may have files that are not there yet.
	Optional []Kind
	// SystemFiles are where the system's CAs may be, the first that is there counts.
	// None: where Debian, Fedora and the BSDs have them.
	SystemFiles []string
	Options     trust.Options
	// Poll is the time between looks at files that nobody said have changed; 0 is a
	// minute.
	Poll time.Duration
}

var systemFiles = []string{
	"/etc/ssl/certs/ca-certificates.crt",     // Debian, Alpine
	"/etc/pki/tls/certs/ca-bundle.crt",       // Fedora
	"/usr/local/share/certs/ca-root-nss.crt", // FreeBSD's ca_root_nss
	"/etc/ssl/cert.pem",                      // OpenBSD, FreeBSD
}

// A Problem is what is wrong with a file or folder that the Config names.
type Problem struct {
	Kind   Kind
	Domain string // of Domains
	Index  int    // among those of its kind, or of its domain
	Err    error
}

func (p *Problem) Error() string { return p.Err.Error() }
func (p *Problem) Unwrap() error { return p.Err }

// A Holding is what is in force of one file or folder.
type Holding struct {
	Kind         Kind
	Domain       string
	Index        int
	Path         string
	Missing      bool // it was optional, and is not there
	Certificates []*x509.Certificate
	CRLs         []*x5280.CRL
}

// A Watcher knows who is trusted at present.
type Watcher struct {
	c       Config
	anchors atomic.Pointer[trust.Anchors]

	// Those below belong to Open, and then to Run.
	entries []*entry
	lists   *revocation.Lists
	log     *slog.Logger
}

// Open reads all. The errors in its error are Problems, all there are; what could be
// read is there nevertheless.
func Open(c Config) (*Watcher, error) {
	if c.Poll <= 0 {
		c.Poll = time.Minute
	}
	if len(c.SystemFiles) == 0 {
		c.SystemFiles = systemFiles
	}
	w := &Watcher{c: c, entries: entries(c), log: slog.New(slog.DiscardHandler)}
	var errs []error
	for _, e := range w.entries {
		e.scan(true)
		for _, p := range e.problems() {
			if errors.Is(p, fs.ErrNotExist) && slices.Contains(c.Optional, e.kind) {
				if e.kind != CRLs { // without, revocation may be unknown
					e.told = p.Error()
				}
				continue
			}
			errs = append(errs, &Problem{e.kind, e.domain, e.index, p})
		}
	}
	w.build(true)
	return w, errors.Join(errs...)
}

func entries(c Config) (all []*entry) {
	add := func(kind Kind, domain string, paths []string) {
		for i, p := range paths {
			all = append(all, &entry{kind: kind, domain: domain, index: i, paths: []string{p}, files: map[string]*file{}})
		}
	}
	add(Mail, "", c.Mail)
	if c.System {
		all = append(all, &entry{kind: System, paths: c.SystemFiles, files: map[string]*file{}})
	}
	for _, d := range slices.Sorted(maps.Keys(c.Domains)) {
		add(Domains, d, c.Domains[d])
	}
	add(Pinned, "", c.Pinned)
	add(CRLs, "", c.CRLs)
	return all
}

// Anchors are those of now. Who begins a mail with them ends it with them.
func (w *Watcher) Anchors() *trust.Anchors { return w.anchors.Load() }

// Judge puts other options in force than those of the Config. Nobody may ask for it
// while Run runs.
func (w *Watcher) Judge(o trust.Options) {
	w.c.Options = o
	w.build(false)
}

// build puts all that there is in force.
func (w *Watcher) build(crls bool) {
	s := trust.Sources{Domains: map[string][]*x509.Certificate{}}
	var lists []*x5280.CRL
	for _, h := range w.Holdings() {
		switch h.Kind {
		case Mail, System:
			s.Mail = append(s.Mail, h.Certificates...)
		case Domains:
			s.Domains[h.Domain] = append(s.Domains[h.Domain], h.Certificates...)
		case Pinned:
			s.Pinned = append(s.Pinned, h.Certificates...)
		case CRLs:
			lists = append(lists, h.CRLs...)
		}
	}
	if crls { // else they stay, with what is known of them
		w.lists = revocation.NewLists(lists...)
	}
	s.Lists = w.lists
	w.anchors.Store(trust.New(s, w.c.Options))
}

// Holdings are what is in force, in the order of the Config. Nobody may ask while
// Run runs.
func (w *Watcher) Holdings() (all []Holding) {
	for _, e := range w.entries {
		h := Holding{Kind: e.kind, Domain: e.domain, Index: e.index, Path: e.paths[0], Missing: errors.Is(e.err, fs.ErrNotExist)}
		for _, name := range slices.Sorted(maps.Keys(e.files)) {
			h.Certificates = append(h.Certificates, e.files[name].certificates...)
			h.CRLs = append(h.CRLs, e.files[name].crls...)
		}
		all = append(all, h)
	}
	return all
}

// look reads what may have changed, all of it if nobody knows what, and puts it in
// force. It tells of each kind that changed, and of what is wrong.
func (w *Watcher) look(all bool) bool {
	changed := map[Kind]bool{}
	for _, e := range w.entries {
		if e.scan(all) {
			changed[e.kind] = true
		}
		e.tell(w.log)
	}
	if len(changed) == 0 {
		return false
	}
	w.build(changed[CRLs])
	for _, kind := range []Kind{Mail, System, Domains, Pinned, CRLs} {
		if !changed[kind] {
			continue
		}
		count := 0
		for _, h := range w.Holdings() {
			if h.Kind == kind {
				count += len(h.Certificates) + len(h.CRLs)
			}
		}
		w.log.Info("reloaded", "what", string(kind), "count", count)
	}
	return true
}

func missing(paths []string) error {
	return fmt.Errorf("none of %q: %w", paths, os.ErrNotExist)
}
