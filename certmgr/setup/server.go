package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mailseal/certmgr/install"
)

// A Place is where a mail server is.
type Place struct {
	Server string // sendmail or postfix
	// Conf is the folder of its configuration, "" for the server's own: /etc/mail
	// or /etc/postfix. Prefix stands before that, "" for nothing.
	Conf, Prefix string
	// PidFile is told where the server's own is not the right one.
	PidFile string
}

// A Server is a mail server of this host as its configuration has it.
type Server struct {
	Place
	// Host is what it calls itself.
	Host string
	// Probe is where it takes mail, as smtp://127.0.0.1:25.
	Probe string
	// Reload is the command that has it read its files again, "" where the one
	// does that package certmgr/install knows.
	Reload string
	// Log is where it logs, "" where syslogd says.
	Log string
	// PublicCAs is a file of CAs that it trusts at present, "" for none.
	PublicCAs string

	mta interface {
		settings(context.Context, Files, Wish) (Settings, error)
	}
}

// Look reads what a server's configuration says. The error is ErrNoServer where
// there is none, ErrNoName beside a Server that lacks nothing but Host.
func Look(ctx context.Context, p Place) (*Server, error) {
	usual := map[string]string{"sendmail": "/etc/mail", "postfix": postfixFolder()}[p.Server]
	if usual == "" {
		return nil, fmt.Errorf("%w: no setup for %q; want sendmail or postfix", ErrRefused, p.Server)
	}
	if p.Conf == "" {
		p.Conf = filepath.Join("/", p.Prefix, usual)
	}
	s := &Server{Place: p}
	if p.PidFile != "" {
		s.Reload = hangUp(p.PidFile)
	}
	var err error
	if p.Server == "postfix" {
		err = s.lookAtPostfix(ctx)
	} else {
		err = s.lookAtSendmail(ctx)
	}
	if err != nil {
		return nil, err
	}
	if !strings.Contains(s.Host, ".") {
		return s, fmt.Errorf("%w: %s calls itself %q, and a certificate wants a whole name; say it with -host, as -host mx.example.jp", ErrNoName, p.Server, s.Host)
	}
	return s, nil
}

// ErrNoName: the server does not know its whole name.
var ErrNoName = errors.New("no host name")

// Settings are the changes that have the server use files.
func (s *Server) Settings(ctx context.Context, f Files, w Wish) (Settings, error) {
	for _, path := range []string{f.Key, f.Certificate, f.Pair, f.CA, f.CRL, f.DH, f.Dir} {
		if strings.ContainsAny(path, "`' \t\n\"$,;#()\\") {
			return Settings{}, fmt.Errorf("%w: %q as a path in a server's configuration; want one of letters, digits and -_./", ErrRefused, path)
		}
	}
	all, err := s.mta.settings(ctx, f, w)
	if err != nil {
		return Settings{}, err
	}
	changed := all.Edits[:0]
	for _, e := range all.Edits {
		if !e.Existed || string(e.Before) != string(e.After) {
			changed = append(changed, e)
		}
	}
	all.Edits = changed
	return all, nil
}

// hangUp is the command that tells the process of a pid file to read its
// configuration again, if it runs.
func hangUp(pidFile string) string {
	f := Quoted(pidFile)
	return "test ! -s " + f + " || " + install.HangUp(f)
}

// Quoted is a word for /bin/sh.
func Quoted(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:@%+,") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// missing says what to do about a configuration that cannot be read.
func missing(server, path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: no %s; install %s first, or say with -conf where the configuration of the instance is", ErrNoServer, path, server)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; run this as root", err)
	}
	return err
}

// hostName is what this host calls itself, whole where it is to be found out.
func hostName(ctx context.Context) string {
	name, err := os.Hostname()
	if err != nil || strings.Contains(name, ".") {
		return name
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return name
	}
	for _, a := range addrs {
		names, err := net.DefaultResolver.LookupAddr(ctx, a)
		if err != nil {
			continue
		}
		for _, n := range names {
			if n = strings.TrimSuffix(n, "."); strings.HasPrefix(n, name+".") {
				return n
			}
		}
	}
	return name
}

// probeURL is where a server is asked that listens on an address and a port, as
// its configuration writes them.
func probeURL(host, port string) string {
	switch port {
	case "", "smtp", "mail":
		port = "25"
	case "submission":
		port = "587"
	}
	switch host {
	case "", "0.0.0.0", "*", "all", "localhost", "loopback-only":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return "smtp://" + net.JoinHostPort(strings.Trim(host, "[]"), port)
}

// othersCAs warns of a file of CAs that is no longer read.
func othersCAs(setting, path string) string {
	return fmt.Sprintf("%s: whom that vouches for is unknown from now on, the system's public CAs apart; append to %s what shall be known besides, and it stays there", setting, path)
}

// Greeting is the line with which a server greets.
func Greeting(ctx context.Context, addr string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if at, ok := ctx.Deadline(); ok {
		c.SetDeadline(at)
	}
	text := talk(c)
	_, greeting, err := text.ReadResponse(220)
	if err != nil {
		return "", fmt.Errorf("%s: %w", addr, err)
	}
	_ = text.PrintfLine("QUIT")
	first, _, _ := strings.Cut(greeting, "\n")
	return first, nil
}

// Reloaded waits until a server greets that was, or may have been, told to read its
// files: sendmail starts itself anew, and is away for an instant.
func Reloaded(ctx context.Context, addr string, limit time.Duration) (string, error) {
	for end := time.Now().Add(limit); ; {
		greeting, err := Greeting(ctx, addr)
		if err == nil || time.Now().After(end) || ctx.Err() != nil {
			return greeting, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}
