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

// A command is one word behind mailseal, or two: a group and what to do in it.
type command struct {
	name  string // "sign", "identity list"
	args  string // what follows on the usage line
	short string // what it does, in a few words
	long  string // the rest of its help
	// setup defines the flags and returns what runs when they are read.
	setup func(*flag.FlagSet) runner
	// signals: the context ends with SIGINT and SIGTERM, which end other
	// commands on the spot.
	signals bool
	// operands: what is no flag is left in Env.Args for the runner.
	operands bool
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
		certmgrCommand(),
		webCommand(),
		checkCommand(),
		filterCommand(),
		signCommand(),
		encryptCommand(),
		decryptCommand(),
		verifyCommand(),
		inspectCommand(),
		caInitCommand(),
		caIssueCommand(),
		caListCommand(),
		caShowCommand(),
		caRenewCommand(),
		caRevokeCommand(),
		caCRLCommand(),
		caExportCommand(),
		caImportCommand(),
		caAuditCommand(),
		identityListCommand(),
		identityShowCommand(),
		identityExportCommand(),
		logCommand(),
		doctorCommand(),
		setupSendmailCommand(),
		setupPostfixCommand(),
		setupUndoCommand(),
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
	switch env.Args[0] {
	case "help", "-h", "-help", "--help":
		env.Args = env.Args[1:]
		return help(env)
	}
	c, rest, err := find(env.Args)
	if err != nil {
		fmt.Fprintf(env.Stderr, "mailseal: %v\n", err)
		return exUsage
	}
	name := c.name
	env.Args = rest
	if c.setup == nil {
		return c.choose(env)
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
		c, rest, err := find(env.Args)
		if err != nil {
			fmt.Fprintf(env.Stderr, "mailseal help: %v\n", err)
			return exUsage
		}
		if c.setup == nil {
			env.Args = append([]string{"-h"}, rest...)
			return c.choose(env)
		}
		c.usage(env.Stdout)
		return exOK
	}
	fmt.Fprint(env.Stdout, "mailseal: gateway S/MIME for Postfix and sendmail\n\nusage: mailseal COMMAND [flags]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(env.Stdout, "  %-15s %s\n", c.name, c.short)
	}
	fmt.Fprint(env.Stdout, "\nmailseal COMMAND -h explains a command. The configuration is "+defaultConfig()+".\n")
	return exOK
}

// find returns the command that the arguments name, and the arguments that are
// left for it. Of a group alone it is a command without setup.
func find(args []string) (command, []string, error) {
	var names []string
	group := false
	for _, c := range commands() {
		first, second, two := strings.Cut(c.name, " ")
		switch {
		case first != args[0]:
			names = append(names, first)
		case !two:
			return c, args[1:], nil
		case len(args) > 1 && args[1] == second:
			return c, args[2:], nil
		default:
			group = true
		}
	}
	if group {
		return command{name: args[0]}, args[1:], nil
	}
	if near := typo.Nearest(strings.ToLower(args[0]), names); near != "" {
		return command{}, nil, fmt.Errorf("no command %q; did you mean %s?", args[0], near)
	}
	return command{}, nil, fmt.Errorf("no command %q; see mailseal help", args[0])
}

// choose answers who named a group of commands and none of it.
func (c command) choose(env Env) int {
	var words, lines []string
	for _, one := range commands() {
		if word, ok := strings.CutPrefix(one.name, c.name+" "); ok {
			words = append(words, word)
			lines = append(lines, fmt.Sprintf("  %-15s %s\n", one.name, one.short))
		}
	}
	if len(env.Args) > 0 {
		switch env.Args[0] {
		case "-h", "-help", "--help":
			fmt.Fprintf(env.Stdout, "usage: mailseal %s %s [flags]\n\n%s\nmailseal %s COMMAND -h explains a command.\n",
				c.name, strings.Join(words, "|"), strings.Join(lines, ""), c.name)
			return exOK
		}
		if near := typo.Nearest(strings.ToLower(env.Args[0]), words); near != "" {
			fmt.Fprintf(env.Stderr, "mailseal %s: no command %q; did you mean %s %s?\n", c.name, env.Args[0], c.name, near)
			return exUsage
		}
	}
	fmt.Fprintf(env.Stderr, "mailseal %s: want one of %s; see mailseal %s -h\n", c.name, strings.Join(words, ", "), c.name)
	return exUsage
}
