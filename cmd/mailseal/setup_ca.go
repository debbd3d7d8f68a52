package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mailseal/certmgr/ca"
	"mailseal/internal/config"
	"mailseal/internal/durable"
)

// A newCA is a CA that is to be made: the folder, its name, and the file with the
// passphrase of its key, which is made too where it is not there.
type newCA struct {
	dir, subject, passphrase string
	makePassphrase           bool
}

// usualCA is where a CA is that nobody has named.
const usualCA = "/etc/mail/CA"

// authority finds the CA, or how it shall be made. The paths that the
// configuration does not have yet are returned.
func (s *setupRun) authority() (dir, passphrase string, err error) {
	dir, pass := s.ca, s.passphrase
	named, namedPass := "", ""
	if s.old != nil {
		named, namedPass = s.old.CA.Dir, s.old.CA.PassphraseFile
	}
	switch {
	case named != "" && dir != "" && filepath.Clean(named) != filepath.Clean(dir):
		return "", "", fail(exConfig, s.old.At("ca.dir", fmt.Errorf("names the CA in %s, and -ca the one in %s; want one of them", named, dir)))
	case namedPass != "" && pass != "" && namedPass != pass:
		return "", "", fail(exConfig, s.old.At("ca.passphrase_file", fmt.Errorf("is another file than that of -passphrase-file; leave one out")))
	case named != "":
		dir = named
	case dir == "":
		dir = s.under(usualCA)
	}
	if !filepath.IsAbs(dir) {
		return "", "", failf(exUsage, "-ca %q: want a path from / on", dir)
	}
	usual := filepath.Join(filepath.Dir(s.config), "ca.pass")
	if pass == "" {
		pass = namedPass
	}
	switch _, err := os.Stat(filepath.Join(dir, "cacert.pem")); {
	case errors.Is(err, fs.ErrNotExist):
		if err := ca.Vacant(dir); err != nil {
			return "", "", caError(err)
		}
		if pass == "" {
			pass = usual
		}
		s.newCA = &newCA{dir: dir, passphrase: pass, subject: s.subject, makePassphrase: !there(pass)}
	case err != nil:
		return "", "", fail(exNoInput, err)
	default:
		if s.subject != "" {
			return "", "", failf(exUsage, "-subject is for a new CA, and there is one in %s; leave it out", dir)
		}
		if _, err := ca.Open(dir, ca.OpenOptions{WithoutKey: true}); err != nil {
			return "", "", caError(err)
		}
		if pass == "" && there(usual) {
			pass = usual
		}
	}
	if err := s.oneCA(dir); err != nil {
		return "", "", err
	}
	if named != "" {
		dir = ""
	}
	if namedPass != "" {
		pass = ""
	}
	return dir, pass, nil
}

// oneCA refuses a daemon at the socket that has another CA than the folder: it would
// be asked, and sign.
func (s *setupRun) oneCA(dir string) error {
	socket := config.Default(goos).CA.Socket
	switch {
	case s.old != nil && (s.place.Prefix == "" || s.says("ca.socket")):
		socket = s.old.CA.Socket
	case s.place.Prefix != "":
		socket = s.under(socket)
	}
	f := caFlags{dir: dir, socket: socket}
	daemon, err := f.daemon()
	if daemon == nil || err != nil {
		return err
	}
	if c, ok := daemon.(interface{ Close() }); ok {
		defer c.Close()
	}
	here, err := ca.Open(dir, ca.OpenOptions{WithoutKey: true})
	if err != nil || !here.Certificate().Equal(daemon.Certificate()) {
		return failf(exConfig, "certmgr at %s has another CA, %s, than %s; say its folder with -ca, or give this configuration a ca.socket of its own", socket, daemon.Certificate().Subject, dir)
	}
	return nil
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// make makes the CA as ca init does, with its first CRL.
func (n *newCA) make(env Env) error {
	if n.makePassphrase {
		secret := make([]byte, 24)
		if _, err := rand.Read(secret); err != nil {
			return err
		}
		line := base64.StdEncoding.EncodeToString(secret) + "\n"
		if err := os.MkdirAll(filepath.Dir(n.passphrase), 0o755); err != nil {
			return err
		}
		if err := durable.Create(n.passphrase, []byte(line), 0o600); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(n.dir), 0o755); err != nil {
		return err
	}
	i := caInit{caFlags: caFlags{dir: n.dir, passphrase: n.passphrase}, subject: n.subject, yes: true}
	env.Stdin = nil
	var told bytes.Buffer
	env.Stdout = &told
	return i.run(env)
}

// domainOf is what stands behind the host in a name.
func domainOf(host string) string {
	for i := range host {
		if host[i] == '.' && i+1 < len(host) {
			if rest := host[i+1:]; bytes.ContainsRune([]byte(rest), '.') {
				return rest
			}
			return host
		}
	}
	return host
}
