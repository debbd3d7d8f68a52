// Package bundle writes a certificate as the files that it is handed over in: for
// a server, for a mail program, for a phone.
//
//	written, err := bundle.Write("certs/mx", bundle.Bundle{Certificate: c, Key: k, Chain: chain, Root: root}, bundle.Options{})
//
// makes certs/mx.key, certs/mx.crt and certs/mx-chain.pem; the options add
//
//	BASE.pem            key, certificate and chain in one file
//	BASE.p12            the same as PKCS #12, under a passphrase made for it
//	BASE.mobileconfig   a profile for Apple's devices
//
// Files with a key are for their owner alone (0600). What is written is on the
// disk when Write returns, and no file is replaced unless that is asked for.
//
// RFC 7292 (PKCS #12), RFC 5958 (PKCS #8), RFC 7468 (PEM); Apple's Configuration
// Profile Reference.
package bundle

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mailseal/internal/durable"
	"mailseal/internal/x509key"
)

// A Bundle is a certificate and what belongs to it.
type Bundle struct {
	Certificate *x509.Certificate
	// Key is nil where somebody else has it. There is no PKCS #12 then.
	Key crypto.Signer
	// Chain goes up from the issuer of Certificate, without the root.
	Chain []*x509.Certificate
	// Root is what others have to trust, nil where they have it.
	Root *x509.Certificate
}

// Options say what is written besides key, certificate and chain.
type Options struct {
	// Single is BASE.pem, with all in one file, in the place of these three.
	Single bool
	PKCS12 Encoding
	Mobile *Profile // nil: no BASE.mobileconfig
	// Passphrase is of the PKCS #12. A long one is made where it is "".
	Passphrase string
	// Replace replaces files that are there. Their owners keep them, but in
	// folders where others can make files.
	Replace bool
}

// ErrExists: a file is there already.
var ErrExists = errors.New("is there already")

// Written is what Write has made.
type Written struct {
	Files []string
	// Stale are other files of that base, with what was replaced in them still.
	Stale []string
	// Passphrase opens the PKCS #12, and that in the profile. It is nowhere else.
	Passphrase string
}

// A file is one that is to be written.
type file struct {
	name    string
	mode    fs.FileMode
	content []byte
}

const (
	secret = 0o600
	public = 0o644
)

// Free returns an error where Write would fail because of a file, one that wraps
// ErrExists where it is in the way: to be asked before anything is issued. hasKey
// as of the Bundle.
func Free(base string, hasKey bool, o Options) error {
	for _, name := range names(base, hasKey, o) {
		if info, err := os.Stat(name); err == nil && o.Replace && !info.Mode().IsRegular() {
			return fmt.Errorf("%s: not a file, and not replaced; name others", name)
		}
		if o.Replace {
			continue
		}
		if _, err := os.Lstat(name); err == nil {
			return fmt.Errorf("%s %w", name, ErrExists)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return writable(filepath.Dir(base))
}

// writable finds out whether files can be made in a folder.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".mailseal.*.tmp")
	if err != nil {
		return fmt.Errorf("files cannot be made in %s: %w", dir, errors.Unwrap(err))
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// names are the files that there will be.
func names(base string, hasKey bool, o Options) (all []string) {
	switch {
	case o.Single && hasKey:
		all = append(all, base+".pem")
	case hasKey:
		all = append(all, base+".key")
		fallthrough
	default:
		all = append(all, base+".crt", base+"-chain.pem")
	}
	if o.PKCS12 != NoPKCS12 {
		all = append(all, base+".p12")
	}
	if o.Mobile != nil {
		all = append(all, base+".mobileconfig")
	}
	return all
}

// Write writes the files of a bundle, whose names begin with base. The key
// comes first: what there is of a bundle after a crash is never a certificate
// whose key is lost.
func Write(base string, b Bundle, o Options) (Written, error) {
	var w Written
	if err := Free(base, b.Key != nil, o); err != nil {
		return w, err
	}
	files, passphrase, err := b.files(base, o)
	if err != nil {
		return w, err
	}
	w.Passphrase = passphrase
	for _, f := range files {
		write := durable.Create
		if o.Replace {
			write = replace
		}
		if err := write(f.name, f.content, f.mode); errors.Is(err, fs.ErrExist) {
			return w, fmt.Errorf("%s %w", f.name, ErrExists)
		} else if err != nil {
			return w, err
		}
		w.Files = append(w.Files, f.name)
	}
	if o.Replace {
		w.Stale = stale(base, b.Key != nil, w.Files)
	}
	return w, nil
}

// replace puts a file in the place of one that is there, which stays its
// owner's: a daemon that reads its key as its own user goes on reading it. In a
// folder where others can make files, nobody gets a key that way.
func replace(name string, content []byte, mode fs.FileMode) error {
	uid, gid := -1, -1
	dir, err := os.Stat(filepath.Dir(name))
	if err != nil {
		return err
	}
	if dir.Mode().Perm()&0o022 == 0 {
		if info, err := os.Lstat(name); err == nil && info.Mode().IsRegular() {
			if uid, gid, err = ownerOf(name); err != nil {
				return err
			}
		}
	}
	return durable.WriteFileAs(name, content, mode, uid, gid)
}

// stale are the files that a bundle of that base may have, and that were not
// written. The key is none where it is not ours: it may well be the one.
func stale(base string, hasKey bool, written []string) (left []string) {
	for _, ending := range []string{".key", ".crt", "-chain.pem", ".pem", ".p12", ".mobileconfig"} {
		name := base + ending
		if _, err := os.Lstat(name); err == nil && !slices.Contains(written, name) && (hasKey || ending != ".key") {
			left = append(left, name)
		}
	}
	return left
}

// files makes all that is to be written.
func (b Bundle) files(base string, o Options) (all []file, passphrase string, err error) {
	if b.Key == nil && (o.PKCS12 != NoPKCS12 || o.Mobile != nil) {
		return nil, "", errors.New("the key is not here, and PKCS #12 and profiles hold it; leave them out")
	}
	var key []byte
	if b.Key != nil {
		if !x509key.Pairs(b.Certificate, b.Key) {
			return nil, "", errors.New("the key is not that of the certificate")
		}
		if key, err = keyPEM(b.Key); err != nil {
			return nil, "", err
		}
	}
	certificate := certificatePEM(b.Certificate)
	switch {
	case o.Single && b.Key != nil:
		all = append(all, file{base + ".pem", secret, bytes.Join([][]byte{key, certificate, certificatePEM(b.Chain...)}, nil)})
	case b.Key != nil:
		all = append(all, file{base + ".key", secret, key})
		fallthrough
	default:
		all = append(all, file{base + ".crt", public, certificate}, file{base + "-chain.pem", public, certificatePEM(b.above()...)})
	}
	if o.PKCS12 == NoPKCS12 && o.Mobile == nil {
		return all, "", nil
	}
	if passphrase = o.Passphrase; passphrase == "" {
		passphrase = newPassphrase()
	}
	p12, err := b.pkcs12(o.PKCS12, passphrase, o.Passphrase != "")
	if err != nil {
		return nil, "", err
	}
	if o.PKCS12 != NoPKCS12 {
		all = append(all, file{base + ".p12", secret, p12})
	}
	if o.Mobile != nil {
		profile, err := o.Mobile.encode(b, p12)
		if err != nil {
			return nil, "", err
		}
		all = append(all, file{base + ".mobileconfig", secret, profile})
	}
	return all, passphrase, nil
}

// above are the certificates above, the root last.
func (b Bundle) above() []*x509.Certificate {
	if b.Root == nil {
		return b.Chain
	}
	return append(b.Chain[:len(b.Chain):len(b.Chain)], b.Root)
}

func certificatePEM(certificates ...*x509.Certificate) []byte {
	var all []byte
	for _, c := range certificates {
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return all
}

func keyPEM(k crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Certificate encodes a certificate for a file of that name: in PEM if it ends
// in .pem, otherwise in DER, which Windows and phones import.
func Certificate(name string, c *x509.Certificate) []byte {
	if strings.HasSuffix(strings.ToLower(name), ".pem") {
		return certificatePEM(c)
	}
	return c.Raw
}
