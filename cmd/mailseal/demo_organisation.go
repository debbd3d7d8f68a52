package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/internal/mtarig"
)

// An organisation of the demo: a mail domain with one user, a Postfix with a
// mailseal milter, and a mailbox.
type organisation struct {
	name   string // "corp"
	domain string
	user   string // the address of its one user
	office string // the loopback address that the user's mail comes from

	certificate *x509.Certificate
	dir         string
	config      string // file
	mailbox     *mtarig.Sink
	postfix     *mtarig.Postfix
	milter      *exec.Cmd
	exited      chan struct{} // closed when the milter has ended
}

func (o *organisation) host() string { return "mx." + o.domain }

// certify has the user's certificate made, and writes it and the CA's where
// the organisation's milter looks for them.
func (o *organisation) certify(c *ca.CA, dir string) error {
	issued, err := c.Issue(ca.Request{Profile: ca.User, Emails: []string{o.user}, Subject: ca.Subject{Organization: o.domain}})
	if err != nil {
		return err
	}
	o.certificate = issued.Certificate
	key, err := x509.MarshalPKCS8PrivateKey(issued.Key)
	if err != nil {
		return err
	}
	o.dir = filepath.Join(dir, o.name)
	if err := os.MkdirAll(filepath.Join(o.dir, "identities"), 0o700); err != nil {
		return err
	}
	identity := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), certificatePEM(issued.Certificate)...)
	local, _, _ := strings.Cut(o.user, "@")
	return errors.Join(
		os.WriteFile(filepath.Join(o.dir, "identities", local+".pem"), identity, 0o600),
		os.WriteFile(filepath.Join(o.dir, "ca.pem"), certificatePEM(c.Certificate()), 0o644),
	)
}

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// start starts mailbox, milter and Postfix. Mail for the other domain goes to
// the wire.
func (o *organisation) start(self string, tools mtarig.Tools, wire, otherDomain string) error {
	var err error
	if o.mailbox, err = mtarig.NewSink(mtarig.SinkConfig{Hostname: "mailbox." + o.domain}); err != nil {
		return err
	}
	o.postfix, err = mtarig.NewPostfix(mtarig.Config{
		Tools: tools, Hostname: o.host(), Chroot: true, Parent: filepath.Dir(o.dir),
		Transport: map[string]string{o.domain: o.mailbox.Addr(), otherDomain: wire},
	})
	if err != nil {
		return err
	}
	socket := o.postfix.MilterSocket()
	if err := o.configure(socket); err != nil {
		return err
	}
	if err := o.startMilter(self, socket); err != nil {
		return fmt.Errorf("start the milter of %s: %w", o.name, err)
	}
	o.postfix.SetMilters(mtarig.Milter{Network: "unix", Address: socket})
	return o.postfix.Start()
}

// configure writes what a postmaster would.
func (o *organisation) configure(socket string) error {
	o.config = filepath.Join(o.dir, "mailseal.toml")
	return os.WriteFile(o.config, fmt.Appendf(nil, `authserv_id    = %q
local_domains  = [%q]
internal_hosts = [%q]
state          = "state"

[milter]
socket       = "unix:%s"
socket_group = "postfix"

[smime]
identities = "identities"
trust      = ["ca.pem"]
`, o.host(), o.domain, o.office, socket), 0o600)
}

// startMilter runs `mailseal milter` as a process of its own and waits until
// it listens. Its working folder is the Postfix instance's: whatever ends us,
// the watchdog of that ends the milter too.
func (o *organisation) startMilter(self, socket string) error {
	if err := os.MkdirAll(filepath.Join(o.dir, "state"), 0o700); err != nil {
		return err
	}
	log, err := os.Create(o.logFile())
	if err != nil {
		return err
	}
	defer log.Close()
	o.milter = exec.Command(self, "milter", "-config", o.config)
	o.milter.Dir = o.postfix.Dir()
	o.milter.Stdout, o.milter.Stderr = log, log
	o.milter.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ^C is for us: we end it
	if err := o.milter.Start(); err != nil {
		o.milter = nil
		return err
	}
	o.exited = make(chan struct{})
	go func() {
		o.milter.Wait() // how it ended is in its log
		close(o.exited)
	}()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if c, err := net.Dial("unix", socket); err == nil {
			return c.Close()
		}
		select {
		case <-o.exited:
			return fmt.Errorf("it ended: %s", o.milter.ProcessState)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return errors.New("nobody listens on its socket after 10 seconds")
}

func (o *organisation) logFile() string { return filepath.Join(o.dir, "mailseal.log") }

// milterLog is what the milter has logged so far.
func (o *organisation) milterLog() string {
	b, _ := os.ReadFile(o.logFile())
	return string(b)
}

// postfixLog is what Postfix has logged so far.
func (o *organisation) postfixLog() string {
	if o.postfix == nil {
		return ""
	}
	return o.postfix.Log()
}

// submit hands over a mail of the user, from the organisation's inside.
func (o *organisation) submit(m mtarig.Mail) error {
	return deliver(o.office, o.postfix.Addr(), "pc."+o.domain, m)
}

// receive takes a mail from the world.
func (o *organisation) receive(m mtarig.Mail) error {
	return deliver("127.0.0.1", o.postfix.Addr(), "relay.example", m)
}

func deliver(source, addr, name string, m mtarig.Mail) error {
	c, err := mtarig.DialFrom(source, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Hello(name); err != nil {
		return err
	}
	if err := c.Send(m); err != nil {
		return err
	}
	return c.Quit()
}

// logged is what the organisation's two logs say on a mail: the lines with the
// queue id that its Postfix gave it.
func (o *organisation) logged(ctx context.Context, id string) ([]string, error) {
	line, err := o.postfix.WaitLog(": message-id=<"+regexp.QuoteMeta(id)+">", arriveLimit)
	if err != nil {
		return nil, err
	}
	line, _, _ = strings.Cut(line, ": message-id=")
	queue := line[strings.LastIndexByte(line, ' ')+1:]
	// Postfix writes its last line after the peer has the mail.
	if _, err := o.postfix.WaitLog(" "+queue+": removed", arriveLimit); err != nil {
		return nil, errors.Join(ctx.Err(), err)
	}
	var lines []string
	for _, log := range []string{o.postfix.Log(), o.milterLog()} {
		for l := range strings.Lines(log) {
			if strings.Contains(" "+l, " "+queue+": ") {
				lines = append(lines, strings.TrimSpace(l))
			}
		}
	}
	return lines, nil
}

// close ends the organisation's processes. Kept, the log of its Postfix goes
// beside that of its milter.
func (o *organisation) close(keep bool) error {
	var errs []error
	if o.milter != nil {
		errs = append(errs, o.stopMilter())
	}
	if o.postfix != nil {
		log := o.postfix.Log()
		errs = append(errs, o.postfix.Close())
		if keep {
			errs = append(errs, os.WriteFile(filepath.Join(o.dir, "postfix.log"), []byte(log), 0o644))
		}
	}
	if o.mailbox != nil {
		errs = append(errs, o.mailbox.Close())
	}
	return errors.Join(errs...)
}

func (o *organisation) stopMilter() error {
	o.milter.Process.Signal(syscall.SIGTERM) // an error is that it has ended
	select {
	case <-o.exited:
	case <-time.After(10 * time.Second):
		o.milter.Process.Kill()
		<-o.exited
		return fmt.Errorf("the milter of %s did not end within 10 seconds of SIGTERM", o.name)
	}
	if code := o.milter.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the milter of %s ended with %s", o.name, o.milter.ProcessState)
	}
	return nil
}
