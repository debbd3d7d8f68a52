//go:build linux

package guide_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A sandbox is a machine of its own, as far as the guides can see: the test
// runs itself again with its own mounts, network, host name and processes. All
// that a guide writes goes into memory and is gone with it.

// unshared are the namespaces. Killing the child ends all that it started: it
// is the first process of its namespace.
var unshared = []string{"--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"}

// Addresses of the sandbox: the mail host's own, and one elsewhere that clients
// come from. They are for documentation (RFC 5737).
const (
	hostAddress    = "192.0.2.25"
	outsideAddress = "198.51.100.7"
)

// scratch is where the memory is mounted that takes what is written. Every
// machine has the folder, and it is in none of those that are overlaid.
const scratch = "/mnt"

// enter makes the machine. The MTAs are unpacked in tree.
func enter(tree, hostname string) error {
	if err := mount("tmpfs", scratch, "tmpfs", ""); err != nil {
		return err
	}
	// A copy: an overlay takes no lower folder that stands within another.
	lower := filepath.Join(scratch, "mta")
	if out, err := exec.Command("cp", "-a", tree, lower).CombinedOutput(); err != nil {
		return fmt.Errorf("copy %s: %w: %s", tree, err, out)
	}
	for _, name := range []string{"etc", "usr", "var", "root", "tmp"} {
		if err := overlay(name); err != nil {
			return err
		}
	}
	if err := mount("tmpfs", "/run", "tmpfs", "mode=0755"); err != nil {
		return err
	}
	if err := devices(); err != nil {
		return err
	}
	// Whatever else a guide or a mistake here would write to cannot be.
	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make the rest of the machine read-only: %w", err)
	}
	if err := syscall.Sethostname([]byte(hostname)); err != nil {
		return err
	}
	hosts := fmt.Sprintf("127.0.0.1 localhost\n%s %s %s\n", hostAddress, hostname, strings.Split(hostname, ".")[0])
	err := errors.Join(os.WriteFile("/etc/hosts", []byte(hosts), 0o644), os.WriteFile("/etc/mailname", []byte(hostname+"\n"), 0o644))
	return errors.Join(err, network())
}

func mount(source, target, kind, options string) error {
	if err := unix.Mount(source, target, kind, 0, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", kind, target, err)
	}
	return nil
}

// overlay puts what the packages of the MTAs bring over a folder of the
// machine, and takes all that is written to it.
func overlay(name string) error {
	var dirs []string
	for _, part := range []string{"mta", "upper", "work"} {
		dir := filepath.Join(scratch, part, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		dirs = append(dirs, dir)
	}
	fi, err := os.Stat("/" + name)
	if err != nil {
		return err
	}
	if err := os.Chmod(dirs[1], fi.Mode()); err != nil { // /tmp is everybody's
		return err
	}
	return mount("overlay", "/"+name, "overlay", fmt.Sprintf("lowerdir=%s:/%s,upperdir=%s,workdir=%s", dirs[0], name, dirs[1], dirs[2]))
}

// devices gives the machine a /dev of its own, so that the log socket in it is.
func devices() error {
	dir := filepath.Join(scratch, "dev")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"null", "zero", "random", "urandom", "tty"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			return err
		}
		if err := unix.Mount("/dev/"+name, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind /dev/%s: %w", name, err)
		}
	}
	for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := unix.Mount(dir, "/dev", "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind /dev: %w", err)
	}
	return nil
}

// network brings up the loopback interface, which is all there is, with the
// addresses.
func network() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for i, address := range []string{"127.0.0.1", hostAddress, outsideAddress} {
		name := "lo"
		if i > 0 {
			name = fmt.Sprintf("lo:%d", i)
			r, err := unix.NewIfreq(name)
			if err != nil {
				return err
			}
			if err := r.SetInet4Addr(net.ParseIP(address).To4()); err != nil {
				return err
			}
			if err := unix.IoctlIfreq(fd, unix.SIOCSIFADDR, r); err != nil {
				return fmt.Errorf("address %s: %w", address, err)
			}
		}
		r, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		r.SetUint16(unix.IFF_UP)
		if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r); err != nil {
			return fmt.Errorf("interface %s: %w", name, err)
		}
	}
	return nil
}

// mailLog is where Debian's syslog daemon writes what it gets of facility mail.
const mailLog = "/var/log/mail.log"

// logDaemon takes the place of the syslog daemon, of one that writes short names
// as they all do. It ends with the machine.
func logDaemon(host string) error {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/dev/log", Net: "unixgram"})
	if err != nil {
		return err
	}
	if err := os.Chmod("/dev/log", 0o666); err != nil {
		return err
	}
	f, err := os.OpenFile(mailLog, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			_, line, _ := strings.Cut(string(buf[:n]), ">") // behind facility and level
			stamp := min(len(time.Stamp)+1, len(line))
			fmt.Fprintln(f, line[:stamp]+host+" "+strings.TrimRight(line[stamp:], "\n\x00"))
		}
	}()
	return nil
}
