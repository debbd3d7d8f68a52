package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"mailseal/internal/config"
)

// Exit statuses of sysexits(3). Commands with others say so in their help.
const (
	exOK          = 0
	exUsage       = 64 // the command was used wrongly
	exDataErr     = 65 // the input is not as it should be
	exNoInput     = 66 // an input file is missing or unreadable
	exNoUser      = 67 // there is no such user or group
	exUnavailable = 69 // a service is missing, and for filter: the mail is rejected
	exSoftware    = 70 // a mistake of ours
	exOSErr       = 71 // the operating system refused something
	exCantCreate  = 73 // an output file cannot be made
	exIOErr       = 74 // reading or writing failed
	exTempFail    = 75 // try again later
	exNoPerm      = 77 // one has to be root for that
	exConfig      = 78 // the configuration is wrong
)

// An exit is an error with its status. A nil err prints nothing.
type exit struct {
	status int
	err    error
}

func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// fail makes an error that ends the command with a status.
func fail(status int, err error) error { return &exit{status, err} }

// failf is fail with a text of its own.
func failf(status int, format string, args ...any) error {
	return fail(status, fmt.Errorf(format, args...))
}

// report prints what went wrong and returns the exit status. Mistakes in a
// configuration stand on lines of their own that begin with the place, as
// editors and compilers have it; everything else is one line.
func report(w io.Writer, name string, err error) int {
	if err == nil {
		return exOK
	}
	status := exSoftware
	var e *exit
	if errors.As(err, &e) {
		if status = e.status; e.err == nil {
			return status
		}
	}
	for _, one := range unjoin(err) {
		var place *config.Error
		if errors.As(one, &place) {
			fmt.Fprintln(w, oneLine(one))
			continue
		}
		// "ca show: show: 0A: not found" would say it twice.
		text := strings.TrimPrefix(oneLine(one), name[strings.LastIndexByte(name, ' ')+1:]+": ")
		fmt.Fprintf(w, "mailseal %s: %s\n", name, text)
	}
	return status
}

// unjoin takes errors.Join apart, below a status. What wraps several errors in
// a sentence of its own, as fmt.Errorf does, stays whole.
func unjoin(err error) []error {
	if e, ok := err.(*exit); ok {
		err = e.err
	}
	j, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(j.Unwrap()...).Error() != err.Error() {
		return []error{err}
	}
	var all []error
	for _, e := range j.Unwrap() {
		all = append(all, unjoin(e)...)
	}
	return all
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
