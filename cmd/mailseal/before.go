package main

import (
	"fmt"
	"net"

	"mailseal/internal/config"
	"mailseal/internal/gateway"
	"mailseal/internal/spool"
	"mailseal/milter"
)

// before is what the MTA asks before any other milter, on a socket of its own.
type before struct {
	server *milter.Server
	ln     net.Listener // one of the daemon's
}

// makeBefore makes it, if there is to be one.
func (d *daemon) makeBefore(g *gateway.Gateway, store *spool.Store) error {
	c := d.conf.Milter
	if c.BeforeSocket == "" {
		return nil
	}
	if err := checkBefore(d.conf); err != nil {
		return fail(exConfig, err)
	}
	s, err := milter.New(milter.Config{
		Handler: g.Before(), HeaderOnly: true, Spool: store, Log: d.log,
		MaxConnections: c.MaxConnections, Idle: c.IdleTimeout, Work: c.WorkTimeout,
	})
	if err != nil {
		return fail(exConfig, err)
	}
	d.before = &before{server: s}
	return nil
}

// checkBefore: who asks has to say by the socket what for.
func checkBefore(c *config.Config) error {
	if c.Milter.BeforeSocket != c.Milter.Socket {
		return nil
	}
	return c.At("milter.before_socket", fmt.Errorf("%s is milter.socket; want another", c.Milter.Socket))
}

// listenBefore opens its listener. systemd passes none for it.
func (d *daemon) listenBefore() error {
	if d.before == nil {
		return nil
	}
	c := d.conf.Milter
	ln, err := milter.Listen(c.BeforeSocket, milter.SocketOptions{Mode: c.SocketMode, Group: c.SocketGroup})
	if err != nil {
		for _, ln := range d.lns {
			ln.Close()
		}
		return fail(exUnavailable, d.flags.at(d.conf, "milter.before_socket", err))
	}
	d.before.ln, d.lns = ln, append(d.lns, ln)
	return nil
}

// serverOf is who answers on a listener.
func (d *daemon) serverOf(ln net.Listener) *milter.Server {
	if d.before != nil && ln == d.before.ln {
		return d.before.server
	}
	return d.server
}

func (d *daemon) servers() []*milter.Server {
	if d.before == nil {
		return []*milter.Server{d.server}
	}
	return []*milter.Server{d.before.server, d.server}
}
