package mtarig

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	mailOwner   = "postfix"
	setgidGroup = "postdrop"
)

// Postfix is a private Postfix instance.
type Postfix struct {
	*instance
	sbin string // folder of the commands
}

// NewPostfix prepares an instance: its folder and its address exist from here
// on. Close gives them back, started or not.
func NewPostfix(cfg Config) (*Postfix, error) {
	if err := cfg.Tools.Postfix(); err != nil {
		return nil, err
	}
	i, err := makeInstance("postfix", cfg)
	if err != nil {
		return nil, err
	}
	p := &Postfix{instance: i, sbin: filepath.Join(cfg.Tools.postfix, "usr/sbin")}
	i.env = []string{"MAIL_CONFIG=" + p.path("etc")}
	if lib := p.libraries(); lib != "" {
		i.env = append(i.env, "LD_LIBRARY_PATH="+lib)
	}
	if err := p.makeFolders(); err != nil {
		return nil, errors.Join(fmt.Errorf("make the queue of %s: %w", i.name, err), i.Close())
	}
	return p, nil
}

// libraries returns where an unpacked Postfix has its own libraries.
func (p *Postfix) libraries() string {
	if p.cfg.Tools.postfix == "/" {
		return ""
	}
	return filepath.Join(p.cfg.Tools.postfix, "usr/lib/postfix")
}

// QueueDir returns the queue folder, which is also the root of the chroot.
func (p *Postfix) QueueDir() string { return p.path("queue") }

// MilterSocket returns a path for a milter's Unix socket that Postfix reaches,
// also out of its chroot. The folder is there; the socket must let the user
// postfix write.
func (p *Postfix) MilterSocket() string { return filepath.Join(p.QueueDir(), "mailseal/milter.sock") }

// makeFolders makes what postfix-files lists, with its owners and modes, so
// that the daemon can be started without Postfix's own start-up scripts,
// which would look for the rest of an installation.
func (p *Postfix) makeFolders() error {
	u, err := user.Lookup(mailOwner)
	if err != nil {
		return err
	}
	g, err := user.LookupGroup(setgidGroup)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return err
	}
	type folder struct {
		name     string
		uid, gid int
		mode     fs.FileMode
	}
	folders := []folder{
		{"etc", 0, 0, 0o755}, {"data", uid, 0, 0o700}, {"queue", 0, 0, 0o755},
		{"queue/mailseal", 0, 0, 0o755}, {"queue/pid", 0, 0, 0o755},
		{"queue/maildrop", uid, gid, 0o730}, {"queue/public", uid, gid, 0o710},
	}
	for _, q := range strings.Fields("active bounce corrupt defer deferred flush hold incoming private saved trace") {
		folders = append(folders, folder{"queue/" + q, uid, 0, 0o700})
	}
	for _, f := range folders {
		path := p.path(f.name)
		if err := os.Mkdir(path, f.mode); err != nil {
			return err
		}
		if err := errors.Join(os.Chown(path, f.uid, f.gid), os.Chmod(path, f.mode)); err != nil {
			return err
		}
	}
	return p.fillChroot()
}

// fillChroot copies what Debian's start-up copies: without it a chrooted
// process has no hosts file.
func (p *Postfix) fillChroot() error {
	if !p.cfg.Chroot {
		return nil
	}
	if err := os.Mkdir(p.path("queue/etc"), folderMode); err != nil {
		return err
	}
	for _, name := range strings.Fields("hosts localtime nsswitch.conf resolv.conf services") {
		b, err := os.ReadFile(filepath.Join("/etc", name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(p.path("queue/etc", name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Start starts the instance and returns when its port answers.
func (p *Postfix) Start() error {
	if err := p.configure(); err != nil {
		return fmt.Errorf("configure %s: %w", p.name, err)
	}
	out, err := p.command(nil, filepath.Join(p.sbin, "postconf"), "-xh", "daemon_directory")
	if err != nil {
		return err
	}
	master := filepath.Join(string(bytes.TrimSpace(out)), "master")
	// In the foreground it is our child, and its death is noticed.
	return p.run(func() *exec.Cmd { return exec.Command(master, "-c", p.path("etc"), "-d") })
}

func (p *Postfix) configure() error {
	main, err := p.mainCF()
	if err != nil {
		return err
	}
	transport, err := p.transport()
	if err != nil {
		return err
	}
	files := map[string]string{"etc/main.cf": main, "etc/master.cf": p.masterCF(), "etc/transport": transport}
	// Every process of Postfix waits a second or two before it reads a file
	// that has only just changed, lest it be half-written.
	cool := time.Now().Add(-time.Hour)
	for name, text := range files {
		path := p.path(name)
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o644), os.Chtimes(path, cool, cool)); err != nil {
			return err
		}
	}
	return nil
}

// Reload appends lines to main.cf and has them take effect for sessions that
// begin after it has returned.
func (p *Postfix) Reload(lines ...string) error {
	p.cfg.Extra = append(p.cfg.Extra, lines...)
	if err := p.configure(); err != nil {
		return err
	}
	const done = "reload -- version"
	before, old := strings.Count(p.Log(), done), p.servers()
	if err := p.daemon.Process.Signal(syscall.SIGHUP); err != nil {
		return fmt.Errorf("reload %s: %w", p.name, err)
	}
	err := poll(startTimeout, func() (bool, error) { return strings.Count(p.Log(), done) > before, nil })
	if err != nil {
		return err
	}
	// An idle server hears of it a moment later and could still take a session.
	// A busy one goes after its session: it is not waited for.
	err = poll(greetTimeout, func() (bool, error) {
		left := p.servers()
		return !slices.ContainsFunc(old, func(pid int) bool { return slices.Contains(left, pid) }), nil
	})
	if err != nil && !errors.Is(err, ErrTimeout) {
		return err
	}
	return nil
}

// ReloadCommand is the command that has the instance read its files again.
func (p *Postfix) ReloadCommand() string { return p.Command("postfix", "reload") }

// Command is one of Postfix's programs for a shell, as postmap, with the
// instance's configuration.
func (p *Postfix) Command(program string, args ...string) string {
	words := append([]string{"env"}, p.env...)
	return shellWords(append(append(words, filepath.Join(p.sbin, program), "-c", p.path("etc")), args...)...)
}

// servers lists the processes that take sessions.
func (p *Postfix) servers() []int {
	return slices.DeleteFunc(inside(p.dir), func(pid int) bool {
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		return string(bytes.TrimSpace(name)) != "smtpd"
	})
}

// Queue lists the mails in the queue.
func (p *Postfix) Queue() ([]Entry, error) {
	out, err := p.command(nil, filepath.Join(p.sbin, "postqueue"), "-c", p.path("etc"), "-j")
	if err != nil {
		return nil, err
	}
	return parsePostqueue(out)
}

// WaitQueue waits until the queue is as wanted and returns it.
func (p *Postfix) WaitQueue(ok func([]Entry) bool, timeout time.Duration) ([]Entry, error) {
	return waitQueue(p.Queue, ok, timeout)
}

// Flush has all mail in the queue tried again, now.
func (p *Postfix) Flush() error {
	_, err := p.command(nil, filepath.Join(p.sbin, "postqueue"), "-c", p.path("etc"), "-f")
	return err
}

// Inject hands a mail to the sendmail command of Postfix, as a program on the
// same machine does. The mail has LF line ends.
func (p *Postfix) Inject(m Mail) error {
	args := append([]string{"-C", p.path("etc"), "-i", "-f", m.From, "--"}, m.To...)
	_, err := p.command(bytes.NewReader(m.Data), filepath.Join(p.sbin, "sendmail"), args...)
	return err
}

func (p *Postfix) transport() (string, error) {
	var b strings.Builder
	for domain, next := range p.cfg.Transport {
		h, err := parseHop(next)
		if err != nil {
			return "", fmt.Errorf("transport of %s: %w", domain, err)
		}
		fmt.Fprintf(&b, "%s smtp:%s\n", domain, h.bracketed())
	}
	return b.String(), nil
}
