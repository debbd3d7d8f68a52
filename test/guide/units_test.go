//go:build linux

package guide_test

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// A unit is what a file of systemd's says, by section and key. An empty value
// takes back what was said before (systemd.syntax(7)).
type unit map[string][]string

// unitFolders are where units stand, the first first.
var unitFolders = []string{"/etc/systemd/system", "/usr/local/lib/systemd/system"}

func readUnit(name string) (unit, error) {
	u := unit{}
	var files []string
	for _, dir := range unitFolders {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil && files == nil {
			files = []string{filepath.Join(dir, name)}
		}
	}
	if files == nil {
		return nil, fmt.Errorf("no unit %s", name)
	}
	dropIns, err := filepath.Glob(filepath.Join(unitFolders[0], name+".d", "*.conf"))
	if err != nil {
		return nil, err
	}
	for _, file := range append(files, dropIns...) {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		section := ""
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			key, value, isSetting := strings.Cut(line, "=")
			switch {
			case line == "" || line[0] == '#':
			case line[0] == '[':
				section = strings.Trim(line, "[]")
			case !isSetting:
				return nil, fmt.Errorf("%s: %q is no setting", file, line)
			case value == "":
				delete(u, section+"."+key)
			default:
				u[section+"."+key] = append(u[section+"."+key], value)
			}
		}
	}
	return u, nil
}

// get is a setting of one value: of several the last one counts.
func (u unit) get(key string) string {
	if v := u[key]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// systemctl does what the commands of a block say, of those that the guides
// give. Units are started together: a socket is only for a service that does not
// run (systemd.socket(5)).
func systemctl(r *runner, b block) (string, error) {
	for line := range strings.Lines(b.text) {
		words := strings.Fields(line)
		var err error
		switch {
		case line == "systemctl daemon-reload\n":
		case len(words) > 2 && words[1] == "stop":
			err = r.stopService(words[2:])
		case len(words) > 3 && words[1] == "enable" && words[2] == "--now":
			err = r.startService(words[3:])
		default:
			err = errors.New("no command of systemctl that is known here")
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", strings.TrimSpace(line), err)
		}
	}
	return "", nil
}

const serviceUnit = "mailseal-milter.service"

func (r *runner) stopService(units []string) error {
	if r.service == nil || !slices.Contains(units, serviceUnit) || !slices.Contains(units, "mailseal-milter.socket") {
		return errors.New("the service and its socket run together; the next mail would start what is stopped alone")
	}
	err := errors.Join(r.service.Process.Signal(syscall.SIGTERM), r.service.Wait())
	r.service = nil
	return err
}

// startService opens the sockets of the socket units and starts the service with
// them (sd_listen_fds(3)).
func (r *runner) startService(units []string) error {
	if r.service != nil || !slices.Contains(units, serviceUnit) {
		return errors.New("a service that runs gets no socket; stop it first, and start it too")
	}
	service, err := readUnit(serviceUnit)
	if err != nil {
		return err
	}
	id, err := credential(service.get("Service.User"), service.get("Service.Group"))
	if err != nil {
		return err
	}
	run := filepath.Join("/run", service.get("Service.RuntimeDirectory"))
	mode, err := strconv.ParseUint(service.get("Service.RuntimeDirectoryMode"), 8, 12)
	if err := errors.Join(err, os.MkdirAll(run, os.FileMode(mode)), os.Chown(run, int(id.Uid), int(id.Gid))); err != nil {
		return err
	}
	files, names, err := openSockets(units)
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if err != nil {
		return err
	}
	log, err := os.OpenFile("/var/log/mailseal-milter.stderr", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	// The number of the process is known to itself alone.
	cmd := exec.Command("/bin/sh", "-c", "LISTEN_PID=$$ exec "+service.get("Service.ExecStart"))
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES=" + strings.Join(names, ":")}
	cmd.ExtraFiles = files
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: id}
	r.service = cmd
	return cmd.Start()
}

// openSockets opens those of the units that are sockets of the service.
func openSockets(units []string) (files []*os.File, names []string, err error) {
	for _, name := range units {
		if name == serviceUnit {
			continue
		}
		u, err := readUnit(name)
		if err != nil {
			return files, nil, err
		}
		if of := cmp.Or(u.get("Socket.Service"), strings.TrimSuffix(name, ".socket")+".service"); of != serviceUnit {
			return files, nil, fmt.Errorf("%s is for %s", name, of)
		}
		f, err := openSocket(u)
		if err != nil {
			return files, nil, err
		}
		files, names = append(files, f), append(names, cmp.Or(u.get("Socket.FileDescriptorName"), name))
	}
	return files, names, nil
}

func openSocket(u unit) (*os.File, error) {
	id, err := credential(u.get("Socket.SocketUser"), u.get("Socket.SocketGroup"))
	if err != nil {
		return nil, err
	}
	path := u.get("Socket.ListenStream")
	dirMode, derr := strconv.ParseUint(u.get("Socket.DirectoryMode"), 8, 12)
	mode, merr := strconv.ParseUint(u.get("Socket.SocketMode"), 8, 12)
	if err := errors.Join(derr, merr, os.MkdirAll(filepath.Dir(path), os.FileMode(dirMode))); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chown(path, int(id.Uid), int(id.Gid)), os.Chmod(path, os.FileMode(mode))); err != nil {
		return nil, err
	}
	return l.File()
}

func credential(name, group string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return nil, err
	}
	uid, uerr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gerr := strconv.ParseUint(g.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(uerr, gerr)
}
