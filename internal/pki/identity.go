package pki

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
	"strings"

	"mailseal/internal/x509key"
)

// A bundle is what a file holds, in its order.
type bundle struct {
	certs []*x509.Certificate
	keys  []crypto.PrivateKey
	// unfit says why a key or certificate was left out, nil when none was.
	unfit error
}

// addKey takes a key as parsed. One of a kind that is not known is passed over
// and remembered.
func (b *bundle) addKey(key any, err error) {
	if err == nil {
		var k crypto.PrivateKey
		if k, err = usable(key); err == nil {
			b.keys = append(b.keys, k)
			return
		}
	}
	if b.unfit == nil {
		b.unfit = err
	}
}

// ParseIdentity reads PKCS #12, or PEM with key, certificate and chain in any
// order. A file with several keys gives the one that may sign, and all of them
// as Pairs.
func ParseIdentity(data, passphrase []byte) (Identity, error) {
	b, err := parseBundle(data, passphrase)
	if err != nil {
		return Identity{}, err
	}
	return b.identity()
}

// ParseAll reads the same files for all that is in them: certificates and keys
// need not belong together, and either may be missing. The error is about a key
// that cannot be read, too.
func ParseAll(data, passphrase []byte) ([]*x509.Certificate, []crypto.PrivateKey, error) {
	b, err := parseBundle(data, passphrase)
	if err == nil {
		err = b.unfit
	}
	return b.certs, b.keys, err
}

func parseBundle(data, passphrase []byte) (bundle, error) {
	switch {
	case len(data) > maxIdentity:
		return bundle{}, fmt.Errorf("larger than %d bytes; this cannot be an identity", maxIdentity)
	case isPEM(data):
		return parsePEM(data, passphrase)
	case isPFX(data):
		return parsePKCS12(data, passphrase)
	}
	return bundle{}, errors.New("neither PEM nor PKCS #12; want a certificate with its key")
}

// identity finds the pair of certificate and key, and what is above it.
func (b bundle) identity() (Identity, error) {
	switch {
	case b.unfit != nil && (len(b.keys) == 0 || len(b.certs) == 0):
		return Identity{}, b.unfit
	case len(b.keys) == 0 && len(b.certs) == 0:
		return Identity{}, errors.New("holds neither certificate nor key")
	case len(b.keys) == 0:
		return Identity{}, errors.New("holds no private key; put key, certificate and chain into one file")
	case len(b.certs) == 0:
		return Identity{}, errors.New("holds no certificate; put key, certificate and chain into one file")
	}
	var id Identity
	for _, k := range b.keys {
		for _, c := range b.certs {
			if pairs(c, k) {
				id.Pairs = append(id.Pairs, Pair{c, k})
			}
		}
	}
	if id.choose(); id.Certificate == nil {
		return Identity{}, errors.New("the key does not belong to any certificate in the file")
	}
	id.Chain = chain(id.Certificate, b.certs)
	return id, nil
}

// chain orders what is there from the leaf's issuer upwards. A self-signed
// root is left out: who trusts it has it (RFC 8551 section 2.3 lets senders
// do so). Where an issuer is there twice, self-signed and cross-signed, the
// cross-signed one goes along.
func chain(leaf *x509.Certificate, pool []*x509.Certificate) []*x509.Certificate {
	var up []*x509.Certificate
	for at := leaf; !selfSigned(at); {
		i := slices.IndexFunc(pool, func(c *x509.Certificate) bool {
			return !c.Equal(leaf) && !slices.ContainsFunc(up, c.Equal) && !selfSigned(c) && issued(c, at)
		})
		if i < 0 {
			break
		}
		at = pool[i]
		up = append(up, at)
	}
	return up
}

// issued reports whether parent's name and key issued child. A signature that
// Go will not check, as one with SHA-1, is let pass: trust is judged elsewhere.
func issued(parent, child *x509.Certificate) bool {
	if !bytes.Equal(parent.RawSubject, child.RawIssuer) {
		return false
	}
	if len(child.AuthorityKeyId) > 0 && len(parent.SubjectKeyId) > 0 && !bytes.Equal(child.AuthorityKeyId, parent.SubjectKeyId) {
		return false
	}
	err := x509key.CheckSignature(parent, child)
	var insecure x509.InsecureAlgorithmError
	return err == nil || errors.Is(err, x509.ErrUnsupportedAlgorithm) || errors.As(err, &insecure)
}

func selfSigned(c *x509.Certificate) bool { return issued(c, c) }

// ReadIdentity reads an identity from a file. Its errors name the file and
// never hold a byte of a key.
func ReadIdentity(path string, passphrase []byte) (Identity, error) {
	data, err := readFile(path, maxIdentity)
	if err != nil {
		return Identity{}, err
	}
	id, err := ParseIdentity(data, passphrase)
	if err != nil {
		return Identity{}, fmt.Errorf("%s: %w", path, err)
	}
	base := filepath.Base(path)
	id.Name = strings.TrimSuffix(base, filepath.Ext(base))
	id.Files = []string{path}
	return id, nil
}

// ReadPassphrase reads the first line of a file.
func ReadPassphrase(path string) ([]byte, error) {
	data, err := readFile(path, maxPassphrase)
	if err != nil {
		return nil, err
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), nil
}

// ReadIdentities reads a folder of NAME.pem, NAME.p12 or NAME.pfx, each with
// the passphrase in NAME.pass where it has one. Other files are not looked at.
// They come sorted by name; every file that cannot be read is in the error,
// beside the identities that could.
func ReadIdentities(dir string) ([]Identity, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var ids []Identity
	var errs []error
	files := make(map[string]string) // name -> path
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		ext := filepath.Ext(path)
		if !slices.Contains([]string{".pem", ".p12", ".pfx"}, strings.ToLower(ext)) || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if fi, err := os.Stat(path); err == nil && fi.IsDir() {
			continue
		}
		name := strings.TrimSuffix(e.Name(), ext)
		if other, ok := files[name]; ok {
			errs = append(errs, fmt.Errorf("%s: %s is the same name; keep one of them", path, filepath.Base(other)))
			continue
		}
		files[name] = path
		id, err := readWithPass(path, filepath.Join(dir, name+".pass"))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ids = append(ids, id)
	}
	return ids, errors.Join(errs...)
}

func readWithPass(path, pass string) (Identity, error) {
	phrase, err := ReadPassphrase(pass)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		id, err := ReadIdentity(path, nil)
		if errors.Is(err, ErrNoPassphrase) {
			err = fmt.Errorf("%w; put it into %s", err, filepath.Base(pass))
		}
		return id, err
	case err != nil:
		return Identity{}, err
	}
	id, err := ReadIdentity(path, phrase)
	id.Files = append(id.Files, pass)
	return id, err
}

// CheckKeyMode returns an error when others than the owner may read or change
// the file.
func CheckKeyMode(path string) error {
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	if m := fi.Mode().Perm(); m&0o066 != 0 {
		return fmt.Errorf("%s: mode %04o lets others than its owner at it; run: chmod 600 %s", path, m, path)
	}
	return nil
}

// ParseKey reads a private key in PEM, the first of those in a file.
func ParseKey(data, passphrase []byte) (crypto.PrivateKey, error) {
	if len(data) > maxIdentity {
		return nil, fmt.Errorf("larger than %d bytes; this cannot be a key", maxIdentity)
	}
	b, err := parsePEM(data, passphrase)
	switch {
	case err != nil:
		return nil, err
	case len(b.keys) > 0:
		return b.keys[0], nil
	case b.unfit != nil:
		return nil, b.unfit
	}
	return nil, errors.New("holds no private key in PEM")
}
