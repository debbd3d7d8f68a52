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

// A File is where a role's content belongs, and whose it is.
type File struct {
	Path string
	Mode fs.FileMode
	UID  int
	GID  int
}

// A Target is a server's files as they shall be.
type Target struct {
	// Name is one that no other target has. It names files below state.
	Name string
	// Hosts are the names that the certificate covers; the first is its CN.
	Hosts []string
	// Files are those that the server reads. A role may be missing, but for
	// Key and Certificate, or PairFile.
	Files map[Role]File
	// Dir is a folder with hash links for CA and CRL, "" for none.
	Dir string
	// Authority is the CA, then those above it, the root last.
	Authority []*x509.Certificate
	// CRL is the CA's present list in DER; nil where it has none.
	CRL []byte
	// Group is what the file of role DH holds.
	Group dh.Group
}

// Sendmail are the files of sendmail's folder, as FreeBSD's sendmail.cf and
// Debian's sendmailconfig name them. They are root's: what belongs to another
// user sendmail refuses.
func Sendmail(dir string) map[Role]File {
	file := func(name string, mode fs.FileMode) File { return File{Path: filepath.Join(dir, name), Mode: mode} }
	return map[Role]File{
		Key:         file("host.key", 0o600),
		Certificate: file("host.cert", 0o644),
		CA:          file("cacert.pem", 0o644),
		CRL:         file("crl.pem", 0o644),
		DH:          file("dh.param", 0o644),
	}
}

// Postfix are the files of smtpd_tls_chain_files (and smtp_tls_chain_files), which
// Postfix opens as root, and of smtpd_tls_CAfile. It reads no list of what is
// revoked, and parameters for Diffie-Hellman are best left to its library.
func Postfix(dir string) map[Role]File {
	return map[Role]File{
		PairFile: {Path: filepath.Join(dir, "host.pem"), Mode: 0o600},
		CA:       {Path: filepath.Join(dir, "cacert.pem"), Mode: 0o644},
	}
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
	if f, ok := t.Files[CA]; ok && filepath.Dir(f.Path) == filepath.Clean(t.Dir) {
		return hashdir.Options{Bundles: []string{filepath.Base(f.Path)}}
	}
	return hashdir.Options{}
}

// Contents are what files shall hold.
type Contents map[Role][]byte

func fingerprint(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
