package guide_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
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

// startUnits opens the socket of the socket unit and starts the service with it
// (sd_listen_fds(3)).
func startUnits(*runner, block) (string, error) {
	socket, serr := readUnit("mailseal-milter.socket")
	service, err := readUnit("mailseal-milter.service")
	if err := errors.Join(serr, err); err != nil {
		return "", err
	}
	id, err := credential(service.get("Service.User"), service.get("Service.Group"))
	if err != nil {
		return "", err
	}
	run := filepath.Join("/run", service.get("Service.RuntimeDirectory"))
	mode, err := strconv.ParseUint(service.get("Service.RuntimeDirectoryMode"), 8, 12)
	if err := errors.Join(err, os.MkdirAll(run, os.FileMode(mode)), os.Chown(run, int(id.Uid), int(id.Gid))); err != nil {
		return "", err
	}
	f, err := openSocket(socket)
	if err != nil {
		return "", err
	}
	defer f.Close()
	log, err := os.Create("/var/log/mailseal-milter.stderr")
	if err != nil {
		return "", err
	}
	defer log.Close()
	// The number of the process is known to itself alone.
	cmd := exec.Command("/bin/sh", "-c", "LISTEN_PID=$$ exec "+service.get("Service.ExecStart"))
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LISTEN_FDS=1"}
	cmd.ExtraFiles = []*os.File{f}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: id}
	return "", cmd.Start()
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
