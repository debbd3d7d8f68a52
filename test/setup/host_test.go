package setup_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailseal/internal/mtarig"
	"mailseal/test/daemon"
	"mailseal/test/rig"
)

// patience is how long anything may take.
const patience = 2 * time.Minute

// A machine is one of the article's: a mail server with the certificates that
// FreeBSD has made for it at the first boot.
type machine struct {
	rig.MTA
	name string
	kind rig.Kind
	root string // for what is elsewhere below /etc and /var
	link string // to the server's folder
}

// certs is the folder of the certificates.
func (m *machine) certs() string { return filepath.Join(m.link, "certs") }

// conf is the folder of the server's configuration.
func (m *machine) conf() string {
	if m.kind == rig.Sendmail {
		return m.Dir()
	}
	return filepath.Join(m.Dir(), "etc")
}

// settings are what the server starts with: freebsd.mc's definitions, and what
// somebody writes into main.cf with the same files.
func (m *machine) settings(dir string) []string {
	file := func(name string) string { return filepath.Join(dir, "certs", name) }
	if m.kind == rig.Sendmail {
		return []string{
			"define(`CERT_DIR', `" + filepath.Join(dir, "certs") + "')dnl",
			"define(`confSERVER_CERT', `CERT_DIR/host.cert')dnl",
			"define(`confSERVER_KEY', `CERT_DIR/host.key')dnl",
			"define(`confCLIENT_CERT', `CERT_DIR/host.cert')dnl",
			"define(`confCLIENT_KEY', `CERT_DIR/host.key')dnl",
			"define(`confCACERT', `CERT_DIR/cacert.pem')dnl",
			"define(`confCACERT_PATH', `CERT_DIR')dnl",
		}
	}
	return []string{
		"smtpd_tls_cert_file = " + file("host.cert"), "smtpd_tls_key_file = " + file("host.key"), "smtpd_tls_security_level = may",
		"smtpd_tls_CAfile = " + file("cacert.pem"), "smtp_tls_CAfile = " + file("cacert.pem"), "smtpd_tls_loglevel = 1", "smtpd_tls_ask_ccert = yes",
		"smtp_tls_cert_file = " + file("host.cert"), "smtp_tls_key_file = " + file("host.key"), "smtp_tls_security_level = may", "smtp_tls_loglevel = 1",
	}
}

// boot starts a machine that sends all mail to the next; more are further lines of
// its configuration.
func boot(t *testing.T, kind rig.Kind, name, next string, more ...string) *machine {
	t.Helper()
	parent, err := os.MkdirTemp("/tmp", "ms-setup-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(parent) })
	if err := os.Chmod(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	// The certificates have to be there before the server, whose folder is not
	// known until it is prepared: a link leads to it.
	link := filepath.Join(parent, "own")
	m := &machine{name: name, kind: kind, root: filepath.Join(parent, "root"), link: link}
	m.MTA = kind.Prepare(t, mtarig.Config{Hostname: name, Relay: next, Parent: parent, Extra: append(m.settings(link), more...)})
	if err := os.Symlink(m.Dir(), link); err != nil {
		t.Fatal(err)
	}
	rig.ThrowAway(t, m.certs(), m.name)
	rig.Start(t, m.MTA)
	return m
}

// send has a machine send a mail on.
func (m *machine) send(t *testing.T, to string) {
	t.Helper()
	mail := mtarig.Mail{From: "root@" + m.name, To: []string{to}, Data: []byte("From: root@" + m.name + "\r\nSubject: test\r\n\r\ntest\r\n")}
	// A server that was told to read its files may be away for an instant.
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		c, err := mtarig.Dial(m.Addr())
		if err == nil {
			err = errors.Join(c.Hello("client.example.test"), c.Send(mail))
			c.Close()
		}
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("hand a mail to %s: %v\n%s", m.name, err, m.Log())
		}
	}
}

// logs waits for a line that is new since mark.
func (m *machine) logs(t *testing.T, mark int, what string) string {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		log := m.Log()
		for line := range strings.Lines(log[min(mark, len(log)):]) {
			if strings.Contains(line, what) && strings.HasSuffix(line, "\n") {
				return strings.TrimSpace(line)
			}
		}
	}
	t.Fatalf("%s does not log %q; since then:\n%s", m.name, what, m.Log()[mark:])
	return ""
}

// setup runs the command as somebody does who has no terminal.
func (m *machine) setup(t *testing.T, want int, args ...string) string {
	t.Helper()
	args = append([]string{"setup", m.word()}, args...)
	stdout, stderr, status := daemon.Run(t, nil, args...)
	if status != want {
		t.Fatalf("mailseal %s: status %d, want %d\n%s%s", strings.Join(args, " "), status, want, stdout, stderr)
	}
	return string(stdout) + string(stderr)
}

// word is what the commands call the server.
func (m *machine) word() string {
	if m.kind == rig.Sendmail {
		return "sendmail"
	}
	return "postfix"
}

// place tells where the server is.
func (m *machine) place() []string {
	if m.kind == rig.Sendmail {
		return nil // sendmail.cf says it all
	}
	return []string{"-pidfile", filepath.Join(m.Dir(), "queue/pid/master.pid")}
}

// clientLine and serverLine are in what a server logs of a connection with TLS.
func (m *machine) clientLine() string {
	if m.kind == rig.Sendmail {
		return "STARTTLS=client, "
	}
	return " TLS connection established to "
}

func (m *machine) serverLine() string {
	if m.kind == rig.Sendmail {
		return "STARTTLS=server, "
	}
	return " TLS connection established from "
}

// files are the configuration and the certificates of a machine: their content, or
// where a link leads.
func (m *machine) files(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, dir := range []string{m.conf(), m.certs(), filepath.Join(m.root, "etc/mailseal")} {
		entries, err := os.ReadDir(dir)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			to, err := os.Readlink(path)
			info, serr := os.Stat(path)
			if serr != nil || info.IsDir() || !info.Mode().IsRegular() || strings.HasPrefix(e.Name(), "maillog") || e.Name() == "ca.pass" || e.Name() == "statistics" || e.Name() == "output" {
				continue
			}
			content, rerr := os.ReadFile(path)
			if rerr != nil {
				t.Fatal(rerr)
			}
			all[path] = fmt.Sprintf("%v %s", info.Mode(), content)
			if err == nil {
				all[path] = "-> " + to
			}
		}
	}
	return all
}

func lastLines(s string, n int) string {
	all := strings.Split(strings.TrimSpace(s), "\n")
	return fmt.Sprint(strings.Join(all[max(0, len(all)-n):], "\n"))
}
