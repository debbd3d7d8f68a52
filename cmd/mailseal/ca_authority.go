package main

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/control"
)

// An authority is a CA that is asked: in its folder, or the daemon that has its
// key.
type authority interface {
	Certificate() *x509.Certificate
	Chain() []*x509.Certificate
	Summary() (ca.Summary, error)
	List(ca.Query) ([]ca.Record, error)
	Show(serial string) (ca.Shown, error)
	Preview(ca.Request) (ca.Preview, error)
	Issue(ca.Request) (*ca.Issued, error)
	Renew(ca.Renewal) (*ca.Issued, error)
	Revoke(ca.Revocation) (ca.Record, error)
	IssueCRL(ca.CRLOptions) (*ca.CRL, error)
	RenewCRL(by string) (*ca.CRL, error)
	CRL() (*ca.CRL, error)
	CRLDue() (time.Time, error)
}

var (
	_ authority = (*ca.CA)(nil)
	_ authority = (*control.Client)(nil)
)

// answering is how long a daemon may take to say that it is there.
const answering = 10 * time.Second

// daemon is the daemon of the configuration, nil where none runs, or where the
// folder is named: then the command works there, under the same lock.
func (f *caFlags) daemon() (authority, error) {
	if f.socket == "" {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), answering)
	defer cancel()
	c, err := control.Connect(ctx, f.socket, f.owners()...)
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, control.ErrNotRunning):
		return nil, nil
	case errors.Is(err, fs.ErrPermission), errors.Is(err, control.ErrForbidden):
		return nil, fail(exNoPerm, err)
	}
	return nil, fail(exUnavailable, err)
}

// owners are whom the daemon may run as: root, we, or who has the folder.
func (f *caFlags) owners() []int {
	of := []int{0, os.Geteuid()}
	if info, err := os.Stat(f.dir); err == nil {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			of = append(of, int(stat.Uid))
		}
	}
	return of
}

// look is the CA for what needs no key.
func (f *caFlags) look() (authority, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if c, err := f.daemon(); c != nil || err != nil {
		return c, err
	}
	return f.lookInFolder()
}

// open is the CA with its key.
func (f *caFlags) open(env Env) (authority, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if c, err := f.daemon(); c != nil || err != nil {
		return c, err
	}
	return f.openFolder(env)
}
