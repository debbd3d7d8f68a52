package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mailseal/certmgr/install"
	"mailseal/certmgr/setup"
	"mailseal/internal/config"
)

func setupUndoCommand() command {
	return command{
		name:  "setup undo",
		args:  "[-config FILE] [-prefix DIR] [-state DIR] [-name NAME] [-force] [-yes]",
		short: "put back what setup has changed",
		long: `Puts the configuration, the server's settings and its keys and certificates back
as they were before the first mailseal setup of this host, or of the target
-name, and has the server read them. A file that somebody else has changed since
is told and left; -force puts it back too, and keeps a copy beside it. What
certmgr has renewed counts as ours; it must not run meanwhile, as it would mend what
is taken back. A CA that was made stays: its certificates may be in use elsewhere.`,
		signals: true,
		setup: func(fs *flag.FlagSet) runner {
			u := &setupUndo{}
			fs.StringVar(&u.config, "config", defaultConfig(), "configuration `FILE` that names certmgr.state")
			fs.StringVar(&u.prefix, "prefix", "", "`DIR` before every usual path, as it was said to setup")
			fs.StringVar(&u.state, "state", "", "folder of the journal: `DIR` (default certmgr.state)")
			fs.StringVar(&u.name, "name", "", "`NAME` of the target (default all)")
			fs.BoolVar(&u.force, "force", false, "put back what somebody else has changed since, too")
			fs.BoolVar(&u.yes, "yes", false, "do not ask")
			return func(ctx context.Context, env Env) error { return setupError(u.run(ctx, env)) }
		},
	}
}

// A setupUndo is one run of setup undo.
type setupUndo struct {
	config, prefix, state, name string
	force, yes                  bool
}

func (u *setupUndo) run(ctx context.Context, env Env) error {
	if os.Geteuid() != 0 {
		return failf(exNoPerm, "what it changes is root's; run it as root")
	}
	if err := u.find(); err != nil {
		return err
	}
	dir := filepath.Join(u.state, "setup")
	if err := guardedAsFar(dir); err != nil { // it says which files are written, and which command is run
		return fail(exNoPerm, err)
	}
	journal := setup.NewJournal(dir)
	names, err := journal.Names()
	if err != nil {
		return err
	}
	if u.name != "" {
		if _, err := journal.Record(u.name); err != nil {
			return fail(exNoInput, fmt.Errorf("%s was never set up here (%w)", u.name, err))
		}
		names = []string{u.name}
	}
	if len(names) == 0 {
		fmt.Fprintln(env.Stdout, "nothing to do: the journal in "+filepath.Join(u.state, "setup")+" is empty")
		return nil
	}
	unlock, err := journal.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	for _, name := range names {
		if err := u.one(ctx, env, journal, name); err != nil {
			return err
		}
	}
	return nil
}

// find finds the folder of the journal.
func (u *setupUndo) find() error {
	if u.prefix != "" && u.config == defaultConfig() {
		u.config = filepath.Join("/", u.prefix, u.config)
	}
	c, err := config.Load(u.config)
	switch {
	case err == nil:
		if u.state == "" {
			u.state = c.Certmgr.State
		}
		return alone(c)
	case u.state != "":
		return nil
	case errors.Is(err, fs.ErrNotExist): // an undo that was killed has taken it away
		u.state = filepath.Join("/", u.prefix, config.Default(goos).Certmgr.State)
		return nil
	}
	return fail(exConfig, fmt.Errorf("%w; mend it, or say with -state where the journal is", err))
}

// alone refuses to work beside a daemon, which would mend at once what is taken
// back.
func alone(c *config.Config) error {
	f := caFlags{dir: c.CA.Dir, socket: c.CA.Socket}
	daemon, err := f.daemon()
	if daemon == nil || err != nil {
		return err
	}
	if d, ok := daemon.(interface{ Close() }); ok {
		d.Close()
	}
	stop := "systemctl stop mailseal-certmgr.socket mailseal-certmgr"
	if goos == "freebsd" {
		stop = "service mailseal_certmgr stop"
	}
	return failf(exTempFail, "nothing was done: mailseal certmgr runs at %s, and would mend at once what is taken back; stop it first (%s), and start it again afterwards", c.CA.Socket, stop)
}

// one undoes the setup of one target.
func (u *setupUndo) one(ctx context.Context, env Env, journal *setup.Journal, name string) error {
	record, err := journal.Record(name)
	if err != nil {
		return err
	}
	sums, err := sumsOf(u.state, name)
	if err != nil {
		return err
	}
	o := setup.Undoing{Name: name, Force: u.force, Ours: sums, Plan: true}
	planned, err := journal.Undo(o)
	if err != nil {
		return err
	}
	printUndone(env, name, planned)
	if err := consent(env, u.yes, "Undo it?"); err != nil {
		return err
	}
	o.Plan = false
	done, err := journal.Undo(o)
	if err != nil {
		return fmt.Errorf("%w; once that is mended, undo again: it goes on where it was", err)
	}
	if err := reload(ctx, record.Reload, record.Address); err != nil {
		return failf(exUnavailable, "the files of %s are back: %v; once that is mended, undo again", name, err)
	}
	if len(done.Left) > 0 {
		return failf(exDataErr, "%s: left %s, which somebody else has changed since; look at them, and put them back with -force", name, strings.Join(done.Left, ", "))
	}
	if err := journal.Forget(name); err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "%s: as before\n", name)
	return nil
}

// sumsOf are the sums of what certmgr has installed last for a target, when what
// a crash has cut short is ended.
func sumsOf(state, name string) (map[string]string, error) {
	j := install.NewJournal(state)
	if err := j.Repair(); err != nil {
		return nil, err
	}
	return j.Sums(name)
}

// printUndone tells what is done, or would be.
func printUndone(env Env, name string, u setup.Undone) {
	if u.Nothing() {
		fmt.Fprintf(env.Stdout, "%s: all files are as before already\n", name)
		return
	}
	for _, p := range u.Restored {
		fmt.Fprintf(env.Stdout, "%-8s %s\n", "restore", p)
	}
	for _, p := range u.Removed {
		fmt.Fprintf(env.Stdout, "%-8s %s\n", "remove", p)
	}
	for _, p := range u.Kept {
		fmt.Fprintf(env.Stdout, "%-8s %s, a copy of what is there now\n", "keep", p)
	}
	for _, p := range u.Left {
		fmt.Fprintf(env.Stdout, "%-8s %s, changed by somebody else since\n", "leave", p)
	}
}
