package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"mailseal/certmgr/command"
	"mailseal/certmgr/probe"
)

// Options say where to look.
type Options struct {
	Now time.Time // zero is now
	// CADir is the folder of the private CA, "" for none. Daemon asks certmgr at
	// its socket; nil: nobody is asked.
	CADir  string
	Daemon func(context.Context) error
	// Servers are where there are servers; Installed finds them. Targets are what
	// certmgr keeps. A target is about the server of its kind that reads its files,
	// else about any that no other target is; with Named, where somebody has said
	// which servers are to be looked at, it is left out otherwise.
	Servers []Instance
	Targets []Target
	Named   bool
	// Once is the command by which certmgr puts its targets right.
	Once string
	// Offline: no server is connected to.
	Offline bool
}

// An Instance is where a server is.
type Instance struct {
	Name string
	Kind Kind
	// Conf is the folder of its settings, MailRoot for XMail, a file for Exim.
	// Prefix stands before the names of programs, but Postfix's, which main.cf may
	// name; "" for those that are installed. PidFile is "" for what the settings say.
	Conf, Prefix, PidFile string

	tree postfixTree
}

// A Target is a [[target]] of the configuration.
type Target struct {
	Name   string
	Kind   Kind
	Issuer string
	Hosts  []string
	Files  map[string]string // by what they are for: key, certificate, pair, ca, crl, dh
	Dir    string            // of hash links
	Probes []string          // nil: those of the settings; empty: none
	Usual  []string          // probes where no settings are known
	Reload string            // "" for the server's own, "none" for none
}

// tool bounds a program that tells settings, asking a connection.
const (
	tool    = 20 * time.Second
	asking  = 20 * time.Second
	maxTold = 256 << 10
)

// Gather looks at the host. What cannot be looked at is a fact too.
func Gather(ctx context.Context, o Options) *Facts {
	f := &Facts{Now: o.Now, Once: o.Once}
	if f.Now.IsZero() {
		f.Now = time.Now()
	}
	if pool, err := x509.SystemCertPool(); err == nil {
		f.System = pool
	}
	f.CA = gatherCA(ctx, o)
	var guessed [][]string
	for _, i := range o.Servers {
		s := Server{Name: i.Name, Kind: i.Kind, Settings: map[string]string{}}
		guessed = append(guessed, i.settings(ctx, &s))
		f.Servers = append(f.Servers, s)
	}
	probes := f.aim(o, guessed)
	for n := range f.Servers {
		s := &f.Servers[n]
		if s.Reload == "none" {
			s.Reload = ""
		}
		if !o.Offline {
			s.connect(ctx, f, probes[n])
		}
	}
	return f
}

// aim gives the targets their servers, makes those that have none, and returns
// where each server is asked.
func (f *Facts) aim(o Options, probes [][]string) [][]string {
	of := make([]*Target, len(f.Servers))
	for _, reads := range []bool{true, false} {
		for n := range o.Targets {
			t := &o.Targets[n]
			if slices.Contains(of, t) {
				continue
			}
			at := slices.IndexFunc(f.Servers, func(s Server) bool { return s.Kind == t.Kind && !s.Kept && (s.reads(t) || !reads && !o.Named) })
			switch {
			case at >= 0:
				of[at], f.Servers[at].Kept = t, true
			case !reads && !o.Named:
				f.Servers = append(f.Servers, Server{Kind: t.Kind, Kept: true, Settings: map[string]string{}})
				of, probes = append(of, t), append(probes, t.Usual)
			}
		}
	}
	for n, t := range of {
		s := &f.Servers[n]
		if t == nil {
			continue
		}
		s.Name, s.Issuer, s.Hosts, s.KeptFiles = t.Name, t.Issuer, t.Hosts, t.Files
		s.Reload = cmp.Or(t.Reload, s.Reload)
		if t.Probes != nil {
			probes[n], s.Expected = t.Probes, true
		}
		if len(s.Pairs) == 0 && s.Off == "" {
			s.targetFiles(t)
		}
	}
	return probes
}

// reads reports whether a server's settings name a target's certificate.
func (s *Server) reads(t *Target) bool {
	return slices.ContainsFunc(s.Pairs, func(p Pair) bool {
		path := filepath.Clean(p.Cert.Path)
		return path == t.Files["pair"] || path == t.Files["certificate"]
	})
}

func gatherCA(ctx context.Context, o Options) Authority {
	a := Authority{Dir: o.CADir}
	if o.CADir == "" {
		return a
	}
	a.File = lookAt(filepath.Join(o.CADir, "cacert.pem"), certificates)
	a.Key = stat(filepath.Join(o.CADir, "private", "cakey.pem"))
	a.CRL = lookAt(filepath.Join(o.CADir, "crl.pem"), revocations)
	a.Chain = a.File.Certificates
	if len(a.Chain) > 1 {
		a.Chain = a.Chain[:1]
	}
	a.Chain = append(slices.Clone(a.Chain), lookAt(filepath.Join(o.CADir, "chain.pem"), certificates).Certificates...)
	if o.Daemon != nil {
		limited, cancel := context.WithTimeout(ctx, asking)
		defer cancel()
		if err := o.Daemon(limited); err != nil {
			a.Silent = reason(err)
		}
	}
	return a
}

// connect asks the server where it answers.
func (s *Server) connect(ctx context.Context, f *Facts, urls []string) {
	// As the hosts see it that have the CA; where there is none, as this one does.
	trusted := slices.Clone(f.CA.Chain)
	for _, c := range s.CAs {
		if !f.CA.there() {
			trusted = append(trusted, c.Certificates...)
		}
	}
	for _, u := range urls {
		l := s.ask(ctx, u, trusted, f.Now)
		l.believe(f, s.names())
		s.Live = append(s.Live, l)
	}
}

// settings reads those of the kind. It returns where the server should answer.
func (i Instance) settings(ctx context.Context, s *Server) []string {
	switch i.Kind {
	case Postfix:
		return i.postfix(ctx, s)
	case Sendmail:
		return i.sendmail(s)
	case Dovecot:
		return i.dovecot(ctx, s)
	case Exim:
		return i.exim(ctx, s)
	case XMail:
		return i.xmail(s)
	}
	return nil
}

// targetFiles looks at the files of a target whose server tells none.
func (s *Server) targetFiles(t *Target) {
	if path := t.Files["pair"]; path != "" {
		s.Pairs = append(s.Pairs, onePair(path, path, false))
	} else if t.Files["certificate"] != "" || t.Files["key"] != "" {
		s.Pairs = append(s.Pairs, onePair(t.Files["key"], t.Files["certificate"], false))
	}
	if path := t.Files["ca"]; path != "" {
		s.CAs = append(s.CAs, lookAt(path, certificates))
	}
	if path := t.Files["crl"]; path != "" {
		s.Lists = append(s.Lists, lookAt(path, revocations))
	}
	if path := t.Files["dh"]; path != "" {
		dh := lookAt(path, parameters)
		s.DH = &dh
	}
	if t.Dir != "" {
		s.Dirs = append(s.Dirs, lookInto(t.Dir, "dir", t.Files["ca"]))
	}
}

// onePair reads a key and its certificate.
func onePair(key, cert string, client bool) Pair {
	if key == cert {
		f := lookAt(key, keyAndCertificates)
		return Pair{Client: client, Key: f, Cert: f}
	}
	return Pair{Client: client, Key: lookAt(key, privateKey), Cert: lookAt(cert, certificates)}
}

// ask connects to a server.
func (s *Server) ask(ctx context.Context, name string, trusted []*x509.Certificate, now time.Time) Live {
	l := Live{URL: name, Expected: s.Expected}
	u, err := probe.Parse(name)
	if err != nil {
		l.Verify, l.Err = "TEMP", err.Error()
		return l
	}
	want := probe.Want{CAs: trusted, At: now, Timeout: asking}
	if len(s.Hosts) > 0 {
		want.Host = s.Hosts[0]
	} else {
		want.Host = s.Hostname
	}
	r := probe.Check(ctx, u, want)
	l.Answered, l.Offered, l.Banner = r.Cause() != probe.Unreachable, r.Offered, r.Banner
	l.Version, l.Cipher, l.Chain, l.Verify = r.Version, r.Cipher, r.Chain, r.Verify()
	if r.Err != nil {
		l.Err = reason(r.Err)
	}
	if !l.Offered || len(l.Chain) == 0 {
		return l
	}
	limited, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	versions, err := probe.Versions(limited, u)
	for _, v := range versions {
		if err == nil && v < tls.VersionTLS12 {
			l.Old = append(l.Old, tls.VersionName(v))
		}
	}
	return l
}

// believe takes a server's certificate that is none of the CA's and one of a public
// CA's.
func (l *Live) believe(f *Facts, names []string) {
	if l.Verify != "FAIL" || f.System == nil || len(l.Chain) == 0 || selfSigned(l.Chain[0]) {
		return
	}
	between := x509.NewCertPool()
	for _, c := range l.Chain[1:] {
		between.AddCert(c)
	}
	o := x509.VerifyOptions{Roots: f.System, Intermediates: between, CurrentTime: f.Now}
	if len(names) > 0 {
		o.DNSName = names[0]
	}
	if _, err := l.Chain[0].Verify(o); err == nil {
		l.Verify, l.Err = "OK", ""
	}
}

// run runs a program that tells settings.
func run(ctx context.Context, name string, args ...string) (command.Output, error) {
	return command.Limits{Time: tool, Max: maxTold}.Run(ctx, name, args...)
}

// unread notes that settings could not be read.
func (s *Server) unread(err error) {
	if !errors.Is(err, context.Canceled) {
		s.Unread = reason(err)
	}
}
