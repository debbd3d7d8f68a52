package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/control"
	"mailseal/certmgr/edition"
	"mailseal/internal/config"
	"mailseal/internal/pki"
	"mailseal/milter"
)

func certmgrCommand() command {
	return command{
		name:  "certmgr",
		args:  "[-config FILE] [-once]",
		short: "the daemon that has the CA's key",
		long: `Owns the key of the private CA: answers mailseal ca and mailseal web on its Unix
socket, by who asks, and makes a new CRL and OCSP answers in time. The passphrase
is that of ca.passphrase_file, of systemd's credential ca.pass, or typed. SIGHUP
reads the configuration again. With -once it does what is due and exits. Whoever
could change the configuration could have certificates made: so it has to be
root's, with the folders above it.`,
		signals: true,
		setup: func(fs *flag.FlagSet) runner {
			name := fs.String("config", defaultConfig(), "configuration `FILE`")
			once := fs.Bool("once", false, "do what is due, and exit")
			return func(ctx context.Context, env Env) error {
				signal.Ignore(syscall.SIGPIPE) // who reads our log may go before us
				m := &certmgr{service: service{getenv: env.Getenv}, name: *name, env: env, wake: make(chan struct{}, 1)}
				if *once {
					return m.once(ctx)
				}
				again := make(chan os.Signal, 1)
				signal.Notify(again, syscall.SIGHUP)
				defer signal.Stop(again)
				return m.run(ctx, again)
			}
		},
	}
}

// A certmgr is the daemon that has the CA's key.
type certmgr struct {
	service
	name   string // of the configuration
	env    Env
	conf   *config.Config
	ca     *ca.CA
	press  *edition.Press
	server *control.Server
	ln     net.Listener
	wake   chan struct{} // something has changed
	trouble
}

// load reads the configuration.
func (m *certmgr) load() (*config.Config, error) {
	c, err := loadConfig(m.name)
	if err != nil {
		return nil, err
	}
	if err := guarded(m.name); err != nil {
		return nil, fail(exNoPerm, err)
	}
	if c.CA.Dir == "" {
		return nil, fail(exConfig, c.At("ca.dir", errors.New(`no folder of a CA; set it, as "/etc/mail/CA"`)))
	}
	return c, nil
}

// open opens the CA. What others could read or change is refused.
func (m *certmgr) open(env Env, c *config.Config) (*ca.CA, error) {
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

// start opens all there is.
func (m *certmgr) start() (err error) {
	if m.conf, err = m.load(); err != nil {
		return err
	}
	if m.ca, err = m.open(m.env, m.conf); err != nil {
		return err
	}
	if err := m.openLog(m.conf.Log, m.env); err != nil {
		return fail(exUnavailable, m.conf.At("log.target", err))
	}
	m.press = edition.NewPress(nil)
	return nil
}

// once does what is due.
func (m *certmgr) once(ctx context.Context) error {
	if err := m.start(); err != nil {
		return err
	}
	defer m.logTo.Close()
	return caError(m.renewCRL(ctx))
}

// run serves until the context ends.
func (m *certmgr) run(ctx context.Context, again <-chan os.Signal) error {
	if err := m.start(); err != nil {
		return err
	}
	defer m.logTo.Close()
	state, err := m.state(m.conf)
	if err != nil {
		return err
	}
	if err := m.listen(); err != nil {
		return err
	}
	m.server = control.New(control.Config{State: state, Changed: m.changed, Log: m.log})
	v := readVersion()
	m.log.Info("starting", "version", v.Version, "revision", v.Revision, "config", m.name, "ca", m.ca.Dir())
	m.log.Info("listening", "socket", m.ln.Addr().String())
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := m.server.Serve(m.ln); err != nil {
			return fail(exOSErr, fmt.Errorf("serve %s: %w", m.ln.Addr(), err))
		}
		return nil
	})
	g.Go(func() error { m.work(ctx, again); return nil })
	g.Go(func() error {
		<-ctx.Done()
		m.tell("STOPPING=1", "WATCHDOG=1")
		m.log.Info("stopping")
		stop, cancel := context.WithTimeout(context.Background(), drain)
		defer cancel()
		m.server.Stop(stop)
		return nil
	})
	g.Go(func() error { m.watched(ctx, m.answers); return nil })
	m.tell("READY=1", "STATUS=listening")
	err = g.Wait()
	m.log.Info("stopped")
	return err
}

// changed has what follows from a change done soon.
func (m *certmgr) changed() {
	select {
	case m.wake <- struct{}{}:
	default: // it will be done
	}
}

// look is how often the folder is looked at: openssl ca, or a command that
// works on the folder, tells nobody what it has done.
const lookAtFolder = time.Minute

// work does what is due, and reads the configuration again, until the context
// ends.
func (m *certmgr) work(ctx context.Context, again <-chan os.Signal) {
	t := time.NewTicker(lookAtFolder)
	defer t.Stop()
	for {
		m.due(ctx)
		select {
		case <-t.C:
		case <-m.wake:
		case <-again:
			m.reload()
		case <-ctx.Done():
			return
		}
	}
}

// due does what is due. What fails is tried again a minute later.
func (m *certmgr) due(ctx context.Context) {
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
func (m *certmgr) renewCRL(context.Context) error {
	list, err := m.ca.RenewCRL("certmgr")
	if err != nil || list == nil {
		return err
	}
	m.log.Info("crl", "number", fmt.Sprintf("%X", list.Number), "revoked", list.Revoked, "next_update", list.NextUpdate.UTC().Format(time.RFC3339))
	return nil
}

// reload reads the configuration again, and opens the CA again if nobody has to
// type for it.
func (m *certmgr) reload() {
	m.tell(reloading()...)
	defer m.tell("READY=1")
	c, err := m.load()
	var state control.State
	if err == nil {
		state, err = m.state(c)
	}
	if err != nil {
		for _, e := range unjoin(err) {
			m.log.Error("kept the old configuration", "error", oneLine(e))
		}
		return
	}
	if c.CA.Dir != m.conf.CA.Dir || c.CA.Socket != m.conf.CA.Socket || c.Log.Syslog != m.conf.Log.Syslog {
		m.log.Warn("restart to change", "keys", "ca.dir, ca.socket, log.target")
		c.CA.Dir, c.CA.Socket, c.Log.Syslog = m.conf.CA.Dir, m.conf.CA.Socket, m.conf.Log.Syslog
	}
	if opened, err := m.reopen(c); err != nil {
		m.log.Warn("kept the CA as it was opened", "error", oneLine(err))
	} else if !opened.Certificate().Equal(m.ca.Certificate()) {
		m.ca, m.press = opened, edition.NewPress(nil)
		state.CA, state.Press = m.ca, m.press
	}
	m.conf = c
	m.level.Set(c.Log.Level)
	m.server.Use(state)
	m.log.Info("reloaded", "config", m.name)
}

// reopen opens the CA without asking anybody.
func (m *certmgr) reopen(c *config.Config) (*ca.CA, error) {
	env := m.env
	env.Stdin = nil
	return m.open(env, c)
}

// state is what the server answers from.
func (m *certmgr) state(c *config.Config) (control.State, error) {
	s := control.State{CA: m.ca, Press: m.press, Web: -1, Hosts: c.CA.WebHosts}
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
func (m *certmgr) listen() error {
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
	if m.ln, err = milter.Listen("unix:"+m.conf.CA.Socket, o); err != nil {
		return fail(exUnavailable, m.conf.At("ca.socket", err))
	}
	return nil
}

// answers asks our socket as commands do.
func (m *certmgr) answers(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := control.Connect(ctx, m.ln.Addr().String())
	if err != nil {
		if unasked(err) {
			return nil
		}
		return err
	}
	c.Close()
	return nil
}
