package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"mailseal/certmgr"
	"mailseal/certmgr/install"
	"mailseal/internal/config"
)

// newKeeper makes a keeper of the configuration's targets, whose CA is ours.
func (m *certmgrDaemon) newKeeper(c *config.Config) (*certmgr.Keeper, error) {
	conf, err := keeperConfig(c, m.env)
	if err != nil {
		return nil, fail(exConfig, err)
	}
	if conf.Connect != nil && c.CA.Dir != "" {
		conf.Connect = func(context.Context) (certmgr.Authority, error) {
			a, err := m.authority(c, m.env)
			if a == nil {
				return nil, err
			}
			return a, nil
		}
	}
	if c.CA.Dir != "" { // `ca renew -ca` and openssl work there, and tell nobody
		conf.Authority = []string{filepath.Join(c.CA.Dir, "cacert.pem"), filepath.Join(c.CA.Dir, "crl.pem")}
	}
	conf.Log = m.log
	k, err := certmgr.New(conf)
	if err != nil {
		return nil, fail(exConfig, err)
	}
	return k, nil
}

// keep has a keeper run until the context ends, and another one from when the
// configuration has changed.
func (m *certmgrDaemon) keep(ctx context.Context) {
	for ctx.Err() == nil {
		running, cancel := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if err := m.keeper.Load().Run(running); err != nil {
				m.log.Error("cannot keep certificates", "error", err)
				<-running.Done()
			}
		}()
		select {
		case k := <-m.next:
			m.keeper.Store(k)
		case <-ctx.Done():
		}
		cancel()
		<-ended
	}
}

// exchange has another keeper run.
func (m *certmgrDaemon) exchange(ctx context.Context, k *certmgr.Keeper) {
	select {
	case m.next <- k:
	case <-ctx.Done():
	}
}

// exToDo is the status of -plan where something is to be done.
const exToDo = 1

// plan prints what would be done.
func (m *certmgrDaemon) plan(ctx context.Context, asJSON bool) error {
	c, err := loadHostConfig(m.name)
	if err != nil {
		return err
	}
	if len(c.Targets) == 0 {
		return failf(exConfig, "%s has no [[target]], so there is nothing to plan", m.name)
	}
	conf, err := keeperConfig(c, m.env)
	if err != nil {
		return fail(exConfig, err)
	}
	k, err := certmgr.New(conf)
	if err != nil {
		return fail(exConfig, err)
	}
	plans, failed := k.Plan(ctx)
	if err := printPlans(plans, asJSON, m.env); err != nil {
		return fail(exIOErr, err)
	}
	if failed != nil {
		return fail(exTempFail, failed)
	}
	if slices.ContainsFunc(plans, func(p install.Plan) bool { return !p.Done() || len(p.Findings) > 0 }) {
		return fail(exToDo, nil)
	}
	return nil
}

func printPlans(plans []install.Plan, asJSON bool, env Env) error {
	if asJSON {
		return writeJSON(env.Stdout, plans)
	}
	var errs []error
	for _, p := range plans {
		errs = append(errs, p.Print(env.Stdout))
	}
	return errors.Join(errs...)
}
