package daemon

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailseal/internal/pki"
	"mailseal/internal/testpki"
)

// AuthservID is the name that every daemon here writes results under.
const AuthservID = "mx.example.test"

// Settings are what the configuration of a daemon is written from.
type Settings struct {
	Socket     string // as mailseal has it: unix:/path, inet:port@host
	Identities []pki.Identity
	Trust      []*x509.Certificate
	Opaque     bool
	// Milter and SMIME are further lines of these sections, Top of neither.
	Top, Milter, SMIME []string
	// Under is what starts the daemon in its stead and becomes it at last, as
	// prlimit or unshare.
	Under []string
}

// Local and Outside are addresses that clients of the MTAs come from: the
// first is in internal_hosts. Domain is ours.
const (
	Local   = "127.0.0.1"
	Outside = "127.0.0.2"
	Domain  = "example.test"
)

// text writes the configuration. Postfix's own user must be able to write to
// the socket: the tests do not set up a group for the two.
func (s Settings) text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	format := "detached"
	if s.Opaque {
		format = "opaque"
	}
	line("authserv_id = %q", AuthservID)
	line("local_domains = [%q]", Domain)
	line("internal_hosts = [%q]", Local)
	line("state = %q", "state")
	for _, l := range s.Top {
		line("%s", l)
	}
	line("[milter]")
	line("socket = %q", s.Socket)
	if !strings.HasPrefix(s.Socket, "inet") {
		line("socket_mode = %q", "0666")
	}
	for _, l := range s.Milter {
		line("%s", l)
	}
	line("[smime]")
	line("identities = %q", "identities")
	line("trust = [%q]", "ca.pem")
	line("format = %q", format)
	for _, l := range s.SMIME {
		line("%s", l)
	}
	return b.String()
}

// write fills a folder with what the configuration names and returns the path
// of the configuration.
func (s Settings) write(t testing.TB, dir string) string {
	t.Helper()
	file := func(name string, content []byte) {
		path := filepath.Join(dir, name)
		// A test may have changed the rights of a file that is there.
		if err := errors.Join(os.WriteFile(path, content, 0o600), os.Chmod(path, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"identities", "state"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for i, id := range s.Identities {
		file(fmt.Sprintf("identities/%02d.pem", i), testpki.PEM(t, id))
	}
	file("ca.pem", testpki.CertPEM(s.Trust...))
	file("mailseal.toml", []byte(s.text()))
	return filepath.Join(dir, "mailseal.toml")
}
