package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"

	"mailseal/internal/config"
	"mailseal/internal/gateway"
	"mailseal/internal/keystore"
	"mailseal/internal/pki"
	"mailseal/internal/policy"
	"mailseal/internal/spool"
	"mailseal/internal/trust/revocation"
	"mailseal/internal/trust/source"
	"mailseal/internal/verdict"
	"mailseal/smime"
)

func defaultConfig() string { return config.DefaultPath(runtime.GOOS) }

// loadConfig reads a configuration for mail.
func loadConfig(name string) (*config.Config, error) {
	c, err := loadHostConfig(name)
	if err != nil {
		return nil, err
	}
	if err := c.ForMail(); err != nil {
		return nil, fail(exConfig, err)
	}
	return c, nil
}

// loadHostConfig reads a configuration that may be about certificates alone.
func loadHostConfig(name string) (*config.Config, error) {
	c, err := config.Load(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; write it, or name another file with -config", err)
	}
	if err != nil {
		return nil, fail(exConfig, err)
	}
	return c, nil
}

// parts are what a configuration is built into. The milter, filter and check
// all build by the same steps, so that what check says is what the milter does.
type parts struct {
	conf       *config.Config
	identities []pki.Identity
	trust      *source.Watcher
	holdings   []source.Holding // of trust, as it was opened
	signers    *verdict.Mapping
	// exposed are key files that others than their owner may read: commands
	// warn of them, the daemon refuses them.
	exposed []error
	// meter and usage are told what becomes of mails; nobody is, if nil.
	meter gateway.Meter
	usage *spool.Usage
	// fetch gets CRLs and OCSP answers; nil: nobody does.
	fetch revocation.Fetcher
}

// collect reads the files that the configuration names. Its error has the
// place of each that is wrong.
func collect(c *config.Config) (*parts, error) {
	p := &parts{conf: c}
	var errs []error
	ids, err := pki.ReadIdentities(c.SMIME.Identities)
	if errors.Is(err, fs.ErrNotExist) && !c.IsSet("smime.identities") {
		err = nil // the default folder need not be there
	}
	for _, e := range unjoin(err) {
		if e != nil {
			errs = append(errs, c.At("smime.identities", e))
		}
	}
	p.identities = ids
	for _, id := range ids {
		for _, name := range id.Files {
			if err := pki.CheckKeyMode(name); err != nil {
				p.exposed = append(p.exposed, c.At("smime.identities", err))
			}
		}
	}
	var wrong []error
	p.trust, wrong = openTrust(c)
	p.holdings = p.trust.Holdings()
	errs = append(errs, wrong...)
	if name := c.SMIME.Signers; name != "" {
		if p.signers, err = verdict.LoadMapping(name); err != nil {
			errs = append(errs, c.At("smime.signers", err))
		}
	}
	if len(errs) > 0 {
		return p, fail(exConfig, errors.Join(errs...))
	}
	return p, nil
}

// Spools: that of the bodies which come in is bounded by the greatest mail.
// What is made of one is larger, base64 by a third, so its spool has room for
// more than one mail of that size, and still a bound.
func (p *parts) inSpool(dir string) (*spool.Store, error) {
	return spool.New(spool.Config{Dir: dir, Memory: int64(p.conf.Milter.SpoolMemory), Limit: int64(p.conf.Milter.MaxMessageSize), Usage: p.usage})
}

func (p *parts) outSpool(dir string) (*spool.Store, error) {
	return spool.New(spool.Config{Dir: dir, Memory: int64(p.conf.Milter.SpoolMemory), Limit: 4 * int64(p.conf.Milter.MaxMessageSize), Usage: p.usage})
}

// verifySettings are what signatures are judged by.
func (p *parts) verifySettings() verdict.Settings {
	s := p.conf.SMIME
	return verdict.Settings{UseSender: s.UseSender, IgnoreLocalCase: s.IgnoreLocalCase, WeakFails: s.WeakFails, Mapping: p.signers}
}

// gateway builds what decides on mails. Its own files go to dir.
func (p *parts) gateway(dir string, log *slog.Logger) (*gateway.Gateway, error) {
	c := p.conf
	store, err := p.outSpool(dir)
	if err != nil {
		return nil, err
	}
	format := smime.Detached
	if c.SMIME.Opaque {
		format = smime.Opaque
	}
	p.judge() // by now it is known whether anything is fetched
	conf := gateway.Config{
		AuthservID: c.AuthservID,
		Policy: &policy.Set{
			LocalDomains:  c.LocalDomains,
			InternalHosts: c.InternalHosts,
			Logins:        c.Logins,
			LoginDomain:   c.Milter.LoginDomain,
			Sign:          c.SMIME.Sign,
		},
		Identities:     keystore.NewIdentities(p.identities),
		Anchors:        p.trust,
		Verify:         p.verifySettings(),
		Spool:          store,
		Sign:           smime.SignOptions{Format: format, Digest: c.SMIME.Digest, PSS: c.SMIME.PSS, Protect: c.SMIME.HeaderProtection},
		EarlierMilters: c.Milter.EarlierMilters,
		OnError:        c.Milter.OnError,
		Log:            log,
		Meter:          p.meter,
	}
	p.inbound(&conf)
	g, err := gateway.New(conf)
	if err != nil {
		return nil, fmt.Errorf("build the gateway: %w", err)
	}
	return g, nil
}
