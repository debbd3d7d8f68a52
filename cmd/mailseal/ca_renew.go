package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"mailseal/certmgr/ca"
)

func caRenewCommand() command {
	return command{
		name: "ca renew",
		args: "[-config FILE | -dir DIR] -serial HEX [-same-key] [-csr FILE] [-key KIND] [-days N] [-memo TEXT] [-profile PROFILE] " +
			"[-ca] [-parent DIR] [-parent-passphrase-file FILE] [-passphrase-file FILE] [-yes] " + handOverArgs,
		short: "issue a certificate again, or the CA's own",
		long: `Issues a certificate again, with the same subject and names, and a new key unless
-same-key or -csr is given. The old one stays good: revoke it as superseded when
the new one is in its place. With -ca the CA gets a new certificate with its old
key and name, for everybody who trusts it to take before the old one ends.`,
		setup: func(fs *flag.FlagSet) runner {
			var n caRenew
			n.withKey(fs)
			fs.StringVar(&n.r.Serial, "serial", "", "which one: `HEX`")
			fs.BoolVar(&n.r.SameKey, "same-key", false, "for the same key, which whoever has it keeps")
			fs.StringVar(&n.csr, "csr", "", "for the key of the request in `FILE`")
			fs.Var(keyFlag{&n.r.Key}, "key", keyUsage)
			fs.IntVar(&n.r.Days, "days", 0, "how many days it is good: `N` (default by the profile)")
			fs.StringVar(&n.r.Memo, "memo", "", "`TEXT` to remember with it (default that of the old one)")
			fs.Var(profileFlag{&n.r.Profile}, "profile", "`PROFILE`, where the certificate does not show it")
			fs.BoolVar(&n.self, "ca", false, "renew the CA's own certificate")
			fs.StringVar(&n.parent, "parent", "", "the folder of the CA above it: `DIR`")
			fs.StringVar(&n.parentPass, "parent-passphrase-file", "", "the passphrase of its key is the first line of `FILE`")
			fs.BoolVar(&n.yes, "yes", false, "do not ask")
			n.handOver.define(fs)
			return func(_ context.Context, env Env) error {
				if n.self {
					return n.renewCA(env)
				}
				return n.renew(env)
			}
		},
	}
}

// A caRenew is one run of ca renew.
type caRenew struct {
	caFlags
	handOver
	r                       ca.Renewal
	csr, parent, parentPass string
	self, yes               bool
}

func (n *caRenew) renew(env Env) (err error) {
	switch {
	case n.r.Serial == "":
		return failf(exUsage, "no -serial; mailseal ca list shows them")
	case n.parent+n.parentPass != "":
		return failf(exUsage, "-parent is for -ca")
	}
	if err := n.check(); err != nil {
		return err
	}
	if err := n.prepare(env, n.r.SameKey || n.csr != ""); err != nil {
		return err
	}
	if n.r.CSR, err = n.readRequest(n.csr); err != nil {
		return err
	}
	c, err := n.open(env)
	if err != nil {
		return err
	}
	old, err := c.Show(n.r.Serial)
	if err != nil {
		return caError(err)
	}
	if n.place != nil && n.csr == "" {
		n.r.SameKey = true // of the file that it goes into
		if old.Certificate == nil {
			return failf(exDataErr, "the certificate %s is lost; issue another one", old.Serial)
		}
		if err := n.fits(old.Certificate.PublicKey); err != nil {
			return err
		}
	}
	if err := n.confirm(env, "Renew "+plain(old.Subject)+"?"); err != nil {
		return err
	}
	n.r.By = by()
	issued, err := c.Renew(n.r)
	if err != nil {
		return caError(err)
	}
	for _, w := range issued.Warnings {
		fmt.Fprintf(env.Stderr, "warning: %s\n", w)
	}
	return n.write(env, c, issued)
}

func (n *caRenew) confirm(env Env, question string) error {
	if n.yes {
		return nil
	}
	return agree(env, question)
}

func (n *caRenew) renewCA(env Env) error {
	if n.r.Serial+n.csr+n.out != "" || n.r.SameKey || n.append {
		return failf(exUsage, "-ca renews the CA's own certificate in its folder; leave -serial, -csr, -same-key, -append and -out out")
	}
	c, err := n.openFolder(env)
	if err != nil {
		return err
	}
	r := ca.CARenewal{Days: n.r.Days, By: by()}
	if n.parent != "" {
		if r.Parent, err = openCA(env, n.parent, n.parentPass); err != nil {
			return err
		}
	}
	if err := n.confirm(env, "Renew the CA "+plain(c.Certificate().Subject.String())+"?"); err != nil {
		return err
	}
	if _, err := c.RenewCA(r); err != nil {
		return caError(err)
	}
	s, err := c.Summary()
	if err != nil {
		return caError(err)
	}
	return writeCA(env.Stdout, s)
}

func caRevokeCommand() command {
	return command{
		name:  "ca revoke",
		args:  "[-config FILE | -dir DIR] -serial HEX [-reason REASON] [-since TIME] [-passphrase-file FILE] [-yes]",
		short: "revoke a certificate, and make a new CRL",
		long: `Revokes a certificate. Reasons: unspecified (the default), keyCompromise,
CACompromise, affiliationChanged, superseded, cessationOfOperation,
certificateHold. Whoever trusts the CA learns of it by the next CRL, which is made
at once if the CA's key can be opened.`,
		setup: func(fs *flag.FlagSet) runner {
			var f caFlags
			f.withKey(fs)
			serial := fs.String("serial", "", "which one: `HEX`")
			reason := fs.String("reason", "unspecified", "`REASON`")
			since := fs.String("since", "", "with keyCompromise or CACompromise: when, if that is known: `TIME`, as 2026-10-01T12:00:00Z")
			yes := fs.Bool("yes", false, "do not ask")
			return func(_ context.Context, env Env) error {
				if err := f.check(); err != nil {
					return err
				}
				r := ca.Revocation{Serial: *serial, By: by()}
				var err error
				if *serial == "" {
					return failf(exUsage, "no -serial; mailseal ca list shows them")
				}
				if r.Reason, err = ca.ParseReason(*reason); err != nil {
					return fail(exUsage, fmt.Errorf("-reason: %w", err))
				}
				if *since != "" {
					if r.Since, err = time.Parse(time.RFC3339, *since); err != nil {
						return failf(exUsage, "-since %q: want a time of RFC 3339, as 2026-10-01T12:00:00Z", *since)
					}
				}
				return f.revoke(env, r, *yes)
			}
		},
	}
}

// revoke needs no key; the list that belongs after it does.
func (f *caFlags) revoke(env Env, r ca.Revocation, yes bool) error {
	c, err := f.look()
	if err != nil {
		return err
	}
	old, err := c.Show(r.Serial)
	if err != nil {
		return caError(err)
	}
	if !yes {
		if err := agree(env, "Revoke "+old.Serial+" "+plain(old.Subject)+", for good?"); err != nil {
			return err
		}
	}
	record, err := c.Revoke(r)
	if err != nil {
		return caError(err)
	}
	fmt.Fprintf(env.Stdout, "revoked  %s %s\n", record.Serial, plain(record.Subject))
	c, err = f.open(env)
	if err != nil {
		fmt.Fprintf(env.Stderr, "warning: no new CRL (%s); run: mailseal ca crl -dir %s\n", oneLine(err), f.dir)
		return nil
	}
	l, err := c.RenewCRL(by())
	if err == nil && l == nil { // the daemon was faster
		l, err = c.CRL()
	}
	if err != nil {
		return caError(err)
	}
	return writeCRL(env, l)
}

func caCRLCommand() command {
	return command{
		name:  "ca crl",
		args:  "[-config FILE | -dir DIR] [-days N] [-if-due] [-passphrase-file FILE]",
		short: "make a new CRL",
		long: `Makes the list of what was revoked: crl.pem and crl.der in the CA's folder. One
that has ended makes every sendmail that uses it say verify=FAIL of everybody;
-if-due, in cron, makes a new one in time, and does nothing before.`,
		setup: func(fs *flag.FlagSet) runner {
			var f caFlags
			f.withKey(fs)
			days := fs.Int("days", 0, "how many days it is good: `N` (default by the CA's settings)")
			due := fs.Bool("if-due", false, "only if two thirds of the present one's time are over, or it lacks something")
			return func(_ context.Context, env Env) error {
				if *due { // nobody is asked for a passphrase where nothing is
					c, err := f.look()
					if err != nil {
						return err
					}
					at, err := c.CRLDue()
					if err != nil {
						return caError(err)
					}
					if time.Now().Before(at) {
						return nil
					}
				}
				c, err := f.open(env)
				if err != nil {
					return err
				}
				return issueCRL(env, c, ca.CRLOptions{Days: *days, By: by()})
			}
		},
	}
}

func issueCRL(env Env, c authority, o ca.CRLOptions) error {
	l, err := c.IssueCRL(o)
	if err != nil {
		return caError(err)
	}
	return writeCRL(env, l)
}

func writeCRL(env Env, l *ca.CRL) error {
	_, err := fmt.Fprintf(env.Stdout, "crl      %X, %d revoked, until %s\n", l.Number.Bytes(), l.Revoked, l.NextUpdate.UTC().Format(time.RFC3339))
	if err != nil {
		return fail(exIOErr, err)
	}
	return nil
}
