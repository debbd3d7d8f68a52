package setup_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailseal/internal/mtarig"
	"mailseal/test/daemon"
	"mailseal/test/rig"
)

// steps bounds how often a setup is killed.
const steps = 100

// TestKilled: a setup that is killed at any of its renames or writes to the disk is completed by the next
// one, or taken back by undo to the last byte; and the server takes mail all the
// time.
func TestKilled(t *testing.T) {
	slow(t)
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed")
	}
	for _, kind := range []rig.Kind{rig.Sendmail, rig.Postfix} {
		t.Run(string(kind), func(t *testing.T) {
			m := boot(t, kind, krb5Name, rig.NewSink(t, mtarig.SinkConfig{}).Addr())
			before := m.files(t)
			args := append(m.place(), "-prefix", m.root, "-conf", m.conf(), "-dir", m.certs(), "-yes")
			for n := 1; n <= steps; n++ {
				done := m.killed(t, n, args...)
				m.send(t, "pokemon@"+dhcpName)
				if n%2 == 0 {
					if out := m.setup(t, 0, args...); !strings.Contains(out, " verify=OK ") {
						t.Fatalf("killed at step %d: setup again does not end well:\n%s", n, out)
					}
				}
				run(t, "setup", "undo", "-prefix", m.root, "-yes")
				if diff := cmp.Diff(before, m.files(t)); diff != "" {
					t.Fatalf("killed at step %d: after undo (-before, +after):\n%s", n, diff)
				}
				if done {
					t.Logf("%d times killed", n-1)
					return
				}
			}
			t.Errorf("after %d steps it is still killed", steps)
		})
	}
}

// killed runs setup and kills it at the nth rename or fsync of one of its threads. It reports whether it came to
// its end before that.
func (m *machine) killed(t *testing.T, n int, args ...string) bool {
	t.Helper()
	args = append([]string{
		"-f", "-qq", "-o", filepath.Join(t.TempDir(), "trace"), "-e", "trace=renameat,fsync", "-e", fmt.Sprintf("inject=renameat,fsync:signal=KILL:when=%d", n),
		daemon.Binary(t), "setup", m.word(),
	}, args...)
	cmd := exec.Command("strace", args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1") // strace counts by thread
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() > 0) {
		t.Fatalf("killed at step %d: %v\n%s", n, err, out)
	}
	return err == nil
}
