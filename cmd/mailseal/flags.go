package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"mailseal/internal/typo"
)

func (c command) flags() (*flag.FlagSet, runner) {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run says what is wrong
	fs.Usage = func() {}
	return fs, c.setup(fs)
}

// parse reads the flags. Most commands take no other arguments; where one does,
// flags may stand behind them too.
func (c command) parse(env *Env) (runner, error) {
	fs, do := c.flags()
	if err := fs.Parse(env.Args); err != nil {
		return nil, c.explain(fs, err)
	}
	if c.operands {
		var operands []string
		for fs.NArg() > 0 {
			operands = append(operands, fs.Arg(0))
			if err := fs.Parse(fs.Args()[1:]); err != nil {
				return nil, c.explain(fs, err)
			}
		}
		env.Args = operands
		return do, nil
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected %q", fs.Arg(0))
	}
	return do, nil
}

// explain adds the flag that may have been meant, or what to do instead.
func (c command) explain(fs *flag.FlagSet, err error) error {
	_, name, ok := strings.Cut(err.Error(), "flag provided but not defined: -")
	if !ok {
		return err
	}
	if text, ok := c.instead[strings.TrimPrefix(name, "-")]; ok {
		return fmt.Errorf("no flag -%s: %s", name, text)
	}
	var names []string
	fs.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	if near := typo.Nearest(strings.TrimPrefix(name, "-"), names); near != "" {
		return fmt.Errorf("no flag -%s; did you mean -%s?", name, near)
	}
	return fmt.Errorf("no flag -%s", name)
}

// usage prints the command's help, made from its flags.
func (c command) usage(w io.Writer) {
	fs, _ := c.flags()
	fmt.Fprintf(w, "%s\n\n%s\n", folded("usage: mailseal "+strings.TrimSpace(c.name+" "+c.args)), strings.TrimSpace(c.long))
	first := true
	fs.VisitAll(func(f *flag.Flag) {
		if first {
			fmt.Fprintln(w)
			first = false
		}
		value, text := flag.UnquoteUsage(f)
		fmt.Fprintf(w, "  %s\n        %s\n", strings.TrimSpace("-"+f.Name+" "+value), text)
	})
}

// folded breaks a usage line where it is long, but not within brackets.
func folded(usage string) string {
	const width = 110
	var b strings.Builder
	column, open := 0, 0
	for word := range strings.FieldsSeq(usage) {
		// What the brackets that begin here hold stays together.
		if open == 0 && column > 0 && column+len(word) > width-20 && (strings.HasPrefix(word, "[") || column+len(word) > width) {
			b.WriteString("\n   ")
			column = 3
		}
		if column > 0 {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
		open += strings.Count(word, "[") - strings.Count(word, "]")
	}
	return b.String()
}

// A list is a flag that may be given again and again.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(s string) error {
	if s == "" {
		return errors.New("empty")
	}
	*l = append(*l, s)
	return nil
}
