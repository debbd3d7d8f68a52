package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// testCA makes a CA with a fast key, and returns a call of a command on it.
func testCA(t *testing.T) (dir string, on func(args ...string) (stdout, stderr string, status int)) {
	t.Helper()
	dir = t.TempDir()
	if _, errs, status := call("", "ca", "init", "-dir", filepath.Join(dir, "CA"), "-subject", "/C=JP/O=MyCorp/CN=Private CA", "-key", "p256", "-no-passphrase"); status != exOK {
		t.Fatalf("status %d, %s", status, errs)
	}
	return dir, func(args ...string) (string, string, int) {
		t.Helper()
		return call("", append([]string{"ca", args[0], "-dir", filepath.Join(dir, "CA")}, args[1:]...)...)
	}
}

// What was issued is told: number, subject, names, days; and the list has the
// names too.
func TestCAIssueTells(t *testing.T) {
	dir, on := testCA(t)
	base := filepath.Join(dir, "mx")
	out, errs, status := on("issue", "-profile", "host", "-cn", "mx.example.jp", "-dns", "mail.example.jp", "-ip", "192.0.2.1", "-days", "90", "-key", "p256", "-yes", "-out", base)
	want := regexp.MustCompile(`^serial      [0-9A-F]{32}
subject     /C=JP/O=MyCorp/CN=mx.example.jp
names       mx.example.jp, mail.example.jp, 192.0.2.1
to          20\d\d-\d\d-\d\d, 90 days
wrote       \S+/mx.key
wrote       \S+/mx.crt
wrote       \S+/mx-chain.pem
$`)
	if !want.MatchString(out) || errs != "" || status != exOK {
		t.Errorf("status %d, %q, %s; want %s", status, errs, out, want)
	}
	if out, _, _ := on("list"); !strings.Contains(out, "/C=JP/O=MyCorp/CN=mx.example.jp  mx.example.jp,mail.example.jp,192.0.2.1") {
		t.Errorf("list:\n%s", out)
	}
}

// A refusal is one line that says what is wanted, and stands in the audit file;
// what could not be written is not issued at all.
func TestCAIssueRefuses(t *testing.T) {
	dir, on := testCA(t)
	folder := filepath.Join(dir, "here.crt")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args, want string
		status     int
	}{
		{"-profile host -cn mx.example.jp -days 900 -out " + dir + "/x", "days 900: want 1 to 825 in a host certificate", exDataErr},
		{"-profile user -cn Bob -email ボブ@example.jp -out " + dir + "/x", "e-mail address \"ボブ@example.jp\": only ASCII can stand before the @ here", exDataErr},
		{"-profile user -email bob@example.jp -cn " + strings.Repeat("a", 65) + " -out " + dir + "/x", "common name \"" + strings.Repeat("a", 65) + "\": longer than 64 characters; give a shorter one", exDataErr},
		{"-profile host -cn mx.example.jp -out " + dir + "/absent/x", "files cannot be made in " + dir + "/absent: no such file or directory", exCantCreate},
		{"-profile host -cn mx.example.jp -replace -out " + dir + "/here", dir + "/here.crt: not a file, and not replaced; name others", exCantCreate},
	} {
		out, errs, status := on(append([]string{"issue", "-yes", "-key", "p256"}, strings.Fields(tt.args)...)...)
		if want := "mailseal ca issue: " + tt.want + "\n"; errs != want || out != "" || status != tt.status {
			t.Errorf("%s: status %d, %q, %q; want %d, %q", tt.args, status, out, errs, tt.status, want)
		}
	}
	if out, _, status := on("audit"); status != exOK || !strings.Contains(out, ": 0 issued, 0 revoked, 3 refused\n") {
		t.Errorf("audit: status %d\n%s", status, out)
	}
	if _, errs, status := on("export", "-replace", "-out", folder); status != exCantCreate || !strings.Contains(errs, "not a file, and not replaced") {
		t.Errorf("export: status %d, %s", status, errs)
	}
}

// No root is made for a CA that cannot be made.
func TestCAInitIntermediate(t *testing.T) {
	dir, on := testCA(t)
	_, errs, status := on("init", "-intermediate", "-subject", "/CN=Other CA", "-key", "p256", "-no-passphrase")
	if status != exDataErr || !strings.Contains(errs, "the folder holds cacert.pem: it is a CA already") {
		t.Errorf("status %d, %s", status, errs)
	}
	if _, err := os.Stat(filepath.Join(dir, "CA-root")); err == nil {
		t.Error("there is a root")
	}
	if _, errs, status := call("", "ca", "show", "-dir", dir); status != exNoInput || !strings.HasSuffix(errs, "cacert.pem: no such file or directory; ca init makes a CA, ca import takes over a folder of openssl ca\n") {
		t.Errorf("no CA: status %d, %s", status, errs)
	}
}

// What somebody should know of a renewed certificate is said, too.
func TestCARenewWarns(t *testing.T) {
	dir, on := testCA(t)
	out, errs, status := on("issue", "-profile", "user", "-cn", "Bob", "-email", "bob@example.jp", "-key", "p256", "-out", filepath.Join(dir, "bob"))
	if status != exOK || errs != "" {
		t.Fatalf("status %d, %s", status, errs)
	}
	_, errs, status = on("renew", "-serial", strings.Fields(out)[1], "-key", "ed25519", "-out", filepath.Join(dir, "new"))
	if want := "warning: an Ed25519 key only signs: nobody can encrypt to it\n"; errs != want || status != exOK {
		t.Errorf("status %d, %q, want %q", status, errs, want)
	}
}

// What of the files before is still there is said.
func TestCARenewSaysWhatIsStale(t *testing.T) {
	dir, on := testCA(t)
	base := filepath.Join(dir, "bob")
	out, errs, status := on("issue", "-profile", "user", "-cn", "Bob", "-email", "bob@example.jp", "-key", "p256", "-p12", "-out", base)
	if status != exOK || errs != "" {
		t.Fatalf("status %d, %s", status, errs)
	}
	out, errs, status = on("renew", "-serial", strings.Fields(out)[1], "-key", "p256", "-replace", "-json", "-out", base)
	if want := "warning: " + base + ".p12 is still the old one; remove it, or have it made again: the flags are -one-file, -p12 and -mobileconfig\n"; errs != want || status != exOK {
		t.Errorf("status %d, %q, want %q", status, errs, want)
	}
	if !strings.Contains(out, `"warnings": [
    "`+base+".p12 is still the old one") {
		t.Errorf("%s", out)
	}
}

// encryptedCA makes a CA in the folder CA, whose passphrase is "geheim", and names
// files beside it.
func encryptedCA(t *testing.T) func(name string) string {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("pass"), []byte("geheim\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, status := call("", "ca", "init", "-dir", at("CA"), "-subject", "/CN=Private CA", "-key", "p256", "-passphrase-file", at("pass")); status != exOK {
		t.Fatalf("status %d, %s", status, errs)
	}
	return at
}

// Whether a CRL is due is seen without the key.
func TestCACRLIfDue(t *testing.T) {
	at := encryptedCA(t)
	if out, errs, status := call("", "ca", "crl", "-dir", at("CA"), "-if-due"); out+errs != "" || status != exOK {
		t.Errorf("none due: status %d, %q, %q", status, out, errs)
	}
	if err := os.Remove(at("CA/crl.pem")); err != nil {
		t.Fatal(err)
	}
	if _, errs, status := call("", "ca", "crl", "-dir", at("CA"), "-if-due"); !strings.Contains(errs, "needs its passphrase") || status != exDataErr {
		t.Errorf("one due: status %d, %q", status, errs)
	}
}

// Names of all scripts stand under each other.
func TestTable(t *testing.T) {
	var b strings.Builder
	if err := (table{{"SUBJECT", "NAMES", "MEMO"}, {"/CN=株式会社例", "ボブ", "x"}, {"/CN=e\u0301", "a", ""}, {"/CN=ｶﾅ Ａ", "-", "長い"}}).write(&b); err != nil {
		t.Fatal(err)
	}
	want := "SUBJECT         NAMES  MEMO\n/CN=株式会社例  ボブ   x\n/CN=e\u0301           a\n/CN=ｶﾅ Ａ       -      長い\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", &b, want)
	}
}
