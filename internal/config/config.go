// Package config reads the configuration file, mailseal.toml: strictly, so
// that a key with a slip of the pen is an error and not a default, and typed,
// so that what comes out can be used as it is. All that is wrong is told at
// once, each thing with its place, what it is and what was expected:
//
//	/etc/mailseal/mailseal.toml:12:1: milter.sokcet: unknown key; want socket
//	/etc/mailseal/mailseal.toml:19:12: milter.on_error: "temp"; want "accept", "reject", "tempfail" or "quarantine"
//
// A key that has no function yet is unknown too. Relative paths start at the
// file's folder, domain names come out in lower case and A-labels. The package
// looks at no file but this one; whether the files that it names are there is
// for those who build from it, who say so by At.
package config

import (
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"net/url"
	"time"

	"mailseal/internal/message"
	"mailseal/internal/trust/revocation"
	"mailseal/smime"
)

// A Config is a configuration file, checked. Paths are absolute.
type Config struct {
	// AuthservID names us in Authentication-Results (RFC 8601 section 2.5).
	AuthservID string
	// LocalDomains are ours, in lower case and A-labels. A leading dot means
	// all sub-domains.
	LocalDomains []string
	// InternalHosts are clients whose mail is ours without a login.
	InternalHosts []netip.Prefix
	// State is the folder for the spool.
	State  string
	Milter Milter
	SMIME  SMIME
	Fetch  Fetch
	// Logins maps a login to the addresses that it may send as. "*@domain"
	// is every address there.
	Logins map[string][]string
	// DomainCAs are files and folders of CAs that are trusted for signers of one
	// domain. A leading dot means all sub-domains.
	DomainCAs map[string][]string
	CA        CA
	Certmgr   Certmgr
	// Targets are the mail servers whose files certmgr keeps right.
	Targets []Target
	Notify  Notify
	Web     Web
	Metrics Metrics
	Log     Log

	file *file
}

// Milter is what the MTA's side needs.
type Milter struct {
	// Socket is a milter socket: unix:/path, inet:port@host.
	Socket string
	// BeforeSocket is one that the MTA asks before any other milter, "" for none.
	BeforeSocket string
	SocketMode   fs.FileMode
	SocketGroup  string // "" leaves the process's group
	// OnError is what becomes of mail that could not be worked on.
	OnError        message.Action
	MaxMessageSize Size
	// EarlierMilters: Authentication-Results of milters before us stay.
	EarlierMilters bool
	MaxConnections int
	SpoolMemory    Size
	IdleTimeout    time.Duration
	WorkTimeout    time.Duration
	// LoginDomain completes logins that have none, "" leaves them.
	LoginDomain string
}

// SMIME is what to sign with and whom to believe.
type SMIME struct {
	Identities string   // folder
	Trust      []string // files and folders of trust anchors
	// CRLs and Pinned are files and folders too: of revocation lists, and of
	// certificates that are trusted as themselves.
	CRLs, Pinned []string
	SystemTrust  bool // the system's CAs are trusted as well
	Revocation   revocation.Mode
	Sign         bool
	Opaque       bool        // key format: detached or opaque
	Digest       crypto.Hash // 0: by the key of the identity
	PSS          bool
	// HeaderProtection says which header fields are signed with the content.
	HeaderProtection smime.HeaderProtection
	// Inbound is what becomes of mail that comes in.
	Inbound Inbound
	// Peers is the file of how to encrypt to others, "" for none.
	Peers string
	// WeakFails: weak algorithms and keys make fail, not policy (key weak).
	WeakFails bool
	// UseSender takes who signed as Sender, IgnoreLocalCase an address whose local
	// part has other case.
	UseSender, IgnoreLocalCase bool
	// Signers is the file of who holds certificates without address, "" for none.
	Signers string
}

// Fetch is what may be fetched that certificates name.
type Fetch struct {
	CRL, OCSP bool
	Timeout   time.Duration  // of one fetch
	Wait      time.Duration  // how long one mail waits for all that it needs
	MaxSize   Size           // of a CRL
	Allow     []netip.Prefix // that are not of the Internet, or on other ports
	Proxy     *url.URL       // nil: none
}

// Metrics says where Prometheus finds them.
type Metrics struct {
	// Network and Address are those of package net: "unix" or "tcp", "" for
	// nowhere. The address is of this host only.
	Network, Address string
	SocketMode       fs.FileMode
	SocketGroup      string // "" leaves the process's group
}

// Log says where events go.
type Log struct {
	Syslog bool // key target: stderr or syslog
	Level  slog.Level
}

// Default is the configuration of an empty file, but for the keys that have no
// default. Its paths that start at the file's folder are still relative.
func Default(goos string) Config {
	run, state := "/run/mailseal", "/var/lib/mailseal"
	switch goos { // hier(7) of each
	case "freebsd", "netbsd", "openbsd", "dragonfly":
		run, state = "/var/run/mailseal", "/var/db/mailseal"
	}
	return Config{
		InternalHosts: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		State:         state,
		Milter: Milter{
			Socket:         "unix:" + run + "/milter.sock",
			SocketMode:     0o660,
			OnError:        message.Defer,
			MaxMessageSize: 64 << 20,
			MaxConnections: 500,
			SpoolMemory:    256 << 10,
			IdleTimeout:    2 * time.Hour,   // sendmail gives its client up to an hour for one command
			WorkTimeout:    4 * time.Minute, // less than the 5 that both MTAs wait for us
		},
		SMIME: SMIME{
			Identities: "identities",
			Trust:      []string{"ca.pem", "trust.d"},
			Sign:       true,
			Inbound:    defaultInbound(),
		},
		Fetch:   Fetch{Timeout: 5 * time.Second, Wait: 2 * time.Second, MaxSize: 16 << 20, Allow: []netip.Prefix{}},
		CA:      CA{Socket: run + "-certmgr/certmgr.sock", WebUser: "mailseal-web", WebHosts: []string{}},
		Certmgr: Certmgr{State: state + "-certmgr", Poll: time.Minute},
		Notify:  Notify{Server: "127.0.0.1:25"},
		Metrics: Metrics{SocketMode: 0o660},
		Log:     Log{Level: slog.LevelInfo},
	}
}

// DefaultPath is where the file is looked for.
func DefaultPath(goos string) string {
	switch goos {
	case "freebsd", "dragonfly":
		return "/usr/local/etc/mailseal/mailseal.toml"
	}
	return "/etc/mailseal/mailseal.toml"
}

// ForMail tells what the milter needs and the file has not: one that is about the
// CA and the servers' certificates alone need not have it.
func (c *Config) ForMail() error { return errors.Join(c.file.missing...) }

// IsSet reports whether the file sets the key, as "smime.trust".
func (c *Config) IsSet(key string) bool {
	_, ok := c.file.places[path(key)]
	return ok
}

// At returns err with the place of a key, as "smime.trust". A number is the
// place of that element of a list.
func (c *Config) At(key string, err error, element ...int) error {
	p := path(key)
	for _, i := range element {
		p = p.element(i)
	}
	return &Error{File: c.file.name, Place: c.file.place(p), Key: key, Err: err}
}

// An Error is one thing that is wrong with a file.
type Error struct {
	File string
	Place
	Key string // with its table, "" where it concerns none
	Err error
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s:%d:%d: ", e.File, e.Line, e.Column)
	if e.Key != "" {
		s += e.Key + ": "
	}
	return s + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }
