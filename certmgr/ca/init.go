package ca

import (
	"crypto/x509"
	"errors"
	"fmt"
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

// Init makes a CA in a folder, which it makes too where it is not there. It
// refuses a folder that holds a CA, or a part of one.
func Init(dir string, o InitOptions) (*CA, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	c := &CA{dir: dir, now: o.Now, rand: o.Rand}
	c.setDefaults()
	if err := c.init(o); err != nil {
		return nil, fmt.Errorf("init CA %s: %w", dir, err)
	}
	return c, nil
}

func (c *CA) init(o InitOptions) error {
	if len(o.Passphrase) == 0 && !o.Unencrypted {
		return errors.New("no passphrase for the key; give one, or ask for an unencrypted key")
	}
	if o.Days == 0 && o.Parent == nil {
		o.Days = defaultCADays
	}
	if o.Days < 0 || o.Days > maxCADays {
		return fmt.Errorf("days %d: want 1 to %d", o.Days, maxCADays)
	}
	name, err := o.Subject.encode()
	if err != nil {
		return err
	}
	conf, err := opensslConf(c.dir)
	if err != nil {
		return err
	}
	if err := c.claim(); err != nil {
		return err
	}
	if c.key, err = GenerateKey(o.Key); err != nil {
		return err
	}
	if err := c.certifySelf(name, o); err != nil {
		return err
	}
	key, err := encodeKey(c.key, o.Passphrase)
	if err != nil {
		return err
	}
	return c.populate(key, conf)
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
	if _, err := os.Lstat(c.path(initFile)); err == nil {
		return nil
	}
	for _, name := range []string{certFile, chainFile, keyFolder, newCerts, serialFile, crlNumFile, indexFile, attrFile, confFile} {
		if _, err := os.Lstat(c.path(name)); err == nil {
			return fmt.Errorf("the folder holds %s: it is a CA already, or was one; nothing is overwritten", name)
		}
	}
	if err := durable.SyncDir(filepath.Dir(c.dir)); err != nil {
		return err
	}
	return c.write(initFile, []byte("ca init has not finished here\n"), 0o600)
}

// certifySelf makes the CA's certificate: self-signed, or by the parent.
func (c *CA) certifySelf(name []byte, o InitOptions) error {
	if o.Parent != nil {
		issued, err := o.Parent.Issue(Request{Profile: SubCA, Subject: o.Subject, Days: o.Days, PublicKey: c.key.Public()})
		if err != nil {
			return err
		}
		c.cert, c.chain = issued.Certificate, o.Parent.Chain()
		return nil
	}
	serial, err := randomSerial(c.rand)
	if err != nil {
		return err
	}
	from := c.now().UTC().Truncate(time.Second)
	id, err := keyID(c.key.Public())
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		RawSubject:            name,
		NotBefore:             from,
		NotAfter:              from.AddDate(0, 0, o.Days).Add(-time.Second),
		BasicConstraintsValid: true,
		IsCA:                  true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		SubjectKeyId:          id,
		AuthorityKeyId:        id,
	}
	c.cert, err = create(template, template, c.key.Public(), c.key)
	return err
}

// populate writes the folder's files and takes the mark away.
func (c *CA) populate(key, conf []byte) error {
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
		{attrFile, "unique_subject = no\n", 0o644},
		{confFile, string(conf), 0o644},
		{lockFile, "", 0o600},
		{chainFile, string(certPEM(c.chain...)), 0o644},
		{certFile, string(certPEM(c.cert)), 0o644},
	}
	for _, f := range files {
		if f.name == chainFile && c.chain == nil {
			continue
		}
		if err := c.write(f.name, []byte(f.content), f.mode); err != nil {
			return err
		}
	}
	return durable.Remove(c.path(initFile))
}
