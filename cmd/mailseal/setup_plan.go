package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mailseal/certmgr/install"
	"mailseal/certmgr/setup"
	"mailseal/internal/config"
	"mailseal/internal/pki"
)

// prepare finds out what there is and what would be changed. It changes nothing.
func (s *setupRun) prepare(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return failf(exNoPerm, "what it changes is root's; run it as root")
	}
	if err := s.checkFlags(); err != nil {
		return err
	}
	if err := s.readConfig(); err != nil {
		return err
	}
	var err error
	s.server, err = setup.Look(ctx, s.place)
	if err != nil && !(errors.Is(err, setup.ErrNoName) && (len(s.hosts) > 0 || s.existing() >= 0)) {
		return err
	}
	if err := s.plan(); err != nil {
		return err
	}
	if s.request != "" {
		return nil
	}
	if err := s.bringHome(); err != nil {
		return err
	}
	settings, err := s.server.Settings(ctx, s.files(), s.wish)
	if err != nil {
		return err
	}
	s.theirs, s.warnings = settings.Edits, append(s.warnings, settings.Warnings...)
	if err := setup.Writable(slices.Concat(s.ours, s.theirs)); err != nil {
		return err
	}
	return s.answers(ctx)
}

// checkFlags refuses what does not go together.
func (s *setupRun) checkFlags() error {
	if s.place.Prefix != "" {
		if !filepath.IsAbs(s.place.Prefix) {
			return failf(exUsage, "-prefix %q: want a path from / on", s.place.Prefix)
		}
		if s.config == defaultConfig() {
			s.config = s.under(s.config)
		}
	}
	for _, f := range []struct {
		name string
		path *string
	}{{"config", &s.config}, {"conf", &s.place.Conf}, {"pidfile", &s.place.PidFile}, {"dir", &s.dir}, {"ca", &s.ca}, {"passphrase-file", &s.passphrase}, {"log", &s.log}} {
		if *f.path == "" {
			continue
		}
		var err error
		if *f.path, err = filepath.Abs(*f.path); err != nil {
			return fail(exOSErr, err)
		}
	}
	switch {
	case s.request != "" && (s.certificate != "" || s.testMail != ""):
		return failf(exUsage, "-request comes first, and -certificate and -test-mail when the CA has answered")
	case s.caCertificate != "" && s.certificate == "":
		return failf(exUsage, "-ca-certificate belongs to a -certificate")
	case s.issuedElsewhere() && s.ca+s.subject+s.passphrase != "":
		return failf(exUsage, "-request and -certificate are for a CA on another host; leave -ca, -subject and -passphrase-file out")
	case s.bundle != "" && s.bundle != "ca" && s.bundle != "ca+system":
		return failf(exUsage, "-bundle %q; want ca or ca+system", s.bundle)
	}
	return nil
}

// issuedElsewhere: the CA is not on this host.
func (s *setupRun) issuedElsewhere() bool { return s.request != "" || s.certificate != "" }

// readConfig reads the configuration that is there.
func (s *setupRun) readConfig() error {
	at := s.config
	for !there(at) && at != filepath.Dir(at) {
		at = filepath.Dir(at)
	}
	if err := guarded(at); err != nil {
		return fail(exNoPerm, err)
	}
	c, err := config.Load(s.config)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fail(exConfig, err)
	}
	s.old = c
	return nil
}

// existing is the target of the configuration that is meant, -1 for none.
func (s *setupRun) existing() int {
	if s.old == nil {
		return -1
	}
	return slices.IndexFunc(s.old.Targets, func(t config.Target) bool {
		return t.Server == s.place.Server && t.Name == cmp.Or(s.name, s.place.Server)
	})
}

// plan decides on the target, and the configuration with it.
func (s *setupRun) plan() error {
	t := s.wanted()
	head := setup.Head{AuthservID: t.Hosts[0], LocalDomains: []string{domainOf(t.Hosts[0])}}
	usual := config.Default(goos)
	if s.place.Prefix != "" && !s.says("certmgr.state") {
		head.State = s.under(usual.Certmgr.State)
	}
	if s.place.Prefix != "" && !s.says("ca.socket") {
		head.Socket = "unix:" + s.under(usual.CA.Socket)
	}
	table := &t
	if i := s.existing(); i >= 0 {
		if err := s.same(i, t); err != nil {
			return err
		}
		table, t.Issuer = nil, s.old.Targets[i].Issuer
	}
	if t.Issuer == "" || t.Issuer == "ca" {
		var err error
		if head.CADir, head.PassphraseFile, err = s.authority(); err != nil {
			return err
		}
		if n := s.newCA; n != nil && n.subject == "" {
			domain := strings.ReplaceAll(domainOf(t.Hosts[0]), "/", "")
			n.subject = "/O=" + domain + "/CN=" + domain + " CA"
		}
	}
	edit, err := setup.NewEdit(s.config, func(text string) string {
		if table == nil && head.CADir+head.PassphraseFile+head.State+head.Socket == "" {
			return text
		}
		return setup.EditTOML(text, head, table)
	})
	if err != nil {
		return fail(exNoInput, err)
	}
	if s.conf, err = config.Parse(s.config, edit.After); err != nil {
		return fail(exConfig, fmt.Errorf("the configuration would be wrong: %w", err))
	}
	if string(edit.Before) != string(edit.After) {
		s.ours = append(s.ours, edit)
	}
	i := slices.IndexFunc(s.conf.Targets, func(t config.Target) bool { return t.Name == cmp.Or(s.name, s.place.Server) })
	if i < 0 {
		return fail(exConfig, fmt.Errorf("%s: no target %s", s.config, cmp.Or(s.name, s.place.Server)))
	}
	made, err := target(s.conf, i)
	if err != nil {
		return fail(exConfig, err)
	}
	s.target, s.layout, s.reloads = s.conf.Targets[i], made.Layout, made.Reload
	return s.readJournal()
}

// says reports whether the configuration that is there has a key.
func (s *setupRun) says(key string) bool { return s.old != nil && s.old.IsSet(key) }

// wanted is the target as the flags and the server have it.
func (s *setupRun) wanted() setup.Table {
	t := setup.Table{Name: cmp.Or(s.name, s.place.Server), Server: s.place.Server, Hosts: s.hosts, Dir: s.dir, Reload: s.reload, Probe: s.probes, Bundle: s.bundle}
	if len(t.Hosts) == 0 && s.server != nil {
		t.Hosts = []string{s.server.Host}
	}
	if i := s.existing(); i >= 0 && len(s.hosts) == 0 {
		t.Hosts = s.old.Targets[i].Hosts
	}
	if t.Dir == "" {
		t.Dir = s.usualDir()
	}
	if t.Reload == "" {
		t.Reload = s.server.Reload
	}
	if len(t.Probe) == 0 && s.server.Probe != "smtp://127.0.0.1:25" {
		t.Probe = []string{s.server.Probe}
	}
	if t.Bundle == "" && isPublic(s.server.PublicCAs) {
		// Whom the server trusts today it shall trust tomorrow.
		t.Bundle = "ca+system"
	}
	if s.issuedElsewhere() {
		t.Issuer, t.From = "files", s.from()
	}
	return t
}

// usualDir is where the server has its certificates, an instance elsewhere beside
// its configuration.
func (s *setupRun) usualDir() string {
	if s.place.Conf != "" || s.place.Prefix != "" {
		return filepath.Join(s.server.Conf, "certs")
	}
	l, err := install.LayoutOf(s.place.Server, "", install.Choices{})
	if err != nil {
		return filepath.Join(s.server.Conf, "certs")
	}
	return filepath.Dir(l.Files[install.CA].Path)
}

// from is the folder for what comes of a request.
func (s *setupRun) from() string {
	if i := s.existing(); i >= 0 && s.old.Targets[i].From != "" {
		return s.old.Targets[i].From
	}
	return filepath.Join(filepath.Dir(s.config), "incoming", cmp.Or(s.name, s.place.Server))
}

// many is from how many certificates on a file is one of public CAs.
const many = 20

func isPublic(path string) bool {
	if path == "" {
		return false
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	certs, _ := pki.ParseCertificates(b)
	return len(certs) >= many
}

// same refuses flags that say otherwise than the target that is there.
func (s *setupRun) same(i int, want setup.Table) error {
	t := s.old.Targets[i]
	for _, f := range []struct {
		key   string
		given bool
		same  bool
	}{
		{"hosts", len(s.hosts) > 0, slices.Equal(t.Hosts, []string(s.hosts))},
		{"dir", s.dir != "", filepath.Clean(t.Dir) == filepath.Clean(s.dir)},
		{"reload", s.reload != "", t.Reload == s.reload},
		{"reload", s.place.PidFile != "" && s.reload == "", t.Reload == want.Reload},
		{"probe", len(s.probes) > 0, slices.Equal(t.Probe, []string(s.probes))},
		{"bundle", s.bundle != "", t.Bundle == s.bundle},
		{"issuer", s.issuedElsewhere(), t.Issuer == "files"},
	} {
		if f.given && !f.same {
			return fail(exConfig, s.old.AtTarget(i, f.key, fmt.Errorf("is otherwise than the flags say; change it here, leave the flag out, or name another target with -name")))
		}
	}
	return nil
}

// files are those that the server's settings name.
func (s *setupRun) files() setup.Files {
	path := func(r install.Role) string { return s.layout.Files[r].Path }
	f := setup.Files{
		Key: path(install.Key), Certificate: path(install.Certificate), Pair: path(install.PairFile),
		CA: path(install.CA), DH: path(install.DH), Dir: s.layout.Dir,
	}
	if s.target.Issuer == "ca" { // who else has a list of what is revoked?
		f.CRL = path(install.CRL)
	}
	return f
}

// readJournal reads what earlier runs have changed.
func (s *setupRun) readJournal() error {
	if err := guardedState(s.conf); err != nil { // it holds keys, and says what is put back
		return fail(exNoPerm, err)
	}
	s.journal = setup.NewJournal(filepath.Join(s.conf.Certmgr.State, "setup"))
	var err error
	s.before, err = s.journal.Record(s.target.Name)
	if s.known = err == nil; errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err
}

// startLimit is how long a server is waited for that may just be starting.
const startLimit = 5 * time.Second

// answers looks whether the server runs, and is the one that is meant.
func (s *setupRun) answers(ctx context.Context) error {
	if s.target.Probe != nil && len(s.target.Probe) == 0 {
		return nil // nobody shall ask
	}
	greeting, err := setup.Reloaded(ctx, s.smtpAddress(), startLimit)
	if err != nil {
		return failf(exUnavailable, "%s does not answer: %v; start it first, or say with -probe where it does", s.place.Server, err)
	}
	for server, word := range map[string]string{"sendmail": "Sendmail", "postfix": "Postfix", "exim": "Exim"} {
		if server != s.place.Server && strings.Contains(greeting, " "+word) && !s.force {
			return failf(exConfig, "at %s answers %s (%q), and this would set up %s; say -probe where that answers, or -force", s.smtpAddress(), word, greeting, s.place.Server)
		}
	}
	return nil
}

// smtpAddress is where the server takes mail.
func (s *setupRun) smtpAddress() string {
	probe := s.layout.Probes
	if len(s.target.Probe) > 0 {
		probe = s.target.Probe
	}
	for _, p := range append(probe, "smtp://127.0.0.1:25") {
		if rest, ok := strings.CutPrefix(p, "smtp://"); ok {
			host, _, _ := strings.Cut(rest, "?")
			if _, _, err := net.SplitHostPort(host); err != nil {
				host = net.JoinHostPort(strings.Trim(host, "[]"), "25")
			}
			return host
		}
	}
	return "127.0.0.1:25"
}

// show tells what would be done.
func (s *setupRun) show() {
	w := s.env.Stdout
	if n := s.newCA; n != nil {
		fmt.Fprintf(w, "a new private CA %s in %s\n", n.subject, n.dir)
		if n.makePassphrase {
			fmt.Fprintf(w, "a new passphrase for its key in %s\n", n.passphrase)
		}
	}
	for _, e := range slices.Concat(s.ours, s.theirs) {
		fmt.Fprint(w, e.Diff())
	}
	for _, r := range []install.Role{install.Key, install.Certificate, install.PairFile, install.CA, install.CRL, install.DH} {
		if f, ok := s.layout.Files[r]; ok && !s.sound(r, f.Path) {
			fmt.Fprintf(w, "%-11s %s\n", r, f.Path)
		}
	}
	for _, text := range s.warnings {
		fmt.Fprintf(s.env.Stderr, "warning: %s\n", text)
	}
}

// sound reports whether a file is one that certmgr has made.
func (s *setupRun) sound(r install.Role, path string) bool {
	if r == install.CRL && s.target.Issuer != "ca" {
		return true
	}
	sums, err := install.NewJournal(s.conf.Certmgr.State).Sums(s.target.Name)
	if err != nil {
		return false
	}
	return setup.Unchanged(path, sums)
}
