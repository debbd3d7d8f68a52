package authority

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mailseal/test/daemon"
	"mailseal/test/peers"
)

const mail = "From: Bob <bob@corp.example>\r\nTo: Bob <bob@corp.example>\r\nSubject: enrolment\r\nDate: Sat, 21 Nov 2026 12:00:00 +0900\r\n" +
	"Message-ID: <1@corp.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\nThis is Bob.\r\n"

const text = "\r\n\r\nThis is Bob.\r\n"

// product runs a command of mailseal that has to work.
func product(t *testing.T, stdin []byte, args ...string) string {
	t.Helper()
	out, errs, status := daemon.Run(t, stdin, args...)
	if status != 0 {
		t.Fatalf("mailseal %s: status %d\n%s%s", strings.Join(args, " "), status, out, errs)
	}
	return out
}

// A user is one to whom the files of `ca issue` were handed over, in a folder.
type user struct {
	tool
	kind     string // of the key
	nickname string // in NSS
}

// enrol makes a CA whose key has a passphrase, issues a certificate, and has NSS
// take what a mail program is given: the .p12 with the passphrase that was
// printed, and the CA's certificate.
func enrol(t *testing.T, kind string) user {
	t.Helper()
	need(t, "certutil", "pk12util", "cmsutil")
	u := user{tool: tool{dir: t.TempDir()}, kind: kind}
	at := func(name string) string { return filepath.Join(u.dir, name) }
	u.write(t, "ca.pass", []byte("correct horse\n"))
	product(t, nil, "ca", "init", "-dir", at("CA"), "-subject", "/C=JP/O=株式会社例/CN=Private CA", "-passphrase-file", at("ca.pass"), "-url", web)
	product(t, nil, "ca", "export", "-dir", at("CA"), "-out", at("ca.pem"))
	out := product(t, nil, "ca", "issue", "-dir", at("CA"), "-passphrase-file", at("ca.pass"), "-yes", "-profile", "user", "-cn", "山田 Bob", "-email", "bob@corp.example",
		"-key", kind, "-out", at("bob"), "-p12", "-mobileconfig", "-mail-imap", "imap.corp.example", "-mail-smtp", "smtp.corp.example")
	passphrase := regexp.MustCompile(`([a-z2-7]{5}-){4}[a-z2-7]{5}`).FindString(out)
	if passphrase == "" {
		t.Fatalf("no passphrase is printed:\n%s", out)
	}
	u.write(t, "bob.pass", []byte(passphrase+"\n"))
	u.must(t, "", "certutil", "-N", "-d", "sql:.", "--empty-password")
	u.must(t, "", "pk12util", "-i", "bob.p12", "-d", "sql:.", "-w", "bob.pass", "-K", "")
	u.must(t, "", "certutil", "-A", "-d", "sql:.", "-n", "root", "-t", "C,C,C", "-i", "ca.pem")
	list := u.must(t, "", "certutil", "-L", "-d", "sql:.")
	name := regexp.MustCompile(`(?m)^(.*?) +u,u,u *$`).FindStringSubmatch(list)
	if name == nil {
		t.Fatalf("NSS has no certificate with a key:\n%s", list)
	}
	u.nickname = name[1]
	return u
}

// What a user is given signs and reads mail in NSS, as in Thunderbird, and
// mailseal and NSS take each other's.
func TestEnrolment(t *testing.T) {
	for _, kind := range []string{"rsa2048", "p256"} {
		t.Run(kind, func(t *testing.T) {
			u := enrol(t, kind)
			t.Run("NSS signs", u.nssSigns)
			t.Run("mailseal signs", u.mailsealSigns)
			t.Run("NSS encrypts", u.nssEncrypts)
			t.Run("mailseal encrypts", u.mailsealEncrypts)
			t.Run("profile", u.profile)
		})
	}
}

func (u user) path(name string) string { return filepath.Join(u.dir, name) }

// object puts what NSS has made into a mail.
func (u user) object(t *testing.T, r peers.Recipe, name string) []byte {
	t.Helper()
	der, err := os.ReadFile(u.path(name))
	if err != nil {
		t.Fatal(err)
	}
	made, err := peers.Mail(r, []byte(mail), der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (u user) nssSigns(t *testing.T) {
	entity, err := peers.Entity([]byte(mail))
	if err != nil {
		t.Fatal(err)
	}
	u.write(t, "entity", entity)
	u.must(t, "", "cmsutil", "-S", "-d", "sql:.", "-N", u.nickname, "-T", "-G", "-P", "-H", "SHA256", "-i", "entity", "-o", "signed")
	signed := u.object(t, peers.Recipe{Type: peers.Signed, Detached: true, Signers: []peers.Signer{{Digest: "SHA-256"}}}, "signed")
	if out := product(t, signed, "verify", "-ca", u.path("ca.pem"), "-revocation", "off"); !strings.Contains(out, "smime=pass") {
		t.Errorf("got %s", out)
	}
	if _, _, status := daemon.Run(t, bytes.Replace(signed, []byte("is Bob"), []byte("is Eve"), 1), "verify", "-ca", u.path("ca.pem"), "-revocation", "off"); status != 1 {
		t.Errorf("changed: status %d", status)
	}
}

func (u user) mailsealSigns(t *testing.T) {
	signed := product(t, []byte(mail), "sign", "-identity", u.path("bob.p12"), "-passphrase-file", u.path("bob.pass"))
	der, content, err := peers.Object([]byte(signed))
	if err != nil {
		t.Fatal(err)
	}
	u.write(t, "cms", der)
	u.write(t, "content", content)
	verify := []string{"cmsutil", "-D", "-d", "sql:.", "-i", "cms", "-c", "content", "-h", "0", "-n"}
	if out := u.must(t, "", verify...); !strings.Contains(out, "signer0.status=GoodSignature") {
		t.Errorf("got %s", out)
	}
	u.write(t, "content", append(content, '!'))
	if out, _ := u.run("", verify...); strings.Contains(out, "GoodSignature") {
		t.Errorf("changed: %s", out)
	}
}

func (u user) nssEncrypts(t *testing.T) {
	entity, err := peers.Entity([]byte(mail))
	if err != nil {
		t.Fatal(err)
	}
	u.write(t, "entity", entity)
	if _, err := u.run("", "cmsutil", "-E", "-d", "sql:.", "-r", "bob@corp.example", "-i", "entity", "-o", "encrypted"); err != nil {
		u.noAgreement(t, err, "cannot create CMS recipientInfo")
		return
	}
	encrypted := u.object(t, peers.Recipe{Type: peers.Encrypted}, "encrypted")
	if out := product(t, encrypted, "decrypt", "-identity", u.path("bob.p12"), "-passphrase-file", u.path("bob.pass")); !strings.HasSuffix(out, text) {
		t.Errorf("got %q", out)
	}
}

func (u user) mailsealEncrypts(t *testing.T) {
	encrypted := product(t, []byte(mail), "encrypt", "-to", u.path("bob.crt"))
	der, _, err := peers.Object([]byte(encrypted))
	if err != nil {
		t.Fatal(err)
	}
	u.write(t, "cms", der)
	if _, err := u.run("", "cmsutil", "-D", "-d", "sql:.", "-i", "cms", "-o", "plain"); err != nil {
		u.noAgreement(t, err, "failed to decode")
		return
	}
	got, err := os.ReadFile(u.path("plain"))
	if err != nil || !bytes.HasSuffix(got, []byte(text)) {
		t.Errorf("%v, %q", err, got)
	}
}

// noAgreement is the reason that counts: NSS 3.87 has no key agreement with
// ephemeral keys in CMS. Newer ones have.
func (u user) noAgreement(t *testing.T, err error, says string) {
	t.Helper()
	if u.kind != "p256" || !strings.Contains(err.Error(), says) {
		t.Fatal(err)
	}
	t.Log(err)
}

// reader is what Python's reader of property lists makes of a profile: the types
// of the payloads, and whether the mail account signs with the identity.
const reader = `
import plistlib, sys
top = plistlib.loads(sys.stdin.buffer.read())
of = {p["PayloadType"]: p for p in top["PayloadContent"]}
mail, identity = of["com.apple.mail.managed"], of["com.apple.security.pkcs12"]
print(top["PayloadType"], *of)
print(mail["SMIMESigningCertificateUUID"] == mail["SMIMEEncryptionCertificateUUID"] == identity["PayloadUUID"], mail["SMIMESigningEnabled"], "Password" in identity)
open("inner.p12", "wb").write(identity["PayloadContent"])
`

// The profile is signed, by both of OpenSSL's readers, and holds the identity.
func (u user) profile(t *testing.T) {
	need(t, "openssl")
	for _, command := range []string{"cms", "smime"} {
		u.must(t, "", "openssl", command, "-verify", "-inform", "DER", "-in", "bob.mobileconfig", "-CAfile", "ca.pem", "-out", "profile."+command)
	}
	plist, err := os.ReadFile(u.path("profile.cms"))
	if err != nil {
		t.Fatal(err)
	}
	if smime, err := os.ReadFile(u.path("profile.smime")); err != nil || !bytes.Equal(plist, smime) {
		t.Errorf("smime reads something else: %v", err)
	}
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("no python3 here, so its plistlib is not asked")
	}
	out := u.must(t, string(plist), "python3", "-c", reader)
	if want := "Configuration com.apple.security.root com.apple.security.pkcs12 com.apple.mail.managed\nTrue True False\n"; out != want {
		t.Errorf("got %s, want %s", out, want)
	}
	u.must(t, "", "openssl", "pkcs12", "-in", "inner.p12", "-noout", "-passin", "file:bob.pass")
}
