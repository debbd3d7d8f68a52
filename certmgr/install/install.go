// Package install puts a mail server's keys and certificates right, and keeps
// what it finds out apart from what it does:
//
//	state, err := install.Inspect(target)      // reads the disk, changes nothing
//	plan := target.Plan(state, now)            // pure: what is wrong, what is to be done
//	plan.Print(os.Stdout)
//	contents, err := target.Obtain(ctx, plan, state, source)
//	done, err := journal.Install(target, contents, state, now)
//	err = done.RollBack()                      // where the server does not take it
//
// Sendmail, Postfix and Dovecot switch TLS off when key and certificate do not
// pair, when a file has the wrong mode, or when one is missing, and go on without
// a word to the sender. FreeBSD's boot script makes a throw-away CA where
// host.key, host.cert and cacert.pem are all missing. So new files are complete
// and judged by the same rules before the first is renamed to its place, none is
// ever removed, and what a crash cuts short is ended at the next start (Repair).
package install

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"mailseal/certmgr/dh"
	"mailseal/certmgr/hashdir"
)

// A Role is what a file is for.
type Role string

// The roles, in the order in which their files are renamed: who reads between
// two renames finds a CA that knows the certificate, and the shortest time in
// which key and certificate do not pair.
const (
	CA          Role = "ca"
	CRL         Role = "crl"
	DH          Role = "dh"
	Key         Role = "key"
	Certificate Role = "certificate"
	// PairFile is key, certificate and what is between it and the root in one
	// file, in that order, for servers that read it so: there is no instant
	// in which they do not pair. It stands for Key and Certificate.
	PairFile Role = "pair"
)

var roles = []Role{CA, CRL, DH, Key, Certificate, PairFile}

// A File is where a role's content belongs, whose it is, and what it has besides.
type File struct {
	Path string
	Mode fs.FileMode
	UID  int
	GID  int
	// Public: a file of CAs that has the system's public ones too.
	Public bool `json:",omitempty"`
	// List: a file of CAs that has the CRL behind them.
	List bool `json:",omitempty"`
	// Append: a file of certificates in which others' stay, behind ours.
	Append bool `json:",omitempty"`
}

// An Origin is where a target's certificate comes from, and so by what it is
// judged. The zero Origin is ByCA.
type Origin string

// The origins.
const (
	ByCA      Origin = "ca"    // Authority
	BySelf    Origin = "self"  // signed by itself, and the CA that peers need too
	FromFiles Origin = "files" // bought, and dropped into the folder From
)

// A Target is a server's files as they shall be.
type Target struct {
	// Name is one that no other target has. It names files below state.
	Name string
	// Hosts are the names that the certificate covers; the first is its CN.
	Hosts []string
	// Layout has the files. A role may be missing, but for Key and
	// Certificate, or PairFile.
	Layout
	// Issuer is where the certificate comes from, From the folder of FromFiles.
	Issuer Origin
	From   string
	// Authority is the CA, then those above it, the root last. It is empty
	// where there is none, or nobody knows it yet.
	Authority []*x509.Certificate
	// CRL is the CA's present list in DER; nil where it has none.
	CRL []byte
	// Own are parameters of its own for the file of role DH, which come in the
	// group's place; those without numbers are yet to be found.
	Own dh.Parameters
}

// pair are the roles whose files have the key and the certificate.
func (t Target) pair() (key, certificate Role) {
	if _, ok := t.Files[PairFile]; ok {
		return PairFile, PairFile
	}
	return Key, Certificate
}

// roles are those that the target has, in order.
func (t Target) roles() []Role {
	return slices.DeleteFunc(slices.Clone(roles), func(r Role) bool {
		_, ok := t.Files[r]
		return !ok || (r == CRL && t.CRL == nil)
	})
}

// links are what hashdir has to know.
func (t Target) links() hashdir.Options {
	var o hashdir.Options
	if f, ok := t.Files[CA]; ok && filepath.Dir(f.Path) == filepath.Clean(t.Dir) {
		o.Bundles = append(o.Bundles, filepath.Base(f.Path))
	}
	for _, name := range slices.Sorted(maps.Keys(t.Links)) {
		if t.Links[name] != "" {
			o.Bundles = append(o.Bundles, name)
		}
	}
	return o
}

// public reports whether the system's public CAs have to be known: for a file, a
// link, or what was bought.
func (t Target) public() bool {
	return t.Bundle != "" && (t.Files[CA].Public || t.Issuer == FromFiles || t.Links[publicLink] != "")
}

// folders are those that have to be there.
func (t Target) folders() []string {
	var dirs []string
	if t.Dir != "" {
		dirs = append(dirs, filepath.Clean(t.Dir))
	}
	for _, r := range t.roles() {
		dirs = append(dirs, filepath.Dir(t.Files[r].Path))
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// Interest are the files of which a change may matter to the target, and the
// folders in which that of any file may.
func (t Target) Interest() []string {
	var paths []string
	if t.Dir != "" {
		paths = append(paths, filepath.Clean(t.Dir))
	}
	for _, f := range t.Files { // that of a list too, whose CA has not been asked yet
		paths = append(paths, f.Path)
	}
	for name := range t.Links {
		paths = append(paths, filepath.Join(t.Dir, name))
	}
	if t.public() {
		paths = append(paths, t.Bundle)
	}
	if t.Table != nil {
		paths = append(append(paths, t.Table.Path), t.Table.databases()...)
	}
	if t.Issuer == FromFiles {
		paths = append(paths, t.From)
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// Contents are what files shall hold.
type Contents map[Role][]byte

func fingerprint(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
