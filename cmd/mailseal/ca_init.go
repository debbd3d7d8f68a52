package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"mailseal/certmgr/ca"
)

func caInitCommand() command {
	return command{
		name: "ca init",
		args: "[-config FILE | -dir DIR] -subject NAME [-days N] [-key KIND] [-memo TEXT] [-passphrase-file FILE] [-no-passphrase] " +
			"[-permit-dns NAME]... [-permit-email DOMAIN]... [-url URL] [-serials HOW] [-crl-days N] [-unique-subject] " +
			"[-parent DIR] [-parent-passphrase-file FILE] [-intermediate] [-replace] [-yes]",
		short: "make a private CA",
		long: `Makes a CA in a folder that is openssl ca's own, with a key that a passphrase
encrypts. A folder that holds a CA is left alone; -replace puts it aside, and
tells what has to be issued and installed again.`,
		setup: func(fs *flag.FlagSet) runner {
			var i caInit
			i.withKey(fs)
			fs.StringVar(&i.subject, "subject", "", "`NAME` as '/C=JP/ST=Osaka/L=Kita-ku/O=MyCorp/CN=Private CA'")
			fs.IntVar(&i.o.Days, "days", 0, "how many days the CA is good: `N` (default 10000)")
			fs.Var(keyFlag{&i.o.Key}, "key", keyUsage)
			fs.StringVar(&i.o.Settings.Memo, "memo", "", "`TEXT` to remember with the CA")
			fs.BoolVar(&i.o.Unencrypted, "no-passphrase", false, "leave the key unencrypted")
			fs.Var((*list)(&i.o.PermitDNS), "permit-dns", "only hosts in this domain: `NAME`; again for more")
			fs.Var((*list)(&i.o.PermitEmail), "permit-email", "only mail addresses in this `DOMAIN`; again for more")
			fs.StringVar(&i.o.Settings.URL, "url", "", "where CRL, CA certificate and OCSP are to be had: `URL`, as http://ca.example.jp")
			fs.Var(textFlag{(*string)(&i.o.Settings.Serials), "random", "sequential"}, "serials", "`HOW` numbers are made: random (the default) or sequential")
			fs.IntVar(&i.o.Settings.CRLDays, "crl-days", 0, "how many days a CRL is good: `N`")
			fs.BoolVar(&i.o.Settings.UniqueSubject, "unique-subject", false, "refuse a second valid certificate of the same name")
			fs.StringVar(&i.parent, "parent", "", "a CA below the one in this folder: `DIR`")
			fs.StringVar(&i.parentPass, "parent-passphrase-file", "", "the passphrase of its key is the first line of `FILE`")
			fs.BoolVar(&i.intermediate, "intermediate", false, "make a root in DIR-root too, to be taken off this host, and the CA below it")
			fs.BoolVar(&i.replace, "replace", false, "put a CA that is there aside")
			fs.BoolVar(&i.yes, "yes", false, "do not ask")
			return func(_ context.Context, env Env) error { return i.run(env) }
		},
	}
}

// A caInit is one run of ca init.
type caInit struct {
	caFlags
	o                           ca.InitOptions
	subject, parent, parentPass string
	intermediate, replace, yes  bool
}

func (i *caInit) run(env Env) error {
	if err := i.prepare(env); err != nil {
		return err
	}
	for _, w := range i.o.Warnings() {
		fmt.Fprintf(env.Stderr, "warning: %s\n", w)
	}
	if err := i.confirm(env); err != nil {
		return err
	}
	if i.intermediate {
		if err := i.makeRoot(env); err != nil {
			return err
		}
	}
	c, err := i.make(env)
	if err != nil {
		return caError(err)
	}
	if _, err := c.IssueCRL(ca.CRLOptions{By: by()}); err != nil {
		return caError(err)
	}
	s, err := c.Summary()
	if err != nil {
		return caError(err)
	}
	return writeCA(env.Stdout, s)
}

// rootCRLDays are how long the CRL of a root is good that is taken out once a
// year. Who asks about every CA above a certificate wants one of each.
const rootCRLDays = 400

// makeRoot makes the root that will be above the CA.
func (i *caInit) makeRoot(env Env) error {
	dir := filepath.Clean(i.dir) + "-root"
	if err := ca.Vacant(i.dir); err != nil && !i.replace { // no root is made for nothing
		return caError(err)
	}
	if err := ca.Vacant(dir); err != nil {
		return caError(fmt.Errorf("%w. Make the CA below that root, with -parent %s in the place of -intermediate, or move the root away first: it is what others trust", err, dir))
	}
	root := i.o
	root.Subject.CommonName += " Root"
	c, err := ca.Init(dir, root)
	if err != nil {
		return caError(err)
	}
	if _, err := c.IssueCRL(ca.CRLOptions{Days: rootCRLDays, By: by()}); err != nil {
		return caError(err)
	}
	i.o.Parent = c
	i.o.Days = 0 // the CA gets what a sub-CA gets
	fmt.Fprintf(env.Stdout, "root     %s, its CRL is good for %d days\n", dir, rootCRLDays)
	return nil
}

// prepare reads what the flags name.
func (i *caInit) prepare(env Env) (err error) {
	if err := i.check(); err != nil {
		return err
	}
	switch {
	case i.subject == "":
		return failf(exUsage, "no -subject; see mailseal ca init -h")
	case i.intermediate && i.parent != "":
		return failf(exUsage, "-intermediate makes a root, -parent names one; want one of them")
	}
	if i.o.Subject, err = ca.ParseSubject(i.subject); err != nil {
		return fail(exDataErr, fmt.Errorf("-subject: %w", err))
	}
	i.o.By = by()
	if i.parent != "" {
		if i.o.Parent, err = openCA(env, i.parent, i.parentPass); err != nil {
			return err
		}
	}
	if i.o.Unencrypted {
		if i.passphrase != "" {
			return failf(exUsage, "-passphrase-file and -no-passphrase; want one of them")
		}
		return nil
	}
	if i.o.Passphrase, err = caPassphrase(env, i.passphrase); err != nil || i.o.Passphrase != nil {
		return err
	}
	if _, ok := terminal(env.Stdin); !ok {
		return failf(exUsage, "no passphrase for the CA's key; give -passphrase-file, or -no-passphrase")
	}
	if i.o.Passphrase, err = askSecret(env, "new passphrase of the CA's key: "); err != nil {
		return err
	}
	again, err := askSecret(env, "once more: ")
	switch {
	case err != nil:
		return err
	case !bytes.Equal(again, i.o.Passphrase):
		return failf(exDataErr, "these are two passphrases; nothing was made")
	case len(again) == 0:
		return failf(exDataErr, "an empty passphrase; nothing was made")
	}
	return nil
}

// confirm asks before something is put aside: that is typed in full.
func (i *caInit) confirm(env Env) error {
	if _, err := os.Stat(i.dir); !i.replace || i.yes || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if _, ok := terminal(env.Stdin); !ok {
		return failf(exUsage, "-replace puts a CA aside, and all that it has issued has to be issued again; say -yes too")
	}
	answer, err := answerTo(env, "This puts the CA in "+i.dir+" aside; all that it has issued has to be issued again.\nType yes to go on: ")
	if err != nil {
		return err
	}
	if answer != "yes" {
		return failf(exTempFail, "not done, as you wish")
	}
	return nil
}

// make makes the CA, and tells what has to be done if one was there.
func (i *caInit) make(env Env) (*ca.CA, error) {
	if !i.replace {
		return ca.Init(i.dir, i.o)
	}
	c, old, err := ca.Replace(i.dir, i.o)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(env.Stdout, "old CA   %s\n", old.Folder)
	for _, r := range old.Reissue {
		fmt.Fprintf(env.Stdout, "reissue  %s %s %s\n", r.Serial, plain(r.Subject), r.Memo)
	}
	return c, nil
}

const keyUsage = "`KIND` of the key: rsa2048 (the default), rsa3072, rsa4096, p256, p384, p521, ed25519"

// A keyFlag takes the name of a kind of key.
type keyFlag struct{ to *ca.KeyKind }

func (k keyFlag) String() string { return "" }

func (k keyFlag) Set(s string) (err error) {
	*k.to, err = ca.ParseKeyKind(s)
	return err
}

// A textFlag takes one of two words.
type textFlag struct {
	to       *string
	one, two string
}

func (t textFlag) String() string { return "" }

func (t textFlag) Set(s string) error {
	if s != t.one && s != t.two {
		return fmt.Errorf("want %s or %s", t.one, t.two)
	}
	*t.to = s
	return nil
}
