package bundle_test

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mailseal/certmgr/bundle"
	"mailseal/certmgr/ca"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/smime/cms"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// run runs a program with the passphrase on its standard input.
func run(dir, stdin string, command ...string) (string, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "GNUPGHOME="+dir, "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", command, err, out)
	}
	return string(out), nil
}

func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed", p)
		}
	}
}

// A user is one of a CA.
type user struct {
	p  *testpki.PKI
	id pki.Identity
}

// p12 writes the user's PKCS #12 in a new folder.
func (u user) p12(t *testing.T, e bundle.Encoding) (dir, passphrase string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "p12") // short: gpg-agent's socket is in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w, err := bundle.Write(filepath.Join(dir, "bob"), of(u.p, u.id), bundle.Options{PKCS12: e})
	if err != nil {
		t.Fatal(err)
	}
	return dir, w.Passphrase
}

// TestPKCS12: everybody opens what is written.
func TestPKCS12(t *testing.T) {
	p := testpki.New(t)
	u := user{p, p.User("bob@corp.example", ca.RSA2048)}
	t.Run("passphrase", u.passphrase)
	t.Run("mailseal", u.mailseal)
	t.Run("rounds", u.rounds)
	t.Run("openssl", u.openssl)
	t.Run("nss", u.nss)
	t.Run("gpgsm", u.gpgsm)
}

// The passphrase is long, can be typed, and another one each time.
func (u user) passphrase(t *testing.T) {
	_, one := u.p12(t, bundle.LegacyDES)
	_, two := u.p12(t, bundle.LegacyDES)
	if !regexp.MustCompile(`^([a-z2-7]{5}-){4}[a-z2-7]{5}$`).MatchString(one) || one == two {
		t.Errorf("got %s and %s", one, two)
	}
}

// We read what we write.
func (u user) mailseal(t *testing.T) {
	for _, e := range []bundle.Encoding{bundle.LegacyDES, bundle.Modern2023} {
		dir, passphrase := u.p12(t, e)
		got, err := pki.ReadIdentity(filepath.Join(dir, "bob.p12"), []byte(passphrase))
		if err != nil || !got.Certificate.Equal(u.id.Certificate) {
			t.Errorf("%v: %v", e, err)
		}
	}
	u.chosen(t, bundle.LegacyDES)
}

// chosen is a passphrase that somebody has thought up.
func (u user) chosen(t *testing.T, e bundle.Encoding) {
	base := filepath.Join(t.TempDir(), "bob")
	b := bundle.Bundle{Certificate: u.id.Certificate, Key: u.id.Key}
	if w, err := bundle.Write(base, b, bundle.Options{PKCS12: e, Passphrase: "秘密の言葉"}); err != nil || w.Passphrase != "秘密の言葉" {
		t.Errorf("%v: %v, %v", e, w, err)
	} else if _, err := pki.ReadIdentity(base+".p12", []byte("秘密の言葉")); err != nil {
		t.Errorf("%v: %v", e, err)
	}
}

// A passphrase that somebody has thought up takes many rounds, and these time.
func (u user) rounds(t *testing.T) {
	if os.Getenv("MAILSEAL_SLOW") != "1" {
		t.Skip("slow: make check runs it")
	}
	u.chosen(t, bundle.Modern2023)
}

func TestParseEncoding(t *testing.T) {
	for _, e := range []bundle.Encoding{bundle.LegacyDES, bundle.Modern2023} {
		if got, err := bundle.ParseEncoding(e.String()); err != nil || got != e {
			t.Errorf("%v becomes %v, %v", e, got, err)
		}
	}
	for _, s := range []string{"", "none", "rc2"} {
		if _, err := bundle.ParseEncoding(s); err == nil {
			t.Errorf("%q is one", s)
		}
	}
}

func (u user) openssl(t *testing.T) {
	need(t, "openssl")
	for _, e := range []bundle.Encoding{bundle.LegacyDES, bundle.Modern2023} {
		dir, passphrase := u.p12(t, e)
		for _, flags := range [][]string{nil, {"-legacy"}} {
			out, err := run(dir, passphrase+"\n", append([]string{"openssl", "pkcs12", "-in", "bob.p12", "-nodes", "-passin", "stdin"}, flags...)...)
			if err != nil {
				t.Errorf("%v %s: %v", e, flags, err)
				continue
			}
			got, err := pki.ParseIdentity([]byte(out), nil)
			if err != nil || !got.Certificate.Equal(u.id.Certificate) || !strings.Contains(out, string(bytes.TrimSpace(testpki.CertPEM(u.p.Root())))) {
				t.Errorf("%v %s: %v", e, flags, err)
			}
		}
	}
}

func (u user) nss(t *testing.T) {
	need(t, "certutil", "pk12util")
	for _, e := range []bundle.Encoding{bundle.LegacyDES, bundle.Modern2023} {
		dir, passphrase := u.p12(t, e)
		for _, command := range []string{
			"certutil -N -d sql:. --empty-password",
			"pk12util -i bob.p12 -d sql:. -K  -W " + passphrase,
		} {
			if _, err := run(dir, "", strings.Split(command, " ")...); err != nil {
				t.Fatalf("%v: %v", e, err)
			}
		}
		if out, err := run(dir, "", "certutil", "-K", "-d", "sql:."); err != nil || !strings.Contains(out, "rsa") {
			t.Errorf("%v: keys: %s%v", e, out, err)
		}
		u.mailByNSS(t, e, dir)
	}
}

// mailByNSS signs and decrypts with what NSS has of the file, as Thunderbird
// does.
func (u user) mailByNSS(t *testing.T, e bundle.Encoding, dir string) {
	need(t, "cmsutil")
	out, err := run(dir, "", "certutil", "-L", "-d", "sql:.")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`(?m)^(.*?) +u,u,u *$`).FindStringSubmatch(out)
	if name == nil {
		t.Fatalf("%v: no certificate of a user: %s", e, out)
	}
	var encrypted bytes.Buffer
	err = cms.Encrypt(&encrypted, strings.NewReader("for Bob"), 7, cms.Encryption{
		To: []recipient.To{{Certificate: u.id.Certificate}}, Cipher: content.AES256CBC,
	})
	if err != nil {
		t.Fatal(err)
	}
	for file, data := range map[string][]byte{"text": []byte("of Bob"), "encrypted": encrypted.Bytes(), "root.pem": testpki.CertPEM(u.p.Root())} {
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range [][]string{
		{"certutil", "-A", "-d", "sql:.", "-n", "root", "-t", "C,C,C", "-i", "root.pem"},
		{"cmsutil", "-S", "-d", "sql:.", "-N", name[1], "-i", "text", "-o", "signed"},
		{"cmsutil", "-D", "-d", "sql:.", "-i", "encrypted", "-o", "decrypted"},
	} {
		if _, err := run(dir, "", command...); err != nil {
			t.Errorf("%v: %v", e, err)
		}
	}
	sd, err := cms.ReadSignedData(bytes.NewReader(readFile(t, filepath.Join(dir, "signed"))), cms.ReadOptions{})
	if err != nil {
		t.Fatalf("%v: %v", e, err)
	}
	if r := sd.Verify(); len(r) != 1 || r[0].Err != nil || !r[0].Certificate.Equal(u.id.Certificate) {
		t.Errorf("%v: signed: %+v", e, r)
	}
	if got := string(readFile(t, filepath.Join(dir, "decrypted"))); got != "for Bob" {
		t.Errorf("%v: decrypted: %q", e, got)
	}
}

// gpgsm 2.2 derives a wrong key from about one salt in a hundred: it gets
// several files.
func (u user) gpgsm(t *testing.T) {
	need(t, "gpgsm", "gpg-agent", "gpgconf")
	var err error
	for range 4 {
		if err = u.toGPGSM(t); err == nil {
			return
		}
	}
	t.Error(err)
}

func (u user) toGPGSM(t *testing.T) error {
	dir, passphrase := u.p12(t, bundle.LegacyDES)
	for name, text := range map[string]string{
		"trustlist.txt":  fmt.Sprintf("%X S relax\n", sha1.Sum(u.p.Root().Raw)),
		"gpg-agent.conf": "allow-loopback-pinentry\n",
		"gpgsm.conf":     "disable-crl-checks\nno-random-seed-file\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	defer run(dir, "", "gpgconf", "--kill", "all") // the agent of this home only
	if _, err := run(dir, passphrase+"\n", strings.Fields("gpgsm --batch --pinentry-mode loopback --passphrase-fd 0 --import bob.p12")...); err != nil {
		return err
	}
	out, err := run(dir, "", "gpgsm", "--batch", "--list-secret-keys", "--with-colons")
	if err == nil && !strings.Contains(out, fmt.Sprintf("%X", sha1.Sum(u.id.Certificate.Raw))) {
		err = fmt.Errorf("no secret key: %s", out)
	}
	return err
}
