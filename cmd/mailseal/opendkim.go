package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"mailseal/internal/config"
	"mailseal/milter"
)

// milterFlags are what the command line of `mailseal milter` says. The short
// ones are OpenDKIM's, which postmasters have in their fingers and their start
// scripts. What they say goes before the configuration, after a reload too.
type milterFlags struct {
	config  string
	socket  string // "" leaves it to the configuration
	pidfile string // "" for none
	user    string // "" stays who we are
	syslog  bool
	verbose bool
	check   bool
	version bool
}

// defineMilterFlags defines the flags on fs, which fills in what it returns.
func defineMilterFlags(fs *flag.FlagSet) *milterFlags {
	f := &milterFlags{}
	fs.StringVar(&f.config, "config", defaultConfig(), "configuration `FILE`")
	fs.StringVar(&f.config, "x", defaultConfig(), "configuration `FILE`, the same as -config")
	fs.BoolFunc("f", "stay in the foreground, as it always does", func(s string) error {
		if s != "true" {
			return errors.New("it is always in the foreground; daemon(8) or systemd put it into the background")
		}
		return nil
	})
	fs.BoolVar(&f.syslog, "l", false, "log to syslog, whatever log.target says")
	fs.BoolVar(&f.check, "n", false, "check the configuration as the daemon would read it, and exit; see mailseal check")
	fs.Func("p", "listen on this `SOCKET` and not on milter.socket: unix:/path, inet:port@host", func(s string) error {
		_, _, err := milter.ParseSocket(s)
		f.socket = s
		return err
	})
	fs.StringVar(&f.pidfile, "P", "", "write the process number to this `FILE`, and hold it against a second daemon")
	fs.StringVar(&f.user, "u", "", "become this `USER[:GROUP]`, when started as root")
	fs.BoolVar(&f.verbose, "v", false, "log all events, whatever log.level says")
	fs.BoolVar(&f.version, "V", false, "print the version and exit")
	return f
}

// notOurs are flags of OpenDKIM that have no counterpart, with what to do
// instead.
var notOurs = map[string]string{
	"A": "let the service manager start it again: Restart= in the unit, or daemon(8) -r",
	"b": "mail from internal_hosts and logins is signed and other mail is verified; smime.sign = false only verifies",
	"c": "S/MIME has no canonicalization to choose; smime.format is detached or opaque",
	"d": "the domains are local_domains in the configuration",
	"i": "the hosts are internal_hosts in the configuration",
	"k": "keys and certificates are in the folder smime.identities",
	"q": "set milter.on_error in the configuration",
	"s": "S/MIME has no selectors; the certificate in smime.identities says whose mail it signs",
	"S": "the algorithm is that of the key; smime.digest chooses the digest",
	"t": "mailseal filter takes one mail, mailseal verify says what its signature is worth",
	"T": "there is no DNS look-up to wait for; milter.work_timeout bounds the work on a mail",
	"W": "every mail is a line of the log that says why; -v or log.level = \"debug\" logs more",
}

// over puts the command line over the configuration.
func (f *milterFlags) over(c *config.Config) {
	if f.socket != "" {
		c.Milter.Socket = f.socket
	}
	if f.syslog {
		c.Log.Syslog = true
	}
	if f.verbose {
		c.Log.Level = slog.LevelDebug
	}
}

// at says where a value that is wrong comes from: the command line or a key of
// the configuration.
func (f *milterFlags) at(c *config.Config, key string, err error) error {
	switch {
	case key == "milter.socket" && f.socket != "":
		return fmt.Errorf("-p %s: %w", f.socket, err)
	case key == "log.target" && f.syslog:
		return fmt.Errorf("-l: %w", err)
	}
	return c.At(key, err)
}

// run does what the command line asks. Only the file with the process number
// is made as root, so that its owner's kill(1) can believe it. All else is read
// and made as the user that the daemon becomes: what it could not read again, a
// reload would trip over later, and no parser of ours runs as root.
func (f *milterFlags) run(ctx context.Context, env Env) (err error) {
	if f.version {
		_, err := fmt.Fprintln(env.Stdout, readVersion())
		return err
	}
	// Who reads our standard error may go before us: journald when it is
	// restarted, daemon(8) when it is told to end. Go would end the process for
	// it.
	signal.Ignore(syscall.SIGPIPE)
	who, err := findAccount(f.user)
	if err != nil {
		return err
	}
	if f.pidfile != "" && !f.check {
		p, err := claimPidfile(f.pidfile)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.release()) }()
	}
	if err := who.become(); err != nil {
		return err
	}
	if f.check {
		return runCheck(f.config, f, false, env)
	}
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(again)
	d, err := newDaemon(*f, env)
	if err != nil {
		return err
	}
	return d.run(ctx, again)
}
