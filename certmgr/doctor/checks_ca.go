package doctor

import (
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

const day = 24 * time.Hour

// date is a day as people read it, with the time zone left out on purpose: who
// needs the second has openssl.
func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func days(d time.Duration) string { return strconv.Itoa(int(d / day)) }

func (a Authority) there() bool { return len(a.Chain) > 0 }

func caOK(f *Facts) []hit {
	if !f.CA.there() {
		return nil
	}
	c := f.CA.Chain[0]
	life := c.NotAfter.Sub(c.NotBefore)
	return said("ca", c.Subject.String(), "begin", c.NotBefore.UTC().Format("2006-01-02"), "end", c.NotAfter.UTC().Format("2006-01-02"),
		"days", days(life), "years", strconv.Itoa(int(life/(365*day))))
}

// caNone is nothing to worry about where the certificates are a public CA's, or
// those of a private one on another host.
func caNone(f *Facts) []hit {
	if f.CA.there() || f.CA.Dir != "" && f.CA.File.State != Missing {
		return nil
	}
	h := hit{severity: Note}
	for i := range f.Servers {
		s := &f.Servers[i]
		if !f.served(s) {
			h.severity = max(h.severity, Warning)
		}
		if s.Kept && s.Issuer == "ca" {
			h.severity = Error
		}
	}
	dir := f.CA.Dir
	if dir == "" {
		dir = "/etc/mail/CA"
	}
	h.commands = []string{"mailseal ca init -dir " + quote(dir) + " -subject '/O=MyCorp/CN=MyCorp CA'"}
	return []hit{h}
}

// served reports whether a server has certificates, and all of CAs that it knows.
func (f *Facts) served(s *Server) bool {
	for _, p := range s.Pairs {
		leaf := p.Cert.Leaf()
		if leaf == nil || boot(leaf) || !f.public(p) && (selfSigned(leaf) || !f.rootSigned(s, p.top(leaf))) {
			return false
		}
	}
	return len(s.Pairs) > 0
}

func caDenied(f *Facts) []hit {
	if f.CA.File.State != Denied {
		return nil
	}
	return said("path", f.CA.File.Path)
}

func caBroken(f *Facts) []hit {
	if f.CA.Dir == "" || f.CA.File.State != Broken {
		return nil
	}
	return said("path", f.CA.File.Path, "reason", f.CA.File.Err)
}

func caExpired(f *Facts) []hit {
	if !f.CA.there() || f.Now.Before(f.CA.Chain[0].NotAfter) {
		return nil
	}
	return []hit{{args: arguments("time", date(f.CA.Chain[0].NotAfter)), commands: []string{"mailseal ca renew -ca"}}}
}

// caEnding: certificates cannot outlive their CA, so it ends a certificate's life
// before it ends.
func caEnding(f *Facts) []hit {
	if !f.CA.there() {
		return nil
	}
	left := f.CA.Chain[0].NotAfter.Sub(f.Now)
	if left <= 0 || left > 365*day {
		return nil
	}
	return []hit{{args: arguments("time", date(f.CA.Chain[0].NotAfter), "days", days(left)), commands: []string{"mailseal ca renew -ca"}}}
}

func caFuture(f *Facts) []hit {
	if !f.CA.there() || !f.Now.Before(f.CA.Chain[0].NotBefore) {
		return nil
	}
	return said("time", date(f.CA.Chain[0].NotBefore), "now", date(f.Now))
}

func caKeyOpen(f *Facts) []hit {
	k := f.CA.Key
	if k.State != Read || k.Mode.Perm()&0o077 == 0 {
		return nil
	}
	return []hit{{args: arguments("path", k.Path, "mode", mode(k.Mode)), commands: []string{"chmod 600 " + quote(k.Path), "chmod 700 " + quote(filepath.Dir(k.Path))}}}
}

func caSilent(f *Facts) []hit {
	if f.CA.Silent == "" {
		return nil
	}
	h := hit{args: arguments("reason", f.CA.Silent)}
	if !slices.ContainsFunc(f.Servers, func(s Server) bool { return s.Kept }) {
		h.severity = Note
	}
	return []hit{h}
}

func caCRLNone(f *Facts) []hit {
	if !f.CA.there() || f.CA.CRL.State != Missing {
		return nil
	}
	return []hit{{args: arguments("path", f.CA.CRL.Path), commands: []string{"mailseal ca crl"}}}
}

func caCRLEnded(f *Facts) []hit { return f.lists(f.CA.CRL, true, []string{"mailseal ca crl"}) }

func caCRLEnding(f *Facts) []hit { return f.lists(f.CA.CRL, false, []string{"mailseal ca crl"}) }

// lists says which CRLs of a file have ended, or are about to. Certmgr makes the
// next when a third of the time is left, so with a quarter nobody has.
func (f *Facts) lists(file File, ended bool, commands []string) []hit {
	var all []hit
	for _, l := range file.CRLs {
		left := l.NextUpdate.Sub(f.Now)
		has := !l.NextUpdate.IsZero() && left <= 0
		ending := !l.NextUpdate.IsZero() && left > 0 && left < l.NextUpdate.Sub(l.ThisUpdate)/4
		if ended && has || !ended && ending {
			all = append(all, hit{args: arguments("path", file.Path, "time", date(l.NextUpdate)), commands: commands})
		}
	}
	return all
}
