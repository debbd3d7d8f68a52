package service_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"mailseal/internal/mtarig"
	"mailseal/test/daemon"
	"mailseal/test/rig"
)

// asUnit is what certmgr's unit comes to for what it runs: with the capabilities
// in $1 alone, and in the folder $3 with rights to write in what follows it alone,
// the command $2 is run.
const asUnit = `set -e
caps=$1 line=$2 top=$3
shift 3
mount --make-rprivate /
mount --bind "$top" "$top"
for dir; do mount --bind "$dir" "$dir"; done
mount -o remount,bind,ro "$top"
if touch "$top/test" 2>/dev/null; then exit 99; fi
umask 0077
exec setpriv --no-new-privs --bounding-set="$caps" --inh-caps=-all /bin/sh -c "$line"
`

// runAsUnit runs a command so.
func runAsUnit(t *testing.T, caps []string, line, top string, writable ...string) (string, error) {
	t.Helper()
	argv := append([]string{"--mount", "/bin/sh", "-c", asUnit, "as-unit", strings.Join(append([]string{"-all"}, caps...), ","), line, top}, writable...)
	out, err := exec.Command(tool(t, "unshare"), argv...).CombinedOutput()
	return string(out), err
}

// capabilities are those that a unit leaves, as setpriv(1) has them.
func capabilities(t *testing.T, unit string) []string {
	t.Helper()
	var all []string
	for _, line := range setting(t, unit, "CapabilityBoundingSet") {
		for _, c := range strings.Fields(line) {
			all = append(all, "+"+strings.ToLower(strings.TrimPrefix(c, "CAP_")))
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s: no capabilities", unit)
	}
	return all
}

// without are capabilities but for some.
func without(all []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(c string) bool { return slices.Contains(names, c[1:]) })
}

// TestReloadAsUnit: with the rights that the unit leaves certmgr, servers are
// reloaded; with none of those that are there for that, they are not.
func TestReloadAsUnit(t *testing.T) {
	tool(t, "setpriv")
	unit := capabilities(t, "mailseal-certmgr.service")
	t.Run("postfix", func(t *testing.T) {
		p := rig.Postfix.Start(t, mtarig.Config{}).(*mtarig.Postfix)
		if out, err := runAsUnit(t, unit, p.ReloadCommand(), p.Dir(), p.QueueDir()); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if _, err := p.WaitLog(`reload -- version`, daemon.Patience); err != nil {
			t.Error(err)
		}
		for _, c := range []string{"setuid", "setgid"} {
			if out, err := runAsUnit(t, without(unit, c), p.ReloadCommand(), p.Dir(), p.QueueDir()); err == nil {
				t.Errorf("without %s: %s", c, out)
			}
		}
		// Where it cannot lock its file of the process, it takes it for running,
		// whoever has that number then.
		ok(t, p.Stop())
		if out, err := runAsUnit(t, unit, p.ReloadCommand(), p.Dir(), p.QueueDir()); err == nil {
			t.Errorf("stopped: %s", out)
		}
	})
	t.Run("sendmail", func(t *testing.T) {
		s := rig.Sendmail.Start(t, mtarig.Config{}).(*mtarig.Sendmail)
		if out, err := runAsUnit(t, nil, s.ReloadCommand(), s.Dir()); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if _, err := s.WaitLog(`restarting .* due to signal`, daemon.Patience); err != nil {
			t.Error(err)
		}
	})
}
