// Package config is the configuration file, strict and typed.
package config

import (
	"crypto"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"time"

	"mailseal/internal/message"
)

// A Size is a number of bytes, written as "64MiB".
type Size int64

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
	// Logins maps a login to the addresses that it may send as. "@domain"
	// is every address there.
	Logins map[string][]string
	Log    Log
}

// Milter is what the MTA's side needs.
type Milter struct {
	// Socket is a milter socket: unix:/path, inet:port@host.
	Socket      string
	SocketMode  fs.FileMode
	SocketGroup string // "" leaves the process's group
	// OnError is what becomes of mail that could not be worked on.
	OnError        message.Action
	MaxMessageSize Size
	// EarlierMilters: Authentication-Results of milters before us are theirs.
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
	Sign       bool
	Opaque     bool // key format: detached or opaque
	Digest     crypto.Hash
	PSS        bool
}

// Log says where events go.
type Log struct {
	Syslog bool // key target: stderr or syslog
	Level  slog.Level
}

// Load reads a file.
func Load(path string) (*Config, error) { return nil, errors.New("not written yet") }
