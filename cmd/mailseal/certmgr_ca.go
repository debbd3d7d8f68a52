package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/control"
	"mailseal/certmgr/edition"
	"mailseal/internal/config"
	"mailseal/internal/pki"
	"mailseal/milter"
)

// open opens the CA. What others could read or change is refused.
func (m *certmgrDaemon) open(env Env, c *config.Config) (*ca.CA, error) {
	key := filepath.Join(c.CA.Dir, "private", "cakey.pem")
	for _, f := range []struct{ key, path string }{{"ca.dir", c.CA.Dir}, {"ca.dir", key}, {"ca.passphrase_file", c.CA.PassphraseFile}} {
		if f.path == "" {
			continue
		}
		err := ours(f.path)
		if err == nil && f.path != c.CA.Dir {
			err = pki.CheckKeyMode(f.path)
		}
		if errors.Is(err, fs.ErrNotExist) && f.path != c.CA.PassphraseFile {
			err = fmt.Errorf("%w; make a CA with mailseal ca init, or take one over with mailseal ca import", err)
		}
		if err != nil {
			return nil, fail(exConfig, c.At(f.key, err))
		}
	}
	return openCA(env, c.CA.Dir, c.CA.PassphraseFile)
}

// authority is our own CA, which is opened once, by who needs it first.
func (m *certmgrDaemon) authority(c *config.Config, env Env) (*ca.CA, error) {
	m.opening.Lock()
	defer m.opening.Unlock()
	if a := m.now.Load(); a != nil {
		return a, nil
	}
	a, err := m.open(env, c)
	if err != nil {
		return nil, err
	}
	m.now.Store(a)
	return a, nil
}

// openAuthority opens the CA, if there is one.
func (m *certmgrDaemon) openAuthority(env Env) error {
	if m.conf.CA.Dir == "" {
		return nil
	}
	a, err := m.authority(m.conf, env)
	if err != nil {
		return err
	}
	m.ca, m.press = a, edition.NewPress(nil)
	return nil
}

// openLate opens a CA that could not be opened at the start, and answers for it.
func (m *certmgrDaemon) openLate(ctx context.Context, g *errgroup.Group) error {
	err := m.openAuthority(m.env)
	m.complain(m.log, "cannot open the CA", err)
	if err != nil {
		return nil
	}
	if err := m.serve(ctx, g); err != nil {
		return err
	}
	m.due(ctx)
	m.keeper.Load().Changed()
	return nil
}

// due does what is due. What fails is tried again a minute later.
func (m *certmgrDaemon) due(ctx context.Context) {
	m.complain(m.log, "cannot make a CRL", m.renewCRL(ctx))
	done, err := m.press.Renew(ctx, m.ca, m.ca.Certificate().Raw)
	if ctx.Err() != nil {
		return
	}
	m.complain(m.log, "cannot make OCSP answers", err)
	if done.Signed > 0 {
		m.log.Info("ocsp answers", "signed", done.Signed, "answers", done.Answers, "without", done.Left)
	}
}

// renewCRL makes a new list if one is due.
func (m *certmgrDaemon) renewCRL(context.Context) error {
	list, err := m.ca.RenewCRL("certmgr")
	if err != nil || list == nil {
		return err
	}
	m.keeper.Load().Changed()
	m.log.Info("crl", "number", fmt.Sprintf("%X", list.Number), "revoked", list.Revoked, "next_update", list.NextUpdate.UTC().Format(time.RFC3339))
	return nil
}

// reopen opens the CA without asking anybody.
func (m *certmgrDaemon) reopen(c *config.Config) (*ca.CA, error) { return m.open(m.env, c) }

// state is what the server answers from.
func (m *certmgrDaemon) state(c *config.Config) (control.State, error) {
	s := control.State{CA: m.ca, Press: m.press, Web: -1, Hosts: webHosts(c)}
	u, err := webUser(c)
	if err != nil || u == nil {
		return s, err
	}
	if s.Web, err = strconv.Atoi(u.Uid); err != nil {
		return s, err
	}
	if s.Web == 0 || s.Web == os.Geteuid() {
		return s, fail(exConfig, c.At("ca.web_user", fmt.Errorf("certmgr runs with the rights of %s, who could then have everything from it; want another user", u.Username)))
	}
	return s, nil
}

// webUser is the user of the web, nil for none. The default one need not be
// there.
func webUser(c *config.Config) (*user.User, error) {
	if c.CA.WebUser == "" {
		return nil, nil
	}
	u, err := user.Lookup(c.CA.WebUser)
	if err != nil && !c.IsSet("ca.web_user") {
		return nil, nil
	}
	if err != nil {
		return nil, fail(exConfig, c.At("ca.web_user", fmt.Errorf("no user %q; make it, or set another, or \"\" for none", c.CA.WebUser)))
	}
	return u, nil
}

// listen takes the socket that systemd passes, or opens its own: for root, and
// for the group of the web.
func (m *certmgrDaemon) listen() error {
	all, err := activated(m.getenv)
	if err != nil {
		return fail(exOSErr, err)
	}
	if len(all) > 1 || len(all) == 1 && all[0].Addr().Network() != "unix" {
		return failf(exConfig, "systemd passes %d sockets; want one, of the kind of mailseal-certmgr.socket", len(all))
	}
	if len(all) == 1 {
		m.ln = all[0].Listener
		return nil
	}
	o := milter.SocketOptions{Mode: 0o600, Log: m.log}
	u, err := webUser(m.conf)
	if err != nil {
		return err
	}
	if u != nil {
		o.Mode, o.Group = 0o660, u.Gid
	}
	// The unit and the rc.d script make the folder; of an instance elsewhere, or one
	// that is started by hand, nobody has.
	if err := os.MkdirAll(filepath.Dir(m.conf.CA.Socket), 0o755); err != nil {
		return fail(exUnavailable, m.conf.At("ca.socket", err))
	}
	if m.ln, err = milter.Listen("unix:"+m.conf.CA.Socket, o); err != nil {
		return fail(exUnavailable, m.conf.At("ca.socket", err))
	}
	return nil
}

// answers asks our socket as commands do.
func (m *certmgrDaemon) answers(ctx context.Context, patience time.Duration) error {
	socket := m.socket.Load()
	if socket == nil {
		return nil // without a CA there is nobody to answer
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := control.Connect(ctx, *socket)
	if err != nil {
		if unasked(err) {
			return nil
		}
		return err
	}
	c.Close()
	return nil
}
