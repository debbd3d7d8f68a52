package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	"mailseal/internal/logfile"
	"mailseal/internal/logline"
	"mailseal/internal/tlslog"
	"mailseal/internal/tlslog/tally"
)

// logFailing is the status of log -check where something FAILs.
const logFailing = 1

func logCommand() command {
	return command{
		name:  "log",
		args:  "[-a] [-since TIME] [-until TIME] [-peer PATTERN] [-n ROWS] [-v] [-json] [-check] [-f] [FILE...]",
		short: "what the mail log says about STARTTLS and S/MIME",
		long: `Reads the mail log and tells for every peer how often its certificate was
verified and how often not (verify=OK, FAIL, NO ...; Postfix's Verified, Trusted,
Untrusted, Anonymous; Exim's CV=), the likely cause of every FAIL, and what to do
about it; also what the servers of this host say of their own key and certificate
files. Without FILE it reads ` + strings.Join(systemLogs(runtime.GOOS), " or ") + `; - is the
standard input, as from journalctl. Compressed files are read as they are.

The exit status is 0; with -check it is 1 when the last word on a peer is FAIL, or
this host has a fault that nothing has mended.`,
		signals:  true,
		operands: true,
		setup: func(fs *flag.FlagSet) runner {
			var l logReader
			fs.BoolVar(&l.rotated, "a", false, "read the rotated files too, oldest first: mail.log.2.gz, mail.log.1, mail.log")
			since := fs.String("since", "", "only what was logged since `TIME`: how long ago (90m, 12h, 7d), or 2026-11-22, or \"2026-11-22 08:00\"")
			until := fs.String("until", "", "only what was logged before `TIME`")
			fs.Var(&l.peer, "peer", "only peers whose name or address is like `PATTERN`: mx.example.jp, *.example.jp, 192.0.2.0/24")
			fs.IntVar(&l.rows, "n", 40, "show so many `ROWS` of peers, the worst; 0 shows all")
			fs.BoolVar(&l.verbose, "v", false, "list the lines of the log that were counted")
			fs.BoolVar(&l.json, "json", false, "print JSON; with -f one object a line")
			fs.BoolVar(&l.check, "check", false, "exit with 1 when something FAILs at the end")
			fs.BoolVar(&l.follow, "f", false, "wait for new lines, and tell what they say as they come, across rotations")
			return func(ctx context.Context, env Env) error {
				l.env, l.now = env, time.Now()
				var err error
				if l.since, err = parseMoment(*since, l.now); err != nil {
					return failf(exUsage, "-since %q: %w; see mailseal log -h", *since, err)
				}
				if l.until, err = parseMoment(*until, l.now); err != nil {
					return failf(exUsage, "-until %q: %w; see mailseal log -h", *until, err)
				}
				if l.json && l.verbose {
					return failf(exUsage, "-v lists lines and -json does not; see mailseal log -h")
				}
				return l.run(ctx, env.Args)
			}
		},
	}
}

// systemLogs are where the system's mail log is.
func systemLogs(goos string) []string {
	if goos == "linux" {
		return []string{"/var/log/mail.log", "/var/log/maillog"}
	}
	return []string{"/var/log/maillog"}
}

// A logReader is one run of `mailseal log`.
type logReader struct {
	rotated, verbose, json, check, follow bool
	since, until                          time.Time
	peer                                  peerPattern
	rows                                  int

	env      Env
	now      time.Time
	tally    *tally.Tally
	reader   *tlslog.Reader
	from, to time.Time // of all lines
	lines    int
	strange  int // lines that are none of a log
}

// run reads the files, and tells.
func (l *logReader) run(ctx context.Context, names []string) error {
	names, err := l.files(names)
	if err != nil {
		return err
	}
	if l.follow {
		if len(names) != 1 {
			return failf(exUsage, "-f follows one file, not %d; see mailseal log -h", len(names))
		}
		return l.followOne(ctx, names[0])
	}
	l.tally = tally.New(tally.MaxPeers, tally.MaxFaults)
	l.reader = tlslog.NewReader(l.count, l.verbose)
	var broken error
	for _, name := range names {
		if err := l.read(ctx, name); err != nil {
			if ctx.Err() != nil {
				return failf(exTempFail, "interrupted")
			}
			// What is in the other files is told all the same.
			broken = errors.Join(broken, explainLog(name, err))
		}
	}
	l.reader.Flush()
	if broken != nil && l.lines == 0 {
		return broken
	}
	if l.lines > 0 && l.strange == l.lines {
		fmt.Fprintln(l.env.Stderr, "mailseal log: no line of it is one of a log that is known here: syslog, journalctl -o short or json, Exim's main log")
	}
	r := l.tally.Report()
	r.From, r.To, r.Lines = l.from, l.to, l.lines
	if err := l.print(r); err != nil {
		return fail(exIOErr, err)
	}
	switch {
	case broken != nil:
		return broken
	case l.check && r.Failing():
		return fail(logFailing, nil)
	}
	return nil
}

// files are what is to be read, in the order of time.
func (l *logReader) files(names []string) ([]string, error) {
	if len(names) == 0 {
		candidates := systemLogs(runtime.GOOS)
		for _, name := range candidates {
			if _, err := os.Stat(name); err == nil {
				names = []string{name}
				break
			}
		}
		if len(names) == 0 && l.follow {
			names = candidates[:1] // it may come
		}
		if len(names) == 0 {
			return nil, failf(exNoInput, "no %s; give a FILE, or hand it the journal: journalctl -o short-iso -u 'postfix*' -u sendmail | mailseal log -", strings.Join(candidates, " and no "))
		}
	}
	if !l.rotated || l.follow {
		return names, nil
	}
	var all []string
	for _, name := range names {
		if name == "-" {
			all = append(all, name)
			continue
		}
		old, err := logfile.Rotated(name)
		if err != nil {
			return nil, explainLog(name, err)
		}
		if len(old) == 0 {
			return nil, failf(exNoInput, "%s: neither it nor a rotated file is there", name)
		}
		all = append(all, old...)
	}
	return all, nil
}

// explainLog says what to do about a log that cannot be read.
func explainLog(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return failf(exNoPerm, "%w; be root, or in the group that owns it (Debian: adm)", err)
	case errors.Is(err, fs.ErrNotExist):
		return failf(exNoInput, "%w", err)
	}
	if !strings.Contains(err.Error(), name) {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return fail(exDataErr, err)
}

// read counts one file.
func (l *logReader) read(ctx context.Context, name string) error {
	var r io.Reader = l.env.Stdin
	latest := l.now
	if name != "-" {
		f, err := logfile.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		if f.Changed.Before(l.since) {
			return nil // all of it is older
		}
		r, latest = f, f.Changed
	}
	p := &logline.Parser{Latest: latest}
	n := 0
	return logfile.Each(r, func(line []byte) error {
		if n++; n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		l.line(p, line)
		return nil
	})
}

// line takes a line into account.
func (l *logReader) line(p *logline.Parser, line []byte) {
	if len(line) == 0 {
		return
	}
	l.lines++
	e, ok := p.Parse(line)
	if !ok {
		l.strange++
		return
	}
	if e.Time.Before(l.since) || !l.until.IsZero() && !e.Time.Before(l.until) {
		return
	}
	if l.from.IsZero() || e.Time.Before(l.from) {
		l.from = e.Time
	}
	if e.Time.After(l.to) {
		l.to = e.Time
	}
	l.reader.Line(e, line)
}

// count takes what a line has said.
func (l *logReader) count(e tlslog.Event) {
	if !l.peer.matches(&e) {
		return
	}
	l.tally.Add(&e)
	for _, line := range e.Lines {
		fmt.Fprintln(l.env.Stdout, tlslog.Printable(line))
	}
}

// print tells the result.
func (l *logReader) print(r *tally.Report) error {
	if l.json {
		return writeJSON(l.env.Stdout, r)
	}
	if l.verbose && r.Events > 0 {
		fmt.Fprintln(l.env.Stdout)
	}
	return writeLogReport(l.env.Stdout, r, l.rows)
}

// tell tells of one Event, as -f does.
func (l *logReader) tell(e tlslog.Event) {
	if !l.peer.matches(&e) || e.Side == tlslog.Own && e.Cause == nil {
		return
	}
	for _, line := range e.Lines {
		fmt.Fprintln(l.env.Stdout, tlslog.Printable(line))
	}
	if !l.json {
		fmt.Fprintln(l.env.Stdout, eventLine(&e))
		return
	}
	// A line of its own for each, without what writeJSON does for people; what
	// does not print is escaped by Printable's rules there, and here by ASCII alone.
	b, err := json.Marshal(eventJSON(&e))
	if err != nil {
		return
	}
	fmt.Fprintln(l.env.Stdout, asciiJSON(b))
}
