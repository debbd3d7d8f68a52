// Package host is a mail host as a postmaster has it: an MTA with mailseal as
// its milter, and what mail goes to from there. Tests send mails to it and look
// at what arrives.
package host

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"mailseal/internal/mtarig"
	"mailseal/test/daemon"
	"mailseal/test/rig"
)

// A Setup is one way to attach the milter.
type Setup struct {
	MTA     rig.Kind
	Network string // "unix" or "tcp"
}

func (s Setup) String() string { return string(s.MTA) + "-" + s.Network }

// Setups are the ways that postmasters have. Debian's own is the first.
var Setups = []Setup{
	{rig.Chrooted, "unix"}, {rig.Postfix, "unix"}, {rig.Postfix, "tcp"}, {rig.Sendmail, "unix"}, {rig.Sendmail, "tcp"},
}

// Both are one setup of each MTA, for what does not hang on sockets.
var Both = []Setup{{rig.Chrooted, "unix"}, {rig.Sendmail, "unix"}}

// Mail to these domains goes to next hops of its own: Modern offers all that
// one offers today, Plain does not offer 8BITMIME.
const (
	Modern = "modern.example.net"
	Plain  = "plain.example.net"
)

// A Host is an MTA with a daemon and its next hops.
type Host struct {
	Setup Setup
	MTA   rig.MTA
	Seal  *daemon.Daemon

	sinks map[string]*mtarig.Sink // by domain
}

// An Option changes the MTA before it starts.
type Option func(*mtarig.Config)

// Start starts all of it. The settings' socket is filled in.
func Start(t testing.TB, s Setup, settings daemon.Settings, options ...Option) *Host {
	t.Helper()
	h := Prepare(t, s, options...)
	h.Attach(t, settings)
	h.MTA.SetMilters(h.Milter())
	rig.Start(t, h.MTA)
	return h
}

// Prepare makes the MTA and its next hops, and starts the latter.
func Prepare(t testing.TB, s Setup, options ...Option) *Host {
	t.Helper()
	h := &Host{Setup: s, sinks: map[string]*mtarig.Sink{
		Modern: rig.NewSink(t, mtarig.SinkConfig{}),
		Plain:  rig.NewSink(t, mtarig.SinkConfig{No8BitMIME: true, NoSMTPUTF8: true}),
	}}
	cfg := mtarig.Config{Hostname: daemon.AuthservID, Relay: h.sinks[Modern].Addr()}
	if s.MTA == rig.Sendmail {
		cfg.Extra = sendmailTransport(Plain, h.sinks[Plain].Addr())
	} else {
		cfg.Transport = map[string]string{Plain: h.sinks[Plain].Addr()}
	}
	for _, o := range options {
		o(&cfg)
	}
	h.MTA = s.MTA.Prepare(t, cfg)
	return h
}

// Attach starts a daemon where the MTA looks for its milter.
func (h *Host) Attach(t testing.TB, settings daemon.Settings) {
	t.Helper()
	if settings.Socket == "" {
		settings.Socket = "unix:" + h.MTA.MilterSocket()
		if h.Setup.Network == "tcp" {
			settings.Socket = freePort(t)
		}
	}
	h.Seal = daemon.Start(t, settings)
}

// Milter is the daemon as the MTA is told of it.
func (h *Host) Milter() mtarig.Milter {
	kind, where, _ := strings.Cut(h.Seal.Settings().Socket, ":")
	if kind == "inet" {
		port, host, _ := strings.Cut(where, "@")
		return mtarig.Milter{Network: "tcp", Address: net.JoinHostPort(host, port)}
	}
	return mtarig.Milter{Network: "unix", Address: where}
}

// freePort is a port that nobody had a moment ago.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "inet:" + strconv.Itoa(l.Addr().(*net.TCPAddr).Port) + "@127.0.0.1"
}

// sendmailTransport sends a domain's mail through the mailer for the Internet
// to a port of its own: that of a mailer is fixed.
func sendmailTransport(domain, next string) []string {
	_, port, _ := net.SplitHostPort(next)
	return []string{
		"MAILER_DEFINITIONS",
		"Mplainhop,\tP=[IPC], F=mDFMuXa, S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP, E=\\r\\n, L=990,",
		"\t\tT=DNS/RFC822/SMTP, A=TCP $h " + port,
		"LOCAL_RULE_0",
		fmt.Sprintf("R$* < @ %s . > $*\t$#plainhop $@ [127.0.0.1] $: $1 < @ %[1]s . > $2", domain),
		fmt.Sprintf("R$* < @ %s > $*\t$#plainhop $@ [127.0.0.1] $: $1 < @ %[1]s > $2", domain),
		"divert(0)dnl",
	}
}

// Deliver sends a mail from a client in internal_hosts, in a session of its own.
func (h *Host) Deliver(m mtarig.Mail) error { return h.DeliverFrom(daemon.Local, m) }

// DeliverFrom sends a mail from a client with that address.
func (h *Host) DeliverFrom(source string, m mtarig.Mail) error {
	c, err := h.Dial(source)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Send(m); err != nil {
		return err
	}
	return c.Quit()
}

// Dial opens a session and says EHLO.
func (h *Host) Dial(source string) (*mtarig.Client, error) {
	c, err := mtarig.DialFrom(source, h.MTA.Addr())
	if err != nil {
		return nil, err
	}
	if err := c.Hello("client.example.test"); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Arrived waits for the mail to a recipient. Tests give every mail one of its
// own.
func (h *Host) Arrived(t testing.TB, recipient string) mtarig.Mail {
	t.Helper()
	s := h.sink(recipient)
	for n := 0; ; {
		mails, err := s.Wait(n, daemon.Patience)
		for _, m := range mails {
			for _, to := range m.To {
				if to == recipient {
					return m
				}
			}
		}
		if err != nil {
			t.Fatalf("no mail for %s: %v", recipient, err)
		}
		n = len(mails) + 1
	}
}

// Count is how many mails have arrived for a recipient.
func (h *Host) Count(recipient string) int {
	n := 0
	for _, m := range h.sink(recipient).Mails() {
		for _, to := range m.To {
			if to == recipient {
				n++
			}
		}
	}
	return n
}

// Mails are all that have come to the next hop of a domain.
func (h *Host) Mails(domain string) []mtarig.Mail { return h.sinks[domain].Mails() }

func (h *Host) sink(recipient string) *mtarig.Sink {
	_, domain, _ := strings.Cut(recipient, "@")
	if s, ok := h.sinks[domain]; ok {
		return s
	}
	return h.sinks[Modern]
}

// AwaitEmptyQueue waits until the MTA has nothing left to deliver.
func (h *Host) AwaitEmptyQueue(t testing.TB) {
	t.Helper()
	if _, err := h.MTA.WaitQueue(func(q []mtarig.Entry) bool { return len(q) == 0 }, daemon.Patience); err != nil {
		t.Error(err)
	}
}

// Reload changes the configuration and has the daemon read it.
func (h *Host) Reload(t testing.TB, change func(*daemon.Settings)) {
	t.Helper()
	s := h.Seal.Settings()
	change(&s)
	h.Seal.Configure(s)
	mark := h.Seal.Mark()
	h.Seal.Signal(syscall.SIGHUP)
	if _, err := h.Seal.WaitLog(mark, ": reloaded config"); err != nil {
		t.Fatal(err)
	}
}
