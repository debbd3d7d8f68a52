package ca

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"mailseal/certmgr/ca/index"
	"mailseal/internal/durable"
)

// take changes the folder, after it was checked. Each step can be done again:
// who is killed in it imports once more.
func (t *takeover) take(o ImportOptions) error {
	// First nobody else reads the folder any more.
	if err := t.chmod(t.dir, 0o700); err != nil {
		return err
	}
	lock, err := t.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	for _, step := range []func() error{t.folders, t.move, t.closeKeys, t.files} {
		if err := step(); err != nil {
			return err
		}
	}
	a, err := t.refresh()
	if err != nil {
		return err
	}
	if err := t.repair(a); err != nil {
		return err
	}
	if !t.fresh {
		return nil
	}
	return t.auditImport(o.By)
}

// auditImport takes over what was there before, in as many events as that
// needs.
func (t *takeover) auditImport(by string) error {
	const some = 40 // numbers in a detail, which is cut at a thousand bytes; some have 20 octets
	for first := true; first || len(t.serials)+len(t.revoked) > 0; first = false {
		details := map[string]string{"certificate": fingerprint(t.current.Load().cert)}
		for name, list := range map[string]*[]string{"serials": &t.serials, "revoked": &t.revoked} {
			var size, n int
			for n < len(*list) && n < some && size+len((*list)[n]) < 900 {
				size += len((*list)[n]) + 1
				n++
			}
			if n > 0 {
				details[name] = strings.Join((*list)[:n], " ")
				*list = (*list)[n:]
			}
		}
		if err := t.audit("import", by, details); err != nil {
			return err
		}
	}
	return nil
}

func (t *takeover) folders() error {
	for _, name := range []string{keyFolder, newCerts} {
		if err := os.Mkdir(t.path(name), 0o700); err == nil {
			t.Changed = append(t.Changed, name+": made")
		} else if !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := t.chmod(t.path(name), 0o700); err != nil {
			return err
		}
	}
	return durable.SyncDir(t.dir)
}

// move puts key and certificate where they belong. Those from elsewhere are
// copied, those of the folder renamed: there must not be a second key.
func (t *takeover) move() error {
	for _, f := range []struct {
		from, to string
		mode     fs.FileMode
	}{{t.keyAt, keyFile, 0o600}, {t.certAt, certFile, 0o644}} {
		if f.from == t.path(f.to) {
			continue
		}
		b, err := os.ReadFile(f.from)
		if err != nil {
			return err
		}
		if err := t.write(f.to, b, f.mode); err != nil {
			return err
		}
		if rel, err := filepath.Rel(t.dir, f.from); err == nil && filepath.IsLocal(rel) {
			if err := durable.Remove(f.from); err != nil {
				return err
			}
		}
		t.Changed = append(t.Changed, fmt.Sprintf("%s: from %s", f.to, f.from))
	}
	return nil
}

// closeKeys makes private keys the owner's alone: the CA's, and those that
// people leave about in such a folder.
func (t *takeover) closeKeys() error {
	return filepath.WalkDir(t.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			if d != nil && d.IsDir() && path == t.path(newCerts) {
				return fs.SkipDir // certificates alone, and many
			}
			return err
		}
		info, err := d.Info()
		if err != nil || info.Size() > maxKeyFile {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(b, []byte("PRIVATE KEY-----")) {
			return err
		}
		return t.chmod(path, 0o600)
	})
}

const maxKeyFile = 1 << 20

// chmod takes rights away, and gives none.
func (t *takeover) chmod(path string, most fs.FileMode) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	mode := info.Mode().Perm()
	if mode&^most == 0 {
		return nil
	}
	if err := os.Chmod(path, mode&most); err != nil {
		return err
	}
	t.Changed = append(t.Changed, fmt.Sprintf("%s: mode %s instead of %s", path, octal(mode&most), octal(mode)))
	return nil
}

func octal(m fs.FileMode) string { return "0" + strconv.FormatUint(uint64(m), 8) }

// files writes what is missing.
func (t *takeover) files() error {
	serial := big.NewInt(1)
	if t.highest != nil {
		serial.Add(t.highest, serial)
	}
	if len(serial.Bytes()) > 19 { // a number that was drawn; nothing has to follow it
		serial.SetInt64(1)
	}
	crl, err := t.nextCRLNumber()
	if err != nil {
		return err
	}
	for _, f := range []struct{ name, content string }{
		{indexFile, ""}, {serialFile, index.Serial(serial) + "\n"}, {crlNumFile, index.Serial(crl) + "\n"},
	} {
		if exists(t.path(f.name)) {
			continue
		}
		if err := t.write(f.name, []byte(f.content), 0o644); err != nil {
			return err
		}
		t.Changed = append(t.Changed, f.name+": made")
	}
	return t.ownFiles()
}

// ownFiles writes settings and openssl.cnf where they are not as they should
// be.
func (t *takeover) ownFiles() error {
	conf, err := opensslConf(t.dir, t.settings)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(t.path(confFile))
	if err == nil && bytes.Equal(old, conf) && !t.fresh && exists(t.path(attrFile)) {
		return nil
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		t.Changed = append(t.Changed, confFile+": made")
	case err != nil:
		return err
	case !bytes.Equal(old, conf):
		t.Changed = append(t.Changed, confFile+": made; the old one is "+confFile+".old")
	}
	for _, f := range []struct{ name, how string }{{settingsFile, "made, with " + string(t.settings.Serials) + " serial numbers"}, {attrFile, "made"}} {
		if !exists(t.path(f.name)) {
			t.Changed = append(t.Changed, f.name+": "+f.how)
		}
	}
	return t.writeSettings(t.settings, nil)
}
