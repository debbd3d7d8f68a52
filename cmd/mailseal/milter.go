package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mailseal/internal/config"
	"mailseal/internal/fetch"
	"mailseal/internal/metrics"
	"mailseal/internal/trust/source"
	"mailseal/milter"
)

func milterCommand() command {
	return command{
		name:  "milter",
		args:  "[-config|-x FILE] [-f] [-l] [-n] [-p SOCKET] [-P FILE] [-u USER[:GROUP]] [-v] [-V]",
		short: "the daemon that Postfix and sendmail connect to",
		long: `Answers MTAs until SIGTERM or SIGINT; then it finishes the mails that it has,
for half a minute at most, and exits with 0. A second signal ends it at once.
SIGHUP and SIGUSR1 read the configuration again; a wrong one is logged and the
old one stays. It runs in the foreground, as the user that owns the keys, and
takes its sockets from systemd when that passes any. The flags of one letter
mean what they mean to opendkim(8).`,
		signals: true,
		instead: notOurs,
		setup:   func(fs *flag.FlagSet) runner { return defineMilterFlags(fs).run },
	}
}

// drain is how long mails in work may take after SIGTERM. systemd kills after
// 90 s, rc.d never.
const drain = 30 * time.Second

// A daemon is the milter with what it was built from.
type daemon struct {
	service
	flags  milterFlags
	conf   *config.Config
	server *milter.Server
	before *milter.Server // nil: we do not stand before other milters
	lns    []listener
	// signers is how many identities the configuration in use has. It belongs
	// to reload.
	signers int
	// fetcher outlives configurations, with what it has got.
	fetcher *fetch.Fetcher
	// trust is what following begins with. Both are of the configuration in use:
	// they belong to run, and then to reload and stop.
	trust     *source.Watcher
	following follower

	counting *counting
}

// newDaemon builds all from the configuration, and listens.
func newDaemon(f milterFlags, env Env) (_ *daemon, err error) {
	d := &daemon{service: service{getenv: env.Getenv}, flags: f, counting: newCounting()}
	p, err := d.load()
	if err != nil {
		return nil, err
	}
	d.conf, d.signers, d.trust = p.conf, len(p.identities), p.trust
	if err := d.openLog(d.conf.Log, env); err != nil {
		return nil, fail(exUnavailable, d.flags.at(d.conf, "log.target", err))
	}
	defer func() {
		if err != nil {
			d.logTo.Close()
		}
	}()
	if err := os.MkdirAll(d.conf.State, 0o700); err != nil {
		return nil, fail(exConfig, d.conf.At("state", err))
	}
	store, err := p.inSpool(d.conf.State)
	if err != nil {
		return nil, fail(exConfig, d.conf.At("state", err))
	}
	d.fetcher = newFetcher(d.conf, false, d.log)
	p.fetches(d.fetcher)
	handler, err := p.gateway(d.conf.State, d.log)
	if err != nil {
		return nil, fail(exConfig, d.conf.At("state", err))
	}
	d.server, err = milter.New(milter.Config{
		Handler: fetching{handler, d.fetcher}, Spool: store, Log: d.log, Meter: d.counting,
		MaxConnections: d.conf.Milter.MaxConnections, Idle: d.conf.Milter.IdleTimeout, Work: d.conf.Milter.WorkTimeout,
	})
	if err != nil {
		return nil, fail(exConfig, err)
	}
	if err := d.makeBefore(handler, store); err != nil {
		return nil, err
	}
	d.counting.Watch(metrics.Milter, d.server)
	if d.before != nil {
		d.counting.Watch(metrics.Before, d.before)
	}
	d.counting.WatchLog(d.logTo)
	d.counting.Identities(p.identities)
	return d, d.listen()
}

// load builds what can be built again while the daemon runs.
func (d *daemon) load() (*parts, error) {
	c, err := loadConfig(d.flags.config)
	if err != nil {
		return nil, err
	}
	d.flags.over(c)
	p, err := collect(c)
	if err != nil {
		return nil, err
	}
	if len(p.exposed) > 0 {
		return nil, fail(exConfig, errors.Join(p.exposed...))
	}
	p.meter, p.usage = d.counting, d.counting.spool
	return p, nil
}

// A listener is a socket, and who answers there.
type listener struct {
	net.Listener
	server *milter.Server
}

// listen opens all sockets but those that systemd passes, or none.
func (d *daemon) listen() (err error) {
	defer func() {
		if err != nil {
			for _, ln := range d.lns {
				ln.Close()
			}
		}
	}()
	if err := d.takePassed(); err != nil {
		return err
	}
	c := d.conf.Milter
	for _, s := range []struct {
		key, socket string
		server      *milter.Server
	}{
		{"milter.socket", c.Socket, d.server},
		{"milter.before_socket", c.BeforeSocket, d.before},
	} {
		if s.server == nil || slices.ContainsFunc(d.lns, func(ln listener) bool { return ln.server == s.server }) {
			continue
		}
		ln, err := milter.Listen(s.socket, milter.SocketOptions{Mode: c.SocketMode, Group: c.SocketGroup, Log: d.log})
		if err != nil {
			return fail(exUnavailable, d.flags.at(d.conf, s.key, err))
		}
		d.lns = append(d.lns, listener{ln, s.server})
	}
	return d.listenMetrics()
}

// takePassed takes the sockets that systemd passes, each for the server that
// its name is for.
func (d *daemon) takePassed() error {
	all, err := activated(d.getenv)
	if err != nil {
		return fail(exOSErr, err)
	}
	for _, p := range all {
		server := d.server
		if p.name == beforeName {
			server = d.before
		}
		d.lns = append(d.lns, listener{p.Listener, server})
	}
	if slices.ContainsFunc(d.lns, func(ln listener) bool { return ln.server == nil }) {
		// To serve it as milter.socket would be worse than not to start: other
		// milters stand behind it.
		return failf(exConfig, "systemd passes the socket %q of mailseal-milter-before.socket; set milter.before_socket, or disable that unit", beforeName)
	}
	return nil
}

func (d *daemon) servers() []*milter.Server {
	if d.before == nil {
		return []*milter.Server{d.server}
	}
	return []*milter.Server{d.before, d.server}
}

// run serves until the context ends, and reads the configuration again as
// often as asked.
func (d *daemon) run(ctx context.Context, again <-chan os.Signal) error {
	defer d.logTo.Close() // with nowhere to tell an error
	v := readVersion()
	d.log.Info("starting", "version", v.Version, "revision", v.Revision, "config", d.flags.config)
	g, ctx := errgroup.WithContext(ctx)
	for _, ln := range d.lns {
		key := "socket"
		if ln.server == d.before {
			key = "before_socket"
		}
		d.log.Info("listening", key, ln.Addr().String())
		g.Go(func() error {
			if err := ln.server.Serve(ln); !errors.Is(err, milter.ErrServerClosed) {
				return fail(exOSErr, fmt.Errorf("serve %s: %w", ln.Addr(), err))
			}
			return nil
		})
	}
	d.serveMetrics(g)
	d.following = follow(d.trust, d.log)
	g.Go(func() error {
		for {
			select {
			case <-again:
				d.reload()
			case <-ctx.Done():
				return d.stop()
			}
		}
	})
	d.tell("READY=1", "STATUS=listening")
	g.Go(func() error { d.watched(ctx, d.answers); return nil })
	return g.Wait()
}

func (d *daemon) stop() error {
	d.tell("STOPPING=1", "WATCHDOG=1") // the last: sockets that are closed do not answer
	d.log.Info("stopping", "open", d.server.Stats().Open)
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	var ending sync.WaitGroup
	for _, s := range d.servers() {
		ending.Go(func() {
			if err := s.Shutdown(ctx); err != nil {
				d.log.Warn("cut off", "error", err)
			}
		})
	}
	ending.Wait()
	d.following.stop()
	d.fetcher.Close()
	d.stopMetrics()
	d.log.Info("stopped", "messages", d.server.Stats().Messages)
	return nil
}

// reload builds anew. Only when all of it can be built does it take over:
// mails in work end with the old one.
func (d *daemon) reload() {
	d.tell(reloading()...)
	defer d.tell("READY=1")
	p, err := d.load()
	if err == nil {
		err = d.vanished(p)
	}
	if err == nil {
		p.fetches(d.fetcher)
		handler, gerr := p.gateway(d.conf.State, d.log)
		if err = gerr; err == nil {
			d.fetcher.Use(fetchSettings(p.conf))
			d.server.SetHandler(fetching{handler, d.fetcher})
			if d.before != nil {
				d.before.SetHandler(handler.Before())
			}
			d.following.stop()
			d.following = follow(p.trust, d.log)
		}
	}
	d.counting.Reloaded(err)
	if err != nil {
		for _, e := range unjoin(err) {
			d.log.Error("kept the old configuration", "error", oneLine(e))
		}
		return
	}
	if keys := fixed(d.conf, p.conf); len(keys) > 0 {
		d.log.Warn("restart to change", "keys", keys)
	}
	d.counting.Identities(p.identities)
	d.signers = len(p.identities)
	d.level.Set(p.conf.Log.Level)
	d.log.Info("reloaded", "config", d.flags.config, "identities", len(p.identities), "anchors", p.anchors())
}

// vanished is an error when there were identities and are none: that is how a
// folder looks which is not mounted, and all mail would leave unsigned until
// somebody notices.
func (d *daemon) vanished(p *parts) error {
	if len(p.identities) > 0 || d.signers == 0 || !p.conf.SMIME.Sign {
		return nil
	}
	return fail(exConfig, p.conf.At("smime.identities",
		fmt.Errorf("no identity is left in %s; to sign no more, set sign = false or restart", p.conf.SMIME.Identities)))
}

// fixed are the keys that differ and are read at the start only.
func fixed(old, new *config.Config) []string {
	var keys []string
	for _, k := range []struct {
		name string
		same bool
	}{
		{"state", old.State == new.State},
		{"milter.socket", old.Milter.Socket == new.Milter.Socket},
		{"milter.before_socket", old.Milter.BeforeSocket == new.Milter.BeforeSocket},
		{"milter.socket_mode", old.Milter.SocketMode == new.Milter.SocketMode},
		{"milter.socket_group", old.Milter.SocketGroup == new.Milter.SocketGroup},
		{"milter.max_message_size", old.Milter.MaxMessageSize == new.Milter.MaxMessageSize},
		{"milter.max_connections", old.Milter.MaxConnections == new.Milter.MaxConnections},
		{"milter.spool_memory", old.Milter.SpoolMemory == new.Milter.SpoolMemory},
		{"milter.idle_timeout", old.Milter.IdleTimeout == new.Milter.IdleTimeout},
		{"milter.work_timeout", old.Milter.WorkTimeout == new.Milter.WorkTimeout},
		{"metrics.listen", old.Metrics.Network == new.Metrics.Network && old.Metrics.Address == new.Metrics.Address},
		{"metrics.socket_mode", old.Metrics.SocketMode == new.Metrics.SocketMode},
		{"metrics.socket_group", old.Metrics.SocketGroup == new.Metrics.SocketGroup},
		{"log.target", old.Log.Syslog == new.Log.Syslog},
	} {
		if !k.same {
			keys = append(keys, k.name)
		}
	}
	return slices.Clip(keys)
}
