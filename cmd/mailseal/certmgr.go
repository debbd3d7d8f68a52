package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"mailseal/certmgr"
	"mailseal/certmgr/ca"
	"mailseal/certmgr/control"
	"mailseal/certmgr/edition"
	"mailseal/internal/config"
)

func certmgrCommand() command {
	return command{
		name:  "certmgr",
		args:  "[-config FILE] [-once | -plan [-json] | -repair]",
		short: "the daemon that keeps servers' certificates right, and has the CA's key",
		long: `Keeps the keys, certificates, CAs and lists of each [[target]] right: makes what
is missing or near its end, installs it, tells the server, and connects to see it
served; what a server does not come up with is taken back. Owns the key of the
private CA: answers mailseal ca and mailseal web on its Unix socket, by who asks,
and makes a new CRL and OCSP answers in time. The passphrase is that of
ca.passphrase_file, of systemd's credential ca.pass, or typed. SIGHUP reads the
configuration again. Whoever could change the configuration could have commands
run: so it has to be root's, with the folders above it.

-once does what is due and exits, with 0 when all is right, with 75 when not.
-plan prints what that would do, and changes nothing: 0 nothing, 1 something.
-repair ends an installation that was cut short, and exits; before servers start.`,
		signals: true,
		setup: func(fs *flag.FlagSet) runner {
			name := fs.String("config", defaultConfig(), "configuration `FILE`")
			once := fs.Bool("once", false, "do what is due, and exit")
			plan := fs.Bool("plan", false, "print what would be done about the servers' files, and exit")
			asJSON := fs.Bool("json", false, "print JSON, with -plan")
			repair := fs.Bool("repair", false, "end what a crash has cut short, and exit")
			return func(ctx context.Context, env Env) error {
				signal.Ignore(syscall.SIGPIPE) // who reads our log may go before us
				m := &certmgrDaemon{service: service{getenv: env.Getenv}, name: *name, env: env, wake: make(chan struct{}, 1)}
				switch {
				case *asJSON && !*plan, *once && *plan, *repair && (*once || *plan):
					return failf(exUsage, "-once, -plan and -repair exclude each other, and -json belongs to -plan")
				case *repair:
					return m.repair()
				case *plan:
					return m.plan(ctx, *asJSON)
				case *once:
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

// A certmgrDaemon keeps servers' certificates right, and has the CA's key where
// there is a CA.
type certmgrDaemon struct {
	service
	name    string // of the configuration
	env     Env
	conf    *config.Config
	ca      *ca.CA                // nil: there is none
	now     atomic.Pointer[ca.CA] // the same, for other goroutines
	press   *edition.Press
	server  *control.Server
	ln      net.Listener
	socket  atomic.Pointer[string] // its path, from when it answers
	opening sync.Mutex
	wake    chan struct{} // something has changed
	keeper  atomic.Pointer[certmgr.Keeper]
	next    chan *certmgr.Keeper // takes the place of the one that runs
	trouble
}

// load reads the configuration.
func (m *certmgrDaemon) load() (*config.Config, error) {
	c, err := loadHostConfig(m.name)
	if err != nil {
		return nil, err
	}
	if err := guarded(m.name); err != nil {
		return nil, fail(exNoPerm, err)
	}
	if len(c.Targets) > 0 {
		if err := guardedState(c); err != nil {
			return nil, fail(exNoPerm, err)
		}
	}
	if c.CA.Dir == "" && len(c.Targets) == 0 {
		return nil, fail(exConfig, c.At("ca.dir", errors.New(`no folder of a CA, and no [[target]]; set it, as "/etc/mail/CA", or say which servers there are`)))
	}
	return c, nil
}

// start opens all there is. What a crash has cut short is ended before anything
// else: servers wait for it.
func (m *certmgrDaemon) start() (err error) {
	if m.conf, err = m.load(); err != nil {
		return err
	}
	if err := m.openLog(m.conf.Log, m.env); err != nil {
		return fail(exUnavailable, m.conf.At("log.target", err))
	}
	k, err := m.newKeeper(m.conf)
	if err != nil {
		return err
	}
	m.keeper.Store(k)
	if err := k.Repair(); errors.Is(err, certmgr.ErrState) {
		return fail(exNoPerm, m.conf.At("certmgr.state", err))
	} // else it is logged, and tried again
	return nil
}

// once does what is due. The servers come first: most of what they need can be
// done without the CA.
func (m *certmgrDaemon) once(ctx context.Context) error {
	if err := m.start(); err != nil {
		return err
	}
	defer m.logTo.Close()
	_, failed := m.keeper.Load().Once(ctx)
	err := m.openAuthority(m.env)
	if err == nil && m.ca != nil {
		err = caError(m.renewCRL(ctx))
	}
	if err == nil && failed != nil {
		return fail(exTempFail, failed)
	}
	return errors.Join(err, failed)
}

// run serves until the context ends.
func (m *certmgrDaemon) run(ctx context.Context, again <-chan os.Signal) error {
	if err := m.start(); err != nil {
		return err
	}
	defer m.logTo.Close()
	v := readVersion()
	m.log.Info("starting", "version", v.Version, "revision", v.Revision, "config", m.name, "ca", m.conf.CA.Dir, "targets", len(m.conf.Targets))
	g, ctx := errgroup.WithContext(ctx)
	if err := m.openAuthority(m.env); err != nil {
		if len(m.conf.Targets) == 0 {
			return err
		}
		m.complain(m.log, "cannot open the CA", err) // most of what servers need can be done without
	}
	m.env.Stdin = nil // nobody types from here on
	if m.ca != nil {
		if err := m.serve(ctx, g); err != nil {
			return err
		}
	}
	m.next = make(chan *certmgr.Keeper)
	g.Go(func() error { m.keep(ctx); return nil })
	g.Go(func() error { return m.work(ctx, g, again) })
	g.Go(func() error {
		<-ctx.Done()
		m.tell("STOPPING=1", "WATCHDOG=1")
		m.log.Info("stopping")
		return nil
	})
	g.Go(func() error { m.watched(ctx, m.answers); return nil })
	m.tell("READY=1", "STATUS=listening")
	err := g.Wait()
	m.log.Info("stopped")
	return err
}

// serve answers on the socket until the context ends.
func (m *certmgrDaemon) serve(ctx context.Context, g *errgroup.Group) error {
	state, err := m.state(m.conf)
	if err != nil {
		return err
	}
	if err := m.listen(); err != nil {
		return err
	}
	socket := m.ln.Addr().String()
	m.log.Info("listening", "socket", socket)
	server := control.New(control.Config{State: state, Changed: m.changed, Log: m.log})
	m.server = server
	g.Go(func() error {
		if err := server.Serve(m.ln); err != nil {
			return fail(exOSErr, fmt.Errorf("serve %s: %w", socket, err))
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.Background(), drain)
		defer cancel()
		server.Stop(stop)
		return nil
	})
	m.socket.Store(&socket)
	return nil
}

// changed has what follows from a change done soon.
func (m *certmgrDaemon) changed() {
	m.keeper.Load().Changed()
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
func (m *certmgrDaemon) work(ctx context.Context, g *errgroup.Group, again <-chan os.Signal) error {
	t := time.NewTicker(lookAtFolder)
	defer t.Stop()
	for {
		if m.ca != nil {
			m.due(ctx)
		} else if m.conf.CA.Dir != "" {
			if err := m.openLate(ctx, g); err != nil {
				return err
			}
		}
		select {
		case <-t.C:
		case <-m.wake:
		case <-again:
			m.reload(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// reload reads the configuration again, and opens the CA again if nobody has to
// type for it.
func (m *certmgrDaemon) reload(ctx context.Context) {
	m.tell(reloading()...)
	defer m.tell("READY=1")
	c, err := m.load()
	restart := false
	if err == nil && (c.CA.Dir != m.conf.CA.Dir || c.CA.Socket != m.conf.CA.Socket || c.Log.Syslog != m.conf.Log.Syslog) {
		restart = true
		c.CA.Dir, c.CA.Socket, c.Log.Syslog = m.conf.CA.Dir, m.conf.CA.Socket, m.conf.Log.Syslog
	}
	var state control.State
	if err == nil && m.ca != nil {
		state, err = m.state(c)
	}
	var k *certmgr.Keeper
	if err == nil {
		k, err = m.newKeeper(c)
	}
	if err != nil {
		for _, e := range unjoin(err) {
			m.log.Error("kept the old configuration", "error", oneLine(e))
		}
		return
	}
	if restart {
		m.log.Warn("restart to change", "keys", "ca.dir, ca.socket, log.target")
	}
	if m.ca != nil {
		if opened, err := m.reopen(c); err != nil {
			m.log.Warn("kept the CA as it was opened", "error", oneLine(err))
		} else if !opened.Certificate().Equal(m.ca.Certificate()) {
			m.ca, m.press = opened, edition.NewPress(nil)
			state.CA, state.Press = m.ca, m.press
			m.now.Store(m.ca)
		}
		m.server.Use(state)
	}
	m.conf = c
	m.level.Set(c.Log.Level)
	m.exchange(ctx, k)
	m.log.Info("reloaded", "config", m.name)
}
