package mtarig

import (
	"cmp"
	"fmt"
	"net"
	"path/filepath"
	"strings"
)

// mc writes sendmail.mc. OSTYPE is linux and not debian: that one and its
// DOMAIN read the machine's own /etc/mail.
func (s *Sendmail) mc() (string, error) {
	b, line, define := s.newMC()
	define("confDOMAIN_NAME", s.cfg.Hostname)
	define("confPID_FILE", s.path("sendmail.pid"))
	define("QUEUE_DIR", s.queueDir())
	define("STATUS_FILE", s.path("statistics"))
	define("HELP_FILE", "")
	define("ALIAS_FILE", "")
	define("confCW_FILE", "-o /nonexistent")
	define("confSERVICE_SWITCH_FILE", s.path("service.switch"))

	// No waiting, whatever the load, and no DNS.
	define("confTO_IDENT", "0")
	define("confQUEUE_LA", "1000")
	define("confREFUSE_LA", "1000")
	define("confCONNECTION_RATE_THROTTLE", "0")
	define("confDONT_PROBE_INTERFACES", "True")
	define("confDELIVERY_MODE", "background")
	// The folder is in /tmp, which others may write: only its sticky bit makes
	// a milter's socket there safe.
	define("confDONT_BLAME_SENDMAIL", "TrustStickyBit")
	for _, f := range []string{"no_default_msa", "nocanonify", "promiscuous_relay", "accept_unresolvable_domains", "accept_unqualified_senders"} {
		line("FEATURE(`%s')", f)
	}
	line("DAEMON_OPTIONS(`Family=inet, Name=MTA, Port=%d, Addr=127.0.0.1')", s.port)
	if s.cfg.Source != "" {
		line("CLIENT_OPTIONS(`Family=inet, Addr=%s')", s.cfg.Source)
	}

	// Through the mailer that mail to the Internet takes: unlike the relay
	// mailer it cuts lines at 990 bytes and minds what the next hop offers.
	next, err := s.nextHop()
	if err != nil {
		return "", err
	}
	define("SMART_HOST", "esmtp:["+next.host+"]")
	define("ESMTP_MAILER_ARGS", "TCP $h "+next.port)

	s.defineTLS(define)
	for _, m := range s.cfg.Milters {
		filter, err := sendmailMilter(m)
		if err != nil {
			return "", err
		}
		line("%s", filter)
	}
	for _, extra := range s.cfg.Extra {
		b.WriteString(extra + "\n")
	}
	line("MAILER(`smtp')")
	return b.String(), nil
}

func (s *Sendmail) defineTLS(define func(name, value string)) {
	t := s.cfg.TLS
	if t.Certificate == "" {
		return
	}
	define("confSERVER_CERT", t.Certificate)
	define("confSERVER_KEY", t.Key)
	// sendmail has no TLS without these two, be there a CA or not.
	define("confCACERT", cmp.Or(t.CA, t.Certificate))
	define("confCACERT_PATH", cmp.Or(t.Dir, s.path("ca")))
	if t.Dir != "" {
		define("confCRL_PATH", t.Dir)
	}
	if t.DH != "" {
		define("confDH_PARAMETERS", t.DH)
	}
}

// sendmailMilter writes one filter. The waits are long enough for a milter
// that works on a large mail: sendmail's own ten seconds for a reply are not.
func sendmailMilter(m Milter) (string, error) {
	var socket string
	switch m.Network {
	case "unix":
		socket = "local:" + m.Address
	case "tcp":
		host, port, err := net.SplitHostPort(m.Address)
		if err != nil {
			return "", fmt.Errorf("milter: %w", err)
		}
		socket = "inet:" + port + "@" + host
	default:
		return "", fmt.Errorf("milter on network %q; want unix or tcp", m.Network)
	}
	flag := ""
	switch m.OnFailure {
	case Tempfail:
		flag = ", F=T"
	case Reject:
		flag = ", F=R"
	case Accept:
	default:
		return "", fmt.Errorf("milter: sendmail cannot %v when it fails", m.OnFailure)
	}
	name, timeouts := m.Name, m.Timeouts
	if name == "" {
		name = "mailseal"
	}
	if timeouts == "" {
		timeouts = "C:30s;S:60s;R:5m;E:10m"
	}
	return fmt.Sprintf("INPUT_MAIL_FILTER(`%s', `S=%s%s, T=%s')", name, socket, flag, timeouts), nil
}

// newMC begins an mc file: line adds one to it, define a definition.
func (s *Sendmail) newMC() (b *strings.Builder, line func(format string, args ...any), define func(name, value string)) {
	b = new(strings.Builder)
	line = func(format string, args ...any) { fmt.Fprintf(b, format+"dnl\n", args...) }
	define = func(name, value string) { line("define(`%s', `%s')", name, value) }
	line("divert(0)")
	line("define(`_USE_ETC_MAIL_')")
	define("MAIL_SETTINGS_DIR", s.dir+"/")
	line("include(`%s')", filepath.Join(s.macros(), "m4/cf.m4"))
	line("OSTYPE(`linux')")
	return b, line, define
}
