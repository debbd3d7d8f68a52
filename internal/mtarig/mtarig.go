// Package mtarig runs private instances of Postfix, sendmail, Exim and Dovecot
// on loopback ports, for the tests and for `mailseal demo`.
//
// An instance has its own folder for configuration, queue and log, its own
// port on 127.0.0.1 and its own process group; it never reads or writes what
// belongs to an MTA that is installed on the machine. The programs come from a
// tree that the MTAs' packages were unpacked into (test/tools.sh) or, where
// there is none, from the system itself. All of them need root to start.
//
// A Sink stands behind the instances and keeps what they deliver, byte for
// byte; a Client speaks SMTP to them, also in ways that no mail program would.
// An OpenDKIM is a milter to stand beside ours.
//
// When the process that started an instance dies, whatever the way, a
// watchdog stops the instance and removes its folder.
package mtarig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
)

// Tools says where the programs of the servers and of OpenDKIM are.
type Tools struct {
	postfix  string // the root that usr/sbin/postfix stands under; "" for none
	sendmail string // the same for usr/libexec/sendmail/sendmail
	opendkim string // and for usr/sbin/opendkim
	dovecot  string // and for usr/sbin/dovecot
	exim     string // and for usr/sbin/exim4
}

// Find looks for the programs in trees that their packages were unpacked into,
// the first that has one wins, and then for those that are installed. An empty
// name is passed over.
func Find(trees ...string) Tools {
	var t Tools
	for _, tree := range append(trees, "/") {
		root, err := filepath.Abs(tree)
		if err != nil || tree == "" {
			continue
		}
		if t.postfix == "" && exists(root, "usr/sbin/postfix", "usr/sbin/postconf") {
			t.postfix = root
		}
		if t.sendmail == "" && exists(root, "usr/libexec/sendmail/sendmail", "usr/share/sendmail/cf/m4/cf.m4") {
			t.sendmail = root
		}
		if t.opendkim == "" && exists(root, "usr/sbin/opendkim") {
			t.opendkim = root
		}
		if t.dovecot == "" && exists(root, "usr/sbin/dovecot", "usr/lib/dovecot/imap-login", "usr/lib/dovecot/pop3-login") {
			t.dovecot = root
		}
		if t.exim == "" && exists(root, "usr/sbin/exim4") {
			t.exim = root
		}
	}
	return t
}

// unpackedLibraries is the environment in which a program finds the libraries
// that were unpacked with it.
func unpackedLibraries(root string) []string {
	libs, _ := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-*"))
	if root == "/" || len(libs) == 0 {
		return nil
	}
	return []string{"LD_LIBRARY_PATH=" + strings.Join(libs, ":")}
}

func exists(root string, names ...string) bool {
	for _, n := range names {
		if _, err := os.Stat(filepath.Join(root, n)); err != nil {
			return false
		}
	}
	return true
}

// ErrMissing is what Postfix, Sendmail and the like wrap when an instance cannot
// be run on this machine.
var ErrMissing = errors.New("missing tool")

// Postfix returns nil when a private Postfix can be run, and otherwise what is
// missing for it.
func (t Tools) Postfix() error {
	if t.postfix == "" {
		return fmt.Errorf("%w: no Postfix, neither unpacked nor installed; run test/tools.sh as root", ErrMissing)
	}
	if _, err := user.Lookup(mailOwner); err != nil {
		return fmt.Errorf("%w: no user %s; run test/tools.sh as root", ErrMissing, mailOwner)
	}
	if _, err := user.LookupGroup(setgidGroup); err != nil {
		return fmt.Errorf("%w: no group %s; run test/tools.sh as root", ErrMissing, setgidGroup)
	}
	return needRoot("Postfix")
}

// Sendmail returns nil when a private sendmail can be run, and otherwise what
// is missing for it.
func (t Tools) Sendmail() error {
	if t.sendmail == "" {
		return fmt.Errorf("%w: no sendmail with its cf files, neither unpacked nor installed; run test/tools.sh as root", ErrMissing)
	}
	return needRoot("sendmail")
}

// Dovecot returns nil when a private Dovecot can be run, and otherwise what is
// missing for it.
func (t Tools) Dovecot() error {
	if t.dovecot == "" {
		return fmt.Errorf("%w: no Dovecot with IMAP and POP3, neither unpacked nor installed; run test/tools.sh as root", ErrMissing)
	}
	return needRoot("Dovecot")
}

// Exim returns nil when a private Exim can be run, and otherwise what is missing
// for it.
func (t Tools) Exim() error {
	if t.exim == "" {
		return fmt.Errorf("%w: no Exim, neither unpacked nor installed; run test/tools.sh as root", ErrMissing)
	}
	return needRoot("Exim")
}

func needRoot(mta string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: a private %s starts only as root", ErrMissing, mta)
	}
	return nil
}

// Config is how an instance is set up. Everything but Tools may be left out.
type Config struct {
	Tools    Tools
	Hostname string // what the MTA calls itself, with a dot; "" for mta.example.test

	Milters []Milter // in the order in which mail goes through them
	// NonSMTP attaches the milters to mail handed to the sendmail command too
	// (non_smtpd_milters; Postfix only).
	NonSMTP bool
	// Chroot runs Postfix's smtpd, cleanup and others in the queue folder, as
	// Debian ships it. sendmail knows no such thing.
	Chroot bool

	Relay     string            // host:port that all mail goes to; "" defers it
	Transport map[string]string // recipient domain to host:port, before Relay (Postfix only)
	Source    string            // address that outgoing connections come from, as 127.0.0.2
	TLS       TLS               // STARTTLS is offered when it has a certificate

	// Extra is appended to main.cf, dovecot.conf or the first part of Exim's
	// configuration, or to sendmail's mc file before its mailers.
	Extra []string
	// Parent is the folder that the instance's folder is made in. "" is /tmp
	// and not the system's choice: names of Unix sockets end at 107 bytes.
	Parent string
}

// TLS names PEM files. Clients are asked for a certificate when CA is given.
type TLS struct {
	Certificate, Key, CA string
	Chain                string // key and certificates in one file, in the place of these two (Postfix only)
	Dir                  string // of hash links for CAs and lists of what is revoked (sendmail only)
	DH                   string // parameters for Diffie-Hellman
}

// offered reports whether there is anything to offer STARTTLS with.
func (t TLS) offered() bool { return t.Certificate != "" || t.Chain != "" }

// A Milter is a filter to attach.
type Milter struct {
	Name             string  // for sendmail's log; "" for mailseal
	Network, Address string  // "unix" and a path, or "tcp" and host:port, as net.Addr has them
	OnFailure        Failure // what becomes of mail that it cannot see
	// Timeouts in the MTA's own words, as "content_timeout=5s" or "R:10s;E:1m".
	Timeouts string
}

// A Failure is what an MTA does when a milter fails: Postfix's
// milter_default_action, sendmail's F=.
type Failure int

const (
	Tempfail   Failure = iota // F=T
	Accept                    // no F=
	Reject                    // F=R
	Quarantine                // Postfix only
)

func (f Failure) String() string {
	switch f {
	case Tempfail:
		return "tempfail"
	case Accept:
		return "accept"
	case Reject:
		return "reject"
	case Quarantine:
		return "quarantine"
	}
	return fmt.Sprintf("failure(%d)", int(f))
}

const (
	defaultHostname = "mta.example.test"
	folderMode      = fs.FileMode(0o755)
)
