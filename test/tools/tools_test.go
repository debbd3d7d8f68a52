// Package tools tests test/tools.sh with an apt-get that only notes what it is
// asked for.
package tools

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailseal/test/rig"
)

// machine is a PATH on which everything but gcc is there.
type machine struct {
	bin    string
	policy string // policy-rc.d
	log    string // what apt-get was called with, and the policy at that time
}

// aptGet notes its arguments and policy-rc.d's answer, and puts a gcc in place.
const aptGet = `#!/bin/sh
"$POLICY_RC_D" x start; echo "policy $?: $*" >>"$APT_LOG"
case " $* " in *" install "*) [ -z "$APT_FAILS" ] || exit 100; printf '#!/bin/sh\n' >"$BIN/gcc"; chmod 755 "$BIN/gcc";; esac
`

func newMachine(t *testing.T) machine {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("missing tool: gcc; what this machine lacks is not simulated")
	}
	if out, err := script(t, nil, "-n", "test").CombinedOutput(); err != nil {
		t.Skipf("missing tool: %s", bytes.TrimSpace(out))
	}
	dir := t.TempDir()
	m := machine{bin: filepath.Join(dir, "bin"), policy: filepath.Join(dir, "policy-rc.d"), log: filepath.Join(dir, "log")}
	if err := os.Mkdir(m.bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields("sh dirname getent grep ldd cat id mv rm chmod hostname unshare systemd-analyze systemd-sysusers systemd-tmpfiles strace shellcheck m4 openssl certtool ocsptool gpgsm gpg-agent certutil cmsutil crlutil pk12util sed tr sort") {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(m.bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	m.program(t, "apt-get", aptGet)
	m.program(t, "id", "#!/bin/sh\necho 0\n")
	return m
}

func (m machine) program(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(m.bin, name)
	os.Remove(path) // a link to the machine's own must not be written through
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func (m machine) run(t *testing.T, env ...string) (string, error) {
	t.Helper()
	env = append(env, "MAILSEAL_MTA="+os.Getenv("MAILSEAL_MTA"), "PATH="+m.bin, "BIN="+m.bin, "POLICY_RC_D="+m.policy, "APT_LOG="+m.log)
	out, err := script(t, env, "test").CombinedOutput()
	return string(out), err
}

func (m machine) calls(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(m.log)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

// script runs test/tools.sh, with these variables or the test's own.
func script(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sh", append([]string{filepath.Join(rig.Root(t), "test", "tools.sh")}, args...)...)
	cmd.Env = env
	return cmd
}

func TestNothingToDo(t *testing.T) {
	m := newMachine(t)
	m.program(t, "gcc", "#!/bin/sh\n")
	start := time.Now()
	out, err := m.run(t)
	if err != nil || out != "" || m.calls(t) != "" {
		t.Errorf("%q, %v; apt-get %q", out, err, m.calls(t))
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
}

// Whatever stood as policy-rc.d stands there again, also after a failure, and
// while packages are installed it forbids daemons.
func TestPolicyComesBack(t *testing.T) {
	const theirs = "#!/bin/sh\n# theirs\nexit 104\n"
	for _, before := range []string{"", theirs} {
		for _, fails := range []string{"", "yes"} {
			t.Run(fmt.Sprintf("before=%t fails=%q", before != "", fails), func(t *testing.T) {
				m := newMachine(t)
				if before != "" {
					if err := os.WriteFile(m.policy, []byte(before), 0o750); err != nil {
						t.Fatal(err)
					}
				}
				out, err := m.run(t, "APT_FAILS="+fails)
				if (err != nil) != (fails != "") {
					t.Errorf("%v\n%s", err, out)
				}
				if !strings.Contains(m.calls(t), "policy 101: -q -y") || !strings.Contains(m.calls(t), "install --no-remove --no-install-recommends gcc\n") {
					t.Errorf("apt-get was called with\n%s", m.calls(t))
				}
				m.checkPolicy(t, before)
			})
		}
	}
}

func (m machine) checkPolicy(t *testing.T, want string) {
	t.Helper()
	b, err := os.ReadFile(m.policy)
	if want == "" {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("policy-rc.d is left: %q, %v", b, err)
		}
		return
	}
	if err != nil || string(b) != want {
		t.Errorf("policy-rc.d %q, %v", b, err)
	}
	if i, err := os.Stat(m.policy); err != nil || i.Mode().Perm() != 0o750 {
		t.Errorf("policy-rc.d has mode %v, %v", i.Mode(), err)
	}
	if left, _ := filepath.Glob(m.policy + ".*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// A run that was killed has left our policy and theirs beside it.
func TestPolicyAfterAKill(t *testing.T) {
	const theirs = "#!/bin/sh\nexit 0\n"
	m := newMachine(t)
	for name, text := range map[string]string{m.policy: "#!/bin/sh\n# placed by mailseal\nexit 101\n", m.policy + ".kept-by-mailseal": theirs} {
		if err := os.WriteFile(name, []byte(text), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := m.run(t); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	m.checkPolicy(t, theirs)
}

func TestWhoCannotInstall(t *testing.T) {
	for name, c := range map[string]struct {
		change func(m machine)
		want   string
	}{
		"not root":   {func(m machine) { m.program(t, "id", "#!/bin/sh\necho 1000\n") }, "run this as root once to install what is missing: packages gcc"},
		"not Debian": {func(m machine) { os.Remove(filepath.Join(m.bin, "apt-get")) }, "no apt-get here, and these are missing: packages gcc"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			c.change(m)
			out, err := m.run(t)
			if err == nil || !strings.Contains(out, c.want) || m.calls(t) != "" {
				t.Errorf("%v, apt-get %q\n%s", err, m.calls(t), out)
			}
		})
	}
}

// The daemons are unpacked and never installed: each of them is told apart from
// the packages, also when all else is there.
func TestWhatIsUnpacked(t *testing.T) {
	for want, wanted := range map[string]string{
		"demo": "postfix",
		"test": "postfix sendmail-bin sendmail-cf libwrap0 opendkim dovecot-core dovecot-imapd dovecot-pop3d exim4-daemon-light",
	} {
		out, err := script(t, []string{"PATH=" + os.Getenv("PATH"), "MAILSEAL_MTA=" + t.TempDir()}, "-n", want).CombinedOutput()
		_, after, _ := strings.Cut(string(out), "packages to unpack ")
		list, _, _ := strings.Cut(strings.TrimSpace(after), ";")
		if err == nil || list != wanted {
			t.Errorf("%s: %v, to unpack %q, want %q\n%s", want, err, list, wanted, out)
		}
	}
}

// Bouncy Castle is wanted where there is a Java, and Java nowhere.
func TestBouncyCastle(t *testing.T) {
	m := newMachine(t)
	m.program(t, "gcc", "#!/bin/sh\n")
	env := []string{"PATH=" + m.bin, "MAILSEAL_MTA=" + t.TempDir()}
	const jars = "Java libraries to unpack libbcpkix-java libbcprov-java libbcutil-java"
	if out, _ := script(t, env, "-n", "test").CombinedOutput(); strings.Contains(strings.ToLower(string(out)), "java") {
		t.Errorf("without Java: %s", out)
	}
	m.program(t, "java", "#!/bin/sh\n")
	if out, _ := script(t, env, "-n", "test").CombinedOutput(); !strings.Contains(string(out), jars) {
		t.Errorf("with Java: %s", out)
	}
}
