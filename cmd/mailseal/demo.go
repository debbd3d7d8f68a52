package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/internal/mtarig"
)

func demoCommand() command {
	return command{
		name:  "demo",
		args:  "[-keep] [-mta DIR]",
		short: "two organisations, two Postfix: signed mail both ways, and a forger",
		long: `Two organisations on this machine, each with a private Postfix and its own
mailseal milter, all on loopback: a signed mail, the signed answer, and a mail
that somebody changes on the way. It shows what left, what arrived and what the
logs say, checks it, ends by itself and leaves nothing behind. Needs root, for
Postfix, and touches nothing that is installed. 0 when all is as it should be,
1 when not, 69 without root or Postfix.`,
		signals: true,
		setup: func(fs *flag.FlagSet) runner {
			keep := fs.Bool("keep", false, "leave the folder with CA, configurations and logs, and say where")
			mta := fs.String("mta", "", "`DIR` that Postfix was unpacked into; else $MAILSEAL_MTA, build/mta, and the system's Postfix")
			return func(ctx context.Context, env Env) error {
				d := &demo{show: show{w: env.Stdout}, tools: mtarig.Find(*mta, env.Getenv("MAILSEAL_MTA"), "build/mta")}
				if err := d.tools.Postfix(); err != nil {
					return failf(exUnavailable, "the demo runs two private Postfix: %w", err)
				}
				// The terminal may go, or who reads our output: `mailseal demo | head`.
				ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGPIPE)
				defer stop()
				if err := d.tell(ctx, *keep); err != nil {
					return fail(1, err)
				}
				return nil
			}
		},
	}
}

// A demo is one run of it. All is made in dir, and everything that runs is
// ended by close.
type demo struct {
	show  show
	dir   string
	self  string // our own executable, which is the milters' too
	tools mtarig.Tools

	ca      *ca.CA
	corp    *organisation
	partner *organisation
	wires   [2]*wire // what is between the two: from corp, from partner
}

const (
	demoLimit   = 3 * time.Minute // never reached but where something hangs
	arriveLimit = 30 * time.Second
)

// tell runs the demo and cleans up.
func (d *demo) tell(ctx context.Context, keep bool) error {
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, demoLimit)
	defer cancel()
	err := d.run(ctx)
	if err != nil && err != errInterrupted {
		d.logs()
	}
	if err := errors.Join(err, d.close(keep)); err != nil {
		return err
	}
	d.show.section("Result")
	d.show.say("All %d checks passed, in %.1f seconds. Everything that was started has ended.", d.show.checks, time.Since(started).Seconds())
	if keep {
		d.show.say("CA, configurations and logs are left in %s", d.dir)
	}
	return nil
}

// run is the story, up to its end or to the first thing that is not as it
// should be.
func (d *demo) run(ctx context.Context) error {
	steps := []func(context.Context) error{
		d.makeCertificates, d.start, d.write, d.answer, d.tamper,
	}
	if err := d.prepare(); err != nil {
		return err
	}
	for _, step := range steps {
		err := step(ctx)
		switch {
		case errors.Is(ctx.Err(), context.Canceled):
			return errInterrupted
		case ctx.Err() != nil:
			return errors.Join(fmt.Errorf("not done within %v", demoLimit), err)
		case err != nil:
			return err
		}
	}
	return nil
}

var errInterrupted = errors.New("interrupted; what was started has ended")

// prepare makes the folder and names who takes part.
func (d *demo) prepare() error {
	var err error
	if d.self, err = os.Executable(); err != nil {
		return err
	}
	// Short, and open to the user postfix: Unix sockets are made below it.
	if d.dir, err = os.MkdirTemp("/tmp", "mailseal-demo-"); err != nil {
		return err
	}
	if err := os.Chmod(d.dir, 0o755); err != nil {
		return err
	}
	d.corp = &organisation{name: "corp", domain: "corp.example", user: "alice@corp.example", office: "127.0.0.10"}
	d.partner = &organisation{name: "partner", domain: "partner.example", user: "bob@partner.example", office: "127.0.0.20"}
	return nil
}

// makeCertificates makes a CA that both trust, and a certificate for each.
func (d *demo) makeCertificates(context.Context) error {
	d.show.section("A certificate authority that both organisations trust, and an identity for each")
	var err error
	d.ca, err = ca.Init(filepath.Join(d.dir, "CA"), ca.InitOptions{
		Subject:     ca.Subject{Country: "JP", Organization: "mailseal demo", CommonName: "Demo Private CA"},
		Unencrypted: true,
	})
	if err != nil {
		return err
	}
	d.show.say("CA       %s", d.ca.Certificate().Subject)
	for _, o := range d.both() {
		if err := o.certify(d.ca, d.dir); err != nil {
			return err
		}
		c := o.certificate
		d.show.say("user     %-20s %s, serial %X, good until %s", o.user, c.PublicKeyAlgorithm, c.SerialNumber, c.NotAfter.Format(time.DateOnly))
	}
	return nil
}

// start starts what lies between the organisations, and then both.
func (d *demo) start(context.Context) error {
	d.show.section("Two private Postfix on loopback, each with its own mailseal milter")
	for i, o := range d.both() {
		to := d.both()[1-i]
		w, err := newWire(func(m mtarig.Mail) error { return to.receive(m) })
		if err != nil {
			return err
		}
		d.wires[i] = w
		if err := o.start(d.self, d.tools, w.sink.Addr(), to.domain); err != nil {
			return err
		}
		d.show.say("%-8s %s, %s; mail for %s goes to the other", o.name, o.host(), o.postfix.Addr(), to.domain)
		d.show.say("         mailseal milter -config %s", o.config)
	}
	return nil
}

func (d *demo) both() [2]*organisation { return [2]*organisation{d.corp, d.partner} }

// write, answer and tamper are the three mails.
func (d *demo) write(ctx context.Context) error {
	d.show.section("Alice at corp writes to Bob at partner")
	return d.exchange(ctx, exchange{
		from: d.corp, to: d.partner, wire: d.wires[0], subject: "Invoice 4711",
		text: "Dear Bob,\r\n\r\nplease pay 100 EUR to our account until Friday.\r\n\r\nAlice\r\n",
		want: "pass",
	})
}

func (d *demo) answer(ctx context.Context) error {
	d.show.section("Bob answers")
	return d.exchange(ctx, exchange{
		from: d.partner, to: d.corp, wire: d.wires[1], subject: "Re: Invoice 4711",
		text: "Dear Alice,\r\n\r\n100 EUR are on their way.\r\n\r\nBob\r\n",
		want: "pass",
	})
}

func (d *demo) tamper(ctx context.Context) error {
	d.show.section("Alice writes the same again, and somebody on the way makes 900 of 100")
	return d.exchange(ctx, exchange{
		from: d.corp, to: d.partner, wire: d.wires[0], subject: "Invoice 4711",
		text:   "Dear Bob,\r\n\r\nplease pay 100 EUR to our account until Friday.\r\n\r\nAlice\r\n",
		change: &change{from: "pay 100 EUR", to: "pay 900 EUR"},
		want:   "fail",
	})
}

// logs shows the end of all logs, for who has to find out what went wrong.
func (d *demo) logs() {
	for _, o := range d.both() {
		if o == nil {
			continue
		}
		d.show.lines("The end of the Postfix log of "+o.host(), lastLines(o.postfixLog(), 15))
		d.show.lines("The end of the mailseal log of "+o.host(), lastLines(o.milterLog(), 15))
	}
}

// close ends all that runs and removes all that was made.
func (d *demo) close(keep bool) error {
	var errs []error
	for _, w := range d.wires {
		if w != nil {
			errs = append(errs, w.sink.Close())
		}
	}
	for _, o := range d.both() {
		if o != nil {
			errs = append(errs, o.close(keep))
		}
	}
	if d.dir != "" && !keep {
		errs = append(errs, os.RemoveAll(d.dir))
	}
	return errors.Join(errs...)
}
