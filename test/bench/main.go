// Bench measures whole mails: smtp-source sends them through private instances
// of Postfix and sendmail, each with another milter or with none, and the
// medians come as tables into doc/performance.md, between marks.
//
// What is compared runs by turns: a round takes every set-up once, one beside
// the other, so that whatever else the machine does meets all. A measurement
// counts only when every mail of it was taken by the MTA and seen by the
// milter; before the first round and after the last a mail is looked at for
// what the milter should have made of it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"mailseal/internal/mtarig"
	"mailseal/test/report"
)

var marks = report.Marks{Begin: "<!-- whole mails: written by make bench -->", End: "<!-- end of whole mails -->"}

// options are the command's flags.
type options struct {
	rounds   int
	run      time.Duration // for one measurement
	only     *regexp.Regexp
	dir      string // of queues, spools and logs
	mailseal string // the product's binary
	tree     string // what test/tools.sh unpacked
	out      string
}

func main() {
	o, err := parse(os.Args[1:])
	if err != nil {
		os.Exit(64)
	}
	switch {
	case flag.NArg() == 2:
		err = serveFilter(flag.Arg(0), flag.Arg(1), os.Stderr)
	case o.dir == "":
		err = inside(o)
	default:
		// A second ^C ends this process at once; the MTAs' watchdogs do the rest.
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		context.AfterFunc(ctx, stop)
		err = run(ctx, o, os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	o := options{tree: os.Getenv("MAILSEAL_MTA")}
	if o.tree == "" {
		o.tree = filepath.Join("build", "mta")
	}
	fs := flag.CommandLine
	fs.Init("bench", flag.ContinueOnError)
	fs.IntVar(&o.rounds, "rounds", 5, "rounds of all measurements; the medians are told")
	fs.DurationVar(&o.run, "run", 500*time.Millisecond, "how long one measurement is meant to take")
	fs.StringVar(&o.dir, "dir", "", "`FOLDER` for queues, spools and logs; without, a tmpfs on /mnt that nobody else sees")
	fs.StringVar(&o.mailseal, "mailseal", "bin/mailseal", "the `FILE` that is measured")
	fs.StringVar(&o.out, "out", "", "`FILE` whose tables are renewed; standard output without")
	only := fs.String("only", "", "`REGEXP`: only measurements whose name matches, as postfix/unix/10KB/x10/sign RSA-2048")
	quick := fs.Bool("quick", false, "one round of mails of 10 KB in ten sessions: the shape in a minute")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if *quick {
		o.rounds, *only = 1, "/10KB/x10/"
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		fmt.Fprintln(os.Stderr, "bench: -only:", err)
	}
	return o, err
}

// inside starts all over with a folder in memory.
func inside(o options) error {
	if err := mtarig.Find(o.tree).Postfix(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return again(self, os.Args[1:])
}

// run measures and writes the tables.
func run(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	conditions := words(o.dir) + "; " + load()
	b, err := newBench(o, stderr)
	if err != nil {
		return err
	}
	defer func() {
		if e := b.close(); err == nil {
			err = e
		}
	}()
	if err := b.measure(ctx); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted: %w", ctx.Err())
		}
		return err
	}
	table := b.results.render(o.rounds, conditions)
	if o.out == "" {
		_, err := io.WriteString(stdout, table)
		return err
	}
	return marks.Renew(o.out, table)
}
