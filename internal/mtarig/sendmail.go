package mtarig

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Sendmail is a private sendmail instance.
type Sendmail struct {
	*instance
	log *syslog // nil when stopped
}

// NewSendmail prepares an instance: its folder and its address exist from here
// on. Close gives them back, started or not.
func NewSendmail(cfg Config) (*Sendmail, error) {
	if err := cfg.Tools.Sendmail(); err != nil {
		return nil, err
	}
	if cfg.Chroot || cfg.NonSMTP || len(cfg.Transport) > 0 {
		return nil, errors.New("sendmail: Chroot, NonSMTP and Transport are for Postfix only")
	}
	if !strings.Contains(cfg.Hostname, ".") && cfg.Hostname != "" {
		return nil, fmt.Errorf("sendmail: host name %q has no dot", cfg.Hostname)
	}
	i, err := makeInstance("sendmail", cfg)
	if err != nil {
		return nil, err
	}
	s := &Sendmail{instance: i}
	i.env = unpackedLibraries(cfg.Tools.sendmail)
	err = errors.Join(os.Mkdir(s.queueDir(), 0o700), os.Mkdir(s.path("dev"), folderMode), os.Mkdir(s.path("ca"), folderMode))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the folders of sendmail: %w", err), i.Close())
	}
	return s, nil
}

func (s *Sendmail) queueDir() string { return s.path("mqueue") }

// MilterSocket returns a path for a milter's Unix socket that sendmail accepts
// as safe.
func (s *Sendmail) MilterSocket() string { return s.path("milter.sock") }

// Start starts the instance and returns when its port answers.
func (s *Sendmail) Start() error {
	if err := s.configure(); err != nil {
		return fmt.Errorf("configure sendmail: %w", err)
	}
	log, err := openSyslog(s.path("dev/log"), s.path("maillog"))
	if err != nil {
		return fmt.Errorf("take sendmail's log: %w", err)
	}
	s.log = log
	if err := s.run(func() *exec.Cmd { return s.program("sendmail.cf", "-bD") }); err != nil {
		return errors.Join(err, s.Stop())
	}
	return nil
}

// Stop ends the instance and everything it started. Its folder stays, with
// queue and log, and Start starts it again on the same port.
func (s *Sendmail) Stop() error {
	err := s.instance.Stop()
	if s.log != nil {
		err = errors.Join(err, s.log.close())
		s.log = nil
	}
	return err
}

// Close stops the instance and removes its folder.
func (s *Sendmail) Close() error { return errors.Join(s.Stop(), s.instance.Close()) }

// namespace gives sendmail a host name of its own, for with one that has no
// dot it sleeps a minute before it reads its configuration; and a /dev of its
// own, for it logs to /dev/log and nowhere else.
const namespace = `hostname "$1" || exit
for n in null zero random urandom tty; do
	: >"$2/dev/$n" && mount --bind "/dev/$n" "$2/dev/$n" 2>/dev/null
done
mount --rbind "$2/dev" /dev || echo 'no /dev of its own: the log of sendmail is not seen' >&2
shift 2
exec "$@"`

// program makes a command that runs sendmail with a configuration in the
// instance's folder.
func (s *Sendmail) program(cf string, args ...string) *exec.Cmd {
	argv := append([]string{
		"--uts", "--mount", "--propagation", "private", "--",
		"/bin/sh", "-c", namespace, "sendmail", s.cfg.Hostname, s.dir,
		filepath.Join(s.cfg.Tools.sendmail, "usr/libexec/sendmail/sendmail"), "-C", s.path(cf),
	}, args...)
	return exec.Command("unshare", argv...)
}

// ReloadCommand is the command that has the instance read its files again: it
// starts anew in the same process.
func (s *Sendmail) ReloadCommand() string {
	return "kill -HUP `head -1 " + s.path("sendmail.pid") + "`"
}

// Queue lists the mails in the queue.
func (s *Sendmail) Queue() ([]Entry, error) { return readQueue(s.queueDir()) }

// WaitQueue waits until the queue is as wanted and returns it.
func (s *Sendmail) WaitQueue(ok func([]Entry) bool, timeout time.Duration) ([]Entry, error) {
	return waitQueue(s.Queue, ok, timeout)
}

// Flush tries all mail in the queue again, and returns when that is done.
func (s *Sendmail) Flush() error {
	// A queue run passes over what another process still works on.
	if err := poll(startTimeout, func() (bool, error) { return !s.delivering(), nil }); err != nil {
		return fmt.Errorf("wait for deliveries to end: %w", err)
	}
	cmd := s.program("sendmail.cf", "-q")
	_, err := s.command(nil, cmd.Args[0], cmd.Args[1:]...)
	return err
}

// delivering reports whether a control file in the queue is locked, by what
// Linux tells of locks (proc_locks(5)).
func (s *Sendmail) delivering() bool {
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return false
	}
	files, _ := filepath.Glob(filepath.Join(s.queueDir(), "qf*")) // only a bad pattern is an error
	for _, f := range files {
		var st unix.Stat_t
		if unix.Stat(f, &st) == nil && strings.Contains(string(locks), fmt.Sprintf(":%d ", st.Ino)) {
			return true
		}
	}
	return false
}

// configure has m4 make sendmail.cf, as a postmaster does.
func (s *Sendmail) configure() error {
	mc, err := s.mc()
	if err != nil {
		return err
	}
	const services = "hosts files\naliases files\npasswd files\n"
	if err := os.WriteFile(s.path("service.switch"), []byte(services), 0o644); err != nil {
		return err
	}
	return s.generate("sendmail", mc)
}

// generate writes an mc file and has m4 make the cf file of it.
func (s *Sendmail) generate(name, mc string) error {
	if err := os.WriteFile(s.path(name+".mc"), []byte(mc), 0o644); err != nil {
		return err
	}
	lib := s.macros()
	cf, err := s.command(nil, "m4", "-D_CF_DIR_="+lib+"/", lib+"/m4/cf.m4", s.path(name+".mc"))
	if err != nil {
		return err
	}
	return os.WriteFile(s.path(name+".cf"), cf, 0o644)
}

// macros is the folder of the cf files.
func (s *Sendmail) macros() string {
	return filepath.Join(s.cfg.Tools.sendmail, "usr/share/sendmail/cf")
}

// syslog takes what is logged to a socket and appends it to a file.
type syslog struct {
	conn *net.UnixConn
	done sync.WaitGroup
}

func openSyslog(socket, file string) (*syslog, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		conn.Close()
		return nil, err
	}
	l := &syslog{conn: conn}
	l.done.Go(func() {
		defer f.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return // closed
			}
			line := string(buf[:n])
			if _, after, ok := strings.Cut(line, ">"); ok && strings.HasPrefix(line, "<") {
				line = after // without facility and level
			}
			fmt.Fprintln(f, strings.TrimRight(line, "\n\x00"))
		}
	})
	return l, nil
}

func (l *syslog) close() error {
	err := l.conn.Close()
	l.done.Wait()
	return err
}
