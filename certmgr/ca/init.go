package ca

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"mailseal/internal/durable"
)

const (
	defaultCADays = 10000
	maxCADays     = 36500
)

// InitOptions describe a new CA.
type InitOptions struct {
	// Subject needs a CommonName.
	Subject Subject
	// Key is the kind of key that is made; RSA2048 by default.
	Key KeyKind
	// Days is how long the certificate is good: 10000 by default, or for a CA
	// below another what the parent gives a sub-CA.
	Days int
	// Passphrase encrypts the key. Without one Unencrypted must be said.
	Passphrase  []byte
	Unencrypted bool
	// Parent makes it a CA below another one, whose folder can then be taken
	// off the host.
	Parent *CA
	// PermitDNS and PermitEmail are the domains to which the CA binds itself:
	// who trusts it does so for these alone (RFC 5280 section 4.2.1.10).
	PermitDNS   []string
	PermitEmail []string
	// Settings are the CA's own. The zero Settings are DefaultSettings.
	Settings Settings
	By       string
	// Now defaults to time.Now. Rand is what serial numbers are drawn from,
	// crypto/rand by default; keys and signatures always use that.
	Now  func() time.Time
	Rand io.Reader
}

// Warnings are what somebody should look at before the CA is made.
func (o InitOptions) Warnings() []string {
	var w []string
	for _, p := range o.Subject.Placeholders() {
		w = append(w, p+": a placeholder; give the real one")
	}
	if o.Unencrypted {
		w = append(w, "the key is not encrypted: who reads the folder or a backup of it is the CA")
	}
	return w
}

// Init makes a CA in a folder, which it makes too where it is not there. It
// refuses a folder that holds a CA, or a part of one. Nothing is revoked yet,
// but verifiers that are told where the list is want to see one: IssueCRL
// belongs behind it where the settings have a URL.
func Init(dir string, o InitOptions) (*CA, error) {
	c, err := newFolder(dir, o.Now, o.Rand)
	if err != nil {
		return nil, err
	}
	if err := c.init(o); err != nil {
		return nil, fmt.Errorf("init CA %s: %w", c.dir, err)
	}
	return c, nil
}

// check fills in what is not said and finds what is wrong, without a folder.
func (o *InitOptions) check() (name []byte, bounds permitted, err error) {
	if len(o.Passphrase) == 0 && !o.Unencrypted {
		return nil, bounds, errors.New("no passphrase for the key; give one, or ask for an unencrypted key")
	}
	if o.Days == 0 && o.Parent == nil {
		o.Days = defaultCADays
	}
	if o.Days < 0 || o.Days > maxCADays {
		return nil, bounds, fmt.Errorf("days %d: want 1 to %d", o.Days, maxCADays)
	}
	if o.Key < 0 || int(o.Key) >= len(keyKinds) {
		return nil, bounds, fmt.Errorf("there is no %v", o.Key)
	}
	d := DefaultSettings()
	if o.Settings.Serials == "" {
		o.Settings.Serials = d.Serials
	}
	if o.Settings.CRLDays == 0 {
		o.Settings.CRLDays = d.CRLDays
	}
	if err := o.Settings.check(); err != nil {
		return nil, bounds, err
	}
	if bounds, err = parsePermitted(o.PermitDNS, o.PermitEmail); err != nil {
		return nil, bounds, err
	}
	if err := o.Subject.named(); err != nil {
		return nil, bounds, err
	}
	name, err = o.Subject.encode()
	return name, bounds, err
}

func (c *CA) init(o InitOptions) error {
	name, bounds, err := o.check()
	if err != nil {
		return refusal{err}
	}
	if _, err := opensslConf(c.dir, o.Settings); err != nil {
		return refusal{err}
	}
	if err := c.claim(); err != nil {
		return err
	}
	if c.key, err = GenerateKey(o.Key); err != nil {
		return err
	}
	a, err := c.certifyNew(name, bounds, o)
	if err != nil {
		return err
	}
	key, err := EncodeKey(c.key, o.Passphrase)
	if err != nil {
		return err
	}
	return c.populate(a, key, o.By)
}

// claim makes the folder and marks it as unfinished. A folder with the mark
// has never issued anything, for Open refuses it: what stands in it from an
// Init that was killed is written over.
func (c *CA) claim() error {
	if err := os.MkdirAll(filepath.Dir(c.dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(c.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if exists(c.path(initFile)) {
		return os.Chmod(c.dir, 0o700)
	}
	if err := c.vacant(); err != nil {
		return err
	}
	// It may have been there, open to others.
	if err := os.Chmod(c.dir, 0o700); err != nil {
		return err
	}
	if err := durable.SyncDir(filepath.Dir(c.dir)); err != nil {
		return err
	}
	return c.write(initFile, []byte("ca init has not finished here\n"), 0o600)
}

// Vacant is the error with which Init refuses a folder that holds a CA.
func Vacant(dir string) error {
	c, err := newFolder(dir, nil, nil)
	if err != nil || exists(c.path(initFile)) {
		return err
	}
	if err := c.vacant(); err != nil {
		return fmt.Errorf("init CA %s: %w", c.dir, err)
	}
	return nil
}

func (c *CA) vacant() error {
	for _, name := range []string{certFile, chainFile, keyFolder, newCerts, serialFile, crlNumFile, indexFile, attrFile, confFile, settingsFile, auditFile, "cakey.pem"} {
		if exists(c.path(name)) {
			return refusal{fmt.Errorf("the folder holds %s: it is a CA already, or was one; nothing is overwritten", name)}
		}
	}
	return nil
}

// certifyNew makes the CA's certificate: self-signed, or by the parent.
func (c *CA) certifyNew(name []byte, bounds permitted, o InitOptions) (*authority, error) {
	a := &authority{settings: o.Settings}
	if o.Parent != nil {
		issued, err := o.Parent.Issue(Request{
			Profile: SubCA, Subject: o.Subject, Days: o.Days, PublicKey: c.key.Public(),
			PermitDNS: o.PermitDNS, PermitEmail: o.PermitEmail, Memo: o.Settings.Memo, By: o.By,
		})
		if err != nil {
			return nil, err
		}
		a.cert, a.chain = issued.Certificate, o.Parent.Chain()
		return a, nil
	}
	template := &x509.Certificate{RawSubject: name}
	bounds.apply(template)
	var err error
	a.cert, err = c.selfSign(template, o.Days)
	return a, err
}

// selfSign makes a root's certificate. What the template brings is kept.
func (c *CA) selfSign(template *x509.Certificate, days int) (*x509.Certificate, error) {
	serial, err := randomSerial(c.rand)
	if err != nil {
		return nil, err
	}
	if template.SubjectKeyId == nil {
		if template.SubjectKeyId, err = keyID(c.key.Public()); err != nil {
			return nil, err
		}
	}
	from := c.now().UTC().Truncate(time.Second)
	template.SerialNumber = serial
	template.NotBefore = from
	template.NotAfter = from.AddDate(0, 0, days).Add(-time.Second)
	template.BasicConstraintsValid = true
	template.IsCA = true
	template.KeyUsage = caUsage
	template.AuthorityKeyId = template.SubjectKeyId
	return create(template, template, c.key.Public(), c.key)
}

// populate writes the folder's files and takes the mark away.
func (c *CA) populate(a *authority, key []byte, by string) error {
	for _, folder := range []string{keyFolder, newCerts} {
		if err := os.Mkdir(c.path(folder), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	files := []struct {
		name    string
		content string
		mode    fs.FileMode
	}{
		{keyFile, string(key), 0o600},
		{serialFile, "01\n", 0o644},
		{crlNumFile, "01\n", 0o644},
		{indexFile, "", 0o644},
		{lockFile, "", 0o600},
		{chainFile, string(EncodeCertificates(a.chain...)), 0o644},
		{certFile, string(EncodeCertificates(a.cert)), 0o644},
	}
	for _, f := range files {
		if f.name == chainFile && a.chain == nil {
			continue
		}
		if err := c.write(f.name, []byte(f.content), f.mode); err != nil {
			return err
		}
	}
	if err := c.writeSettings(a.settings, nil); err != nil {
		return err
	}
	a, err := c.refresh()
	if err != nil {
		return err
	}
	if err := c.auditOnce("init", "certificate", fingerprint(a.cert), func() error {
		return c.audit("init", by, map[string]string{"certificate": fingerprint(a.cert), "subject": a.cert.Subject.String()})
	}); err != nil {
		return err
	}
	return durable.Remove(c.path(initFile))
}
