package ca

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mailseal/certmgr/ca/index"
	"mailseal/internal/pki"
)

// ImportOptions are what Import needs besides the folder.
type ImportOptions struct {
	// Passphrase opens the key. It stays the key's passphrase.
	Passphrase []byte
	// Key and Certificate are the CA's files where they have other names than
	// those that openssl's examples give them. They are moved to their places.
	Key         string
	Certificate string
	By          string
	Now         func() time.Time
	Rand        io.Reader
}

// Imported is what Import has done.
type Imported struct {
	// Changed are the files that were made, moved or closed, and how.
	Changed []string
	// Warnings are what somebody should look at. They hinder nothing.
	Warnings []string
}

// The names that the key and the certificate have in folders of openssl ca:
// CA.pl's demoCA, /etc/rc.d/sendmail of FreeBSD, the manual's examples,
// easy-rsa.
var (
	usualKeys  = []string{keyFile, "cakey.pem", "private/ca.key", "ca.key", "private/ca.key.pem", "ca-key.pem"}
	usualCerts = []string{certFile, "ca.crt", "certs/ca.cert.pem", "ca.pem", "certs/ca.crt", "ca.cert.pem"}
)

// Import takes over a folder in which openssl ca has worked. All is checked
// before the first file is changed: that key and certificate belong together,
// that the database is whole, that serial names a number that is free. Then
// what is missing is written, an openssl.cnf of somebody else is kept as
// openssl.cnf.old, and folder and keys are closed. Once more does nothing.
func Import(dir string, o ImportOptions) (*CA, Imported, error) {
	c, err := newFolder(dir, o.Now, o.Rand)
	if err != nil {
		return nil, Imported{}, err
	}
	t := &takeover{CA: c}
	if err := t.check(o); err != nil {
		return nil, t.Imported, fmt.Errorf("import CA %s: %w", c.dir, err)
	}
	if err := t.take(o); err != nil {
		return nil, t.Imported, fmt.Errorf("import CA %s: %w", c.dir, err)
	}
	return c, t.Imported, nil
}

// A takeover is an import under way.
type takeover struct {
	*CA
	Imported
	keyAt, certAt string // where they are now
	cert          *x509.Certificate
	settings      Settings
	fresh         bool // no ca.toml: it was never ours
	serials       []string
	revoked       []string
	highest       *big.Int
}

// check reads everything and changes nothing.
func (t *takeover) check(o ImportOptions) error {
	info, err := os.Stat(t.dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return errors.New("not a folder")
	}
	if exists(t.path(initFile)) {
		return errors.New("it was never finished; run ca init again")
	}
	if t.certAt, err = t.locate("certificate", o.Certificate, usualCerts); err != nil {
		return err
	}
	if t.keyAt, err = t.locate("key", o.Key, usualKeys); err != nil {
		return err
	}
	if err := t.checkPair(o.Passphrase); err != nil {
		return err
	}
	t.fresh = !exists(t.path(settingsFile))
	if t.settings, err = readSettings(t.dir); err != nil {
		return err
	}
	if !exists(t.path(attrFile)) {
		t.settings.UniqueSubject = false
	}
	if t.fresh {
		if t.settings.Serials, err = t.serialsBefore(); err != nil {
			return err
		}
	}
	if _, err := opensslConf(t.dir, t.settings); err != nil {
		return err
	}
	if err := t.checkIndex(); err != nil {
		return err
	}
	return t.checkNumbers()
}

// serialsBefore is how the folder's numbers were made: openssl ca counts on in
// serial, unless its configuration says that they are drawn, or a script draws
// them, as easy-rsa does: nobody has counted beyond 64 bits.
func (t *takeover) serialsBefore() (Serials, error) {
	next, err := t.readNumber(serialFile)
	if errors.Is(err, fs.ErrNotExist) || next != nil && next.BitLen() > 64 {
		return RandomSerials, nil
	}
	if err != nil {
		return "", err
	}
	conf, err := os.ReadFile(t.path(confFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for line := range strings.Lines(string(conf)) {
		if key, _, ok := strings.Cut(line, "="); ok && strings.TrimSpace(key) == "rand_serial" {
			return RandomSerials, nil
		}
	}
	return SequentialSerials, nil
}

// locate finds a file by the names that it may have. Links are not followed:
// the file has to be in the folder when its permissions are closed.
func (t *takeover) locate(what, said string, usual []string) (string, error) {
	if said != "" {
		usual = []string{said}
	}
	for _, name := range usual {
		path := name
		if !filepath.IsAbs(name) {
			path = t.path(name)
		}
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		if !info.Mode().IsRegular() {
			return "", fmt.Errorf("%s: not a file; put the CA's %s itself there", path, what)
		}
		return path, nil
	}
	return "", fmt.Errorf("no %s of the CA: looked for %s", what, strings.Join(usual, ", "))
}

// checkPair makes sure that certificate and key are a CA.
func (t *takeover) checkPair(passphrase []byte) error {
	cert, err := os.ReadFile(t.certAt)
	if err != nil {
		return err
	}
	key, err := os.ReadFile(t.keyAt)
	if err != nil {
		return err
	}
	certs, err := pki.ParseCertificates(cert)
	if err != nil {
		return fmt.Errorf("%s: %w", t.certAt, err)
	}
	t.cert = certs[0]
	if !t.cert.IsCA {
		return fmt.Errorf("%s is not a CA's certificate: it has no basic constraints with CA:TRUE", t.certAt)
	}
	id, err := pki.ParseIdentity(slices.Concat(key, []byte("\n"), EncodeCertificates(t.cert)), passphrase)
	if err != nil {
		return fmt.Errorf("%s, %s: %w", t.keyAt, t.certAt, err)
	}
	t.key = id.Key
	if bytes.Contains(key, []byte("-----BEGIN PRIVATE KEY")) || bytes.Contains(key, []byte("-----BEGIN RSA PRIVATE KEY")) || bytes.Contains(key, []byte("-----BEGIN EC PRIVATE KEY")) {
		t.Warnings = append(t.Warnings, "the CA's key is not encrypted: openssl pkcs8 -topk8 -v2 aes256 encrypts it")
	}
	if err := checkPublicKey(t.key.Public()); err != nil {
		t.Warnings = append(t.Warnings, "the CA's key: "+err.Error())
	}
	if now := t.now(); now.After(t.cert.NotAfter) {
		t.Warnings = append(t.Warnings, fmt.Sprintf("the CA ended at %s: renew it", t.cert.NotAfter.Format(time.RFC3339)))
	}
	if ku := t.cert.KeyUsage; ku != 0 && ku&x509.KeyUsageCRLSign == 0 {
		t.Warnings = append(t.Warnings, "the CA's certificate does not allow it to sign CRLs: renew it")
	}
	if !bytes.Equal(t.cert.RawIssuer, t.cert.RawSubject) && !exists(t.path(chainFile)) {
		return fmt.Errorf("%s is below %s: put the certificates above it into %s", t.certAt, t.cert.Issuer, chainFile)
	}
	for _, p := range SubjectOf(t.cert.Subject).Placeholders() {
		t.Warnings = append(t.Warnings, "the CA's "+p+": a placeholder, which stands in all its certificates")
	}
	return nil
}

// checkIndex reads the database and looks for each of its certificates.
func (t *takeover) checkIndex() error {
	files, err := readNames(t.path(newCerts))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !exists(t.path(indexFile)) {
		if slices.ContainsFunc(files, func(n string) bool { return strings.HasSuffix(n, ".pem") }) {
			return fmt.Errorf("%s is not there, and %s holds certificates: put it back", indexFile, newCerts)
		}
		return nil
	}
	t.highest = new(big.Int)
	seen := map[string]bool{}
	if err := t.index.Each(func(e index.Entry) error {
		serial := strings.ToUpper(e.Serial)
		if seen[serial] {
			return fmt.Errorf("%s: two lines with the number %s; openssl does not read that either: mend it", t.path(indexFile), serial)
		}
		seen[serial] = true
		n := mustSerial(serial)
		if n.Cmp(t.highest) > 0 {
			t.highest = n
		}
		t.serials = append(t.serials, serial)
		if e.Status == index.Revoked {
			t.revoked = append(t.revoked, serial)
		}
		return t.checkCertificate(n)
	}); err != nil {
		return err
	}
	for _, name := range files {
		if serial, ok := strings.CutSuffix(name, ".pem"); ok && !seen[strings.ToUpper(serial)] {
			t.Warnings = append(t.Warnings, fmt.Sprintf("%s/%s is not in %s", newCerts, name, indexFile))
		}
	}
	return nil
}

// checkCertificate looks at a certificate of the database.
func (t *takeover) checkCertificate(serial *big.Int) error {
	path := t.newCert(serial, "pem")
	cert, err := readCertificate(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		t.Warnings = append(t.Warnings, fmt.Sprintf("%s is not there: it can be revoked, but neither shown nor renewed", path))
	case err != nil:
		t.Warnings = append(t.Warnings, err.Error())
	case cert.SerialNumber.Cmp(serial) != 0:
		return fmt.Errorf("%s has the number %s", path, index.Serial(cert.SerialNumber))
	case !bytes.Equal(cert.RawIssuer, t.cert.RawSubject):
		t.Warnings = append(t.Warnings, fmt.Sprintf("%s was issued by %s", path, cert.Issuer))
	}
	return nil
}

// checkNumbers makes sure that serial and crlnumber are numbers.
func (t *takeover) checkNumbers() error {
	next, err := t.readNumber(serialFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if next != nil && slices.Contains(t.serials, index.Serial(next)) {
		return fmt.Errorf("%s says %s next, which is in %s already; write a number into it that was never used", serialFile, index.Serial(next), indexFile)
	}
	if _, err := t.readNumber(crlNumFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
