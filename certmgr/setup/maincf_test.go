package setup

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mainCFs are files of the kinds that people write.
var mainCFs = map[string]string{
	"empty":        "",
	"new":          "myhostname = mx.example.jp\n",
	"there":        "# TLS\nsmtp_tls_CAfile = /old\nx = y\n",
	"no blanks":    "smtp_tls_CAfile=/old\n",
	"continued":    "smtp_tls_CAfile = /old\n  /more\n# between\n\tand more\nx = y\n  z\n",
	"twice":        "smtp_tls_CAfile = /old\nx = y\nsmtp_tls_CAfile = /older\n",
	"comment":      "#smtp_tls_CAfile = /old\n",
	"similar name": "smtp_tls_CAfile_x = /old\nsmtp_tls_CApath = /p\n",
	"empty lines":  "\n\nx = y\n\n",
	"no value":     "smtp_tls_CAfile =\nx = y\n",
	"emptied":      "smtp_tls_cert_file = /old.pem\n",
}

var someSettings = []setting{{"smtp_tls_CAfile", "/new.pem"}, {"smtpd_tls_loglevel", "1"}, {"smtp_tls_cert_file", ""}}

// TestEditMainCF holds our editing against that of postconf -e.
func TestEditMainCF(t *testing.T) {
	postconf := findPostconf(t)
	for name, text := range mainCFs {
		dir := t.TempDir()
		path := filepath.Join(dir, "main.cf")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		args := append(postconf, "-c", dir, "-e")
		for _, s := range someSettings {
			args = append(args, s.name+"="+s.value)
		}
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: postconf: %v: %s", name, err, out)
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got := editMainCF(text, someSettings)
		// What is new postconf appends in no order.
		if !slices.Equal(slices.Sorted(strings.Lines(got)), slices.Sorted(strings.Lines(string(want)))) {
			t.Errorf("%s:\n%s\npostconf -e makes\n%s", name, got, want)
		}
		if again := editMainCF(got, someSettings); again != got {
			t.Errorf("%s: a second edit makes\n%s", name, again)
		}
		for _, s := range someSettings {
			if v := mainCFValue(got, s.name); v != s.value {
				t.Errorf("%s: %s is read as %q", name, s.name, v)
			}
		}
	}
}

// findPostconf is the command of an installed or an unpacked Postfix.
func findPostconf(t *testing.T) []string {
	t.Helper()
	tree, err := filepath.Abs("../../build/mta")
	if err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv("MAILSEAL_MTA"); dir != "" {
		tree = dir
	}
	if path := filepath.Join(tree, "usr/sbin/postconf"); exists(path) {
		return []string{"env", "LD_LIBRARY_PATH=" + filepath.Join(tree, "usr/lib/postfix"), path}
	}
	path, err := exec.LookPath("postconf")
	if err != nil {
		t.Skip("postconf is not installed, and none unpacked; run test/tools.sh as root")
	}
	return []string{path}
}
