package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"mailseal/certmgr"
	"mailseal/certmgr/ca"
	"mailseal/certmgr/control"
	"mailseal/certmgr/install"
	"mailseal/certmgr/notice"
	"mailseal/certmgr/probe"
	"mailseal/internal/config"
)

// keeperConfig is what a keeper of the configuration's targets is made from, but
// for its log. Its CA is the one that connector finds. The errors say where in the
// file they are.
func keeperConfig(c *config.Config, env Env) (certmgr.Config, error) {
	k := certmgr.Config{State: c.Certmgr.State, Poll: c.Certmgr.Poll}
	var errs []error
	needsCA := false
	for i := range c.Targets {
		t, err := target(c, i)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		k.Targets = append(k.Targets, t)
		needsCA = needsCA || t.Issuer == install.ByCA
	}
	errs = append(errs, separate(c, k.Targets))
	if needsCA {
		k.Connect = connector(c, env)
	}
	if c.Notify.Admin != "" && len(c.Targets) > 0 {
		k.Notify = notice.Mail{Admin: c.Notify.Admin, Server: c.Notify.Server, Host: c.Targets[0].Hosts[0]}.Send
	}
	return k, errors.Join(errs...)
}

// target is one of the configuration's.
func target(c *config.Config, i int) (certmgr.Target, error) {
	from := c.Targets[i]
	layout, err := install.LayoutOf(from.Server, from.Dir, install.Choices{
		Owner: from.Owner, Group: from.Group, Files: from.Files, DH: from.DH,
		Public: from.Bundle == "ca+system", Bundle: from.SystemBundle, SNI: from.SNI,
	})
	if err != nil {
		return certmgr.Target{}, c.AtTarget(i, layoutKey(err), err)
	}
	if layout.Reload = cmp.Or(from.Reload, layout.Reload); layout.Reload == "none" {
		layout.Reload = ""
	}
	kind, err := ca.ParseKeyKind(from.Key)
	if err != nil {
		return certmgr.Target{}, c.AtTarget(i, "key", err)
	}
	t := certmgr.Target{
		Target: install.Target{Name: from.Name, Hosts: from.Hosts, Layout: layout, Issuer: install.Origin(from.Issuer), From: from.From},
		Server: from.Server, Reload: layout.Reload, Key: kind, Days: from.Days,
	}
	urls := from.Probe
	if urls == nil {
		urls = layout.Probes
	}
	var errs []error
	for n, s := range urls {
		u, err := probe.Parse(s)
		if err != nil {
			errs = append(errs, c.AtTarget(i, "probe", err, n))
		}
		t.Probes = append(t.Probes, u)
	}
	return t, errors.Join(errs...)
}

// layoutKey is the key that an error of LayoutOf begins with, behind the server.
func layoutKey(err error) string {
	_, text, _ := strings.Cut(err.Error(), ": ")
	for _, key := range []string{"owner", "group", "files", "dh", "sni"} {
		if strings.HasPrefix(text, key+":") {
			return key
		}
	}
	return "server"
}

// separate finds targets that write the same file.
func separate(c *config.Config, targets []certmgr.Target) error {
	if len(targets) < len(c.Targets) {
		return nil // they have other errors first
	}
	first := make(map[string]string)
	for i, t := range targets {
		for _, f := range t.Files {
			if other, taken := first[f.Path]; taken {
				return c.AtTarget(i, "dir", fmt.Errorf("%s would be a file of the target %q too; want another folder, or files", f.Path, other))
			}
		}
		for _, f := range t.Files {
			first[f.Path] = t.Name
		}
	}
	return nil
}

// connector finds the CA: the daemon, or where none runs the folder, whose key is
// opened when it is needed.
func connector(c *config.Config, env Env) func(context.Context) (certmgr.Authority, error) {
	f := caFlags{dir: c.CA.Dir}
	folder := &lazyCA{open: func() (*ca.CA, error) { return openCA(env, c.CA.Dir, c.CA.PassphraseFile) }}
	return func(ctx context.Context) (certmgr.Authority, error) {
		client, err := control.Connect(ctx, c.CA.Socket, f.owners()...)
		switch {
		case err == nil:
			return client, nil
		case !errors.Is(err, control.ErrNotRunning):
			return nil, err
		case c.CA.Dir == "":
			return nil, fmt.Errorf("%w; set ca.dir to a CA on this host, or have certmgr run where there is one", err)
		}
		look, err := ca.Open(c.CA.Dir, ca.OpenOptions{WithoutKey: true})
		if err != nil {
			return nil, err
		}
		return &withKey{look, folder}, nil
	}
}

// A lazyCA is a CA whose key is opened once, when somebody needs it.
type lazyCA struct {
	mu     sync.Mutex
	open   func() (*ca.CA, error)
	opened *ca.CA
}

func (l *lazyCA) get() (*ca.CA, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.opened != nil {
		return l.opened, nil
	}
	var err error
	l.opened, err = l.open()
	return l.opened, err
}

// withKey is a CA without its key, but for what needs it.
type withKey struct {
	*ca.CA
	key *lazyCA
}

func (w *withKey) Issue(r ca.Request) (*ca.Issued, error) {
	c, err := w.key.get()
	if err != nil {
		return nil, err
	}
	return c.Issue(r)
}

func (w *withKey) RenewCRL(by string) (*ca.CRL, error) {
	c, err := w.key.get()
	if err != nil {
		return nil, err
	}
	return c.RenewCRL(by)
}

// webHosts are the hosts that the web may have certificates for.
func webHosts(c *config.Config) []string {
	hosts := slices.Clone(c.CA.WebHosts)
	for _, t := range c.Targets {
		hosts = append(hosts, t.Hosts...)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// guardedState refuses a state folder that others could exchange, as far as it is
// there.
func guardedState(c *config.Config) error {
	if err := guardedAsFar(c.Certmgr.State); err != nil {
		return c.At("certmgr.state", err)
	}
	return nil
}
