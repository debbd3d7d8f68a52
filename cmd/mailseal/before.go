package main

import (
	"fmt"

	"mailseal/internal/config"
	"mailseal/internal/gateway"
	"mailseal/internal/spool"
	"mailseal/milter"
)

// beforeName is what systemd calls a socket that stands before other milters:
// FileDescriptorName= in mailseal-milter-before.socket.
const beforeName = "before"

// makeBefore makes what the MTA asks before any other milter, on a socket of its
// own, if there is to be one.
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
	d.before = s
	return nil
}

// checkBefore: who asks has to say by the socket what for.
func checkBefore(c *config.Config) error {
	network, address, err := milter.ParseSocket(c.Milter.BeforeSocket)
	if err != nil { // "" is none; others the configuration refuses
		return nil
	}
	if n, a, err := milter.ParseSocket(c.Milter.Socket); err != nil || n != network || a != address {
		return nil
	}
	return c.At("milter.before_socket", fmt.Errorf("%s is milter.socket; want another", c.Milter.BeforeSocket))
}
