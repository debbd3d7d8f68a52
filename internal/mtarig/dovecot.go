package mtarig

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"
)

// dovecotUser has everything that Dovecot does without root, and the mail; its
// login processes run as loginUser. Those of its package are there only where
// that is installed.
const (
	dovecotUser = "mail"
	loginUser   = "nobody"
)

// DovecotUser and DovecotPassword are who can log in.
const (
	DovecotUser     = "alice"
	DovecotPassword = "secret"
)

// Dovecot is a private Dovecot: IMAP with STARTTLS at Addr, IMAP and POP3 with
// TLS from the start, and an empty mailbox. Nobody can log in without TLS.
type Dovecot struct {
	*instance
	imaps, pop3s int
}

// NewDovecot prepares an instance: its folder and its addresses exist from here
// on. Close gives them back, started or not.
func NewDovecot(cfg Config) (*Dovecot, error) {
	if err := cfg.Tools.Dovecot(); err != nil {
		return nil, err
	}
	if !only(cfg) || cfg.Relay != "" {
		return nil, errors.New("dovecot: sends no mail and knows no milters")
	}
	i, err := makeInstance("dovecot", cfg)
	if err != nil {
		return nil, err
	}
	d := &Dovecot{instance: i}
	i.greet = greetIMAP
	if d.imaps, err = i.takePort(); err == nil {
		d.pop3s, err = i.takePort()
	}
	if err == nil {
		err = d.makeFolders()
	}
	if err != nil {
		return nil, errors.Join(err, i.Close())
	}
	return d, nil
}

// only reports whether a configuration has nothing that Postfix and sendmail
// alone have.
func only(c Config) bool {
	return len(c.Milters) == 0 && !c.NonSMTP && !c.Chroot && len(c.Transport) == 0 && c.Source == ""
}

// makeFolders makes a folder for sockets and one for mail.
func (d *Dovecot) makeFolders() error {
	uid, gid, err := idsOf(dovecotUser)
	if err != nil {
		return err
	}
	mail := d.path("mail")
	return errors.Join(os.Mkdir(d.path("run"), folderMode), os.Mkdir(mail, 0o700), os.Chown(mail, uid, gid))
}

// IMAPS and POP3S return where there is TLS from the start.
func (d *Dovecot) IMAPS() string { return loopback(d.imaps) }
func (d *Dovecot) POP3S() string { return loopback(d.pop3s) }

// Start starts the instance and returns when it greets.
func (d *Dovecot) Start() error {
	files := map[string]string{
		"dovecot.conf": d.conf(),
		"passwd":       DovecotUser + ":{PLAIN}" + DovecotPassword + "\n",
		"doveadm":      d.doveadm(),
	}
	for name, text := range files {
		if err := os.WriteFile(d.path(name), []byte(text), 0o755); err != nil {
			return fmt.Errorf("configure dovecot: %w", err)
		}
	}
	return d.run(func() *exec.Cmd { return d.program("/usr/sbin/dovecot", "-F", "-c", d.path("dovecot.conf")) })
}

func (d *Dovecot) program(name string, args ...string) *exec.Cmd {
	return inPlace(d.cfg.Tools.dovecot, "", d.dir, name, args...)
}

// doveadm is a script that runs doveadm for this instance.
func (d *Dovecot) doveadm() string {
	return "#!/bin/sh\nexec " + shellWords(d.program("/usr/bin/doveadm", "-c", d.path("dovecot.conf")).Args...) + ` "$@"` + "\n"
}

// ReloadCommand is the command that has the instance read its files again.
func (d *Dovecot) ReloadCommand() string { return d.path("doveadm") + " reload" }

// conf writes dovecot.conf. Login processes stay out of a chroot: they would
// look for their parts there.
func (d *Dovecot) conf() string {
	var b strings.Builder
	set := func(name, value string) { fmt.Fprintf(&b, "%s = %s\n", name, value) }
	set("base_dir", d.path("run"))
	set("state_dir", d.path("run"))
	set("log_path", d.path("maillog"))
	set("protocols", "imap pop3")
	set("listen", "127.0.0.1")
	set("login_greeting", d.cfg.Hostname+" ready.")
	set("default_internal_user", dovecotUser)
	set("default_internal_group", dovecotUser)
	set("default_login_user", loginUser)
	set("first_valid_uid", "1")
	set("mail_location", "maildir:"+d.path("mail", "%u"))
	set("shutdown_clients", "yes")
	d.setTLS(set)
	fmt.Fprintf(&b, dovecotServices, d.path("passwd"), dovecotUser, d.port, d.imaps, d.pop3s)
	for _, line := range d.cfg.Extra {
		b.WriteString(line + "\n")
	}
	return b.String()
}

func (d *Dovecot) setTLS(set func(name, value string)) {
	t := d.cfg.TLS
	if t.Certificate == "" {
		set("ssl", "no")
		return
	}
	set("ssl", "required")
	set("ssl_cert", "<"+t.Certificate)
	set("ssl_key", "<"+t.Key)
	if t.CA != "" {
		set("ssl_ca", "<"+t.CA)
	}
	if t.DH != "" {
		set("ssl_dh", "<"+t.DH)
	}
}

const dovecotServices = `passdb {
  driver = passwd-file
  args = %[1]s
}
userdb {
  driver = static
  args = uid=%[2]s gid=%[2]s
}
service imap-login {
  chroot =
  inet_listener imap {
    port = %[3]d
  }
  inet_listener imaps {
    port = %[4]d
    ssl = yes
  }
}
service pop3-login {
  chroot =
  inet_listener pop3 {
    port = 0
  }
  inet_listener pop3s {
    port = %[5]d
    ssl = yes
  }
}
`

// greetIMAP returns what an IMAP server greets with (RFC 9051 section 7.1.1),
// without its capabilities.
func greetIMAP(addr string) (string, error) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(greetTimeout))
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return "", err
	}
	text, ok := strings.CutPrefix(strings.TrimSpace(line), "* OK ")
	if !ok {
		return "", fmt.Errorf("greeting %q", line)
	}
	if strings.HasPrefix(text, "[") {
		_, text, _ = strings.Cut(text, "] ")
	}
	return text, nil
}
