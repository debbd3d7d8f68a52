package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf16"

	"mailseal/internal/logfile"
	"mailseal/internal/logline"
	"mailseal/internal/tlslog"
)

// quiet is how long a result waits for the line with its reason.
const quiet = 300 * time.Millisecond

// followOne tells what comes in a file, or on the standard input.
func (l *logReader) followOne(ctx context.Context, name string) error {
	l.reader = tlslog.NewReader(l.tell, l.verbose)
	if name == "-" {
		return l.followInput(ctx)
	}
	// Years are of the present, whenever that is.
	p := new(logline.Parser)
	var last time.Time
	f := logfile.Follower{
		Name:  name,
		Start: !l.since.IsZero(),
		Poll:  time.Second,
		Take: func(line []byte) {
			last = time.Now()
			p.Latest = last
			l.line(p, line)
		},
		Idle: func() {
			if time.Since(last) > quiet {
				l.reader.Flush()
			}
		},
	}
	if err := f.Run(ctx); err != nil {
		return explainLog(name, err)
	}
	l.reader.Flush()
	return nil
}

// followInput tells what comes on the standard input, until that ends.
func (l *logReader) followInput(ctx context.Context) error {
	lines := make(chan string)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// It may wait for its reader forever: the process ends with it.
	go func() {
		ended <- logfile.Each(l.env.Stdin, func(line []byte) error {
			select {
			case lines <- string(line):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	p := new(logline.Parser)
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for {
		select {
		case line := <-lines:
			p.Latest = time.Now()
			l.line(p, []byte(line))
			timer.Reset(quiet)
		case <-timer.C:
			l.reader.Flush()
		case err := <-ended:
			l.reader.Flush()
			if err != nil && !errors.Is(err, io.EOF) && ctx.Err() == nil {
				return fail(exIOErr, fmt.Errorf("read the standard input: %w", err))
			}
			return nil
		case <-ctx.Done():
			l.reader.Flush()
			return nil
		}
	}
}

// followed is an Event as -f -json has it.
type followed struct {
	Time    time.Time      `json:"time"`
	Host    string         `json:"host,omitempty"`
	Program string         `json:"program"`
	Side    tlslog.Side    `json:"direction"`
	Verdict tlslog.Verdict `json:"verdict"`
	Name    string         `json:"name,omitempty"`
	Address string         `json:"address,omitempty"`
	Said    string         `json:"said"`
	Version string         `json:"version,omitempty"`
	Cause   string         `json:"cause,omitempty"`
	Reason  string         `json:"reason,omitempty"`
	Subject string         `json:"subject,omitempty"`
	Issuer  string         `json:"issuer,omitempty"`
	File    string         `json:"file,omitempty"`
	Waiting bool           `json:"waiting,omitempty"`
}

func eventJSON(e *tlslog.Event) followed {
	f := followed{
		Time: e.Time, Host: e.Host, Program: e.Program, Side: e.Side, Verdict: e.Verdict, Name: e.Name, Address: e.Address, Said: e.Said,
		Version: e.Version, Reason: e.Reason, Subject: e.Subject, Issuer: e.Issuer, File: e.File, Waiting: e.Deferred,
	}
	if e.Cause != nil {
		f.Cause = e.Cause.ID
	}
	return f
}

// asciiJSON escapes everything but ASCII: nothing of it does anything to a
// terminal.
func asciiJSON(b []byte) string {
	var s strings.Builder
	for _, r := range string(b) {
		if r >= ' ' && r < 0x7f {
			s.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&s, `\u%04x`, unit)
		}
	}
	return s.String()
}
