package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"

	"github.com/emersion/go-milter"
)

// Both milters are what go-milter makes of the least code: every event is
// told and answered, one after the other.

// filterLine is what they log for each mail: a daemon does log a line.
const filterLine = "bench-filter: mail"

// replacedField marks mail whose body was replaced.
const replacedField = "X-Bench-Replaced"

// doNothing lets every mail pass.
type doNothing struct {
	milter.NoOpMilter
	log io.Writer
}

func (f *doNothing) Body(*milter.Modifier) (milter.Response, error) {
	fmt.Fprintln(f.log, filterLine)
	return milter.RespContinue, nil
}

// replaceBody gathers the body and sends it back as it is, with the two fields
// that a signing milter has to change too.
type replaceBody struct {
	doNothing
	body []byte
}

func (f *replaceBody) BodyChunk(chunk []byte, _ *milter.Modifier) (milter.Response, error) {
	f.body = append(f.body, chunk...)
	return milter.RespContinue, nil
}

func (f *replaceBody) Body(m *milter.Modifier) (milter.Response, error) {
	err := errors.Join(
		m.ChangeHeader(1, "MIME-Version", "1.0"),
		m.AddHeader(replacedField, "yes"),
		m.ReplaceBody(f.body),
	)
	if err != nil {
		return nil, err
	}
	f.body = f.body[:0]
	return f.doNothing.Body(m)
}

func (f *replaceBody) Abort(*milter.Modifier) error {
	f.body = f.body[:0]
	return nil
}

// serveFilter is what this program does as a milter. It never returns but with
// an error.
func serveFilter(kind, socket string, log io.Writer) error {
	network, address, _ := strings.Cut(socket, ":")
	ln, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	if network == "unix" {
		if err := os.Chmod(address, 0o666); err != nil {
			return err
		}
	}
	s := milter.Server{}
	log = &lockedWriter{w: log}
	switch kind {
	case "nothing":
		s.NewMilter = func() milter.Milter { return &doNothing{log: log} }
	case "replace":
		s.NewMilter = func() milter.Milter { return &replaceBody{doNothing: doNothing{log: log}} }
		s.Actions = milter.OptChangeBody | milter.OptChangeHeader | milter.OptAddHeader
	default:
		return fmt.Errorf("unknown filter %q; want nothing or replace", kind)
	}
	return s.Serve(ln)
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
