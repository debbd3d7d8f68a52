package main

import (
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mailseal/certmgr/bundle"
	"mailseal/certmgr/ca"
	"mailseal/certmgr/control"
	"mailseal/internal/audit"
	"mailseal/internal/config"
	"mailseal/internal/pki"
)

// caFlags say which CA, and how its key is opened.
type caFlags struct {
	dir, config, passphrase string
	socket                  string // of the configuration's daemon
}

func (f *caFlags) define(fs *flag.FlagSet) {
	fs.StringVar(&f.dir, "dir", "", "work in the CA's folder: `DIR` (default: ask certmgr, or where none runs work in ca.dir)")
	fs.StringVar(&f.config, "config", defaultConfig(), "configuration `FILE`")
}

func (f *caFlags) withKey(fs *flag.FlagSet) {
	f.define(fs)
	fs.StringVar(&f.passphrase, "passphrase-file", "", "the passphrase of the CA's key is the first line of `FILE` (default: asked for on a terminal)")
}

// check finds the folder, and the passphrase of the configuration's.
func (f *caFlags) check() error {
	if f.dir != "" {
		return nil
	}
	c, err := config.Load(f.config)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return failf(exUsage, "no -dir, and no %s to find the CA by", f.config)
	case err != nil:
		return fail(exConfig, err)
	case c.CA.Dir == "":
		return failf(exUsage, "no -dir, and %s has no ca.dir", f.config)
	}
	f.socket = c.CA.Socket
	if f.dir = c.CA.Dir; f.passphrase == "" {
		f.passphrase = c.CA.PassphraseFile
	}
	return nil
}

// lookInFolder opens the CA for what needs no key.
func (f *caFlags) lookInFolder() (*ca.CA, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	c, err := ca.Open(f.dir, ca.OpenOptions{WithoutKey: true})
	return c, caError(err)
}

// openFolder opens the CA with its key.
func (f *caFlags) openFolder(env Env) (*ca.CA, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	return openCA(env, f.dir, f.passphrase)
}

// openCA opens a CA, and asks for the passphrase of its key if nobody gave it.
func openCA(env Env, dir, file string) (*ca.CA, error) {
	phrase, err := caPassphrase(env, file)
	if err != nil {
		return nil, err
	}
	c, err := ca.Open(dir, ca.OpenOptions{Passphrase: phrase})
	if errors.Is(err, pki.ErrNoPassphrase) {
		if phrase, err = askForKey(env, dir, err); err != nil {
			return nil, err
		}
		c, err = ca.Open(dir, ca.OpenOptions{Passphrase: phrase})
	}
	return c, caError(err)
}

// askForKey asks for the passphrase that was missing when a CA was opened.
func askForKey(env Env, dir string, missing error) ([]byte, error) {
	if _, ok := terminal(env.Stdin); !ok {
		return nil, fail(exDataErr, fmt.Errorf("%w; give the file that holds it with -passphrase-file", missing))
	}
	return askSecret(env, "passphrase of the CA's key in "+dir+": ")
}

// credential is the name of the passphrase where systemd passes it.
const credential = "ca.pass"

// caPassphrase reads a passphrase from its file, or from what systemd passes
// (systemd.exec(5), LoadCredential=). nil is none.
func caPassphrase(env Env, file string) ([]byte, error) {
	if dir := env.Getenv("CREDENTIALS_DIRECTORY"); file == "" && dir != "" {
		name := filepath.Join(dir, credential)
		if _, err := os.Stat(name); err == nil {
			file = name
		}
	}
	if file == "" {
		return nil, nil
	}
	return readPassword(env, file)
}

// by is who asks, for the audit file.
func by() string { return fmt.Sprintf("uid %d", os.Getuid()) }

// caError gives an error of a CA its exit status.
func caError(err error) error {
	var path *fs.PathError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, control.ErrForbidden): // which may be a refusal, too
		return fail(exNoPerm, err)
	case errors.Is(err, ca.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return fail(exNoInput, err)
	case errors.Is(err, ca.ErrRefused), errors.Is(err, pki.ErrPassphrase), errors.Is(err, pki.ErrNoPassphrase),
		errors.Is(err, audit.ErrBroken), errors.Is(err, ca.ErrNoKey):
		return fail(exDataErr, err)
	case errors.Is(err, control.ErrBusy):
		return fail(exTempFail, err)
	case errors.Is(err, fs.ErrPermission):
		return fail(exNoPerm, err)
	case errors.Is(err, bundle.ErrExists):
		return fail(exCantCreate, fmt.Errorf("%w; remove it, name others with -out, or replace it with -replace", err))
	case errors.As(err, &path):
		return fail(exIOErr, err)
	}
	return fail(exDataErr, err)
}

// rootOf is the root above a CA, or the CA itself.
func rootOf(c authority) *x509.Certificate {
	chain := c.Chain()
	return chain[len(chain)-1]
}
