package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"mailseal/certmgr/ca"
)

func caIssueCommand() command {
	return command{
		name: "ca issue",
		args: "[-config FILE | -dir DIR] [-install[=TARGET]] -profile PROFILE [-cn NAME] [-subject NAME] [-dns NAME]... [-ip ADDR]... [-email ADDR]... [-days N] " +
			"[-key KIND] [-csr FILE] [-memo TEXT] [-authority NAME] [-permit-dns NAME]... [-permit-email DOMAIN]... " +
			"[-passphrase-file FILE] [-yes] " + handOverArgs,
		short: "issue a certificate",
		long: `Issues a certificate, with a new key or for a request, and writes the files of
BASE. Profiles: host (a server), user (mail), gateway (the mail of whole domains),
client (logs in), sub-ca. The country, state, locality and organization are those
of the CA unless -subject has others. On a terminal it shows what it will issue,
and asks. With -install the certificate goes into the files of a [[target]] of the
configuration, the server is told and asked, and where it does not serve it the
old files come back: what that target is for need not be said then, and -out is
for copies.`,
		setup: func(fs *flag.FlagSet) runner {
			var i caIssue
			i.withKey(fs)
			fs.Var(profileFlag{&i.r.Profile}, "profile", "`PROFILE`: host, user, gateway, client or sub-ca")
			fs.StringVar(&i.cn, "cn", "", "common name: `NAME` (default the first of the names below)")
			fs.StringVar(&i.subject, "subject", "", "`NAME` as '/C=JP/O=MyCorp/CN=mx.example.jp'")
			fs.Var((*list)(&i.r.Hosts), "dns", "`NAME` of a host, or of a gateway's domain; again for more")
			fs.Var(&i.ips, "ip", "`ADDR` of a host; again for more")
			fs.Var((*list)(&i.r.Emails), "email", "mail `ADDR`; again for more")
			fs.IntVar(&i.r.Days, "days", 0, "how many days it is good: `N` (default by the profile)")
			fs.Var(keyFlag{&i.r.Key}, "key", keyUsage)
			fs.StringVar(&i.csr, "csr", "", "for the key and, where no names are given, the names of the request in `FILE`")
			fs.StringVar(&i.r.Memo, "memo", "", "`TEXT` to remember with it")
			fs.StringVar(&i.authority, "authority", "", "a gateway's `NAME` by RFC 3183, as domain-signing-authority")
			fs.Var((*list)(&i.r.PermitDNS), "permit-dns", "a sub-ca is for hosts in this domain only: `NAME`; again for more")
			fs.Var((*list)(&i.r.PermitEmail), "permit-email", "a sub-ca is for addresses in this `DOMAIN` only; again for more")
			fs.BoolVar(&i.yes, "yes", false, "do not ask")
			fs.Var(&i.install, "install", "install it at once into the [[target]] that it is for, or into that of a name: -install=`TARGET`")
			i.handOver.define(fs)
			return func(ctx context.Context, env Env) error { return i.run(ctx, env) }
		},
	}
}

// A caIssue is one run of ca issue.
type caIssue struct {
	caFlags
	handOver
	r                           ca.Request
	cn, subject, csr, authority string
	ips                         list
	yes                         bool
	install                     installFlag
}

func (i *caIssue) run(ctx context.Context, env Env) error {
	if err := i.prepare(env); err != nil {
		return err
	}
	c, err := i.open(env)
	if err != nil {
		return err
	}
	p, err := c.Preview(i.r)
	if err != nil {
		return caError(err)
	}
	if err := preview(env, p, i.to, i.yes); err != nil {
		return err
	}
	if err := i.to.prepare(c); err != nil {
		return err
	}
	issued, err := c.Issue(i.r)
	if err != nil {
		return caError(err)
	}
	failed := i.to.install(ctx, issued)
	if err := i.write(env, c, issued); err != nil {
		return errors.Join(err, failed)
	}
	return failed
}

// prepare reads what the flags name.
func (i *caIssue) prepare(env Env) (err error) {
	if err := i.prepareInstall(env); err != nil {
		return err
	}
	if err := i.check(); err != nil {
		return err
	}
	if i.r.Profile == 0 {
		return failf(exUsage, "no -profile; want host, user, gateway, client or sub-ca")
	}
	if err := i.handOver.prepare(env, i.csr != ""); err != nil {
		return err
	}
	if i.r.CSR, err = i.readRequest(i.csr); err != nil {
		return err
	}
	if i.place != nil && i.csr == "" {
		i.r.PublicKey = i.place.Public
	}
	if i.subject != "" {
		if i.r.Subject, err = ca.ParseSubject(i.subject); err != nil {
			return fail(exDataErr, fmt.Errorf("-subject: %w", err))
		}
	}
	if i.cn != "" {
		i.r.Subject.CommonName = i.cn
	}
	for _, s := range i.ips {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return failf(exUsage, "-ip %q: want an address, as 192.0.2.1", s)
		}
		i.r.Addresses = append(i.r.Addresses, a)
	}
	if i.r.Authority, err = ca.ParseAuthority(i.authority); err != nil {
		return fail(exUsage, fmt.Errorf("-authority: %w", err))
	}
	i.r.By = by()
	return nil
}

// preview shows what will be issued, and where it goes, and asks.
func preview(env Env, p ca.Preview, to *installing, yes bool) error {
	if _, ok := terminal(env.Stdin); ok && !yes {
		fmt.Fprintf(env.Stderr, "profile  %s\nsubject  %s\nnames    %s\nfrom     %s\nto       %s, %d days\n", p.Profile, plain(p.Subject),
			plain(strings.Join(p.Names, ", ")), p.From.Format(time.DateOnly), p.To.Format(time.DateOnly), p.Days)
		if to != nil {
			fmt.Fprintf(env.Stderr, "target   %s, reloaded by: %s\n", to.target.Name, orDash(plain(to.target.Reload)))
		}
	}
	for _, w := range p.Warnings {
		fmt.Fprintf(env.Stderr, "warning: %s\n", w)
	}
	if yes {
		return nil
	}
	return agree(env, "Issue it?")
}

// A profileFlag takes the name of a profile.
type profileFlag struct{ to *ca.Profile }

func (p profileFlag) String() string { return "" }

func (p profileFlag) Set(s string) (err error) {
	*p.to, err = ca.ParseProfile(s)
	return err
}
