package setup_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mailseal/test/rig"
)

// A build is a folder with an mc file, from which m4 makes sendmail.cf.
type build struct {
	*place
	args []string
	cf   string // as it is made
}

func newBuild(t *testing.T, mc string) *build {
	t.Helper()
	if _, err := exec.LookPath("m4"); err != nil {
		t.Skip("m4 is not installed")
	}
	tree := os.Getenv("MAILSEAL_MTA")
	if tree == "" {
		tree = filepath.Join(rig.Root(t), "build/mta")
	}
	lib := filepath.Join(tree, "usr/share/sendmail/cf")
	if _, err := os.Stat(lib); err != nil {
		t.Skip("sendmail's cf files are not installed; run test/tools.sh as root")
	}
	b := &build{place: newPlace(t)}
	path := filepath.Join(b.sendmail, mc)
	b.write(t, path, "divert(0)dnl\ninclude(`"+lib+"/m4/cf.m4')dnl\nOSTYPE(`linux')dnl\ndefine(`confDOMAIN_NAME', `mx.example.jp')dnl\nMAILER(`smtp')dnl\n")
	cf, err := exec.Command("m4", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	b.cf = string(cf)
	b.args = []string{"setup", "sendmail", "-prefix", b.dir, "-probe", greeter(t, "mx.example.jp ESMTP Sendmail 8.17")}
	return b
}

// check has setup show what it would do to a sendmail.cf.
func (b *build) check(t *testing.T, what, cf string, status int, wants ...string) {
	t.Helper()
	b.write(t, filepath.Join(b.sendmail, "sendmail.cf"), cf)
	out, got := runBy(t, nil, b.place, b.args)
	if got != status {
		t.Errorf("%s: status %d, want %d\n%s", what, got, status, out)
	}
	for _, w := range wants {
		if !strings.Contains(out, w) {
			t.Errorf("%s: want %q:\n%s", what, w, out)
		}
	}
}

// TestSendmailByHand: where somebody has edited sendmail.cf and not what it is built
// from, neither is touched; -direct edits the first alone.
func TestSendmailByHand(t *testing.T) {
	b := newBuild(t, "sendmail.mc")
	byHand := b.cf + "O LogLevel=12\n"
	b.check(t, "as built", b.cf, 75, "+define(`confSERVER_KEY', `"+b.sendmail+"/certs/host.key')dnl\n", "+O ServerKeyFile="+b.sendmail+"/certs/host.key\n")
	b.check(t, "built at another time", "# "+b.cf, 75, "nothing was done")
	b.check(t, "by hand", byHand, 78, "sendmail.mc makes (lines that differ: 1)", "somebody has edited one of them and not the other", "-direct")
	b.args = append(b.args, "-direct")
	b.check(t, "-direct", byHand, 75, "+O ServerKeyFile="+b.sendmail+"/certs/host.key\n")
}

// TestFreeBSD: where there is freebsd.mc alone, the host's own is made of it, with
// the file that the Makefile builds from that and installs as sendmail.cf.
func TestFreeBSD(t *testing.T) {
	b := newBuild(t, "freebsd.mc")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(b.sendmail, host)
	b.check(t, "the system's alone", b.cf, 75, "--- /dev/null\n+++ "+own+".mc\n", "--- /dev/null\n+++ "+own+".cf\n", "--- "+b.sendmail+"/sendmail.cf\n")
	generic, err := os.ReadFile(filepath.Join(b.sendmail, "freebsd.mc"))
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, own+".mc", string(generic))
	b.write(t, own+".cf", b.cf)
	b.check(t, "the host's", b.cf, 75, "--- "+own+".mc\n+++ "+own+".mc\n", "--- "+own+".cf\n", "--- "+b.sendmail+"/sendmail.cf\n")
}
