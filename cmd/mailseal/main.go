// Command mailseal gives Postfix and sendmail gateway S/MIME: a milter, and
// the commands to look after it. `mailseal help` lists them.
//
// Each command is one file. This package alone exits, prints usage, reads the
// environment and handles signals; what the commands do is elsewhere.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"mailseal/internal/typo"
)

// Env is the world as a command sees it.
type Env struct {
	Args           []string // without the program's name
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
}

func main() {
	os.Exit(run(context.Background(), Env{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
	}))
}

// A command is one word behind mailseal.
type command struct {
	name  string
	args  string // what follows on the usage line
	short string // what it does, in a few words
	long  string // the rest of its help
	// setup defines the flags and returns what runs when they are read.
	setup func(*flag.FlagSet) runner
	// signals: the context ends with SIGINT and SIGTERM, which end other
	// commands on the spot.
	signals bool
	// instead says, of flags that people may expect, what to do instead.
	instead map[string]string
	// usageExit is the status for wrong usage, 0 for exUsage.
	usageExit int
}

// A runner does a command's work. Its error is printed, on one line, and gives
// the exit status; see exit.go.
type runner func(context.Context, Env) error

// commands are in the order of their help. `help` is run's own.
func commands() []command {
	return []command{
		milterCommand(),
		checkCommand(),
		filterCommand(),
		signCommand(),
		encryptCommand(),
		decryptCommand(),
		verifyCommand(),
		inspectCommand(),
		demoCommand(),
		versionCommand(),
	}
}

// run does what the arguments ask and returns the exit status.
func run(ctx context.Context, env Env) int {
	if len(env.Args) == 0 {
		fmt.Fprintln(env.Stderr, "mailseal: no command; see mailseal help")
		return exUsage
	}
	name := env.Args[0]
	env.Args = env.Args[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		return help(env)
	}
	c, err := find(name)
	if err != nil {
		fmt.Fprintf(env.Stderr, "mailseal: %v\n", err)
		return exUsage
	}
	do, err := c.parse(&env)
	switch {
	case errors.Is(err, flag.ErrHelp):
		c.usage(env.Stdout)
		return exOK
	case err != nil:
		fmt.Fprintf(env.Stderr, "mailseal %s: %v; see mailseal %s -h\n", name, err, name)
		if c.usageExit != 0 {
			return c.usageExit
		}
		return exUsage
	}
	if c.signals {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		// A second signal ends the process on the spot.
		context.AfterFunc(ctx, stop)
		defer stop()
	}
	return report(env.Stderr, name, do(ctx, env))
}

// help prints the list of commands, or the help of one.
func help(env Env) int {
	if len(env.Args) > 0 {
		c, err := find(env.Args[0])
		if err != nil {
			fmt.Fprintf(env.Stderr, "mailseal help: %v\n", err)
			return exUsage
		}
		c.usage(env.Stdout)
		return exOK
	}
	fmt.Fprint(env.Stdout, "mailseal: gateway S/MIME for Postfix and sendmail\n\nusage: mailseal COMMAND [flags]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(env.Stdout, "  %-9s %s\n", c.name, c.short)
	}
	fmt.Fprint(env.Stdout, "\nmailseal COMMAND -h explains a command. The configuration is "+defaultConfig()+".\n")
	return exOK
}

func find(name string) (command, error) {
	var names []string
	for _, c := range commands() {
		if c.name == name {
			return c, nil
		}
		names = append(names, c.name)
	}
	if near := typo.Nearest(strings.ToLower(name), names); near != "" {
		return command{}, fmt.Errorf("no command %q; did you mean %s?", name, near)
	}
	return command{}, fmt.Errorf("no command %q; see mailseal help", name)
}
