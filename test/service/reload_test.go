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

// asUnit is what certmgr's unit comes to for a reload command: of the server's
// folder ($1) one part ($2) can be written to, and there are the unit's
// capabilities ($3) alone.
const asUnit = `set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount --bind "$2" "$2"
mount -o remount,bind,ro "$1"
if touch "$1/test" 2>/dev/null; then exit 99; fi
umask 0077
exec setpriv --no-new-privs --bounding-set="$3" --inh-caps=-all /bin/sh -c "$4"
`

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

// TestReloadAsUnit: with the rights that the unit leaves certmgr, servers are
// reloaded; with none of those that are there for that, they are not.
func TestReloadAsUnit(t *testing.T) {
	unshare := tool(t, "unshare")
	tool(t, "setpriv")
	unit := capabilities(t, "mailseal-certmgr.service")
	reload := func(dir, writable string, caps []string, line string) (string, error) {
		out, err := exec.Command(unshare, "--mount", "/bin/sh", "-c", asUnit, "as-unit", dir, writable,
			strings.Join(append([]string{"-all"}, caps...), ","), line).CombinedOutput()
		return string(out), err
	}
	without := func(names ...string) []string {
		return slices.DeleteFunc(slices.Clone(unit), func(c string) bool { return slices.Contains(names, c[1:]) })
	}
	t.Run("postfix", func(t *testing.T) {
		p := rig.Postfix.Start(t, mtarig.Config{}).(*mtarig.Postfix)
		if out, err := reload(p.Dir(), p.QueueDir(), unit, p.ReloadCommand()); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if _, err := p.WaitLog(`reload -- version`, daemon.Patience); err != nil {
			t.Error(err)
		}
		for _, c := range []string{"setuid", "setgid"} {
			if out, err := reload(p.Dir(), p.QueueDir(), without(c), p.ReloadCommand()); err == nil {
				t.Errorf("without %s: %s", c, out)
			}
		}
		// Where it cannot lock its file of the process, it takes it for running,
		// whoever has that number then.
		ok(t, p.Stop())
		if out, err := reload(p.Dir(), p.QueueDir(), unit, p.ReloadCommand()); err == nil {
			t.Errorf("stopped: %s", out)
		}
	})
	t.Run("sendmail", func(t *testing.T) {
		s := rig.Sendmail.Start(t, mtarig.Config{}).(*mtarig.Sendmail)
		if out, err := reload(s.Dir(), s.Dir(), nil, s.ReloadCommand()); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if _, err := s.WaitLog(`restarting .* due to signal`, daemon.Patience); err != nil {
			t.Error(err)
		}
	})
}
