package service_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// confine is what the unit's ProtectSystem=strict, RuntimeDirectory=,
// StateDirectory=, NoNewPrivileges=, CapabilityBoundingSet= and UMask= come to:
// of the house ($1) only run and state can be written to, and nothing can be
// become.
const confine = `set -e
house=$1 user=$2 group=$3
shift 3
mount --make-rprivate /
mount --bind "$house" "$house"
mount --bind "$house/run" "$house/run"
mount --bind "$house/state" "$house/state"
mount -o remount,bind,ro "$house"
! touch "$house/etc/x" 2>/dev/null
umask 0077
export LISTEN_PID=$$ WATCHDOG_PID=$$
exec setpriv --reuid "$user" --regid "$group" --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
`

// TestConfined: the daemon does all its work where it may write to its two
// folders only, with a socket of its own there, and with two of systemd's in
// a folder that it cannot write to, as a chrooted Postfix wants it.
func TestConfined(t *testing.T) {
	unshare := tool(t, "unshare")
	tool(t, "setpriv")
	for _, name := range []string{"own", "systemd's"} {
		t.Run(name, func(t *testing.T) {
			_, uid, gid := nobody(t)
			h := newHouse(t)
			h.configure("spool_memory = \"32KiB\"")
			h.give(uid, gid)
			ok(t, os.Mkdir(h.path("spool"), 0o755))
			m := newManager(t, h)
			m.socket = h.path("spool/milter.sock")
			socket, script := m.socket, confine
			if name == "systemd's" {
				m.before = h.path("spool/before.sock")
				h.configure(fmt.Sprintf("spool_memory = \"32KiB\"\nearlier_milters = true\nbefore_socket = \"unix:%s\"", m.before))
			} else {
				socket, script = h.socket(), strings.Replace(confine, "export ", "unset LISTEN_FDS\nexport ", 1)
			}
			pidfile := h.path("run/pid")
			p := m.start(nil, unshare, "--mount", "/bin/sh", "-c", script, "confine", h.dir, fmt.Sprint(uid), fmt.Sprint(gid),
				h.product, "milter", "-config", h.config(), "-P", pidfile)
			m.confinedOwner(uid, gid)
			if m.before != "" && signs(t, "unix", m.before) {
				t.Error("mail is signed before other milters")
			}
			m.live(p, pidfile, socket)
			if _, err := os.Lstat(pidfile); err == nil {
				t.Error("-P is left")
			}
		})
	}
}

// confinedOwner gives the sockets to who may use them, as SocketUser= does.
func (m *manager) confinedOwner(uid, gid int) {
	m.t.Helper()
	for _, socket := range []string{m.socket, m.before} {
		if socket == "" {
			continue
		}
		ok(m.t, os.Chown(socket, uid, gid))
		ok(m.t, os.Chmod(socket, 0o660))
		if info, err := os.Stat(socket); err != nil || info.Sys().(*syscall.Stat_t).Uid != uint32(uid) {
			m.t.Errorf("%v, %v", info, err)
		}
	}
}
