package install

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"mailseal/certmgr/dh"
)

// A Layout is how a server wants its files, and how it is told of new ones.
type Layout struct {
	Files map[Role]File
	// Dir is a folder with hash links for CA and CRL, "" for none.
	Dir string
	// SafePath: the server refuses every file below a folder that others may
	// write to, be it sticky.
	SafePath bool
	// Links are symbolic links in Dir whose certificates get hash links too,
	// by name: where each leads. One of ours that leads to "" is removed.
	Links map[string]string
	// Bundle is the file of the system's public CAs, "" for none.
	Bundle string
	// Group is what the file of role DH holds, unless OwnPrime: then it serves
	// until a safe prime of so many bits is found.
	Group    dh.Group
	OwnPrime int
	// Table is Postfix's table of certificates by name, nil for none.
	Table *Table
	// Reload is a command for /bin/sh that has the server read its files again,
	// and does nothing where it does not run; "" where none is needed.
	Reload string
	// Probes are URLs at which the server usually answers.
	Probes []string
}

// Choices are what a configuration may say of a server's files. The zero value
// has what the server itself would.
type Choices struct {
	// Owner and Group of the files are names or numbers. With a group, it may
	// read the key.
	Owner, Group string
	// Files are other names, by role, those of the server "files" altogether.
	// Relative ones are in the folder.
	Files map[string]string
	// DH is the name of a group, "generate:BITS", or "off".
	DH string
	// Public: the public CAs besides (bundle = "ca+system"). Bundle is their
	// file, "" for the system's.
	Public bool
	Bundle string
	// SNI is Postfix's table of certificates by name: PATH, or TYPE:PATH.
	SNI string
	// GOOS is a system whose paths are wanted, "" for this one's.
	GOOS string
}

// A server is what a Layout of its kind is made from.
type server struct {
	// dir is its usual folder, by runtime.GOOS; "" for others.
	dir map[string]string
	// files are its usual files, their names relative to the folder.
	files func(public bool) map[Role]File
	// dh: without being asked it has a file of parameters.
	dh bool
	// arrange does what is its own.
	arrange func(l *Layout, dir string, c Choices) error
}

var servers = map[string]server{
	"sendmail": sendmail,
	"postfix":  postfix,
	"dovecot":  dovecot,
	"exim":     exim,
	"xmail":    xmail,
	"files":    anyFiles,
}

// LayoutOf is the layout of a server in a folder, "" for its usual one.
func LayoutOf(name, dir string, c Choices) (Layout, error) {
	s, ok := servers[name]
	if !ok {
		return Layout{}, fmt.Errorf("server %q is not known; want %s", name, strings.Join(slices.Sorted(maps.Keys(servers)), ", "))
	}
	c.GOOS = cmp.Or(c.GOOS, runtime.GOOS)
	dir = cmp.Or(dir, s.dir[c.GOOS], s.dir[""])
	if dir != "" && !filepath.IsAbs(dir) {
		return Layout{}, fmt.Errorf("%s: dir: %q; want it from / on", name, dir)
	}
	l, err := s.layout(dir, c)
	if err != nil {
		return Layout{}, fmt.Errorf("%s: %w", name, err)
	}
	return l, nil
}

func (s server) layout(dir string, c Choices) (Layout, error) {
	l := Layout{Files: s.files(c.Public), Bundle: c.Bundle}
	if l.Bundle == "" {
		l.Bundle = SystemBundle(c.GOOS)
	}
	if err := l.name(c.Files); err != nil {
		return l, err
	}
	if err := l.parameters(c.DH, s.dh || c.Files[string(DH)] != ""); err != nil {
		return l, err
	}
	for r, f := range l.Files {
		if !filepath.IsAbs(f.Path) {
			if dir == "" {
				return l, fmt.Errorf("files: %s: want its name from / on, or a folder (dir)", f.Path)
			}
			f.Path = filepath.Join(dir, f.Path)
		}
		l.Files[r] = f
	}
	if r, other := l.twice(); r != "" {
		return l, fmt.Errorf("files: %s and %s are both %s; want a file for each, or pair for a key with its certificate", r, other, l.Files[r].Path)
	}
	if err := l.own(c); err != nil {
		return l, err
	}
	return l, s.arrange(&l, dir, c)
}

// parameters takes what is said of Diffie-Hellman.
func (l *Layout) parameters(choice string, usual bool) error {
	if choice == "off" || (choice == "" && !usual) {
		delete(l.Files, DH)
		return nil
	}
	if _, ok := l.Files[DH]; !ok && choice != "" {
		return fmt.Errorf("dh: no file of parameters is read; leave it out, or name one")
	}
	bits, own := strings.CutPrefix(choice, "generate:")
	if !own {
		var err error
		if l.Group, err = dh.ParseGroup(cmp.Or(choice, dh.FFDHE2048.String())); err != nil {
			return fmt.Errorf("dh: %w", err)
		}
		return nil
	}
	n, err := strconv.Atoi(bits)
	if err != nil || n < 2048 || n > 8192 || n%8 != 0 {
		return fmt.Errorf("dh: %q; want generate: with 2048 to 8192 bits, a multiple of 8", choice)
	}
	l.OwnPrime = n
	for _, g := range dh.Groups() { // the smallest that is as good
		if l.Group = g; g.Bits() >= n {
			break
		}
	}
	return nil
}

// name takes other names of files. A pair takes the place of key and certificate,
// and these that of a pair.
func (l *Layout) name(names map[string]string) error {
	for _, role := range slices.Sorted(maps.Keys(names)) {
		r := Role(role)
		if !slices.Contains(roles, r) {
			return fmt.Errorf("files: %q is not known; want %v", role, roles)
		}
		f, ok := l.Files[r]
		if !ok {
			f = usual(r, "")
		}
		f.Path = names[role]
		l.Files[r] = f
	}
	_, pair := names[string(PairFile)]
	_, key := names[string(Key)]
	_, certificate := names[string(Certificate)]
	switch {
	case pair && (key || certificate):
		return fmt.Errorf("files: pair stands for key and certificate; want one or the other")
	case pair:
		delete(l.Files, Key)
		delete(l.Files, Certificate)
	case key && certificate:
		delete(l.Files, PairFile)
	}
	if _, ok := l.Files[PairFile]; ok {
		return nil
	}
	if _, ok := l.Files[Key]; !ok || l.Files[Certificate].Path == "" {
		return fmt.Errorf("files: want key and certificate, or pair for both in one")
	}
	return nil
}

// twice are two roles that have the same file.
func (l *Layout) twice() (Role, Role) {
	of := map[string]Role{}
	for _, r := range roles {
		f, ok := l.Files[r]
		if !ok {
			continue
		}
		if other := of[filepath.Clean(f.Path)]; other != "" {
			return other, r
		}
		of[filepath.Clean(f.Path)] = r
	}
	return "", ""
}

// usual is a role's file with the mode that it has with most servers.
func usual(r Role, name string) File {
	if r == Key || r == PairFile {
		return File{Path: name, Mode: 0o600}
	}
	return File{Path: name, Mode: 0o644}
}

// own gives the files to who they shall belong to, or to who runs this.
func (l *Layout) own(c Choices) error {
	uid, gid := os.Geteuid(), os.Getegid()
	var err error
	if c.Owner != "" {
		if uid, err = account(c.Owner, "owner", "user", func(name string) (string, error) {
			u, err := user.Lookup(name)
			if err != nil {
				return "", err
			}
			return u.Uid, nil
		}); err != nil {
			return err
		}
	}
	if c.Group != "" {
		if gid, err = account(c.Group, "group", "group", func(name string) (string, error) {
			g, err := user.LookupGroup(name)
			if err != nil {
				return "", err
			}
			return g.Gid, nil
		}); err != nil {
			return err
		}
	}
	for r, f := range l.Files {
		f.UID, f.GID = uid, gid
		if c.Group != "" {
			f.Mode |= (f.Mode & 0o400) >> 3
		}
		l.Files[r] = f
	}
	return nil
}

func account(name, key, kind string, lookup func(string) (string, error)) (int, error) {
	id, err := lookup(name)
	if err != nil {
		id = name // a number that has no name is one too
	}
	n, err := strconv.ParseUint(id, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%s: there is no %s %q on this host", key, kind, name)
	}
	return int(n), nil
}

// public are where systems keep their public CAs.
var public = map[string][]string{
	"freebsd": {"/usr/local/share/certs/ca-root-nss.crt", "/etc/ssl/cert.pem"},
	"":        {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"},
}

// SystemBundle is a system's file of public CAs: the first that is there of those
// that are known, or else the first.
func SystemBundle(goos string) string {
	paths, ok := public[goos]
	if !ok {
		paths = public[""]
	}
	for _, path := range paths {
		if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() && fi.Mode().Perm() != fs.FileMode(0) {
			return path
		}
	}
	return paths[0]
}
