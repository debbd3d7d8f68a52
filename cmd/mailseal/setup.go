package main

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"mailseal/certmgr/install"
	"mailseal/certmgr/setup"
	"mailseal/internal/config"
)

func setupSendmailCommand() command {
	return setupCommand("sendmail", "give sendmail STARTTLS with a certificate that verifies",
		`sendmail.mc is edited where sendmail.cf is built from it, and both are written;
sendmail.cf alone where there is only that. -direct edits sendmail.cf alone
although there is the other.`)
}

func setupPostfixCommand() command {
	return setupCommand("postfix", "give Postfix STARTTLS with a certificate that verifies",
		`main.cf is edited as postconf -e does it; what is set more strictly stays so.`)
}

func setupCommand(server, short, own string) command {
	args := "[-config FILE] [-ca DIR] [-passphrase-file FILE] [-subject NAME] [-host NAME]... [-name NAME] [-dir DIR] [-bundle WHAT] " +
		"[-prefix DIR] [-conf DIR] [-pidfile FILE] [-reload COMMAND] [-probe URL]... [-ask-client-certs] [-force] [-yes] " +
		"[-test-mail ADDR] [-log FILE] [-request FILE] [-certificate FILE [-ca-certificate FILE]]"
	if server == "sendmail" {
		args = strings.Replace(args, "[-force]", "[-direct] [-force]", 1)
	}
	return command{
		name:  "setup " + server,
		args:  args,
		short: short,
		long: `From nothing to verify=OK on this host: a private CA, or the one that is there;
a certificate of it for this host, as a server and as a client; a [[target]] in
the configuration, by which mailseal certmgr keeps it right from then on; the
server's settings. All that changes is shown as a diff and done after a yes, on
a terminal or with -yes; then the server reads it, and a connection shows that
it serves the new certificate. If it does not, all is as before.
` + own + `
-request is for a host that has no CA: it makes the key, which never leaves the
host, and a request for mailseal ca issue -csr on the CA's; -certificate brings
home what comes of it. mailseal setup undo puts back what was before.
Exit status: 0 done, or nothing to do; 75 nothing was done.`,
		signals: true,
		setup: func(fs *flag.FlagSet) runner {
			s := &setupRun{place: setup.Place{Server: server}}
			s.define(fs)
			return func(ctx context.Context, env Env) error {
				s.env, s.where = env, whereFlags(fs)
				return s.run(ctx)
			}
		},
	}
}

// A setupRun is one run of setup sendmail or setup postfix.
type setupRun struct {
	place                               setup.Place
	config, ca, passphrase, subject     string
	name, dir, bundle, reload           string
	hosts, probes                       list
	wish                                setup.Wish
	where                               map[string]string // the flags by which it is found again
	force, yes                          bool
	testMail, log                       string
	request, certificate, caCertificate string

	env    Env
	server *setup.Server
	// old is the configuration that is there, nil for none; conf is that which will
	// be, and target the server's in it.
	old, conf *config.Config
	target    config.Target
	layout    install.Layout
	reloads   string // the command that has the server read its files, "" for none
	// newCA is the CA that is made, nil for none.
	newCA *newCA
	// ours are files of mailseal, theirs those of the server.
	ours, theirs []setup.Edit
	warnings     []string
	journal      *setup.Journal
	// before is what the journal has of earlier runs; known says whether it has.
	before setup.Record
	known  bool
}

func (s *setupRun) define(fs *flag.FlagSet) {
	fs.StringVar(&s.config, "config", defaultConfig(), "configuration `FILE`, which is made where it is not there")
	fs.StringVar(&s.ca, "ca", "", "the folder of the CA: `DIR`, where one is made if none is there (default ca.dir, or /etc/mail/CA)")
	fs.StringVar(&s.passphrase, "passphrase-file", "", "the passphrase of the CA's key is the first line of `FILE` (default ca.passphrase_file, or a new one is made)")
	fs.StringVar(&s.subject, "subject", "", "`NAME` of a new CA as '/C=JP/O=MyCorp/CN=MyCorp CA' (default by the host's domain)")
	fs.Var(&s.hosts, "host", "`NAME` in the certificate; again for more (default what the server calls itself)")
	fs.StringVar(&s.name, "name", "", "`NAME` of the target, for a second instance (default the server's)")
	fs.StringVar(&s.dir, "dir", "", "where the server's keys and certificates are kept: `DIR`")
	fs.StringVar(&s.bundle, "bundle", "", "`WHAT` is trusted: ca, or ca+system for the public CAs besides")
	fs.StringVar(&s.place.Prefix, "prefix", "", "`DIR` before every usual path, for an instance elsewhere")
	fs.StringVar(&s.place.Conf, "conf", "", "folder of the server's configuration: `DIR`")
	fs.StringVar(&s.place.PidFile, "pidfile", "", "`FILE` with the number of the server's process, to which HUP is sent")
	fs.StringVar(&s.reload, "reload", "", "`COMMAND` for /bin/sh that has the server read its files again")
	fs.Var(&s.probes, "probe", "`URL` at which the server answers, as smtp://127.0.0.1:25; again for more")
	fs.BoolVar(&s.wish.AskClients, "ask-client-certs", false, "have the server ask its clients for a certificate")
	if s.place.Server == "sendmail" {
		fs.BoolVar(&s.wish.Direct, "direct", false, "edit sendmail.cf although there is what it is built from")
	}
	fs.BoolVar(&s.force, "force", false, "go on though another server answers at the port")
	fs.BoolVar(&s.yes, "yes", false, "do not ask")
	fs.StringVar(&s.testMail, "test-mail", "", "then send a mail to `ADDR` and print what the log says of its way")
	fs.StringVar(&s.log, "log", "", "`FILE` that the server logs to (default by the system)")
	fs.StringVar(&s.request, "request", "", "make the key, and a request in `FILE` for a CA on another host")
	fs.StringVar(&s.certificate, "certificate", "", "the certificate that came of the request: `FILE`")
	fs.StringVar(&s.caCertificate, "ca-certificate", "", "with the certificate of its CA, and those between them: `FILE`")
}

// run does it all, or as much as is missing.
func (s *setupRun) run(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		return setupError(err)
	}
	if s.request != "" {
		return setupError(s.makeRequest(ctx))
	}
	done, err := s.settled(ctx)
	if err != nil {
		return setupError(err)
	}
	if done {
		fmt.Fprintln(s.env.Stdout, "nothing to do")
		return setupError(s.sendTest(ctx))
	}
	s.show()
	if err := s.agreed(); err != nil {
		return err
	}
	if err := s.apply(ctx); err != nil {
		return setupError(err)
	}
	s.next()
	return setupError(s.sendTest(ctx))
}

// agreed asks; where nobody can be asked, -yes says it.
func (s *setupRun) agreed() error { return consent(s.env, s.yes, "Do it?") }

// consent asks before a host is changed. Nobody at a terminal is no yes.
func consent(env Env, yes bool, question string) error {
	if yes {
		return nil
	}
	if _, ok := terminal(env.Stdin); !ok {
		return failf(exTempFail, "nothing was done: there is no terminal to ask at; say -yes too")
	}
	return agree(env, question)
}

// sendTest sends a mail through the server.
func (s *setupRun) sendTest(ctx context.Context) error {
	if s.testMail == "" {
		return nil
	}
	log := s.log
	if log == "" {
		var err error
		if log, err = setup.LogOf(s.server); err != nil {
			return fail(exNoInput, err)
		}
	}
	trip, err := setup.TestMail{
		Server: s.smtpAddress(), Host: s.target.Hosts[0], From: "postmaster@" + s.target.Hosts[0], To: s.testMail,
		Log: log, Limit: 2 * time.Minute,
	}.Send(ctx)
	if err != nil {
		return fail(exUnavailable, err)
	}
	if trip.TLS != "" {
		fmt.Fprintln(s.env.Stdout, trip.TLS)
	}
	fmt.Fprintln(s.env.Stdout, trip.Delivery)
	fmt.Fprintf(s.env.Stdout, "mail %s to %s: verify=%s\n", trip.Queue, s.testMail, trip.Verify())
	return nil
}

// under puts the prefix before a usual path.
func (s *setupRun) under(path string) string { return filepath.Join("/", s.place.Prefix, path) }

// whereFlags are those that were given and say of which instance a command is.
func whereFlags(fs *flag.FlagSet) map[string]string {
	given := map[string]string{}
	fs.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "config", "prefix", "conf", "pidfile", "name":
			given[f.Name] = fmt.Sprintf(" -%s %s", f.Name, setup.Quoted(f.Value.String()))
		}
	})
	return given
}

// again has the named ones of them, for a command that somebody shall type.
func (s *setupRun) again(names ...string) string {
	flags := ""
	for _, name := range names {
		flags += s.where[name]
	}
	return flags
}
