package authority

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mailseal/certmgr/bundle"
	"mailseal/internal/pki"
)

// unread is what programs cannot take of a PKCS #12 file, by its name, in their
// own words: those of NSS 3.87 and gpgsm 2.2. Newer ones may.
var unread = []struct{ program, file, says string }{
	{"pk12util", "^ed25519", "SEC_ERROR_PKCS12_UNABLE_TO_IMPORT_KEY"},
	// 2.2 derives AES keys by SHA-1 alone, and knows the form of RSA keys
	// only: over elliptic ones it crashes.
	{"gpgsm", "modern$", "pkcs5PBES2-params"},
	{"gpgsm", "^p(256|384)", "segmentation fault"},
	{"gpgsm", "^ed25519", "shrouded_key_bag"},
}

// Whoever knows the kind of key takes it out of what is handed over, in either
// encryption.
func TestPKCS12(t *testing.T) {
	need(t, "openssl", "certutil", "pk12util", "gpgsm", "gpg-agent", "gpgconf")
	c := newCA(t, nil)
	p := tool{dir: t.TempDir()}
	p.must(t, "", "certutil", "-N", "-d", "sql:.", "--empty-password")
	var all []*certificate
	for _, kind := range kinds() {
		all = append(all, issue(t, c, kind.String(), requests[0], kind))
	}
	g := newGPGSM(t, all).(gpgsm)
	for i, kind := range kinds() {
		for _, e := range []bundle.Encoding{bundle.LegacyDES, bundle.Modern2023} {
			f := p12{p, g.tool, kind.String() + "-" + e.String(), bundle.Bundle{Certificate: all[i].cert, Key: key(t, kind), Root: all[i].root}, e}
			for program, read := range map[string]func(*testing.T) error{"openssl": f.openssl, "pk12util": f.nss, "gpgsm": f.gpgsm} {
				if err := read(t); err != nil && !excused(program, f.name, err) {
					t.Errorf("%s: %v", f.name, err)
				}
			}
		}
	}
}

func excused(program, file string, err error) bool {
	for _, u := range unread {
		if u.program == program && regexp.MustCompile(u.file).MatchString(file) && strings.Contains(err.Error(), u.says) {
			return true
		}
	}
	return false
}

// A p12 is one to be read.
type p12 struct {
	tool          // in a folder with NSS's database
	gpg      tool // with a home
	name     string
	bundle   bundle.Bundle
	encoding bundle.Encoding
}

// file writes it, and returns its passphrase.
func (f p12) file(t *testing.T) string {
	t.Helper()
	w, err := bundle.Write(filepath.Join(f.dir, f.name), f.bundle, bundle.Options{PKCS12: f.encoding, Replace: true})
	if err != nil {
		t.Fatal(err)
	}
	return w.Passphrase
}

// openssl reads either encryption with its old algorithms and without.
func (f p12) openssl(t *testing.T) error {
	passphrase := f.file(t)
	for _, flags := range [][]string{nil, {"-legacy"}} {
		out, err := f.run(passphrase+"\n", append([]string{"openssl", "pkcs12", "-in", f.name + ".p12", "-nodes", "-passin", "stdin"}, flags...)...)
		if err != nil {
			return err
		}
		if got, err := pki.ParseIdentity([]byte(out), nil); err != nil || !got.Certificate.Equal(f.bundle.Certificate) {
			t.Errorf("%s, openssl %s: %v", f.name, flags, err)
		}
	}
	return nil
}

func (f p12) nss(t *testing.T) error {
	f.write(t, "pass", []byte(f.file(t)+"\n"))
	_, err := f.run("", "pk12util", "-i", f.name+".p12", "-d", "sql:.", "-K", "", "-w", "pass")
	return err
}

// gpgsm 2.2 derives a wrong key from about one salt in a hundred: it gets
// several files.
func (f p12) gpgsm(t *testing.T) (err error) {
	for range 4 {
		passphrase := f.file(t)
		var out string
		if out, err = f.gpg.run(passphrase+"\n", "gpgsm", "--pinentry-mode", "loopback", "--passphrase-fd", "0", "--import", filepath.Join(f.dir, f.name+".p12")); err == nil {
			err = said(out, "secret keys imported: 1")
		}
		if err == nil || excused("gpgsm", f.name, err) {
			return err
		}
	}
	return err
}
