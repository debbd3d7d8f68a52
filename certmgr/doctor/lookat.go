package doctor

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"mailseal/certmgr/ca/namehash"
	"mailseal/certmgr/dh"
	"mailseal/certmgr/hashdir"
	"mailseal/internal/pki"
)

// maxFile is several times a system's bundle of CAs, maxModulus the largest group
// of RFC 7919: with more, a prime is not looked for.
const (
	maxFile    = 8 << 20
	maxModulus = 8192
)

// want is what a file should hold.
type want int

const (
	anything want = iota // only owner, mode and time are looked at
	certificates
	privateKey
	keyAndCertificates
	revocations
	parameters
)

// lookAt reads a file.
func lookAt(path string, w want) File {
	f := stat(path)
	if f.State != Read || w == anything {
		return f
	}
	content, err := bounded(path)
	if err != nil {
		f.State, f.Err = stateOf(err), reason(err)
		return f
	}
	f.parse(content, w)
	return f
}

// stat looks at owner, mode and way, which needs no right to read.
func stat(path string) File {
	f := File{Path: path, State: Read}
	fi, err := os.Stat(path)
	if err != nil {
		f.State, f.Err = stateOf(err), reason(err)
		return f
	}
	f.Mode, f.Time, f.Open = fi.Mode(), fi.ModTime(), openFolders(path)
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		f.UID = int(st.Uid)
	}
	if !fi.Mode().IsRegular() {
		f.State, f.Err = Broken, "not a regular file"
	}
	return f
}

func stateOf(err error) State {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return Missing
	case errors.Is(err, fs.ErrPermission):
		return Denied
	}
	return Broken
}

// reason is an error without the path, which is told anyway.
func reason(err error) string {
	if e := new(fs.PathError); errors.As(err, &e) {
		err = e.Err
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

func bounded(path string) ([]byte, error) {
	// Without blocking: between stat and now it may have become a FIFO.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("more than %d octets", maxFile)
	}
	return content, err
}

// parse takes from a file what is in it.
func (f *File) parse(content []byte, w want) {
	var err error
	if w == privateKey || w == keyAndCertificates {
		err = f.parseKey(content)
	}
	if w == certificates || w == keyAndCertificates {
		var cerr error
		f.Certificates, cerr = pki.ParseCertificates(content)
		err = errors.Join(err, cerr)
	}
	if w == certificates || w == revocations { // Dovecot has both in one file
		f.CRLs = lists(content)
	}
	if w == revocations && len(f.CRLs) == 0 {
		err = errors.New("no CRL in it")
	}
	if w == parameters {
		err = f.parseDH(content)
	}
	if err != nil {
		f.State, f.Err = Broken, reason(err)
	}
}

func (f *File) parseKey(content []byte) error {
	key, err := pki.ParseKey(content, nil)
	if errors.Is(err, pki.ErrNoPassphrase) {
		f.Encrypted = true
		return nil
	}
	if err != nil {
		return err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return errors.New("a key that cannot sign")
	}
	f.Key = signer.Public()
	return nil
}

func (f *File) parseDH(content []byte) error {
	p, err := dh.Parse(content)
	if err != nil {
		return err
	}
	if n := p.P.BitLen(); n > maxModulus {
		return fmt.Errorf("a modulus of %d bits", n)
	}
	j := dh.Judge(p)
	f.DH = &j
	return nil
}

// lists are the CRLs in a file, in PEM or DER.
func lists(content []byte) []*x509.RevocationList {
	if list, err := x509.ParseRevocationList(content); err == nil {
		return []*x509.RevocationList{list}
	}
	var all []*x509.RevocationList
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		if list, err := x509.ParseRevocationList(block.Bytes); err == nil {
			all = append(all, list)
		}
	}
	return all
}

// openFolders are those on the way to a file, as it is named and as it really is,
// that group or others may write to.
func openFolders(path string) []Folder {
	ways := []string{filepath.Dir(path)}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		ways = append(ways, filepath.Dir(real))
	}
	var open []Folder
	for _, dir := range ways {
		for ; ; dir = filepath.Dir(dir) {
			seen := slices.ContainsFunc(open, func(f Folder) bool { return f.Path == dir })
			if fi, err := os.Stat(dir); err == nil && !seen && fi.Mode().Perm()&0o022 != 0 {
				open = append(open, Folder{Path: dir, Mode: fi.Mode()})
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return open
}

// lookInto reads a folder of hash links.
func lookInto(path, setting string, bundles ...string) Dir {
	d := Dir{Path: path, For: setting, State: Read}
	fi, err := os.Stat(path)
	if err == nil && !fi.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		d.State, d.Err = stateOf(err), reason(err)
		return d
	}
	var names []string
	for _, b := range bundles {
		if filepath.Dir(b) == filepath.Clean(path) {
			names = append(names, filepath.Base(b))
		}
	}
	plan, err := hashdir.Inspect(path, hashdir.Options{Bundles: names})
	if err != nil {
		d.State, d.Err = stateOf(err), reason(err)
		return d
	}
	known := map[string]map[string]bool{}
	for _, c := range plan.Changes {
		if c.Target != "" || !leads(filepath.Join(path, c.Name), known) {
			d.Links = append(d.Links, c)
		}
	}
	return d
}

// leads reports whether a link that openssl rehash would not make is right all the
// same: of files with several certificates it makes none, and people do. Known are
// the hashes in files that were read before.
func leads(link string, known map[string]map[string]bool) bool {
	file, err := filepath.EvalSymlinks(link)
	if err != nil {
		return false
	}
	if known[file] == nil {
		known[file] = hashes(lookAt(file, certificates))
	}
	hash, number, _ := strings.Cut(filepath.Base(link), ".")
	if strings.HasPrefix(number, "r") {
		hash += ".r"
	}
	return known[file][hash]
}

// hashes are those of what is in a file, of CRLs with ".r" behind.
func hashes(f File) map[string]bool {
	all := map[string]bool{}
	for _, c := range f.Certificates {
		if h, err := namehash.Of(c.RawSubject); err == nil {
			all[h] = true
		}
	}
	for _, l := range f.CRLs {
		if h, err := namehash.Of(l.RawIssuer); err == nil {
			all[h+".r"] = true
		}
	}
	return all
}
