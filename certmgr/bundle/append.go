package bundle

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"mailseal/internal/durable"
	"mailseal/internal/pki"
)

// A Place is a certificate file that a server has already, and the key that
// goes with it.
type Place struct {
	File string // BASE.crt, BASE.cert or BASE.pem
	mode fs.FileMode
	uid  int
	gid  int
	old  []byte
	key  []byte // PEM
	// Public is the key that a certificate in this place has to be for.
	Public crypto.PublicKey
}

// endings of certificate files, in the order in which they are looked for.
var endings = []string{".crt", ".cert", ".pem"}

// maxPlace bounds a certificate file of a server.
const maxPlace = 1 << 20

// FindPlace finds the certificate file of a server, whose name begins with
// base: its key is in BASE.key, or in the file itself.
func FindPlace(base string) (*Place, error) {
	p := &Place{}
	for _, ending := range endings {
		fi, err := os.Stat(base + ending)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		if fi.Size() > maxPlace {
			return nil, fmt.Errorf("%s: larger than 1 MiB; this is no server's certificate", base+ending)
		}
		p.File, p.mode = base+ending, fi.Mode().Perm()
		break
	}
	if p.File == "" {
		return nil, fmt.Errorf("neither %s.crt nor %s.cert nor %s.pem is there; want the file to put the certificate into", base, base, base)
	}
	// The file itself is replaced, not the link to it.
	var err error
	if p.File, err = filepath.EvalSymlinks(p.File); err != nil {
		return nil, err
	}
	if err := writable(filepath.Dir(p.File)); err != nil {
		return nil, err
	}
	if p.uid, p.gid, err = ownerOf(p.File); err != nil {
		return nil, err
	}
	if p.uid != -1 && os.Geteuid() != 0 {
		return nil, fmt.Errorf("%s: belongs to user %d, whose it has to stay; do it as root", p.File, p.uid)
	}
	if p.old, err = os.ReadFile(p.File); err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(p.old)) > 0 && !bytes.Contains(p.old, []byte("-----BEGIN ")) {
		return nil, fmt.Errorf("%s: not in PEM; convert it: openssl x509 -inform DER -in %s -out NEW", p.File, p.File)
	}
	name := base + ".key"
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		name = p.File
	}
	if p.key, err = os.ReadFile(name); err != nil {
		return nil, err
	}
	key, err := pki.ParseKey(p.key, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: the key does not sign, so no server has it", name)
	}
	p.Public = signer.Public()
	return p, nil
}

// Fits returns an error unless a key is that of the server.
func (p *Place) Fits(key crypto.PublicKey) error {
	if k, ok := p.Public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !k.Equal(key) {
		return fmt.Errorf("%s: the server's key is not that of the certificate; issue one for that key, or write both to other files", p.File)
	}
	return nil
}

// Put puts the certificate first in the file, then what of its chain is not
// there yet, then what was there. It refuses a certificate that is not for the
// server's key: no server would start with it.
func (p *Place) Put(c *x509.Certificate, chain ...*x509.Certificate) error {
	if err := p.Fits(c.PublicKey); err != nil {
		return err
	}
	var there []*x509.Certificate
	if len(bytes.TrimSpace(p.old)) > 0 {
		var err error
		if there, err = pki.ParseCertificates(p.old); err != nil {
			return fmt.Errorf("%s: %w", p.File, err)
		}
	}
	if slices.ContainsFunc(there, c.Equal) {
		return fmt.Errorf("%s: the certificate %w", p.File, ErrExists)
	}
	content := certificatePEM(c)
	for _, above := range chain {
		if !slices.ContainsFunc(there, above.Equal) {
			content = append(content, certificatePEM(above)...)
		}
	}
	return durable.WriteFileAs(p.File, append(content, p.old...), p.mode, p.uid, p.gid)
}

// ownerOf is whose a file is, -1 for each that is not to be changed: what we
// write is ours anyway.
func ownerOf(path string) (uid, gid int, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return -1, -1, err
	}
	uid, gid = -1, -1
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		if int(stat.Uid) != os.Geteuid() {
			uid = int(stat.Uid)
		}
		gid = int(stat.Gid) // a folder with the set-group-ID bit gives files its own
	}
	return uid, gid, nil
}
