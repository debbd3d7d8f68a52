package mtarig

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// EximUser is who a private Exim runs as, and who has to be able to read its
// key. The program asks for a user that its package makes: for it this one has
// that name too.
const EximUser = "mail"

const eximOwnUser = "Debian-exim"

// Exim is a private Exim instance.
type Exim struct{ *instance }

// NewExim prepares an instance: its folder and its address exist from here on.
// Close gives them back, started or not.
func NewExim(cfg Config) (*Exim, error) {
	if err := cfg.Tools.Exim(); err != nil {
		return nil, err
	}
	if !only(cfg) {
		return nil, errors.New("exim: milters, Chroot, NonSMTP, Transport and Source are for others only")
	}
	i, err := makeInstance("exim", cfg)
	if err != nil {
		return nil, err
	}
	e := &Exim{i}
	if err := e.makeFolders(); err != nil {
		return nil, errors.Join(fmt.Errorf("make the folders of exim: %w", err), i.Close())
	}
	return e, nil
}

// makeFolders makes the queue, and files in which Exim finds its user.
func (e *Exim) makeFolders() error {
	uid, gid, err := idsOf(EximUser)
	if err != nil {
		return err
	}
	// It makes its logs by itself, and ends where it cannot make one.
	for _, name := range []string{"queue", "log"} {
		if err := errors.Join(os.Mkdir(e.path(name), 0o750), os.Chown(e.path(name), uid, gid)); err != nil {
			return err
		}
	}
	for name, line := range map[string]string{
		"passwd": fmt.Sprintf("%s:x:%d:%d::/nonexistent:/usr/sbin/nologin\n", eximOwnUser, uid, gid),
		"group":  fmt.Sprintf("%s:x:%d:\n", eximOwnUser, gid),
	} {
		b, err := os.ReadFile(filepath.Join("/etc", name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(e.path(name), append([]byte(line), b...), 0o644); err != nil {
			return err
		}
	}
	return os.Symlink("log/mainlog", e.path("maillog"))
}

// Start starts the instance and returns when its port answers.
func (e *Exim) Start() error {
	conf, err := e.conf()
	if err == nil {
		err = os.WriteFile(e.path("exim.conf"), []byte(conf), 0o644)
	}
	if err != nil {
		return fmt.Errorf("configure exim: %w", err)
	}
	const users = `mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/group" /etc/group`
	return e.run(func() *exec.Cmd {
		return inPlace(e.cfg.Tools.exim, users, e.dir, "/usr/sbin/exim4", "-bdf", "-C", e.path("exim.conf"))
	})
}

// ReloadCommand is none: Exim sees by itself that its files have changed.
func (e *Exim) ReloadCommand() string { return "" }

// conf writes Exim's configuration: whoever reaches the port may relay, and
// there is no DNS in it.
func (e *Exim) conf() (string, error) {
	next, err := e.nextHop()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	set := func(name, value string) { fmt.Fprintf(&b, "%s = %s\n", name, value) }
	set("primary_hostname", e.cfg.Hostname)
	set("local_interfaces", "127.0.0.1")
	_, port, err := net.SplitHostPort(e.Addr())
	if err != nil {
		return "", err
	}
	set("daemon_smtp_ports", port)
	set("spool_directory", e.path("queue"))
	set("log_file_path", e.path("log", "%slog"))
	set("pid_file_path", e.path("exim.pid"))
	set("keep_environment", "")
	set("deliver_drop_privilege", "true")
	set("rfc1413_query_timeout", "0s")
	set("acl_smtp_rcpt", "accept")
	set("queue_only", fmt.Sprint(e.cfg.Relay == ""))
	e.setTLS(set)
	for _, line := range e.cfg.Extra {
		b.WriteString(line + "\n")
	}
	fmt.Fprintf(&b, eximRouting, next.host, next.port)
	return b.String(), nil
}

func (e *Exim) setTLS(set func(name, value string)) {
	t := e.cfg.TLS
	if t.Certificate == "" {
		set("tls_advertise_hosts", "")
		return
	}
	set("tls_advertise_hosts", "*")
	set("tls_certificate", t.Certificate)
	set("tls_privatekey", t.Key)
	if t.CA != "" {
		set("tls_verify_certificates", t.CA)
		set("tls_try_verify_hosts", "*")
	}
	if t.DH != "" {
		set("tls_dhparam", t.DH)
	}
}

const eximRouting = `begin routers
next:
  driver = manualroute
  route_list = * %s byname
  self = send
  transport = next
begin transports
next:
  driver = smtp
  port = %s
  allow_localhost
begin retry
* * F,1h,1m
`
