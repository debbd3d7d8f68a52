package doctor

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func mode(m fs.FileMode) string { return fmt.Sprintf("%04o", m.Perm()) }

// knowsCA reports whether a file of CAs, or a link in a folder, has the root of the
// present CA.
func (f *Facts) knowsCA(file File) bool {
	root := f.CA.Chain[len(f.CA.Chain)-1]
	return slices.ContainsFunc(file.Certificates, func(c *x509.Certificate) bool {
		return c.Equal(root) || c.Equal(f.CA.Chain[0]) ||
			bytes.Equal(c.RawSubject, root.RawSubject) && bytes.Equal(c.RawSubjectPublicKeyInfo, root.RawSubjectPublicKeyInfo)
	})
}

// caFileOK: a file of public CAs alone is on purpose where certificates are bought.
func caFileOK(f *Facts, s *Server) []hit {
	for _, file := range s.CAs {
		if file.State == Read && (!f.CA.there() || f.knowsCA(file) || s.Kept && s.Issuer != "ca") {
			return said("path", file.Path)
		}
	}
	return nil
}

func caFileOther(f *Facts, s *Server) []hit {
	if !f.CA.there() || len(caFileOK(f, s)) > 0 {
		return nil
	}
	for _, file := range s.CAs {
		if file.State == Read {
			return []hit{{args: arguments("path", file.Path, "ca", f.CA.Chain[0].Subject.String()), commands: f.addCA(file.Path, s)}}
		}
	}
	return nil
}

// addCA adds the CA to a file of CAs. What is a link to the system's is left alone.
func (f *Facts) addCA(path string, s *Server) []string {
	if f.CA.File.Path == "" || strings.HasPrefix(path, "/etc/ssl/") || strings.HasPrefix(path, "/usr/local/share/") {
		return nil
	}
	commands := []string{"cat " + quote(f.CA.File.Path) + " >>" + quote(path)}
	if s.Reload != "" {
		commands = append(commands, s.Reload)
	}
	return commands
}

func caFileMissing(f *Facts, s *Server) []hit {
	var all []hit
	for _, file := range s.CAs {
		if file.State != Missing && file.State != Broken {
			continue
		}
		h := hit{args: arguments("path", file.Path, "reason", file.Err)}
		if f.CA.there() && file.State == Missing {
			h.commands = f.addCA(file.Path, s)
		}
		if s.Kind != Sendmail {
			h.severity = Warning
		}
		all = append(all, h)
	}
	return all
}

func caFileUnset(_ *Facts, s *Server) []hit {
	links := slices.ContainsFunc(s.Dirs, func(d Dir) bool { return d.State == Read })
	if s.Conf == "" || len(s.CAs) > 0 || links || s.Unread != "" || s.Kind == Sendmail || s.Off != "" {
		return nil
	}
	// Postfix and Exim with the system's CAs.
	if s.setting("tls_append_default_CA") == "yes" || s.setting("tls_verify_certificates") == "system" {
		return nil
	}
	return said("path", s.Conf)
}

// unreadable are those files of a server that who asks may not read.
func fileDenied(_ *Facts, s *Server) []hit {
	var all []hit
	seen := map[string]bool{}
	for _, file := range s.files() {
		if file.State == Denied && !seen[file.Path] {
			seen[file.Path] = true
			all = append(all, hit{args: arguments("path", file.Path)})
		}
	}
	for _, d := range s.Dirs {
		if d.State == Denied {
			all = append(all, hit{args: arguments("path", d.Path)})
		}
	}
	return all
}

// files are all of a server, each once.
func (s *Server) files() []File {
	var all []File
	add := func(f File) {
		if !slices.ContainsFunc(all, func(o File) bool { return o.Path == f.Path }) {
			all = append(all, f)
		}
	}
	for _, p := range s.Pairs {
		add(p.Key)
		add(p.Cert)
	}
	for _, list := range [][]File{s.CAs, s.Lists, s.Tables} {
		for _, f := range list {
			add(f)
		}
	}
	if s.DH != nil {
		add(*s.DH)
	}
	return all
}

func crlEnded(f *Facts, s *Server) []hit  { return f.serverLists(s, true) }
func crlEnding(f *Facts, s *Server) []hit { return f.serverLists(s, false) }

func (f *Facts) serverLists(s *Server, ended bool) []hit {
	var all []hit
	for _, file := range s.Lists {
		commands := []string{"mailseal ca crl"}
		if f.CA.CRL.Path != "" {
			commands = append(commands, "install -m 644 "+quote(f.CA.CRL.Path)+" "+quote(file.Path))
		}
		if s.Reload != "" {
			commands = append(commands, s.Reload)
		}
		all = append(all, f.lists(file, ended, commands)...)
	}
	return all
}

// crlMissing: a target gets one when the CA has one.
func crlMissing(f *Facts, s *Server) []hit {
	if s.Conf == "" && f.CA.CRL.State == Missing {
		return nil
	}
	var all []hit
	for _, file := range s.Lists {
		if file.State == Missing || file.State == Broken {
			all = append(all, hit{args: arguments("path", file.Path, "reason", file.Err)})
		}
	}
	return all
}

// crlUnset: sendmail looks at no revocation then.
func crlUnset(f *Facts, s *Server) []hit {
	if s.Kind != Sendmail || s.Off != "" || s.Unread != "" || len(s.Lists) > 0 || s.isSet("crlpath") || !f.CA.there() {
		return nil
	}
	return said()
}

// crlUnknown: these two have no code for it.
func crlUnknown(_ *Facts, s *Server) []hit {
	if s.Kind != Postfix && s.Kind != XMail {
		return nil
	}
	return said()
}

// dhFile makes another group's file.
func (s *Server) dhFile() []string {
	path := quote(s.DH.Path)
	commands := []string{"openssl genpkey -genparam -algorithm DH -pkeyopt group:ffdhe2048 -out " + path + " && chmod 644 " + path}
	if s.Reload != "" {
		commands = append(commands, s.Reload)
	}
	return commands
}

func dhMissing(_ *Facts, s *Server) []hit {
	if s.DH == nil || s.DH.State != Missing {
		return nil
	}
	return []hit{{args: arguments("path", s.DH.Path), commands: s.dhFile()}}
}

func dhBroken(_ *Facts, s *Server) []hit {
	if s.DH == nil || s.DH.State != Broken {
		return nil
	}
	return []hit{{args: arguments("path", s.DH.Path, "reason", s.DH.Err), commands: s.dhFile()}}
}

func dhSmall(_ *Facts, s *Server) []hit {
	if s.DH == nil || s.DH.DH == nil || s.DH.DH.Bits >= minRSA {
		return nil
	}
	return []hit{{args: arguments("path", s.DH.Path, "bits", strconv.Itoa(s.DH.DH.Bits)), commands: s.dhFile()}}
}

func dhUnsafe(_ *Facts, s *Server) []hit {
	if s.DH == nil || s.DH.DH == nil || s.DH.DH.Bits < minRSA || s.DH.DH.Safe {
		return nil
	}
	return []hit{{args: arguments("path", s.DH.Path), commands: s.dhFile()}}
}

// blames reports whether DontBlameSendmail has a word.
func (s *Server) blames(word string) bool {
	return slices.ContainsFunc(listOf(s.setting("dontblamesendmail")), func(w string) bool { return strings.EqualFold(w, word) })
}

// modeKey: sendmail refuses a key that group or others may read; others say
// nothing of it.
func modeKey(_ *Facts, s *Server) []hit {
	var all []hit
	seen := map[string]bool{}
	for _, p := range s.Pairs {
		k := p.Key
		open := k.Mode.Perm() & 0o044
		if k.State != Read && k.State != Denied || open == 0 || k.Mode == 0 || seen[k.Path] {
			continue
		}
		seen[k.Path] = true
		h := hit{args: arguments("path", k.Path, "mode", mode(k.Mode)), commands: []string{"chmod 600 " + quote(k.Path)}}
		if open&0o004 == 0 {
			// Exim does not read it as root.
			if s.Kind == Exim || s.blames("GroupReadableKeyFile") {
				continue
			}
			h.commands = []string{"chmod g-r " + quote(k.Path)}
			if s.Kind != Sendmail { // as Debian's ssl-cert, whose members may
				h.severity = Note
			}
		}
		if s.Kind == Sendmail && s.Reload != "" {
			h.commands = append(h.commands, s.Reload)
		}
		all = append(all, h)
	}
	return all
}

func modeWritable(_ *Facts, s *Server) []hit {
	var all []hit
	for _, file := range s.files() {
		if file.Mode.Perm()&0o022 == 0 || file.Mode.IsDir() {
			continue
		}
		h := hit{args: arguments("path", file.Path, "mode", mode(file.Mode)), commands: []string{"chmod go-w " + quote(file.Path)}}
		if s.Kind == Sendmail && s.Reload != "" {
			h.commands = append(h.commands, s.Reload)
		}
		if s.Kind != Sendmail && file.Mode.Perm()&0o002 == 0 {
			h.severity = Warning
		}
		all = append(all, h)
	}
	return all
}

// modeOwner: sendmail wants its files root's, or RunAsUser's.
func modeOwner(_ *Facts, s *Server) []hit {
	if s.Kind != Sendmail || s.isSet("runasuser") || s.blames("CertOwner") {
		return nil
	}
	var all []hit
	for _, p := range s.Pairs {
		for _, file := range []File{p.Key, p.Cert} {
			if (file.State == Read || file.State == Denied) && file.UID != 0 {
				h := hit{args: arguments("path", file.Path, "uid", strconv.Itoa(file.UID)), commands: []string{"chown root " + quote(file.Path)}}
				if s.Reload != "" {
					h.commands = append(h.commands, s.Reload)
				}
				all = append(all, h)
			}
		}
	}
	return all
}

// modeFolder: below a folder that others may write to sendmail takes no file. Of
// every server somebody else could exchange the file there.
func modeFolder(_ *Facts, s *Server) []hit {
	var all []hit
	seen := map[string]bool{}
	for _, file := range s.files() {
		for _, dir := range file.Open {
			world := dir.Mode.Perm()&0o002 != 0
			sticky := dir.Mode&fs.ModeSticky != 0
			switch {
			case seen[dir.Path]:
				continue
			case s.Kind != Sendmail && (sticky || !world):
				continue
			case s.Kind == Sendmail && sticky && s.blames("TrustStickyBit"):
				continue
			case s.Kind == Sendmail && !world && s.blames("GroupWritableDirPathSafe"):
				continue
			}
			seen[dir.Path] = true
			h := hit{args: arguments("path", dir.Path, "mode", mode(dir.Mode), "file", file.Path)}
			if !sticky { // /tmp has to stay as it is: the file has to move
				h.commands = []string{"chmod go-w " + quote(dir.Path)}
				if s.Kind == Sendmail && s.Reload != "" {
					h.commands = append(h.commands, s.Reload)
				}
			}
			all = append(all, h)
		}
	}
	return all
}

func linksFolder(_ *Facts, s *Server) []hit {
	var all []hit
	for _, d := range s.Dirs {
		if d.State == Missing || d.State == Broken {
			h := hit{args: arguments("path", d.Path, "setting", d.For, "reason", d.Err)}
			if d.State == Missing {
				h.commands = []string{"mkdir -m 755 " + quote(d.Path)}
			}
			if s.Kind != Sendmail || d.For != "CACertPath" {
				h.severity = Warning
			}
			all = append(all, h)
		}
	}
	return all
}

func linksStale(_ *Facts, s *Server) []hit {
	var all []hit
	for _, d := range s.Dirs {
		for _, c := range d.Links {
			if c.Target == "" {
				link := filepath.Join(d.Path, c.Name)
				all = append(all, hit{args: arguments("link", link), commands: []string{"rm " + quote(link)}})
			}
		}
	}
	return all
}

func linksMissing(_ *Facts, s *Server) []hit {
	var all []hit
	for _, d := range s.Dirs {
		for _, c := range d.Links {
			if c.Target != "" {
				link := filepath.Join(d.Path, c.Name)
				all = append(all, hit{args: arguments("link", link, "path", filepath.Join(d.Path, c.Target)),
					commands: []string{"ln -sfn " + quote(c.Target) + " " + quote(link)}})
			}
		}
	}
	return all
}

// clockFuture: a file of tomorrow says that the clock was, or is, wrong.
func clockFuture(f *Facts, s *Server) []hit {
	const slack = 10 * time.Minute
	var all []hit
	for _, file := range s.files() {
		if file.Time.After(f.Now.Add(slack)) {
			all = append(all, hit{args: arguments("path", file.Path, "time", date(file.Time), "now", date(f.Now))})
		}
	}
	return all
}
